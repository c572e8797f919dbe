//! Getting what is missing: as root on Debian it is installed; else the exact command is printed.

use crate::command::output;
use crate::host;
use crate::progress::Step;
use anyhow::{Result, bail};
use std::path::Path;
use std::process::Command;

/// Something from outside that a command needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Need {
    /// The emulator.
    Qemu,
    /// What makes an ISO image.
    Iso,
    /// UEFI firmware for the emulator.
    Ovmf,
    /// Debian's Rust sources and compiler, to build a bare-metal sysroot.
    DebianRust,
}

impl Need {
    /// The Debian packages that have it, each with the file by which it is known to be there.
    fn packages(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Need::Qemu => &[("qemu-system-x86", "/usr/bin/qemu-system-x86_64")],
            Need::Iso => &[
                ("grub-common", "/usr/bin/grub-mkrescue"),
                ("grub-pc-bin", "/usr/lib/grub/i386-pc/multiboot2.mod"),
                ("grub-efi-amd64-bin", "/usr/lib/grub/x86_64-efi/multiboot2.mod"),
                ("xorriso", "/usr/bin/xorriso"),
                ("mtools", "/usr/bin/mformat"),
            ],
            Need::Ovmf => &[("ovmf", "/usr/share/OVMF/OVMF_CODE_4M.fd")],
            Need::DebianRust => &[
                ("rustc-web", "/usr/bin/rustc"),
                ("rust-web-src", "/usr/share/doc/rust-web-src"),
                ("lld-22", "/usr/bin/ld.lld-22"),
            ],
        }
    }

    /// What it is, for systems whose packages are not known here.
    fn what(self) -> &'static str {
        match self {
            Need::Qemu => "QEMU (qemu-system-x86_64)",
            Need::Iso => "GRUB's grub-mkrescue with its i386-pc and x86_64-efi modules, xorriso and mtools",
            Need::Ovmf => "OVMF (UEFI firmware for QEMU, /usr/share/OVMF/OVMF_CODE_4M.fd)",
            Need::DebianRust => "the target x86_64-unknown-none (rustup target add x86_64-unknown-none)",
        }
    }

    /// Is it here? Elsewhere than on Debian its programs may lie anywhere on the PATH.
    fn present(self) -> bool {
        let there = |file: &str| {
            let name = file.rsplit('/').next().unwrap_or(file);
            Path::new(file).exists() || (file.starts_with("/usr/bin/") && host::find(name).is_some())
        };
        match self {
            // rustup has a rustc on the PATH too: only Debian's own counts.
            Need::DebianRust => self.packages().iter().all(|(_, file)| Path::new(file).exists()),
            _ => self.packages().iter().all(|(_, file)| there(file)),
        }
    }
}

/// Makes sure that all of these are here, or says in one line what to do.
pub(crate) fn ensure(needs: &[Need]) -> Result<()> {
    let missing = needs.iter().copied().filter(|need| !need.present()).collect::<Vec<_>>();
    if missing.is_empty() {
        return Ok(());
    }
    if !host::is_debian() {
        let what = missing.iter().map(|need| need.what()).collect::<Vec<_>>().join("; ");
        bail!("this is not Debian: please install {what}");
    }
    let absent = |(_, file): &&(&str, &str)| !Path::new(file).exists();
    let packages = missing.iter().flat_map(|need| need.packages().iter().filter(absent).map(|(name, _)| *name));
    install(&packages.collect::<Vec<_>>())?;
    match missing.iter().find(|need| !need.present()) {
        None => Ok(()),
        Some(need) => bail!("the packages are installed, but this is still missing: {}", need.what()),
    }
}

fn install(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if !host::is_root() {
        bail!("missing packages; please run: sudo apt-get install -y --no-install-recommends {list}");
    }
    let step = Step::start(format!("installing {list}"));
    step.detail("reading package lists");
    // A source that cannot be read need not matter: whether the packages can be had is what counts.
    let _ = output(apt().arg("update"), "updating the package lists");
    step.detail("downloading and unpacking");
    let mut command = apt();
    command.args(["install", "-y", "--no-install-recommends"]).args(packages);
    output(&mut command, "installing packages")?;
    Ok(())
}

/// `apt-get`, asking nothing.
pub(crate) fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args(["-o", "DPkg::Lock::Timeout=300", "-q"]);
    command
}
