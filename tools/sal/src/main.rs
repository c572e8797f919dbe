//! The host tool: everything that a person does with the project goes through `cargo sal`.
//!
//! What must always hold: standard output carries nothing but what the program in the machine wrote there; the tool itself speaks on
//! standard error, each error in one line; it leaves nothing running.
#![forbid(unsafe_code)]

mod bench;
mod bench_linux;
mod build;
mod bundle;
mod cache;
mod check;
mod cli;
mod cmdline;
mod command;
mod elf;
mod failure;
mod gdb;
mod host;
mod install;
mod iso;
mod machine;
mod manifest;
mod progress;
mod ramdisk;
mod run;
mod say;
mod test;
mod toolchain;
mod workspace;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    match dispatch(cli::Cli::parse()) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("sal: {error:#}");
            ExitCode::from(failure::status(&error))
        }
    }
}

fn dispatch(cli: cli::Cli) -> anyhow::Result<u8> {
    match cli.command {
        cli::Command::Run(options) => run::run(&options),
        cli::Command::Test(options) => test::test(&options),
        cli::Command::Bench(options) if options.name.as_deref() == Some("linux") => bench_linux::bench(),
        cli::Command::Bench(options) => bench::bench(&options),
        cli::Command::Image(options) => iso::image(&options),
        cli::Command::Build(options) => bundle::build(&options),
        cli::Command::Check(options) => check::check(&options),
    }
}
