//! Where a file's contents lie: from its blocks to the disk's, a run at a time.
//!
//! What must always hold of a [`Run`]: it starts where it was asked to, has at least one block, leaves neither the file
//! system nor the range that was asked for, and no block of it has newer contents elsewhere.

use crate::blocks::{Blocks, Disk};
use crate::extent;
use crate::filesystem::FileSystem;
use crate::indirect;
use crate::inode::{Inode, InodeFlags, Kind};
use crate::overlay;
use crate::stop::{Fault, Refusal, Site, Stop};

/// A run of a file's blocks that lie together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    /// Its first block in the file.
    pub logical: u32,
    /// How many blocks it has, at least 1.
    pub length: u32,
    /// Where it lies.
    pub target: Target,
}

/// Where a run lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// From this block of the device on.
    Blocks(u64),
    /// Nowhere: it reads as zeros.
    Hole,
    /// It has blocks that were never written: it reads as zeros.
    Unwritten,
    /// In this block of the device (a run of one), but for its first four bytes: those are
    /// [`JOURNAL_MAGIC`](crate::JOURNAL_MAGIC).
    Escaped(u64),
}

/// What a tree or a list of blocks says of one of a file's blocks and those after it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    /// How many blocks it holds for, at least 1; may be more than a file can have.
    pub(crate) length: u64,
    pub(crate) target: Target,
}

impl FileSystem {
    /// Where block `first` of a file and at most `count - 1` following ones lie. Reads as many blocks as the tree has
    /// levels. `count` of 0 counts as 1. Devices, pipes and links that stand in the inode have no blocks: they are refused. The file's size doesn't matter: beyond it there may be blocks.
    pub fn map<B: Blocks>(&self, blocks: &mut B, inode: &Inode, first: u32, count: u32) -> Result<Run, Stop> {
        if !matches!(inode.kind(), Kind::File | Kind::Directory | Kind::Symlink) || self.is_short_link(inode) {
            return Err(Stop::Refused(Refusal::Kind { inode: inode.number }));
        }
        inode.must_be_plain()?;
        map(&mut Disk::new(self, blocks), inode, first, count)
    }

    /// The part of a run on the disk that has no newer contents in the journal, or that one block in the journal.
    fn newest(&self, first: u64, length: u32) -> (u32, Target) {
        match overlay::first_from(self.replayed(), first) {
            Some(entry) if entry.block.get() == first && entry.is_escaped() => {
                (1, Target::Escaped(entry.journal.get()))
            }
            Some(entry) if entry.block.get() == first => (1, Target::Blocks(entry.journal.get())),
            Some(entry) => {
                let before = u32::try_from(entry.block.get() - first).unwrap_or(u32::MAX);
                (length.min(before), Target::Blocks(first))
            }
            None => (length, Target::Blocks(first)),
        }
    }
}

/// Where block `first` of a file and at most `count - 1` following ones lie.
pub(crate) fn map<B: Blocks>(disk: &mut Disk<'_, B>, inode: &Inode, first: u32, count: u32) -> Result<Run, Stop> {
    let span = span(disk, inode, first)?;
    let length = u64::from(count.max(1)).min((1 << 32) - u64::from(first)).min(span.length);
    let length = u32::try_from(length).unwrap_or(u32::MAX).max(1);
    let (length, target) = match span.target {
        Target::Blocks(block) => disk.fs.newest(block, length),
        other => (length, other),
    };
    Ok(Run { logical: first, length, target })
}

/// Where a block of metadata lies before anything newer is looked for: [`Disk::read`] does that itself. None in a hole.
pub(crate) fn block<B: Blocks>(disk: &mut Disk<'_, B>, inode: &Inode, logical: u32) -> Result<Option<u64>, Stop> {
    match span(disk, inode, logical)?.target {
        Target::Blocks(block) => Ok(Some(block)),
        Target::Escaped(_) | Target::Hole | Target::Unwritten => Ok(None),
    }
}

fn span<B: Blocks>(disk: &mut Disk<'_, B>, inode: &Inode, first: u32) -> Result<Span, Stop> {
    match inode.flags.contains(InodeFlags::EXTENTS) {
        true => extent::span(disk, inode, first),
        false => indirect::span(disk, inode, first),
    }
}

/// Ends the operation if a run that `site` names leaves the file system, or starts in the superblock.
pub(crate) fn must_lie_inside(fs: &FileSystem, site: Site, first: u64, length: u32) -> Result<(), Stop> {
    site.must(first > fs.layout().first_data_block && fs.has_blocks(first, length), Fault::Outside)
}
