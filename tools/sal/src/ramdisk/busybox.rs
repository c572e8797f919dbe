//! The default root: Debian's own `busybox-static`, unmodified, with a link for every applet, a small /etc and mount points.

use super::pack::{Archive, Attributes};
use crate::cache;
use crate::command::output;
use crate::host;
use crate::install::apt;
use crate::progress::Step;
use anyhow::{Context, Result, anyhow, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The package that it comes from.
const PACKAGE: &str = "busybox-static";

/// All entries have this date (2026-01-01): the archive depends on nothing but the package.
const DATE: u64 = 1_767_225_600;

/// Folders, with their permission bits. Parents stand before children.
const FOLDERS: [(&str, u32); 18] = [
    ("bin", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("mnt", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("sbin", 0o755),
    ("svc", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("usr/bin", 0o755),
    ("usr/sbin", 0o755),
    ("var", 0o755),
    ("var/log", 0o755),
    ("var/tmp", 0o1777),
];

const FILES: [(&str, &str); 6] = [
    ("etc/group", "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n"),
    ("etc/hostname", "salamandra\n"),
    ("etc/hosts", "127.0.0.1 localhost\n"),
    ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"),
    ("etc/profile", "export PATH=/usr/sbin:/usr/bin:/sbin:/bin\nPS1='\\u@\\h:\\w\\$ '\n"),
    ("etc/shells", "/bin/sh\n/bin/ash\n"),
];

/// The archive.
pub(crate) fn archive() -> Result<Vec<u8>> {
    let package = package()?;
    let binary = ["bin/busybox", "usr/bin/busybox"].map(|file| package.join(file));
    let binary = binary.iter().find(|file| file.exists());
    let binary = binary.ok_or_else(|| anyhow!("the package {PACKAGE} has no bin/busybox in it"))?;
    let bytes = fs::read(binary).with_context(|| format!("cannot read {}", binary.display()))?;
    layout(&bytes, &applets(binary)?)
}

fn layout(busybox: &[u8], applets: &[String]) -> Result<Vec<u8>> {
    let mut archive = Archive::new();
    let with = |mode| Attributes { mode, mtime: DATE, ..Attributes::default() };
    for (name, mode) in FOLDERS {
        archive.folder(Path::new(name), with(mode))?;
    }
    for (name, text) in FILES {
        archive.file(Path::new(name), with(0o644), text.as_bytes())?;
    }
    archive.file(Path::new("bin/busybox"), with(0o755), busybox)?;
    for applet in applets {
        archive.symlink(&Path::new("bin").join(applet), with(0o777), Path::new("busybox"))?;
    }
    archive.finish()
}

/// The names that busybox answers to, sorted.
fn applets(binary: &Path) -> Result<Vec<String>> {
    let list = output(Command::new(binary).arg("--list"), "asking busybox for its applets")?;
    let mut applets = list.lines().filter(|name| *name != "busybox").map(String::from).collect::<Vec<_>>();
    applets.sort_unstable();
    applets.dedup();
    Ok(applets)
}

/// The package, unpacked in the cache; fetched if it is missing.
fn package() -> Result<PathBuf> {
    cache::entry(PACKAGE, |folder| {
        if !host::is_debian() {
            bail!(
                "the default root is Debian's {PACKAGE}, and this is not Debian: please give a folder with --root DIR"
            );
        }
        let step = Step::start(format!("fetching Debian's {PACKAGE} for the default root"));
        let work = tempfile::tempdir()?;
        if download(work.path()).is_err() {
            step.detail("reading package lists");
            let _ = output(apt().arg("update"), "updating the package lists");
            download(work.path())
                .with_context(|| format!("please run: apt-get update && apt-get download {PACKAGE}"))?;
        }
        let files = fs::read_dir(work.path())?.flatten().map(|entry| entry.path());
        let deb = files.filter(|file| file.extension().is_some_and(|end| end == "deb")).min();
        let deb = deb.ok_or_else(|| anyhow!("apt-get download brought no package"))?;
        output(Command::new("dpkg").arg("-x").arg(deb).arg(folder), "unpacking busybox").map(drop)
    })
}

fn download(folder: &Path) -> Result<String> {
    output(apt().args(["download", PACKAGE]).current_dir(folder), "fetching busybox")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_has_links_and_depends_on_nothing_else() {
        let applets = ["cat", "sh"].map(String::from);
        let bytes = layout(b"elf", &applets).unwrap();
        assert_eq!(bytes, layout(b"elf", &applets).unwrap());
        let mut archive = tar::Archive::new(&bytes[..]);
        let entries = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            (entry.path().unwrap().display().to_string(), entry.header().mode().unwrap())
        });
        let entries = entries.collect::<Vec<_>>();
        assert!(entries.contains(&("tmp/".into(), 0o1777)) && entries.contains(&("bin/sh".into(), 0o777)));
    }
}
