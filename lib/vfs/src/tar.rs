//! Fills the root from a tar archive: the RAM disk.
//!
//! Reads ustar, GNU long names (`L`, `K`) and pax headers (`path`, `linkpath`, `size`, `mtime`, `uid`, `gid`): what GNU tar,
//! busybox tar and Rust's `tar` write. (Ready-made no_std readers give regular files only.) Every length is checked against
//! the archive; a name can't leave the root; the first thing that is wrong ends the load with one line that says where.

use crate::contents::{Contents, SliceSource};
use crate::errno::Errno;
use crate::name::{Name, PATH_MAX};
use crate::node::{Body, FileType, InodeId};
use crate::procfs::NoProcesses;
use crate::tmpfs::NewBody;
use crate::types::{Cred, Ctx, FsContextId, TableId, Time, makedev};
use crate::vfs::Vfs;
use alloc::vec::Vec;
use core::fmt;

const BLOCK: usize = 512;

/// Why an archive could not be loaded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TarError {
    /// What is wrong.
    pub what: &'static str,
    /// The header at which it was noticed: bytes from the archive's start.
    pub offset: usize,
    /// The entry's name, if it got that far.
    pub name: Vec<u8>,
    /// What the file system said, if it refused.
    pub errno: Option<Errno>,
}

impl fmt::Display for TarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tar archive, byte {}: {}", self.offset, self.what)?;
        if !self.name.is_empty() {
            write!(f, " ({})", self.name.escape_ascii())?;
        }
        match self.errno {
            Some(e) => write!(f, ": {e}"),
            None => Ok(()),
        }
    }
}

impl core::error::Error for TarError {}

/// One entry, with what extended headers said about it.
#[derive(Debug)]
struct Entry<'a> {
    name: Vec<u8>,
    link: Vec<u8>,
    kind: u8,
    mode: u32,
    owner: (u32, u32),
    mtime: Time,
    device: (u32, u32),
    data: &'a [u8],
}

/// What extended headers say about the entry that follows.
#[derive(Clone, Debug, Default)]
struct Extended {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    mtime: Option<Time>,
    uid: Option<u32>,
    gid: Option<u32>,
}

struct Reader<'a> {
    archive: &'a [u8],
    /// Where the current header is.
    header: usize,
    next: usize,
    global: Extended,
}

type Field = (usize, usize);
const NAME: Field = (0, 100);
const MODE: Field = (100, 8);
const UID: Field = (108, 8);
const GID: Field = (116, 8);
const SIZE: Field = (124, 12);
const MTIME: Field = (136, 12);
const CHECKSUM: Field = (148, 8);
const KIND: usize = 156;
const LINK: Field = (157, 100);
const MAGIC: Field = (257, 5);
const VERSION: Field = (262, 3);
const MAJOR: Field = (329, 8);
const MINOR: Field = (337, 8);
const PREFIX: Field = (345, 155);

fn field(block: &[u8], (at, len): Field) -> &[u8] {
    block.get(at..at + len).unwrap_or(&[])
}

/// A text field ends at its first NUL.
fn text(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    bytes.get(..end).unwrap_or(&[])
}

/// A number: octal digits with blanks or NULs around, or GNU's binary form (first bit set).
fn number(bytes: &[u8]) -> Option<u64> {
    if bytes.first()? & 0x80 != 0 {
        let first = u64::from(bytes.first()? & 0x7f);
        return bytes.iter().skip(1).try_fold(first, |n, b| n.checked_mul(256)?.checked_add(u64::from(*b)));
    }
    let digits = text(bytes).trim_ascii();
    digits.iter().try_fold(0u64, |n, b| match b {
        b'0'..=b'7' => n.checked_mul(8)?.checked_add(u64::from(b - b'0')),
        _ => None,
    })
}

fn checksum(block: &[u8]) -> u64 {
    let (at, len) = CHECKSUM;
    let counted = |(i, b): (usize, &u8)| {
        if (at..at + len).contains(&i) { 32 } else { u64::from(*b) }
    };
    block.iter().enumerate().map(counted).sum()
}

/// Seconds with an optional fraction, as pax writes times.
fn pax_time(value: &[u8]) -> Option<Time> {
    let value = core::str::from_utf8(value).ok()?;
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let digits = fraction.bytes().chain(core::iter::repeat(b'0')).take(9);
    let nsec = digits.map(|b| b.is_ascii_digit().then(|| u32::from(b - b'0'))).try_fold(0, |n, d| Some(n * 10 + d?))?;
    Some(Time { sec: whole.parse().ok()?, nsec })
}

