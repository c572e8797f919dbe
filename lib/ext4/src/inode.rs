//! Inodes. Source: `inodes.rst`; the checksum in `checksums.rst`.
//!
//! An [`Inode`] is a copy with everything that [`FileSystem::map`] needs, so mapping reads no inode table.

use crate::blocks::{Blocks, Disk};
use crate::bytes;
use crate::checksum;
use crate::feature::{Incompat, RoCompat};
use crate::filesystem::FileSystem;
use crate::group;
use crate::stop::{Fault, Owner, Part, Refusal, Site, Stop};
use bitflags::bitflags;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// Bytes of an inode that every revision has.
pub(crate) const OLD_SIZE: usize = 128;
/// Bytes of an inode for its tree's root, its block numbers or its short link.
pub(crate) const ROOT_BYTES: usize = 60;
const CHECKSUM_LOW_AT: usize = 0x7c;
const CHECKSUM_HIGH_AT: usize = 0x82;

bitflags! {
    /// What an inode's flags say of its contents' shape.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct InodeFlags: u32 {
        /// It can't be changed.
        const IMMUTABLE = 0x10;
        /// It can only be appended to.
        const APPEND = 0x20;
        #[allow(missing_docs)] const COMPRESSED = 0x4;
        #[allow(missing_docs)] const ENCRYPTED = 0x800;
        /// A directory with a hash index.
        const INDEX = 0x1000;
        /// Its blocks are counted in blocks of the file system.
        const HUGE_FILE = 0x4_0000;
        /// It has an extent tree.
        const EXTENTS = 0x8_0000;
        /// It holds another inode's attribute.
        const EA_INODE = 0x20_0000;
        /// Its contents lie in the inode.
        const INLINE_DATA = 0x1000_0000;
        #[allow(missing_docs)] const CASEFOLD = 0x4000_0000;
    }
}

/// What an inode is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// Nothing that has a name; in a directory entry: not said there.
    Unknown,
}

/// A point in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Time {
    /// Seconds since 1970, negative before.
    pub seconds: i64,
    /// Nanoseconds after that, below 1,000,000,000.
    pub nanoseconds: u32,
}

/// An inode, its checksum verified when it was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Inode {
    /// Its number.
    pub number: u32,
    /// Tells its user from those before it.
    pub generation: u32,
    /// Permissions and type, as `st_mode` has them.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes of contents.
    pub size: u64,
    /// Names that lead to it; 1 for a directory with more subdirectories than can be counted.
    pub links: u16,
    /// Sectors of 512 bytes that it takes, as `st_blocks` has them.
    pub sectors: u64,
    /// Last access.
    pub accessed: Time,
    /// Last change of the inode.
    pub changed: Time,
    /// Last change of the contents.
    pub modified: Time,
    /// When it was made, if the inode has room for that.
    pub created: Option<Time>,
    /// Flags, those without a name too.
    pub flags: InodeFlags,
    /// The block of extended attributes, 0 for none.
    pub(crate) xattr_block: u64,
    /// The block of the inode table it lies in: for messages.
    pub(crate) table_block: u64,
    /// The root of its extent tree, or its block numbers, or its short link, or its device.
    pub(crate) root: [u8; ROOT_BYTES],
}

#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Raw {
    mode: U16,
    uid: U16,
    size_low: U32,
    accessed: U32,
    changed: U32,
    modified: U32,
    deleted: U32,
    gid: U16,
    links: U16,
    blocks_low: U32,
    flags: U32,
    version: U32,
    root: [u8; ROOT_BYTES],
    generation: U32,
    xattr_low: U32,
    size_high: U32,
    fragment: U32,
    blocks_high: U16,
    xattr_high: U16,
    uid_high: U16,
    gid_high: U16,
    checksum_low: U16,
    reserved: U16,
}

const _: () = assert!(size_of::<Raw>() == OLD_SIZE);

/// What follows in larger inodes; as much of it is there as `extra_size` says.
#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Extra {
    extra_size: U16,
    checksum_high: U16,
    changed: U32,
    modified: U32,
    accessed: U32,
    created: U32,
    created_extra: U32,
}

impl Inode {
    /// What it is.
    pub fn kind(&self) -> Kind {
        match self.mode >> 12 {
            0x1 => Kind::Fifo,
            0x2 => Kind::CharDevice,
            0x4 => Kind::Directory,
            0x6 => Kind::BlockDevice,
            0x8 => Kind::File,
            0xa => Kind::Symlink,
            0xc => Kind::Socket,
            _ => Kind::Unknown,
        }
    }

