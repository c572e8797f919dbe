//! Which Rust toolchain builds for the bare machine. [`bare_metal`] is the one place that decides.

mod debian;

use crate::command::output;
use crate::host;
use crate::install::{Need, ensure};
use crate::progress::Step;
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The target: no operating system, soft float.
pub(crate) const TARGET: &str = "x86_64-unknown-none";

/// A toolchain that has [`TARGET`].
#[derive(Clone, Debug)]
pub(crate) struct Toolchain {
    cargo: PathBuf,
    /// `RUSTUP_TOOLCHAIN` and the compiler, where they differ from the active ones.
    folder: Option<PathBuf>,
    /// Where the compiler's libraries and sources lie.
    pub(crate) sysroot: PathBuf,
}

impl Toolchain {
    /// Its cargo.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new(&self.cargo);
        if let Some(folder) = &self.folder {
            command.env("RUSTUP_TOOLCHAIN", folder).env("RUSTC", folder.join("bin/rustc"));
            command.env("RUSTDOC", folder.join("bin/rustdoc"));
        }
        command
    }
}

/// The toolchain for the bare machine; in this order:
/// 1. the active toolchain, if it has the target;
/// 2. with `SAL_TOOLCHAIN=debian`, one made from Debian's packages;
/// 3. the active toolchain after `rustup target add`;
/// 4. one made from Debian's packages after all;
/// 5. an error with the exact command.
pub(crate) fn bare_metal() -> Result<Toolchain> {
    let active = active()?;
    if has_target(&active.sysroot) {
        return Ok(active);
    }
    if std::env::var("SAL_TOOLCHAIN").as_deref() == Ok("debian") {
        return from_debian();
    }
    if add_target() && has_target(&active.sysroot) {
        return Ok(active);
    }
    if host::is_debian()
        && let Ok(made) = from_debian()
    {
        return Ok(made);
    }
    bail!("the Rust toolchain cannot build for {TARGET}; please run: rustup target add {TARGET}");
}

/// The toolchain that runs this tool.
fn active() -> Result<Toolchain> {
    let cargo = std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
    let rustc = std::env::var_os("RUSTC").map_or_else(|| PathBuf::from("rustc"), PathBuf::from);
    let sysroot = output(Command::new(rustc).args(["--print", "sysroot"]), "finding the Rust toolchain")?;
    Ok(Toolchain { cargo, folder: None, sysroot: PathBuf::from(sysroot.trim()) })
}

fn has_target(sysroot: &Path) -> bool {
    let libraries = std::fs::read_dir(sysroot.join("lib/rustlib").join(TARGET).join("lib"));
    libraries
        .is_ok_and(|entries| entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-")))
}

/// Asks rustup for the target; says whether that worked.
fn add_target() -> bool {
    if host::find("rustup").is_none() {
        return false;
    }
    let _step = Step::start(format!("adding the target {TARGET} to the Rust toolchain"));
    output(Command::new("rustup").args(["target", "add", TARGET]), "adding the target").is_ok()
}

fn from_debian() -> Result<Toolchain> {
    ensure(&[Need::DebianRust])?;
    let folder = debian::sysroot()?;
    Ok(Toolchain { cargo: folder.join("bin/cargo"), sysroot: folder.clone(), folder: Some(folder) })
}
