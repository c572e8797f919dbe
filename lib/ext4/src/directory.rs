//! Directory blocks, and the search for a name. Source: `directory.rst`, "Linear (Classic) Directories".
//!
//! What must always hold: a record is looked at only if it lies within its block, and each is at least twelve bytes
//! long; so a block ends after finitely many. A search without an index goes through at most [`MAX_LINEAR`] blocks.

use crate::blocks::{Blocks, Disk};
use crate::bytes;
use crate::checksum;
use crate::filesystem::FileSystem;
use crate::htree;
use crate::inode::{Inode, InodeFlags, Kind};
use crate::map;
use crate::stop::{Fault, Part, Site, Stop};
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// Blocks that a search without an index goes through at most: two million names even in blocks of 1 KiB.
pub(crate) const MAX_LINEAR: u64 = 1 << 16;
/// The longest name.
const MAX_NAME: usize = 255;
/// The shortest record: one with a name of at most four bytes.
const MIN_RECORD: usize = 12;
const HEAD: usize = size_of::<Head>();
/// The last record of a block with checksums is none: its type says so.
const TAIL_KIND: u8 = 0xde;

#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct Head {
    pub(crate) inode: U32,
    pub(crate) length: U16,
    pub(crate) name_length: u8,
    pub(crate) kind: u8,
}

#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Tail {
    head: Head,
    checksum: U32,
}

/// A name in a directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    /// The inode that it names.
    pub inode: u32,
    /// What that is, if the directory says so.
    pub kind: Kind,
    /// The name: 1 to 255 bytes, none of them `/` or 0.
    pub name: &'a [u8],
    /// The cookie to go on after this entry.
    pub next: u64,
}

/// What a reader of a directory says of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// Taken; the next one, please.
    Taken,
    /// No room for this one: it must come again.
    Full,
}

/// An entry as it lies in its block.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    /// Where in the block it starts.
    pub(crate) at: usize,
    /// Where the next one starts.
    pub(crate) end: usize,
    pub(crate) inode: u32,
    pub(crate) kind: Kind,
    pub(crate) name: &'a [u8],
}

/// The entries of a block that name something, in the order they lie in.
pub(crate) struct Records<'a> {
    block: &'a [u8],
    at: usize,
    inodes: u32,
}

impl<'a> Records<'a> {
    pub(crate) fn new(block: &'a [u8], fs: &FileSystem) -> Self {
        Records { block, at: 0, inodes: fs.layout().inodes }
    }

    /// The record at `at`, which is moved behind it.
    fn record(&mut self) -> Result<Record<'a>, Fault> {
        let at = self.at;
        let head = bytes::record::<Head>(self.block, at).ok_or(Fault::Entry)?;
        let length = record_length(head, self.block.len());
        let end = at + length;
        let name = self.block.get(at + HEAD..at + HEAD + usize::from(head.name_length)).ok_or(Fault::Entry)?;
        let fits = length >= MIN_RECORD && length.is_multiple_of(4) && HEAD + name.len() <= length;
        if !fits || end > self.block.len() {
            return Err(Fault::Entry);
        }
        self.at = end;
        let inode = head.inode.get();
        if inode > self.inodes {
            return Err(Fault::NoSuchInode);
        }
        if inode != 0 && (name.is_empty() || name.iter().any(|byte| matches!(byte, 0 | b'/'))) {
            return Err(Fault::Entry);
        }
        Ok(Record { at, end, inode, kind: kind(head.kind), name })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.at < self.block.len() {
            match self.record() {
                Ok(record) if record.inode == 0 => continue,
                Ok(record) => return Some(Ok(record)),
                Err(fault) => {
                    self.at = self.block.len();
                    return Some(Err(fault));
                }
            }
        }
        None
    }
}

/// In blocks of 64 KiB a record as long as the block doesn't fit its field.
fn record_length(head: &Head, block: usize) -> usize {
    match usize::from(head.length.get()) {
        0 | 0xffff if block > 0xffff => block,
        length => length,
    }
}

/// Without the feature `filetype` this byte is the upper half of the name's length: 0, which says nothing.
fn kind(byte: u8) -> Kind {
    match byte {
        1 => Kind::File,
        2 => Kind::Directory,
        3 => Kind::CharDevice,
        4 => Kind::BlockDevice,
        5 => Kind::Fifo,
        6 => Kind::Socket,
        7 => Kind::Symlink,
        _ => Kind::Unknown,
    }
}

