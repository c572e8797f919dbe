//! Packing a folder, and an archive writer that leaves nothing to chance: sorted entries, whole seconds, owners root unless root packs.

use crate::host;
use anyhow::{Context, Result, bail};
use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use tar::{Builder, EntryType, Header};

/// An archive being made.
pub(crate) struct Archive(Builder<Vec<u8>>);

/// What an entry's header says beside name and type.
#[derive(Clone, Copy, Default)]
pub(crate) struct Attributes {
    /// Permission bits, set-user-id and sticky bits among them.
    pub(crate) mode: u32,
    /// Owner.
    pub(crate) uid: u64,
    /// Group.
    pub(crate) gid: u64,
    /// Seconds since 1970.
    pub(crate) mtime: u64,
}

impl Attributes {
    fn header(self, kind: EntryType, size: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(self.mode);
        header.set_uid(self.uid);
        header.set_gid(self.gid);
        header.set_mtime(self.mtime);
        header.set_size(size);
        header
    }
}

impl Archive {
    /// Without entries.
    pub(crate) fn new() -> Archive {
        Archive(Builder::new(Vec::new()))
    }

    /// Adds a folder.
    pub(crate) fn folder(&mut self, path: &Path, attributes: Attributes) -> Result<()> {
        let path = path.join("");
        Ok(self.0.append_data(&mut attributes.header(EntryType::Directory, 0), path, &[][..])?)
    }

    /// Adds a file.
    pub(crate) fn file(&mut self, path: &Path, attributes: Attributes, bytes: &[u8]) -> Result<()> {
        let mut header = attributes.header(EntryType::Regular, bytes.len() as u64);
        Ok(self.0.append_data(&mut header, path, bytes)?)
    }

    /// Adds a symbolic link to `target`.
    pub(crate) fn symlink(&mut self, path: &Path, attributes: Attributes, target: &Path) -> Result<()> {
        Ok(self.0.append_link(&mut attributes.header(EntryType::Symlink, 0), path, target)?)
    }

    /// Adds a second name for the entry `target`.
    fn hard_link(&mut self, path: &Path, attributes: Attributes, target: &Path) -> Result<()> {
        Ok(self.0.append_link(&mut attributes.header(EntryType::Link, 0), path, target)?)
    }

    /// Adds a device node or a named pipe.
    fn node(&mut self, path: &Path, attributes: Attributes, kind: EntryType, device: u64) -> Result<()> {
        let mut header = attributes.header(kind, 0);
        header.set_device_major(rustix::fs::major(device))?;
        header.set_device_minor(rustix::fs::minor(device))?;
        Ok(self.0.append_data(&mut header, path, &[][..])?)
    }

    /// The bytes.
    pub(crate) fn finish(self) -> Result<Vec<u8>> {
        Ok(self.0.into_inner()?)
    }
}

/// The archive of a folder's contents.
pub(crate) fn folder(root: &Path) -> Result<Vec<u8>> {
    if !root.is_dir() {
        bail!("--root {}: there is no such folder", root.display());
    }
    let mut packer = Packer { archive: Archive::new(), root: root.to_path_buf(), seen: HashMap::new() };
    packer.children(Path::new(""))?;
    packer.archive.finish()
}

struct Packer {
    archive: Archive,
    root: PathBuf,
    /// First name of each file with several, by device and inode.
    seen: HashMap<(u64, u64), PathBuf>,
}

impl Packer {
    fn children(&mut self, folder: &Path) -> Result<()> {
        let place = self.root.join(folder);
        let cannot = || format!("--root: cannot read {}", place.display());
        let names = fs::read_dir(&place).with_context(cannot)?.map(|entry| entry.map(|entry| entry.file_name()));
        let mut names = names.collect::<std::io::Result<Vec<_>>>().with_context(cannot)?;
        names.sort();
        names.iter().try_for_each(|name| self.entry(&folder.join(name)))
    }

    fn entry(&mut self, path: &Path) -> Result<()> {
        let place = self.root.join(path);
        let cannot = || format!("--root: cannot read {}", place.display());
        let metadata = place.symlink_metadata().with_context(cannot)?;
        let (kind, attributes) = (metadata.file_type(), attributes(&metadata));
        if kind.is_dir() {
            self.archive.folder(path, attributes)?;
            return self.children(path);
        }
        if kind.is_symlink() {
            return self.archive.symlink(path, attributes, &fs::read_link(&place).with_context(cannot)?);
        }
        if metadata.nlink() > 1 {
            let inode = (metadata.dev(), metadata.ino());
            if let Some(first) = self.seen.get(&inode) {
                return self.archive.hard_link(path, attributes, first);
            }
            self.seen.insert(inode, path.to_path_buf());
        }
        if kind.is_file() {
            return self.archive.file(path, attributes, &fs::read(&place).with_context(cannot)?);
        }
        self.special(path, &metadata)
    }

    fn special(&mut self, path: &Path, metadata: &Metadata) -> Result<()> {
        let kind = metadata.file_type();
        let entry = match () {
            () if kind.is_char_device() => EntryType::Char,
            () if kind.is_block_device() => EntryType::Block,
            () if kind.is_fifo() => EntryType::Fifo,
            // A socket is bound to a program of this computer: it cannot be packed.
            () => return Ok(()),
        };
        self.archive.node(path, attributes(metadata), entry, metadata.rdev())
    }
}

/// A file's attributes; only root's files keep their owners, since another user's number means nothing in the machine.
fn attributes(metadata: &Metadata) -> Attributes {
    let (uid, gid) = if host::is_root() { (metadata.uid(), metadata.gid()) } else { (0, 0) };
    Attributes {
        mode: metadata.mode() & 0o7777,
        uid: u64::from(uid),
        gid: u64::from(gid),
        mtime: u64::try_from(metadata.mtime()).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn sample() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fs::create_dir(path.join("sub")).unwrap();
        fs::write(path.join("sub/b"), "bb").unwrap();
        fs::hard_link(path.join("sub/b"), path.join("sub/c")).unwrap();
        std::os::unix::fs::symlink("b", path.join("sub/a")).unwrap();
        fs::write(path.join(format!("{}.txt", "long".repeat(50))), "x").unwrap();
        folder
    }

    #[test]
    fn a_folder_comes_back_sorted_with_links() {
        let folder = sample();
        let bytes = super::folder(folder.path()).unwrap();
        let mut archive = tar::Archive::new(&bytes[..]);
        let mut seen = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let link = entry.link_name().unwrap().map(|l| l.display().to_string()).unwrap_or_default();
            seen.push((entry.path().unwrap().display().to_string(), entry.header().entry_type(), link, text));
        }
        let text = |t: &str| t.to_string();
        assert_eq!(seen[0], (format!("{}.txt", "long".repeat(50)), EntryType::Regular, text(""), text("x")));
        assert_eq!(seen[1], (text("sub/"), EntryType::Directory, text(""), text("")));
        assert_eq!(seen[2], (text("sub/a"), EntryType::Symlink, text("b"), text("")));
        assert_eq!(seen[3], (text("sub/b"), EntryType::Regular, text(""), text("bb")));
        assert_eq!(seen[4], (text("sub/c"), EntryType::Link, text("sub/b"), text("")));
        assert_eq!(bytes, super::folder(folder.path()).unwrap());
    }

    #[test]
    fn a_missing_folder_is_one_line() {
        let error = super::folder(Path::new("/nowhere")).unwrap_err().to_string();
        assert_eq!(error, "--root /nowhere: there is no such folder");
    }
}
