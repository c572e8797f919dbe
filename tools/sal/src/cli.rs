//! The command line: what it accepts and what `--help` says.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Memory of a machine, if nothing else is said, in MiB.
const MEMORY_MIB: u64 = 256;

/// Runs, tests and packs Salamandra. What is missing on this computer is installed, or the command that would is printed.
#[derive(Parser)]
#[command(name = "cargo sal", bin_name = "cargo sal", version, max_term_width = 110)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Boot to a shell, or run one program in the machine and exit with its status
    Run(Run),
    /// Run every test: host tests, then tests in the machine
    Test(Test),
    /// Count instructions per operation, beside what other systems take
    Bench(Bench),
    /// Make an ISO image that boots by BIOS and by UEFI
    Image(Image),
    /// Build the kernel and the boot image, and print where they are
    Build(Build),
    /// Hold the sources against the house's rules, and the documents against the sources
    Check(Check),
}

/// What goes into the boot image.
#[derive(Args, Clone, Debug)]
pub(crate) struct Contents {
    /// Folder to become the root file system [default: Debian's busybox-static with a minimal /etc]
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// Manifest to start: system/NAME.toml
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) system: String,
    /// Put the boot image's modules in another order (for tests: the order must not matter)
    #[arg(long, value_name = "SEED", hide = true)]
    pub(crate) shuffle: Option<u64>,
}

/// `cargo sal run`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Run {
    /// What to boot.
    #[command(flatten)]
    pub(crate) contents: Contents,
    /// Processors
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) smp: u32,
    /// Memory in MiB
    #[arg(long, value_name = "MiB", default_value_t = MEMORY_MIB)]
    pub(crate) mem: u64,
    /// End the machine after so many seconds, with status 124
    #[arg(long, value_name = "SEC")]
    pub(crate) timeout: Option<u64>,
    /// Write the log of the kernel and the services here
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// Wait at the first instruction for a debugger on this TCP port [default: 1234]
    #[arg(long, value_name = "PORT", num_args = 0..=1, default_missing_value = "1234")]
    pub(crate) gdb: Option<u16>,
    /// Boot from a GRUB ISO by this firmware instead of QEMU's direct kernel boot
    #[arg(long, value_name = "FIRMWARE", num_args = 0..=1, default_missing_value = "bios")]
    pub(crate) iso: Option<Firmware>,
    /// Count one nanosecond of virtual time per instruction: slower, and the same every time
    #[arg(long)]
    pub(crate) icount: bool,
    /// Program and arguments; without: an interactive shell
    #[arg(last = true, value_name = "CMD")]
    pub(crate) command: Vec<String>,
}

impl Run {
    /// The defaults, for these contents.
    pub(crate) fn of(contents: Contents) -> Run {
        Run {
            contents,
            smp: 1,
            mem: MEMORY_MIB,
            timeout: None,
            log: None,
            gdb: None,
            iso: None,
            icount: false,
            command: Vec::new(),
        }
    }
}

/// Firmware that loads the ISO.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Firmware {
    /// SeaBIOS
    Bios,
    /// OVMF
    Uefi,
}

/// `cargo sal test`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Test {
    /// Only tests whose name contains this
    #[arg(value_name = "FILTER")]
    pub(crate) filter: Option<String>,
    /// The long versions of the tests that have one
    #[arg(long)]
    pub(crate) long: bool,
}

/// `cargo sal bench`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Bench {
    /// `linux`: what system calls cost a Linux program; else only figures of the kernel whose name contains this
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
}

/// `cargo sal image`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Image {
    /// What to boot.
    #[command(flatten)]
    pub(crate) contents: Contents,
    /// The ISO file to write
    #[arg(value_name = "OUT.iso")]
    pub(crate) out: PathBuf,
}

/// `cargo sal build`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Build {
    /// What to build.
    #[command(flatten)]
    pub(crate) contents: Contents,
}

/// `cargo sal check`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Check {
    /// Write the sections of the documents that are made from the sources
    #[arg(long)]
    pub(crate) write: bool,
}