/// What a block of a directory is read as: its checksum lies elsewhere.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// A block of names.
    Leaf,
    /// A node of the index.
    Index,
    /// Whichever it is.
    Either,
}

/// How many blocks a directory has.
pub(crate) fn blocks_of(disk_block: usize, dir: &Inode) -> u64 {
    dir.size.div_ceil(disk_block as u64)
}

/// A block of a directory, its checksum verified.
pub(crate) fn read<'d, B: Blocks>(
    disk: &'d mut Disk<'_, B>,
    dir: &Inode,
    logical: u32,
    role: Role,
) -> Result<(&'d [u8], Site), Stop> {
    let block = map::block(disk, dir, logical)?.ok_or(dir.site().fault(Fault::Hole))?;
    let seed = disk.fs.inode_seed(dir.number, dir.generation);
    let leaf = dir.part(Part::DirectoryBlock, block);
    let bytes = disk.read(leaf)?;
    let index = match role {
        Role::Leaf => false,
        Role::Index => true,
        Role::Either => is_index(dir, logical, bytes),
    };
    let site = if index { dir.part(Part::IndexBlock, block) } else { leaf };
    match seed {
        Some(seed) if index => htree::verify(bytes, site, seed)?,
        Some(seed) => verify(bytes, site, seed)?,
        None => {}
    }
    Ok((bytes, site))
}

/// The first block of an indexed directory is the index's root; its other nodes look like one unused record.
fn is_index(dir: &Inode, logical: u32, block: &[u8]) -> bool {
    let whole = bytes::record::<Head>(block, 0).is_some_and(|head| record_length(head, block.len()) == block.len());
    dir.flags.contains(InodeFlags::INDEX) && (logical == 0 || whole)
}

fn verify(block: &[u8], site: Site, seed: u32) -> Result<(), Stop> {
    let at = block.len().saturating_sub(size_of::<Tail>());
    let (covered, tail) = block.split_at_checked(at).unwrap_or((block, &[]));
    let tail = bytes::record::<Tail>(tail, 0).ok_or(site.fault(Fault::NoTail))?;
    let head = &tail.head;
    let marked = head.inode.get() == 0
        && usize::from(head.length.get()) == size_of::<Tail>()
        && head.name_length == 0
        && head.kind == TAIL_KIND;
    site.must(marked, Fault::NoTail)?;
    site.must(checksum::crc32c(seed, &[covered]) == tail.checksum.get(), Fault::Checksum)
}

impl FileSystem {
    /// The inode that a directory has under this name, `.` and `..` among them. Reads one block per level of index and
    /// map, without an index all blocks of the directory up to the name.
    pub fn lookup<B: Blocks>(&self, blocks: &mut B, dir: &Inode, name: &[u8]) -> Result<Option<u32>, Stop> {
        dir.must_be(Kind::Directory)?;
        dir.must_be_plain()?;
        if name.is_empty() || name.len() > MAX_NAME {
            return Ok(None);
        }
        let mut disk = Disk::new(self, blocks);
        match htree::open(&mut disk, dir)? {
            Some(_) if matches!(name, b"." | b"..") => search(&mut disk, dir, 0, Role::Index, name),
            Some(index) => htree::lookup(&mut disk, dir, &index, name),
            None => linear(&mut disk, dir, name),
        }
    }
}

fn linear<B: Blocks>(disk: &mut Disk<'_, B>, dir: &Inode, name: &[u8]) -> Result<Option<u32>, Stop> {
    let blocks = blocks_of(disk.fs.block_size(), dir);
    for logical in 0..blocks.min(MAX_LINEAR) as u32 {
        if let Some(found) = search(disk, dir, logical, Role::Either, name)? {
            return Ok(Some(found));
        }
    }
    dir.site().must(blocks <= MAX_LINEAR, Fault::TooLong)?;
    Ok(None)
}

/// The inode that one block has under this name.
pub(crate) fn search<B: Blocks>(
    disk: &mut Disk<'_, B>,
    dir: &Inode,
    logical: u32,
    role: Role,
    name: &[u8],
) -> Result<Option<u32>, Stop> {
    let fs = disk.fs;
    let (block, site) = read(disk, dir, logical, role)?;
    for record in Records::new(block, fs) {
        let record = record.map_err(|fault| site.fault(fault))?;
        if record.name == name {
            return Ok(Some(record.inode));
        }
    }
    Ok(None)
}
