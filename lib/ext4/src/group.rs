//! Block groups: their descriptors and bitmaps. Source: `group_descr.rst`, `bitmaps.rst`, `blockgroup.rst` ("Meta Block
//! Groups"), `checksums.rst`.

use crate::blocks::{Blocks, Disk};
use crate::bytes;
use crate::checksum;
use crate::feature::{Compat, Incompat, RoCompat};
use crate::filesystem::FileSystem;
use crate::stop::{Fault, Owner, Part, Site, Stop};
use core::ops::Range;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

const CHECKSUM_AT: usize = 0x1e;
const INODE_UNINIT: u16 = 1;
const BLOCK_UNINIT: u16 = 2;

#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Low {
    block_bitmap: U32,
    inode_bitmap: U32,
    inode_table: U32,
    free_blocks: U16,
    free_inodes: U16,
    used_dirs: U16,
    flags: U16,
    exclude_bitmap: U32,
    block_bitmap_checksum: U16,
    inode_bitmap_checksum: U16,
    unused_inodes: U16,
    checksum: U16,
}

#[derive(Clone, Copy, Default, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct High {
    block_bitmap: U32,
    inode_bitmap: U32,
    inode_table: U32,
    free_blocks: U16,
    free_inodes: U16,
    used_dirs: U16,
    unused_inodes: U16,
    exclude_bitmap: U32,
    block_bitmap_checksum: U16,
    inode_bitmap_checksum: U16,
    reserved: U32,
}

/// A block group, as its descriptor has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Group {
    /// Its number.
    pub number: u32,
    /// The block of the bitmap of blocks in use.
    pub block_bitmap: u64,
    /// The block of the bitmap of inodes in use.
    pub inode_bitmap: u64,
    /// The first block of the inode table.
    pub inode_table: u64,
    /// Free blocks (clusters with `bigalloc`).
    pub free_blocks: u32,
    /// Free inodes.
    pub free_inodes: u32,
    /// Directories.
    pub directories: u32,
    flags: u16,
    block_bitmap_checksum: u32,
    inode_bitmap_checksum: u32,
}

/// One of a group's two bitmaps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bitmap {
    /// A bit for every block (cluster with `bigalloc`).
    Blocks,
    /// A bit for every inode.
    Inodes,
}

/// What is free in some groups.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Free {
    /// Blocks.
    pub blocks: u64,
    /// Inodes.
    pub inodes: u64,
}

impl FileSystem {
    /// How many block groups there are.
    pub fn groups(&self) -> u32 {
        self.layout().groups
    }

    /// The group of this number, its descriptor's checksum verified. Reads one block.
    pub fn group<B: Blocks>(&self, blocks: &mut B, number: u32) -> Result<Group, Stop> {
        group(&mut Disk::new(self, blocks), number)
    }

    /// What is free in these groups; those that don't exist have nothing. Reads a block for each that shares none.
    pub fn count_free<B: Blocks>(&self, blocks: &mut B, groups: Range<u32>) -> Result<Free, Stop> {
        let mut disk = Disk::new(self, blocks);
        let mut free = Free::default();
        for number in groups.start..groups.end.min(self.groups()) {
            let group = group(&mut disk, number)?;
            free.blocks += u64::from(group.free_blocks) * u64::from(self.layout().blocks_per_cluster);
            free.inodes += u64::from(group.free_inodes);
        }
        Ok(free)
    }

    /// Verifies a bitmap of this group: its checksum, and that it has as many bits clear as the descriptor says.
    ///
    /// A bitmap that was never written needs none: its group is empty but for what the layout says.
    pub fn check_bitmap<B: Blocks>(&self, blocks: &mut B, group: &Group, bitmap: Bitmap) -> Result<(), Stop> {
        let owner = Owner::Group(group.number);
        let layout = self.layout();
        let (part, block, uninit, bits, free, expected) = match bitmap {
            Bitmap::Blocks => (
                Part::BlockBitmap,
                group.block_bitmap,
                BLOCK_UNINIT,
                layout.clusters_per_group,
                group.free_blocks,
                group.block_bitmap_checksum,
            ),
            Bitmap::Inodes => (
                Part::InodeBitmap,
                group.inode_bitmap,
                INODE_UNINIT,
                layout.inodes_per_group,
                group.free_inodes,
                group.inode_bitmap_checksum,
            ),
        };
        if self.has_group_checksums() && group.flags & uninit != 0 {
            return Ok(());
        }
        let site = Site::new(owner, part, block);
        let mut disk = Disk::new(self, blocks);
        let bytes = disk.read(site)?.get(..bits as usize / 8).ok_or(site.fault(Fault::Length))?;
        if let Some(seed) = layout.seed {
            site.must(checksum::crc32c(seed, &[bytes]) & self.bitmap_checksum_mask() == expected, Fault::Checksum)?;
        }
        let clear = bytes.iter().map(|byte| byte.count_zeros()).sum::<u32>();
        site.must(clear == free, Fault::Tally)
    }

    fn has_group_checksums(&self) -> bool {
        self.layout().ro_compat.intersects(RoCompat::GDT_CSUM | RoCompat::METADATA_CSUM)
    }

