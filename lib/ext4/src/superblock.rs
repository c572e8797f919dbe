//! The superblock: its shape on the disk and the checks that make it a [`Layout`]. Source: `super.rst`.
//!
//! What must always hold: of a [`Layout`] every divisor is at least 1, every group has its descriptor's number below
//! `groups`, and all blocks lie on the device; so nothing that computes with it need ask again.

use crate::bytes;
use crate::checksum::{self, START};
use crate::feature::{Compat, Incompat, RoCompat};
use crate::stop::{Fault, Owner, Part, Refusal, Site, Stop};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Where on the device the superblock starts, in bytes.
pub const SUPERBLOCK_OFFSET: u64 = 1024;

/// How many bytes it has.
pub const SUPERBLOCK_BYTES: usize = 1024;

const MAGIC: u16 = 0xef53;
const CHECKSUM_AT: usize = 0x3fc;
const CRC32C: u8 = 1;
/// Blocks of up to 64 KiB.
const MAX_LOG_BLOCK_SIZE: u32 = 6;
/// The smallest inode and the smallest group descriptor.
const OLD_INODE_SIZE: u16 = 128;
const OLD_DESCRIPTOR: usize = 32;

#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct Superblock {
    pub(crate) inodes_count: U32,
    pub(crate) blocks_count_lo: U32,
    pub(crate) r_blocks_count_lo: U32,
    pub(crate) free_blocks_count_lo: U32,
    pub(crate) free_inodes_count: U32,
    pub(crate) first_data_block: U32,
    pub(crate) log_block_size: U32,
    pub(crate) log_cluster_size: U32,
    pub(crate) blocks_per_group: U32,
    pub(crate) clusters_per_group: U32,
    pub(crate) inodes_per_group: U32,
    mtime: U32,
    wtime: U32,
    mnt_count: U16,
    max_mnt_count: U16,
    pub(crate) magic: U16,
    state: U16,
    errors: U16,
    minor_rev_level: U16,
    lastcheck: U32,
    checkinterval: U32,
    creator_os: U32,
    pub(crate) rev_level: U32,
    def_resuid: U16,
    def_resgid: U16,
    first_ino: U32,
    pub(crate) inode_size: U16,
    block_group_nr: U16,
    pub(crate) feature_compat: U32,
    pub(crate) feature_incompat: U32,
    pub(crate) feature_ro_compat: U32,
    pub(crate) uuid: [u8; 16],
    volume_name: [u8; 16],
    last_mounted: [u8; 64],
    algorithm_usage_bitmap: U32,
    prealloc_blocks: u8,
    prealloc_dir_blocks: u8,
    reserved_gdt_blocks: U16,
    journal_uuid: [u8; 16],
    pub(crate) journal_inum: U32,
    journal_dev: U32,
    last_orphan: U32,
    pub(crate) hash_seed: [U32; 4],
    def_hash_version: u8,
    jnl_backup_type: u8,
    pub(crate) desc_size: U16,
    default_mount_opts: U32,
    pub(crate) first_meta_bg: U32,
    mkfs_time: U32,
    jnl_blocks: [U32; 17],
    pub(crate) blocks_count_hi: U32,
    pub(crate) r_blocks_count_hi: U32,
    pub(crate) free_blocks_count_hi: U32,
    min_extra_isize: U16,
    want_extra_isize: U16,
    pub(crate) flags: U32,
    raid_stride: U16,
    mmp_interval: U16,
    mmp_block: U64,
    raid_stripe_width: U32,
    log_groups_per_flex: u8,
    pub(crate) checksum_type: u8,
    reserved_pad: U16,
    kbytes_written: U64,
    snapshots: [u8; 0x194 - 0x180],
    error_log: [u8; 0x200 - 0x194],
    mount_opts: [u8; 64],
    usr_quota_inum: U32,
    grp_quota_inum: U32,
    pub(crate) overhead_clusters: U32,
    pub(crate) backup_bgs: [U32; 2],
    encrypt_algos: [u8; 4],
    encrypt_pw_salt: [u8; 16],
    lpf_ino: U32,
    prj_quota_inum: U32,
    pub(crate) checksum_seed: U32,
    later: [u8; CHECKSUM_AT - 0x274],
    checksum: U32,
}

