//! A file system as a value, and how it comes to be: [`Mount`] checks the superblock and replays the journal step by
//! step; the [`FileSystem`] that it ends with is never changed again.

use crate::blocks::{Blocks, Disk};
use crate::feature::{Compat, Incompat, RoCompat};
use crate::journal::{Begun, Replay};
use crate::overlay::Replayed;
use crate::stop::{Fault, Owner, Part, Site, Stop};
use crate::superblock::{Layout, SUPERBLOCK_BYTES, Superblock};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// A file system that may be read: what its superblock says, and which blocks lie in the journal.
///
/// Its two [`parts`](Self::parts) are plain bytes that can lie in a vault; [`from_parts`](Self::from_parts) checks them
/// again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileSystem {
    superblock: Superblock,
    layout: Layout,
    replayed: Vec<Replayed>,
}

/// Sizes and counts, as the superblock has them: exact after a clean unmount, else see [`FileSystem::count_free`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Statfs {
    /// Bytes of a block.
    pub block_size: usize,
    /// All blocks.
    pub blocks: u64,
    /// Blocks that hold the file system itself; 0 if its maker didn't count them.
    pub overhead: u64,
    /// Blocks in no use.
    pub free_blocks: u64,
    /// Of those, blocks kept for root.
    pub reserved_blocks: u64,
    /// All inodes.
    pub inodes: u32,
    /// Inodes in no use.
    pub free_inodes: u32,
    /// The file system's UUID.
    pub uuid: [u8; 16],
}

impl FileSystem {
    fn new(superblock: &[u8], device: u64, replayed: Vec<Replayed>) -> Result<FileSystem, Stop> {
        let (superblock, layout) = Superblock::read(superblock, device)?;
        Ok(FileSystem { superblock, layout, replayed })
    }

    /// What [`from_parts`](Self::from_parts) needs to make it again: the superblock, and the blocks in the journal.
    pub fn parts(&self) -> (&[u8], &[Replayed]) {
        (zerocopy::IntoBytes::as_bytes(&self.superblock), &self.replayed)
    }

    /// Made again of its [`parts`](Self::parts), on a device of `device` bytes: without the disk, without the journal.
    pub fn from_parts(superblock: &[u8], replayed: &[Replayed], device: u64) -> Result<FileSystem, Stop> {
        let site = Site::new(Owner::Journal, Part::JournalSuperblock, 0);
        let fs = FileSystem::new(superblock, device, replayed.to_vec())?;
        site.must(replayed.is_sorted_by_key(|entry| entry.block.get()), Fault::Order)?;
        site.must(replayed.iter().all(|entry| fs.has_block(entry.journal.get())), Fault::Outside)?;
        Ok(fs)
    }

    /// Bytes of a block: 1024 to 65536, a power of two.
    pub fn block_size(&self) -> usize {
        self.layout.block_size
    }

    /// The blocks whose newer contents lie in the journal, ascending.
    pub fn replayed(&self) -> &[Replayed] {
        &self.replayed
    }

    /// Features that everyone may ignore.
    pub fn compat(&self) -> Compat {
        self.layout.compat
    }

    /// Features that a reader must know; all of them are in [`Incompat::READ`].
    pub fn incompat(&self) -> Incompat {
        self.layout.incompat
    }

    /// Features that a writer must know; those outside [`RoCompat::KNOWN`] are worth a line in the log.
    pub fn ro_compat(&self) -> RoCompat {
        self.layout.ro_compat
    }

    /// Sizes and counts.
    pub fn statfs(&self) -> Statfs {
        let raw = &self.superblock;
        let wide = |low: u32, high: u32| match self.layout.incompat.contains(Incompat::_64BIT) {
            true => u64::from(high) << 32 | u64::from(low),
            false => u64::from(low),
        };
        let cluster = u64::from(self.layout.blocks_per_cluster);
        let free = wide(raw.free_blocks_count_lo.get(), raw.free_blocks_count_hi.get());
        Statfs {
            block_size: self.layout.block_size,
            blocks: self.layout.blocks,
            overhead: u64::from(raw.overhead_clusters.get()).saturating_mul(cluster),
            free_blocks: free,
            reserved_blocks: wide(raw.r_blocks_count_lo.get(), raw.r_blocks_count_hi.get()),
            inodes: self.layout.inodes,
            free_inodes: raw.free_inodes_count.get(),
            uuid: raw.uuid,
        }
    }

    pub(crate) fn raw(&self) -> &Superblock {
        &self.superblock
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn has_block(&self, block: u64) -> bool {
        block < self.layout.blocks
    }

    pub(crate) fn has_blocks(&self, first: u64, count: u32) -> bool {
        first.checked_add(u64::from(count)).is_some_and(|end| end <= self.layout.blocks)
    }
}

/// A mount under way: make it with [`begin`](Self::begin), call [`step`](Self::step) until it hands out the file system.
#[derive(Clone, Debug)]
pub struct Mount {
    /// As the disk says, without the journal.
    fs: FileSystem,
    device: u64,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    /// The journal's superblock has not been read.
    Start,
    Replaying(Box<Replay>),
    /// What the journal holds is known.
    Replayed(Vec<Replayed>),
}

impl Mount {
    /// Checks the superblock: the [`SUPERBLOCK_BYTES`] at [`SUPERBLOCK_OFFSET`](crate::SUPERBLOCK_OFFSET) of a device that
    /// has `device` bytes.
    pub fn begin(superblock: &[u8], device: u64) -> Result<Mount, Stop> {
        Ok(Mount { fs: FileSystem::new(superblock, device, Vec::new())?, device, state: State::Start })
    }

    /// Bytes of the blocks that [`step`](Self::step) will ask for.
    pub fn block_size(&self) -> usize {
        self.fs.block_size()
    }

    /// Does some of the work: reads at most a few blocks. None: there is more, call again. After a [`Stop::Absent`] too,
    /// once the block is there: what was done stays done.
    pub fn step<B: Blocks>(&mut self, blocks: &mut B) -> Result<Option<FileSystem>, Stop> {
        let next = match &mut self.state {
            State::Start if !self.fs.layout.incompat.contains(Incompat::RECOVER) => State::Replayed(Vec::new()),
            State::Start => match Replay::begin(&mut Disk::new(&self.fs, blocks))? {
                Begun::Clean => State::Replayed(Vec::new()),
                Begun::Unclean(replay) => State::Replaying(replay),
            },
            State::Replaying(replay) => match replay.step(&mut Disk::new(&self.fs, blocks))? {
                None => return Ok(None),
                Some(replayed) => State::Replayed(replayed),
            },
            State::Replayed(replayed) => return self.fs.with(replayed, self.device, blocks).map(Some),
        };
        self.state = next;
        Ok(None)
    }
}

impl FileSystem {
    /// This file system with a replayed journal, which may have a newer superblock.
    fn with<B: Blocks>(&self, replayed: &[Replayed], device: u64, blocks: &mut B) -> Result<FileSystem, Stop> {
        let (block, offset) = self.layout.superblock_place();
        let fs = FileSystem { superblock: self.superblock, layout: self.layout, replayed: replayed.to_vec() };
        if crate::overlay::find(replayed, block).is_none() {
            return Ok(fs);
        }
        let site = Site::new(Owner::FileSystem, Part::Superblock, block);
        let mut disk = Disk::new(&fs, blocks);
        let bytes = disk.read(site)?.get(offset..offset + SUPERBLOCK_BYTES).unwrap_or_default();
        let newer = FileSystem::new(bytes, device, replayed.to_vec())?;
        site.must(newer.block_size() == self.block_size(), Fault::Field)?;
        Ok(newer)
    }
}
