//! An ISO image with GRUB that boots by BIOS and by UEFI. The same contents give the same bytes: dates, serial numbers and folder order
//! are fixed.

use crate::bundle;
use crate::cli::Image;
use crate::cmdline::{CommandLine, Console};
use crate::command::output;
use crate::host;
use crate::install::{Need, ensure};
use crate::progress::Step;
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// All files in the image have this date: 2026-01-01, as xorriso and as Unix write it.
const DATE: &str = "2026010100000000";
const DATE_UNIX: &str = "1767225600";

/// The GRUB modules that the menu needs, and no others: they are most of the image.
const MODULES: &str = "multiboot2 normal iso9660 part_gpt part_msdos fat serial all_video gfxterm echo";

/// `cargo sal image`.
pub(crate) fn image(options: &Image) -> Result<u8> {
    ensure(&[Need::Iso])?;
    let bundle = bundle::make(&Workspace::open()?, &options.contents)?;
    let line = CommandLine { console: Console::Terminal, command: Vec::new(), environment: Vec::new(), time: None };
    make((&bundle.kernel, &bundle.image), &line.encode(), &options.out)?;
    let bytes = fs::read(&options.out).with_context(|| format!("cannot read {}", options.out.display()))?;
    eprintln!("sal: {}: {} KiB, sha256 {}", options.out.display(), bytes.len() / 1024, bundle::digest(&bytes));
    Ok(0)
}

/// The ISO file of a run, in the target folder; made anew only if its contents changed.
pub(crate) fn for_run(workspace: &Workspace, kernel: &Path, image: &Path, line: &str) -> Result<PathBuf> {
    // The files are named after their contents.
    let key = bundle::digest(format!("{}\n{}\n{line}", kernel.display(), image.display()).as_bytes());
    let file = workspace.target.join("bare/images").join(format!("boot-{}.iso", &key[..16]));
    if !file.exists() {
        make((kernel, image), line, &file)?;
    }
    Ok(file)
}

/// Makes the image beside and puts it into place.
pub(crate) fn make((kernel, image): (&Path, &Path), line: &str, out: &Path) -> Result<()> {
    let _step = Step::start("making the ISO image");
    let folder = match out.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let work = tempfile::tempdir_in(folder).with_context(|| format!("cannot write in {}", folder.display()))?;
    let tree = work.path().join("tree");
    fs::create_dir_all(tree.join("boot/grub"))?;
    fs::copy(kernel, tree.join("boot/kernel"))?;
    fs::copy(image, tree.join("boot/image"))?;
    fs::write(tree.join("boot/grub/grub.cfg"), menu(line))?;
    let made = work.path().join("image.iso");
    let mut command = Command::new("grub-mkrescue");
    command.arg(format!("--install-modules={MODULES}"));
    command.args(["--fonts=", "--locales=", "--themes=", "-o"]).arg(&made).arg(&tree);
    command.args(["--", "-volume_date", "all_file_dates", DATE, "-volume_date", "uuid", DATE]);
    command.args(["-alter_date_r", "b", DATE, "/", "--"]);
    command.env("SOURCE_DATE_EPOCH", DATE_UNIX).env("PATH", fixed_mformat(work.path())?);
    output(&mut command, "making the ISO image")?;
    fs::rename(&made, out).with_context(|| format!("cannot write {}", out.display()))
}

/// grub-mkrescue calls mformat for the UEFI part, and mformat makes up a serial number. Returns a PATH with an mformat before it that
/// does not.
fn fixed_mformat(work: &Path) -> Result<OsString> {
    let real = host::find("mformat").context("mformat is not on the PATH")?;
    let folder = work.join("bin");
    fs::create_dir(&folder)?;
    let script = folder.join("mformat");
    fs::write(&script, format!("#!/bin/sh\nexec '{}' -N 5a1a3a4d \"$@\"\n", real.display()))?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    Ok(std::env::join_paths([folder].into_iter().chain(std::env::split_paths(&path)))?)
}

/// GRUB's menu: one entry, at once.
fn menu(line: &str) -> String {
    format!(
        "set timeout=0\nset default=0\nserial --unit=0 --speed=115200\nterminal_output serial\ninsmod all_video\n\
         menuentry \"Salamandra\" {{\n  multiboot2 /boot/kernel {line}\n  module2 /boot/image boot-image\n  boot\n}}\n"
    )
}