const _: () = assert!(size_of::<Superblock>() == SUPERBLOCK_BYTES);

/// Which way the characters of a name are read by the hashes: what `char` was where the directory was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Chars {
    Signed,
    Unsigned,
}

/// What a checked superblock says of where things lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Layout {
    pub(crate) block_size: usize,
    pub(crate) blocks: u64,
    pub(crate) first_data_block: u64,
    pub(crate) blocks_per_group: u32,
    pub(crate) clusters_per_group: u32,
    pub(crate) blocks_per_cluster: u32,
    pub(crate) groups: u32,
    pub(crate) inodes: u32,
    pub(crate) inodes_per_group: u32,
    pub(crate) inode_size: usize,
    pub(crate) descriptor_size: usize,
    /// With what the chains of `metadata_csum` start; none without that feature.
    pub(crate) seed: Option<u32>,
    pub(crate) chars: Chars,
    pub(crate) compat: Compat,
    pub(crate) incompat: Incompat,
    pub(crate) ro_compat: RoCompat,
}

impl Superblock {
    /// The superblock in these bytes, its checksum verified; `device` is how many bytes the device has.
    pub(crate) fn read(bytes: &[u8], device: u64) -> Result<(Superblock, Layout), Stop> {
        let refused = Stop::Refused(Refusal::NotExt4);
        let superblock = bytes::record::<Superblock>(bytes, 0).ok_or(refused)?;
        if superblock.magic.get() != MAGIC {
            return Err(refused);
        }
        let layout = superblock.check()?;
        let needs = layout.blocks.saturating_mul(layout.block_size as u64);
        if needs > device {
            return Err(Stop::Refused(Refusal::DeviceTooSmall { needs, has: device }));
        }
        Ok((*superblock, layout))
    }

    fn check(&self) -> Result<Layout, Stop> {
        self.check_features()?;
        let log_block_size = self.log_block_size.get();
        if log_block_size > MAX_LOG_BLOCK_SIZE {
            return Err(Stop::Refused(Refusal::BlockSize(log_block_size)));
        }
        let layout = self.layout(1024 << log_block_size).ok_or_else(|| self.site().fault(Fault::Field))?;
        self.site().must(layout.is_sound(), Fault::Field)?;
        Ok(layout)
    }

    /// The superblock as the place of a fault: in block 1 if blocks have 1 KiB, else in block 0.
    fn site(&self) -> Site {
        Site::new(Owner::FileSystem, Part::Superblock, u64::from(self.log_block_size.get() == 0))
    }

    fn ro_compat(&self) -> RoCompat {
        RoCompat::from_bits_retain(self.feature_ro_compat.get())
    }

    /// Features we don't know may change what the checksum means, so they are named first; but a flipped bit among them
    /// is no feature: what the checksum refutes is reported as that.
    fn check_features(&self) -> Result<(), Stop> {
        let checked = self.ro_compat().contains(RoCompat::METADATA_CSUM);
        if checked && self.checksum_type == CRC32C {
            let covered = self.as_bytes().get(..CHECKSUM_AT).unwrap_or_default();
            self.site().must(checksum::crc32c(START, &[covered]) == self.checksum.get(), Fault::Checksum)?;
        }
        let unknown = Incompat::from_bits_retain(self.feature_incompat.get()).difference(Incompat::READ);
        if !unknown.is_empty() {
            return Err(Stop::Refused(Refusal::Features(unknown)));
        }
        if checked && self.checksum_type != CRC32C {
            return Err(Stop::Refused(Refusal::ChecksumType(self.checksum_type)));
        }
        Ok(())
    }