fn decimal(value: &[u8]) -> Option<u64> {
    core::str::from_utf8(value).ok()?.parse().ok()
}

impl<'a> Reader<'a> {
    fn fail<T>(&self, what: &'static str) -> Result<T, TarError> {
        Err(TarError { what, offset: self.header, name: Vec::new(), errno: None })
    }

    /// The next entry; `None` at the end.
    fn entry(&mut self) -> Result<Option<Entry<'a>>, TarError> {
        let mut extended = self.global.clone();
        loop {
            self.header = self.next;
            let Some(block) = self.block()? else {
                return Ok(None);
            };
            let kind = block.get(KIND).copied().unwrap_or(0);
            let extends = matches!(kind, b'L' | b'K' | b'x' | b'g');
            let size = match extended.size {
                Some(size) if !extends => size,
                _ => self.number(block, SIZE, "the size is no number")?,
            };
            // Only these have bytes; a hard link's size is its target's.
            let holds = extends || matches!(kind, 0 | b'0' | b'7');
            let data = self.data(if holds { size } else { 0 })?;
            match kind {
                b'L' => extended.name = Some(text(data).to_vec()),
                b'K' => extended.link = Some(text(data).to_vec()),
                b'x' => self.pax(data, &mut extended)?,
                b'g' => {
                    let mut global = self.global.clone();
                    self.pax(data, &mut global)?;
                    self.global = global.clone();
                    extended = global;
                }
                _ => return self.finish(block, kind, extended, data).map(Some),
            }
        }
    }

    /// The header block at `next`; `None` at the end mark.
    fn block(&mut self) -> Result<Option<&'a [u8]>, TarError> {
        let archive = self.archive;
        let Some(block) = archive.get(self.next..self.next + BLOCK) else {
            // GNU and POSIX write two zero blocks; an archive that ends at a block's edge is complete, too.
            return if self.next == archive.len() { Ok(None) } else { self.fail("ends within a header") };
        };
        if block.iter().all(|b| *b == 0) {
            return Ok(None);
        }
        if number(field(block, CHECKSUM)) != Some(checksum(block)) {
            return self.fail("the header's checksum is wrong");
        }
        self.next += BLOCK;
        Ok(Some(block))
    }

    fn data(&mut self, size: u64) -> Result<&'a [u8], TarError> {
        let archive = self.archive;
        let end = usize::try_from(size).ok().and_then(|s| self.next.checked_add(s));
        let Some(data) = end.and_then(|end| archive.get(self.next..end)) else {
            return self.fail("ends within a file");
        };
        // The padding of the last file may be cut off.
        self.next = (self.next + data.len()).next_multiple_of(BLOCK).min(archive.len());
        Ok(data)
    }

    fn number(&self, block: &[u8], at: Field, what: &'static str) -> Result<u64, TarError> {
        number(field(block, at)).map_or_else(|| self.fail(what), Ok)
    }

    /// Records `LENGTH KEY=VALUE\n`.
    fn pax(&self, mut data: &[u8], into: &mut Extended) -> Result<(), TarError> {
        while !data.is_empty() {
            let record = data
                .iter()
                .position(|b| *b == b' ')
                .and_then(|blank| Some((blank, decimal(data.get(..blank)?)? as usize)))
                .and_then(|(blank, len)| Some((data.get(blank + 1..len.checked_sub(1)?)?, data.get(len..)?)));
            let Some((record, rest)) = record else {
                return self.fail("a pax header is malformed");
            };
            data = rest;
            let Some(equals) = record.iter().position(|b| *b == b'=') else {
                return self.fail("a pax header is malformed");
            };
            let (key, value) = (record.get(..equals).unwrap_or(&[]), record.get(equals + 1..).unwrap_or(&[]));
            if !into.set(key, value) {
                return self.fail("a pax header's value is malformed");
            }
        }
        Ok(())
    }

    fn finish(&self, block: &[u8], kind: u8, extended: Extended, data: &'a [u8]) -> Result<Entry<'a>, TarError> {
        let name = extended.name.unwrap_or_else(|| ustar_name(block));
        let number = |at, what| self.number(block, at, what);
        let (major, minor) = if matches!(kind, b'3' | b'4') {
            (number(MAJOR, "the device number is none")?, number(MINOR, "the device number is none")?)
        } else {
            (0, 0)
        };
        let mtime = match extended.mtime {
            Some(time) => time,
            None => Time { sec: number(MTIME, "the time is no number")? as i64, nsec: 0 },
        };
        let uid = extended.uid.map_or_else(|| number(UID, "the owner is no number"), |u| Ok(u.into()))?;
        let gid = extended.gid.map_or_else(|| number(GID, "the group is no number"), |g| Ok(g.into()))?;
        Ok(Entry {
            name,
            link: extended.link.unwrap_or_else(|| text(field(block, LINK)).to_vec()),
            kind,
            mode: number(MODE, "the mode is no number")? as u32 & 0o7777,
            owner: (uid as u32, gid as u32),
            mtime,
            device: (major as u32, minor as u32),
            data,
        })
    }
}