    /// A device's major and minor number, none for what is no device. Source: `inodes.rst`, `i_block`: the first word in
    /// the old encoding of 16 bits, or the second in the new one.
    pub fn device(&self) -> Option<(u32, u32)> {
        if !matches!(self.kind(), Kind::CharDevice | Kind::BlockDevice) {
            return None;
        }
        let [old, new] = bytes::record::<[U32; 2]>(&self.root, 0)?.map(U32::get);
        Some(match old {
            0 => (new >> 8 & 0xfff, new & 0xff | new >> 12 & 0xfff00),
            old => (old >> 8 & 0xff, old & 0xff),
        })
    }

    /// The inode as the place of a fault.
    pub(crate) fn site(&self) -> Site {
        self.part(Part::InodeTable, self.table_block)
    }

    /// A block of this inode's as the place of a fault.
    pub(crate) fn part(&self, part: Part, block: u64) -> Site {
        Site::new(Owner::Inode(self.number), part, block)
    }

    /// Ends the operation if the inode isn't of this kind.
    pub(crate) fn must_be(&self, kind: Kind) -> Result<(), Stop> {
        if self.kind() == kind { Ok(()) } else { Err(Stop::Refused(Refusal::Kind { inode: self.number })) }
    }

    /// Ends the operation if the contents are stored in a way that isn't read here.
    pub(crate) fn must_be_plain(&self) -> Result<(), Stop> {
        let odd = [
            (InodeFlags::INLINE_DATA, "inline_data"),
            (InodeFlags::ENCRYPTED, "encrypt"),
            (InodeFlags::COMPRESSED, "compression"),
            (InodeFlags::CASEFOLD, "casefold"),
        ];
        match odd.into_iter().find(|(flag, _)| self.flags.contains(*flag)) {
            None => Ok(()),
            Some((_, feature)) => Err(Stop::Refused(Refusal::Inode { inode: self.number, feature })),
        }
    }
}

impl FileSystem {
    /// The inode of this number. Reads a block of group descriptors and one of the inode table.
    pub fn inode<B: Blocks>(&self, blocks: &mut B, number: u32) -> Result<Inode, Stop> {
        read(&mut Disk::new(self, blocks), number)
    }

    /// With what the checksums of an inode's blocks start; none without `metadata_csum`.
    pub(crate) fn inode_seed(&self, number: u32, generation: u32) -> Option<u32> {
        Some(checksum::crc32c(self.layout().seed?, &[&number.to_le_bytes(), &generation.to_le_bytes()]))
    }

    fn inode_checksum_holds(&self, number: u32, raw: &Raw, bytes: &[u8]) -> bool {
        let Some(seed) = self.inode_seed(number, raw.generation.get()) else { return true };
        let (old, rest) = bytes.split_at_checked(OLD_SIZE).unwrap_or((bytes, &[]));
        let sum = checksum::crc32c_blanked::<2>(seed, old, CHECKSUM_LOW_AT);
        let low = u32::from(raw.checksum_low.get());
        match extra(bytes, CHECKSUM_HIGH_AT + 2) {
            Some(extra) => {
                let sum = checksum::crc32c_blanked::<2>(sum, rest, CHECKSUM_HIGH_AT - OLD_SIZE);
                sum == u32::from(extra.checksum_high.get()) << 16 | low
            }
            None => checksum::crc32c(sum, &[rest]) & 0xffff == low,
        }
    }
}

/// Reads an inode, with its bytes verified.
pub(crate) fn read<B: Blocks>(disk: &mut Disk<'_, B>, number: u32) -> Result<Inode, Stop> {
    let site = place(disk, number)?;
    let fs = disk.fs;
    let bytes = record(disk, number, site)?;
    parse(fs, number, site, bytes)
}

/// The block of the inode table that this inode lies in.
pub(crate) fn place<B: Blocks>(disk: &mut Disk<'_, B>, number: u32) -> Result<Site, Stop> {
    let layout = disk.fs.layout();
    let unknown = Site::new(Owner::Inode(number), Part::InodeTable, 0);
    site_exists(number, layout.inodes).ok_or(unknown.fault(Fault::NoSuchInode))?;
    let group = group::group(disk, (number - 1) / layout.inodes_per_group)?;
    let offset = ((number - 1) % layout.inodes_per_group) as usize * layout.inode_size;
    Ok(Site { block: group.inode_table + (offset / layout.block_size) as u64, ..unknown })
}

