//! The index of a hashed directory: a tree of hashes over its blocks. Source: `directory.rst`, "Hash Tree Directories";
//! the checksum in `checksums.rst`.
//!
//! What must always hold: a path has as many nodes as the root says levels, which are at most [`MAX_LEVELS`]; and a walk
//! from leaf to leaf, which names of one hash can make necessary, goes over at most [`MAX_LEAVES`].

use crate::blocks::{Blocks, Disk};
use crate::bytes;
use crate::checksum;
use crate::directory::{self, Head, Role};
use crate::feature::{Compat, Incompat};
use crate::hash::Hasher;
use crate::inode::{Inode, InodeFlags};
use crate::stop::{Fault, Site, Stop};
use alloc::vec::Vec;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// Leaves that names of one hash may fill: more than any but a malicious directory has.
pub(crate) const MAX_LEAVES: usize = 256;
/// Levels of index below the root.
const MAX_LEVELS: u8 = 1;
const MAX_LEVELS_LARGEDIR: u8 = 2;
/// Where the entries of a root and of another node start: behind two, or one, records that look unused.
const ROOT_SLOTS_AT: usize = size_of::<Root>();
const NODE_SLOTS_AT: usize = size_of::<Head>();
const DOT_LENGTH: u16 = 12;
/// The upper four bits of a block number are kept for other uses.
const BLOCK_MASK: u32 = 0x0fff_ffff;

#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Root {
    dot: Head,
    dot_name: U32,
    dot_dot: Head,
    dot_dot_name: U32,
    reserved: U32,
    hash_version: u8,
    info_length: u8,
    levels: u8,
    flags: u8,
}

/// From this hash on, names are in this block. The first one's hash is 0; in its place there is a [`Counts`].
#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Slot {
    hash: U32,
    block: U32,
}

#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Counts {
    limit: U16,
    count: U16,
}

#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Tail {
    reserved: U32,
    checksum: U32,
}

/// What the root says of the whole index.
#[derive(Clone, Copy)]
pub(crate) struct Index {
    pub(crate) hasher: Hasher,
    levels: u8,
}

/// A way from the root to a leaf.
pub(crate) struct Path {
    frames: Vec<Frame>,
}

/// A node on the way, and which of its entries was taken.
#[derive(Clone, Copy)]
struct Frame {
    /// The node's block in the directory, 0 for the root.
    node: u32,
    at: usize,
    count: usize,
    /// The block that the entry leads to.
    child: u32,
    /// From which hash on names are there.
    from: u32,
    /// From which hash on they are elsewhere: odd if names of the even hash below it are on both sides.
    until: Option<u32>,
}

/// Which entry of a node to take.
#[derive(Clone, Copy)]
enum Pick {
    /// The last that starts at or before this hash.
    Hash(u32),
    /// The one at this place.
    At(usize),
}

impl Path {
    /// The leaf's block in the directory.
    pub(crate) fn leaf(&self) -> u32 {
        self.frames.last().map_or(0, |frame| frame.child)
    }

    /// From which hash on names are in the leaf.
    pub(crate) fn from(&self) -> u32 {
        self.frames.last().map_or(0, |frame| frame.from)
    }

    /// From which hash on names are in the next leaf, none if this is the last one.
    pub(crate) fn until(&self) -> Option<u32> {
        self.frames.last().and_then(|frame| frame.until)
    }
}

/// The directory's index; none if it has none, or one that only tells us to search without it: an unknown hash, too many
/// levels.
pub(crate) fn open<B: Blocks>(disk: &mut Disk<'_, B>, dir: &Inode) -> Result<Option<Index>, Stop> {
    let fs = disk.fs;
    if !dir.flags.contains(InodeFlags::INDEX) || !fs.compat().contains(Compat::DIR_INDEX) {
        return Ok(None);
    }
    let (block, _) = directory::read(disk, dir, 0, Role::Index)?;
    let Some(root) = bytes::record::<Root>(block, 0) else { return Ok(None) };
    let largest = if fs.incompat().contains(Incompat::LARGEDIR) { MAX_LEVELS_LARGEDIR } else { MAX_LEVELS };
    let usable = slots_at(block) == Some(ROOT_SLOTS_AT) && root.levels <= largest && root.flags & 1 == 0;
    let seed = fs.raw().hash_seed.map(U32::get);
    let hasher = Hasher::new(root.hash_version, fs.layout().chars, seed).filter(|_| usable);
    Ok(hasher.map(|hasher| Index { hasher, levels: root.levels }))
}

/// Where a node's entries start, by the records that it looks like. None if it is no node.
fn slots_at(block: &[u8]) -> Option<usize> {
    let head = bytes::record::<Head>(block, 0)?;
    let whole =
        |length: u16, rest: usize| usize::from(length) == rest || (rest > 0xfffc && matches!(length, 0 | 0xffff));
    if whole(head.length.get(), block.len()) {
        return Some(NODE_SLOTS_AT);
    }
    let root = bytes::record::<Root>(block, 0)?;
    let is_root = root.dot.length.get() == DOT_LENGTH
        && whole(root.dot_dot.length.get(), block.len() - usize::from(DOT_LENGTH))
        && root.reserved.get() == 0
        && root.info_length == 8;
    is_root.then_some(ROOT_SLOTS_AT)
}