/// The name of a header, with the prefix that ustar puts in front of a long one (GNU's format uses that place otherwise).
fn ustar_name(block: &[u8]) -> Vec<u8> {
    let mut name = Vec::new();
    let prefix = text(field(block, PREFIX));
    if field(block, MAGIC) == b"ustar" && field(block, VERSION) == b"\x0000" && !prefix.is_empty() {
        name.extend_from_slice(prefix);
        name.push(b'/');
    }
    name.extend_from_slice(text(field(block, NAME)));
    name
}

impl Extended {
    /// False: the value makes no sense. Keys that mean nothing here are skipped.
    fn set(&mut self, key: &[u8], value: &[u8]) -> bool {
        let small = |v| decimal(v).and_then(|n| u32::try_from(n).ok());
        match key {
            b"path" => self.name = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = decimal(value),
            b"mtime" => self.mtime = pax_time(value),
            b"uid" => self.uid = small(value),
            b"gid" => self.gid = small(value),
            _ => return true,
        }
        match key {
            b"size" => self.size.is_some(),
            b"mtime" => self.mtime.is_some(),
            b"uid" => self.uid.is_some(),
            b"gid" => self.gid.is_some(),
            _ => true,
        }
    }
}

/// Where an entry goes: its directory and name; no name for the root itself.
struct Target {
    dir: InodeId,
    name: Option<Name>,
}

impl<C: Contents> Vfs<C> {
    /// Fills the root from a tar archive (ustar, GNU long names, pax). Missing parent directories are made (root's, 0755);
    /// a name that is there is replaced, a directory gets the entry's attributes. File bytes are copied once, from `archive`
    /// to their pages. Gives the number of entries. After an error the root holds what came before it.
    pub fn load_tar(&mut self, archive: &[u8], now: Time) -> Result<usize, TarError> {
        let cred = Cred::root();
        let ctx = Ctx {
            cred: &cred,
            fs: FsContextId::from_raw(0),
            files: TableId::from_raw(0),
            clock: &now,
            nofile: 0,
            fsize: u64::MAX,
            pid: 0,
            tid: 0,
            proc: &NoProcesses,
        };
        let mut reader = Reader { archive, header: 0, next: 0, global: Extended::default() };
        let mut count = 0;
        while let Some(entry) = reader.entry()? {
            self.load_entry(&ctx, &entry).map_err(|(what, errno)| TarError {
                what,
                offset: reader.header,
                name: entry.name.clone(),
                errno,
            })?;
            count += 1;
        }
        Ok(count)
    }

    fn load_entry(&mut self, ctx: &Ctx, entry: &Entry) -> Result<(), Refusal> {
        let target = self.tar_target(ctx, &entry.name)?;
        let Some(name) = target.name else {
            let root = target.dir;
            return if entry.kind == b'5' { self.tar_attributes(root, entry) } else { Err(NAMELESS) };
        };
        let there = self.entries(target.dir).map_err(refused)?.get(name.bytes());
        if let Some(id) = there {
            if entry.kind == b'5' && self.inode(id).map_err(refused)?.is_dir() {
                return self.tar_attributes(id, entry);
            }
            self.tar_replace(ctx, target.dir, &name, id)?;
        }
        let id = self.tar_create(ctx, target.dir, name, entry)?;
        match (id, entry.kind) {
            (_, b'1') => Ok(()),
            (id, _) => self.tar_attributes(id, entry),
        }
    }