    /// The figures, none where one of them can't be computed.
    fn layout(&self, block_size: usize) -> Option<Layout> {
        let incompat = Incompat::from_bits_retain(self.feature_incompat.get());
        let high = |word: U32| if incompat.contains(Incompat::_64BIT) { u64::from(word.get()) << 32 } else { 0 };
        let blocks = u64::from(self.blocks_count_lo.get()) | high(self.blocks_count_hi);
        let first_data_block = u64::from(self.first_data_block.get());
        let blocks_per_group = self.blocks_per_group.get();
        let in_groups = blocks.checked_sub(first_data_block)?;
        let bigalloc = self.ro_compat().contains(RoCompat::BIGALLOC);
        let log_cluster =
            if bigalloc { self.log_cluster_size.get().checked_sub(self.log_block_size.get())? } else { 0 };
        Some(Layout {
            block_size,
            blocks,
            first_data_block,
            blocks_per_group,
            clusters_per_group: if bigalloc { self.clusters_per_group.get() } else { blocks_per_group },
            blocks_per_cluster: 1_u32.checked_shl(log_cluster)?,
            groups: in_groups
                .checked_add(u64::from(blocks_per_group.checked_sub(1)?))?
                .checked_div(u64::from(blocks_per_group))?
                .try_into()
                .ok()?,
            inodes: self.inodes_count.get(),
            inodes_per_group: self.inodes_per_group.get(),
            inode_size: usize::from(if self.rev_level.get() == 0 { OLD_INODE_SIZE } else { self.inode_size.get() }),
            descriptor_size: match incompat.contains(Incompat::_64BIT) {
                true => usize::from(self.desc_size.get()),
                false => OLD_DESCRIPTOR,
            },
            seed: self.seed(incompat),
            chars: if self.flags.get() & 2 == 0 { Chars::Signed } else { Chars::Unsigned },
            compat: Compat::from_bits_retain(self.feature_compat.get()),
            incompat,
            ro_compat: self.ro_compat(),
        })
    }

    fn seed(&self, incompat: Incompat) -> Option<u32> {
        self.ro_compat().contains(RoCompat::METADATA_CSUM).then(|| {
            if incompat.contains(Incompat::CSUM_SEED) {
                self.checksum_seed.get()
            } else {
                checksum::crc32c(START, &[&self.uuid])
            }
        })
    }
}

impl Layout {
    fn is_sound(&self) -> bool {
        let bits = 8 * self.block_size as u64;
        let blocks_per_group = u64::from(self.blocks_per_group);
        let inodes_per_group = u64::from(self.inodes_per_group);
        let cluster = u64::from(self.blocks_per_cluster);
        self.blocks > self.first_data_block
            && self.blocks < 1 << 48
            && self.first_data_block <= 1
            && (8..=bits).contains(&u64::from(self.clusters_per_group))
            && blocks_per_group == u64::from(self.clusters_per_group) * cluster
            && blocks_per_group.is_multiple_of(8)
            && (1..=bits).contains(&inodes_per_group)
            && u64::from(self.inodes) == inodes_per_group * u64::from(self.groups)
            && self.inode_size.is_power_of_two()
            && (usize::from(OLD_INODE_SIZE)..=self.block_size).contains(&self.inode_size)
            && self.descriptor_size.is_power_of_two()
            && (OLD_DESCRIPTOR..=self.block_size).contains(&self.descriptor_size)
            && (self.descriptor_size >= 64 || !self.incompat.contains(Incompat::_64BIT))
    }

    /// The block that the superblock lies in, and where in it.
    pub(crate) fn superblock_place(&self) -> (u64, usize) {
        match self.block_size as u64 {
            size @ ..=SUPERBLOCK_OFFSET => (SUPERBLOCK_OFFSET / size, 0),
            _ => (0, SUPERBLOCK_OFFSET as usize),
        }
    }
}