/// The checksum stands behind the last entry that there is room for, and covers the entries that there are.
pub(crate) fn verify(block: &[u8], site: Site, seed: u32) -> Result<(), Stop> {
    let slots_at = slots_at(block).ok_or(site.fault(Fault::Entry))?;
    let counts = bytes::record::<Counts>(block, slots_at).ok_or(site.fault(Fault::Count))?;
    let end = |entries: U16| slots_at + usize::from(entries.get()) * size_of::<Slot>();
    let tail = bytes::record::<Tail>(block, end(counts.limit)).ok_or(site.fault(Fault::NoTail))?;
    site.must(counts.count <= counts.limit, Fault::Count)?;
    let covered = block.get(..end(counts.count)).ok_or(site.fault(Fault::Count))?;
    let sum = checksum::crc32c(seed, &[covered, &tail.reserved.to_bytes(), &[0; 4]]);
    site.must(sum == tail.checksum.get(), Fault::Checksum)
}

/// The way to the leaf where names of this hash start.
pub(crate) fn probe<B: Blocks>(disk: &mut Disk<'_, B>, dir: &Inode, index: &Index, hash: u32) -> Result<Path, Stop> {
    let mut path = Path { frames: Vec::new() };
    descend(disk, dir, index, &mut path, Pick::Hash(hash))?;
    Ok(path)
}

/// Goes on to the next leaf if names of this hash are there too, besides those in the path's leaf.
pub(crate) fn follow<B: Blocks>(
    disk: &mut Disk<'_, B>,
    dir: &Inode,
    index: &Index,
    path: &mut Path,
    hash: u32,
) -> Result<Moved, Stop> {
    if path.until() == Some(hash | 1) { advance(disk, dir, index, path) } else { Ok(Moved::AtEnd) }
}

/// Goes on to the next leaf.
fn advance<B: Blocks>(disk: &mut Disk<'_, B>, dir: &Inode, index: &Index, path: &mut Path) -> Result<Moved, Stop> {
    while let Some(frame) = path.frames.pop() {
        if frame.at + 1 < frame.count {
            let until = path.until();
            path.frames.push(take(disk, dir, frame.node, Pick::At(frame.at + 1), until)?);
            descend(disk, dir, index, path, Pick::At(0))?;
            return Ok(Moved::On);
        }
    }
    Ok(Moved::AtEnd)
}

/// Whether there was a next leaf to go to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moved {
    On,
    AtEnd,
}

/// Completes a path downwards.
fn descend<B: Blocks>(
    disk: &mut Disk<'_, B>,
    dir: &Inode,
    index: &Index,
    path: &mut Path,
    pick: Pick,
) -> Result<(), Stop> {
    while path.frames.len() <= usize::from(index.levels) {
        let frame = take(disk, dir, path.leaf(), pick, path.until())?;
        path.frames.push(frame);
    }
    Ok(())
}

/// An entry of a node, whose own entries end at `until`.
fn take<B: Blocks>(
    disk: &mut Disk<'_, B>,
    dir: &Inode,
    node: u32,
    pick: Pick,
    until: Option<u32>,
) -> Result<Frame, Stop> {
    let (block, site) = directory::read(disk, dir, node, Role::Index)?;
    let expected = if node == 0 { ROOT_SLOTS_AT } else { NODE_SLOTS_AT };
    site.must(slots_at(block) == Some(expected), Fault::Entry)?;
    let counts = bytes::record::<Counts>(block, expected).ok_or(site.fault(Fault::Count))?;
    let count = usize::from(counts.count.get());
    site.must(count > 0 && counts.count <= counts.limit, Fault::Count)?;
    let slots = bytes::records::<Slot>(block, expected, count).ok_or(site.fault(Fault::Count))?;
    // The first entry has no hash of its own.
    let hashed = slots.get(1..).unwrap_or_default();
    let at = match pick {
        Pick::Hash(hash) => hashed.partition_point(|slot| slot.hash.get() <= hash),
        Pick::At(at) => at,
    };
    let slot = slots.get(at).ok_or(site.fault(Fault::Count))?;
    let from = if at == 0 { 0 } else { slot.hash.get() };
    let next = hashed.get(at).map(|next| next.hash.get());
    site.must(next.is_none_or(|next| next >= from), Fault::Order)?;
    Ok(Frame { node, at, count, child: slot.block.get() & BLOCK_MASK, from, until: next.or(until) })
}

/// The inode that the directory has under this name.
pub(crate) fn lookup<B: Blocks>(
    disk: &mut Disk<'_, B>,
    dir: &Inode,
    index: &Index,
    name: &[u8],
) -> Result<Option<u32>, Stop> {
    let hash = index.hasher.hash(name).major;
    let mut path = probe(disk, dir, index, hash)?;
    for _ in 0..MAX_LEAVES {
        if let Some(found) = directory::search(disk, dir, path.leaf(), Role::Leaf, name)? {
            return Ok(Some(found));
        }
        if follow(disk, dir, index, &mut path, hash)? == Moved::AtEnd {
            return Ok(None);
        }
    }
    Err(dir.site().fault(Fault::TooManyOfOneHash))
}