    fn tar_replace(&mut self, ctx: &Ctx, dir: InodeId, name: &Name, id: InodeId) -> Result<(), Refusal> {
        if self.inode(id).map_err(refused)?.is_dir() {
            return Err(("a directory is there already", None));
        }
        self.remove_name(dir, name).map_err(refused)?;
        self.lost_name(dir, id, ctx.now()).map_err(refused)
    }

    fn tar_create(&mut self, ctx: &Ctx, dir: InodeId, name: Name, entry: &Entry) -> Result<InodeId, Refusal> {
        let (major, minor) = entry.device;
        let device = |kind| NewBody::Other(Body::Device { kind, rdev: makedev(major, minor) });
        let body = match entry.kind {
            0 | b'0' | b'7' => return self.tar_file(ctx, dir, name, entry.data),
            b'1' => return self.tar_hard_link(ctx, dir, name, &entry.link),
            b'2' if entry.link.is_empty() || entry.link.len() >= PATH_MAX => {
                return Err(("a symbolic link without a usable target", None));
            }
            b'2' => NewBody::Symlink(&entry.link),
            b'3' => device(FileType::CharDevice),
            b'4' => device(FileType::BlockDevice),
            b'5' => return self.create_directory_in(ctx, dir, name, 0o755).map_err(refused),
            b'6' => NewBody::Other(Body::Fifo(None)),
            _ => return Err(("an entry of a type that is not known", None)),
        };
        self.create_in(ctx, dir, name, body, entry.mode).map_err(refused)
    }

    fn tar_file(&mut self, ctx: &Ctx, dir: InodeId, name: Name, data: &[u8]) -> Result<InodeId, Refusal> {
        let id = self.create_in(ctx, dir, name, NewBody::File, 0o644).map_err(refused)?;
        let mut source = SliceSource(data);
        match self.write_file(ctx, id, 0, 0, &mut source).map_err(refused)? {
            (_, done) if done == data.len() => Ok(id),
            _ => Err(("the file system is full", Some(Errno::ENOSPC))),
        }
    }

    fn tar_hard_link(&mut self, ctx: &Ctx, dir: InodeId, name: Name, link: &[u8]) -> Result<InodeId, Refusal> {
        const NO_TARGET: Refusal = ("a hard link to nothing that came before", None);
        let target = self.tar_target(ctx, link)?;
        let old = target.name.and_then(|n| self.entries(target.dir).ok()?.get(n.bytes())).ok_or(NO_TARGET)?;
        if self.inode(old).map_err(refused)?.is_dir() {
            return Err(("a hard link to a directory", None));
        }
        self.add_name(dir, name, old, ctx.now()).map_err(refused)?;
        self.inode_mut(old).map_err(refused)?.nlink += 1;
        Ok(old)
    }

    fn tar_attributes(&mut self, id: InodeId, entry: &Entry) -> Result<(), Refusal> {
        let inode = self.inode_mut(id).map_err(refused)?;
        if inode.kind() != FileType::Symlink {
            inode.perm = entry.mode;
        }
        (inode.uid, inode.gid) = entry.owner;
        (inode.atime, inode.mtime) = (entry.mtime, entry.mtime);
        Ok(())
    }

    /// The directory of a name, made if it is missing. Names are taken from the root, and never lead out of it.
    fn tar_target(&mut self, ctx: &Ctx, path: &[u8]) -> Result<Target, Refusal> {
        let mut dir = self.root.inode().ok_or(NAMELESS)?;
        let mut parts = path.split(|b| *b == b'/').filter(|p| !p.is_empty() && *p != b".").peekable();
        while let Some(part) = parts.next() {
            if part == b".." || part.contains(&0) {
                return Err(("a name that is not allowed", None));
            }
            let name = Name::new(part).map_err(refused)?;
            if parts.peek().is_none() {
                return Ok(Target { dir, name: Some(name) });
            }
            dir = match self.entries(dir).map_err(refused)?.get(part) {
                Some(next) if self.inode(next).map_err(refused)?.is_dir() => next,
                Some(_) => return Err(("a name below something that is no directory", None)),
                None => self.create_directory_in(ctx, dir, name, 0o755).map_err(refused)?,
            };
        }
        Ok(Target { dir, name: None })
    }
}

/// What is wrong with an entry, and what the file system said.
type Refusal = (&'static str, Option<Errno>);

const NAMELESS: Refusal = ("an entry without a name", None);

fn refused(errno: Errno) -> Refusal {
    ("the file system refuses the entry", Some(errno))
}