    /// Small descriptors have room for half of a bitmap's checksum.
    fn bitmap_checksum_mask(&self) -> u32 {
        if self.layout().descriptor_size >= 64 { u32::MAX } else { 0xffff }
    }

    /// The block of this group's descriptor, and where in it.
    fn descriptor_place(&self, number: u32) -> (u64, usize) {
        let layout = self.layout();
        let per_block = (layout.block_size / layout.descriptor_size) as u32;
        let (index, slot) = (number / per_block, number % per_block);
        let meta = layout.incompat.contains(Incompat::META_BG) && index >= self.raw().first_meta_bg.get();
        let block = match meta {
            false => self.superblock_block() + 1 + u64::from(index),
            true => {
                let first = index * per_block;
                self.group_start(first) + u64::from(self.has_superblock(first) || self.is_shifted(index))
            }
        };
        (block, slot as usize * layout.descriptor_size)
    }

    fn superblock_block(&self) -> u64 {
        self.layout().superblock_place().0
    }

    fn group_start(&self, number: u32) -> u64 {
        self.layout().first_data_block + u64::from(number) * u64::from(self.layout().blocks_per_group)
    }

    /// With blocks of 1 KiB and clusters, block 0 is in the first group, and its superblock in block 1.
    fn is_shifted(&self, index: u32) -> bool {
        index == 0 && self.layout().block_size == 1024 && self.layout().first_data_block == 0
    }

    /// Has this group a copy of the superblock? Source: `super.rst` (`sparse_super`, `sparse_super2`).
    fn has_superblock(&self, number: u32) -> bool {
        let power_of = |base: u32| core::iter::successors(Some(base), |n| n.checked_mul(base)).any(|n| n == number);
        let layout = self.layout();
        if number == 0 {
            true
        } else if layout.compat.contains(Compat::SPARSE_SUPER2) {
            self.raw().backup_bgs.iter().any(|backup| backup.get() == number)
        } else if layout.ro_compat.contains(RoCompat::SPARSE_SUPER) {
            number == 1 || [3, 5, 7].into_iter().any(power_of)
        } else {
            true
        }
    }

    /// What the descriptor's checksum must be, if it has one.
    fn descriptor_checksum(&self, number: u32, descriptor: &[u8]) -> Option<u16> {
        let number = number.to_le_bytes();
        if let Some(seed) = self.layout().seed {
            let seed = checksum::crc32c(seed, &[&number]);
            Some(checksum::crc32c_blanked::<2>(seed, descriptor, CHECKSUM_AT) as u16)
        } else if self.layout().ro_compat.contains(RoCompat::GDT_CSUM) {
            let (head, tail) = (descriptor.get(..CHECKSUM_AT)?, descriptor.get(CHECKSUM_AT + 2..)?);
            Some(checksum::crc16(&[&self.raw().uuid, &number, head, tail]))
        } else {
            None
        }
    }
}

/// The group of this number.
pub(crate) fn group<B: Blocks>(disk: &mut Disk<'_, B>, number: u32) -> Result<Group, Stop> {
    let fs = disk.fs;
    let (block, offset) = fs.descriptor_place(number);
    let site = Site::new(Owner::Group(number), Part::Descriptors, block);
    site.must(number < fs.groups(), Fault::Outside)?;
    let bytes = disk.read(site)?;
    let descriptor = bytes.get(offset..offset + fs.layout().descriptor_size).ok_or(site.fault(Fault::Length))?;
    let low = *bytes::record::<Low>(descriptor, 0).ok_or(site.fault(Fault::Length))?;
    let high = bytes::record::<High>(descriptor, size_of::<Low>()).copied().unwrap_or_default();
    if let Some(expected) = fs.descriptor_checksum(number, descriptor) {
        site.must(low.checksum.get() == expected, Fault::Checksum)?;
    }
    let group = joined(number, &low, &high);
    let layout = fs.layout();
    let table = (layout.inodes_per_group as usize * layout.inode_size).div_ceil(layout.block_size) as u32;
    let inside = fs.has_block(group.block_bitmap)
        && fs.has_block(group.inode_bitmap)
        && fs.has_blocks(group.inode_table, table)
        && group.inode_table > 0;
    site.must(inside, Fault::Outside)?;
    Ok(group)
}

fn joined(number: u32, low: &Low, high: &High) -> Group {
    let long = |low: U32, high: U32| u64::from(high.get()) << 32 | u64::from(low.get());
    let word = |low: U16, high: U16| u32::from(high.get()) << 16 | u32::from(low.get());
    Group {
        number,
        block_bitmap: long(low.block_bitmap, high.block_bitmap),
        inode_bitmap: long(low.inode_bitmap, high.inode_bitmap),
        inode_table: long(low.inode_table, high.inode_table),
        free_blocks: word(low.free_blocks, high.free_blocks),
        free_inodes: word(low.free_inodes, high.free_inodes),
        directories: word(low.used_dirs, high.used_dirs),
        flags: low.flags.get(),
        block_bitmap_checksum: word(low.block_bitmap_checksum, high.block_bitmap_checksum),
        inode_bitmap_checksum: word(low.inode_bitmap_checksum, high.inode_bitmap_checksum),
    }
}