fn site_exists(number: u32, inodes: u32) -> Option<()> {
    (1..=inodes).contains(&number).then_some(())
}

/// The inode's bytes, its checksum verified: as many as the file system's inodes have.
pub(crate) fn record<'d, B: Blocks>(disk: &'d mut Disk<'_, B>, number: u32, site: Site) -> Result<&'d [u8], Stop> {
    let fs = disk.fs;
    let layout = fs.layout();
    let offset = (number.wrapping_sub(1) % layout.inodes_per_group) as usize * layout.inode_size % layout.block_size;
    let bytes = disk.read(site)?.get(offset..offset + layout.inode_size).ok_or(site.fault(Fault::Length))?;
    let raw = bytes::record::<Raw>(bytes, 0).ok_or(site.fault(Fault::Length))?;
    site.must(fs.inode_checksum_holds(number, raw, bytes), Fault::Checksum)?;
    site.must(raw.links.get() != 0 || raw.mode.get() != 0, Fault::NotInUse)?;
    Ok(bytes)
}

/// How many bytes the inode uses, its attributes aside: they start there.
pub(crate) fn used_size(bytes: &[u8]) -> usize {
    OLD_SIZE + bytes::record::<U16>(bytes, OLD_SIZE).map_or(0, |size| usize::from(size.get()))
}

/// The second part of an inode, if what lies before offset `end` of the inode is in use.
fn extra(bytes: &[u8], end: usize) -> Option<&Extra> {
    (used_size(bytes) >= end).then(|| bytes::record(bytes, OLD_SIZE))?
}

fn parse(fs: &FileSystem, number: u32, site: Site, bytes: &[u8]) -> Result<Inode, Stop> {
    let raw = bytes::record::<Raw>(bytes, 0).ok_or(site.fault(Fault::Length))?;
    let flags = InodeFlags::from_bits_retain(raw.flags.get());
    let wide = |low: U16, high: U16| u32::from(high.get()) << 16 | u32::from(low.get());
    let time = |low: U32, end: usize, field: fn(&Extra) -> U32| time(low, extra(bytes, end).map(|e| field(e).get()));
    let mut inode = Inode {
        number,
        generation: raw.generation.get(),
        mode: raw.mode.get(),
        uid: wide(raw.uid, raw.uid_high),
        gid: wide(raw.gid, raw.gid_high),
        size: u64::from(raw.size_low.get()),
        links: raw.links.get(),
        sectors: sectors(fs, raw, flags),
        accessed: time(raw.accessed, 0x90, |extra| extra.accessed),
        changed: time(raw.changed, 0x88, |extra| extra.changed),
        modified: time(raw.modified, 0x8c, |extra| extra.modified),
        created: extra(bytes, 0x94).map(|e| time(e.created, 0x98, |extra| extra.created_extra)),
        flags,
        xattr_block: u64::from(raw.xattr_low.get()),
        table_block: site.block,
        root: raw.root,
    };
    if fs.incompat().contains(Incompat::_64BIT) {
        inode.xattr_block |= u64::from(raw.xattr_high.get()) << 32;
    }
    // A directory's upper half was something else once.
    if inode.kind() == Kind::File || fs.incompat().contains(Incompat::LARGEDIR) {
        inode.size |= u64::from(raw.size_high.get()) << 32;
    }
    site.must(inode.size <= i64::MAX as u64, Fault::Size)?;
    Ok(inode)
}

fn sectors(fs: &FileSystem, raw: &Raw, flags: InodeFlags) -> u64 {
    let low = u64::from(raw.blocks_low.get());
    if !fs.ro_compat().contains(RoCompat::HUGE_FILE) {
        return low;
    }
    let count = u64::from(raw.blocks_high.get()) << 32 | low;
    if flags.contains(InodeFlags::HUGE_FILE) { count * (fs.block_size() as u64 / 512) } else { count }
}

/// Source: `inodes.rst`, "Inode Timestamps": two bits of epoch, thirty of nanoseconds.
fn time(seconds: U32, extra: Option<u32>) -> Time {
    let seconds = i64::from(seconds.get() as i32);
    let extra = extra.unwrap_or(0);
    Time { seconds: seconds + (i64::from(extra & 3) << 32), nanoseconds: (extra >> 2).min(999_999_999) }
}
