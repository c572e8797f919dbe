//! The shapes of the journal's blocks. Source: `journal.rst`. All numbers are big-endian.

use crate::bytes;
use crate::checksum::{self, START};
use crate::stop::{Fault, Refusal, Site, Stop};
use core::fmt;
use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// With what every block of the journal starts that isn't a copy.
pub(crate) const MAGIC: u32 = 0xc03b_3998;

pub(crate) const DESCRIPTOR: u32 = 1;
pub(crate) const COMMIT: u32 = 2;
pub(crate) const REVOKE: u32 = 5;
const SUPERBLOCK_V1: u32 = 3;
const SUPERBLOCK_V2: u32 = 4;
const SUPERBLOCK_BYTES: usize = 1024;
const SUPERBLOCK_CHECKSUM_AT: usize = 0xfc;
const COMMIT_CHECKSUM_AT: usize = 0x10;

const COMPAT_CHECKSUM: u32 = 1;
const FEATURE_REVOKE: u32 = 1;
const FEATURE_64BIT: u32 = 2;
const FEATURE_CHECKSUM_V2: u32 = 8;
const FEATURE_CHECKSUM_V3: u32 = 16;
const READ: u32 = FEATURE_REVOKE | FEATURE_64BIT | FEATURE_CHECKSUM_V2 | FEATURE_CHECKSUM_V3;
const NAMES: [(u32, &str); 2] = [(4, "async_commit"), (32, "fast_commit")];

/// The copy's first four bytes were the magic number, and are zero.
const TAG_ESCAPED: u32 = 1;
/// No UUID follows.
const TAG_SAME_UUID: u32 = 2;
const TAG_LAST: u32 = 8;
const UUID_BYTES: usize = 16;

#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct Header {
    pub(crate) magic: U32,
    pub(crate) kind: U32,
    pub(crate) sequence: U32,
}

#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Superblock {
    header: Header,
    block_size: U32,
    length: U32,
    first: U32,
    sequence: U32,
    start: U32,
    errno: U32,
    compat: U32,
    incompat: U32,
    ro_compat: U32,
    uuid: [u8; UUID_BYTES],
    users: U32,
    dynamic_superblock: U32,
    max_transaction: U32,
    max_data: U32,
    checksum_type: u8,
    padding: [u8; 3],
    fast_commit_blocks: U32,
    head: U32,
    reserved: [U32; 40],
    checksum: U32,
}

const _: () = assert!(size_of::<Superblock>() == SUPERBLOCK_CHECKSUM_AT + 4);

#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Commit {
    header: Header,
    checksum_type: u8,
    checksum_size: u8,
    padding: [u8; 2],
    checksum: [U32; 8],
    seconds: U64,
    nanoseconds: U32,
}

#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Revoke {
    header: Header,
    bytes: U32,
}

#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct TagV3 {
    block_low: U32,
    flags: U32,
    block_high: U32,
    checksum: U32,
}

#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Tag {
    block_low: U32,
    checksum: U16,
    flags: U16,
}

/// What an unclean journal's superblock says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Journal {
    /// Blocks it has; the ring goes from `first` to the last of them.
    pub(crate) length: u32,
    pub(crate) first: u32,
    /// Where the oldest transaction starts, and its number.
    pub(crate) start: u32,
    pub(crate) sequence: u32,
    incompat: u32,
    /// With what checksums start, if there are.
    pub(crate) seed: Option<u32>,
}

/// Where a copy belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Target {
    pub(crate) block: u64,
    /// Not 0: its first four bytes were replaced.
    pub(crate) escaped: u32,
    /// The low 16 bits of it in all journals but those with checksums of the third kind.
    checksum: u32,
}

/// Prints the names of those features without which a journal isn't replayed here.
pub(crate) fn write_features(f: &mut fmt::Formatter<'_>, bits: u32) -> fmt::Result {
    f.write_str("the journal must be replayed, but has unknown features:")?;
    let mut unnamed = bits & !READ;
    for (bit, name) in NAMES.iter().filter(|(bit, _)| bits & bit != 0) {
        write!(f, " {name}")?;
        unnamed &= !bit;
    }
    if unnamed != 0 { write!(f, " {unnamed:#x}") } else { Ok(()) }
}

impl Journal {
    /// The journal by its first block; none if it is clean.
    pub(crate) fn read(block: &[u8], site: Site) -> Result<Option<Journal>, Stop> {
        let raw = bytes::record::<Superblock>(block, 0).ok_or(site.fault(Fault::Length))?;
        let kind = raw.header.kind.get();
        site.must(raw.header.magic.get() == MAGIC && matches!(kind, SUPERBLOCK_V1 | SUPERBLOCK_V2), Fault::Magic)?;
        // The first version has no features: what lies there means nothing.
        let (compat, incompat) = if kind == SUPERBLOCK_V2 { (raw.compat.get(), raw.incompat.get()) } else { (0, 0) };
        let checked = incompat & (FEATURE_CHECKSUM_V2 | FEATURE_CHECKSUM_V3) != 0;
        if checked {
            let covered = block.get(..SUPERBLOCK_BYTES).ok_or(site.fault(Fault::Length))?;
            let sum = checksum::crc32c_blanked::<4>(START, covered, SUPERBLOCK_CHECKSUM_AT);
            site.must(sum == raw.checksum.get(), Fault::Checksum)?;
        }
        if raw.start.get() == 0 {
            return Ok(None);
        }
        if incompat & !READ != 0 {
            return Err(Stop::Refused(Refusal::JournalFeatures(incompat)));
        }
        if compat & COMPAT_CHECKSUM != 0 {
            return Err(Stop::Refused(Refusal::JournalChecksumV1));
        }
        let journal = Journal {
            length: raw.length.get(),
            first: raw.first.get(),
            start: raw.start.get(),
            sequence: raw.sequence.get(),
            incompat,
            seed: checked.then(|| checksum::crc32c(START, &[&raw.uuid])),
        };
        let sound = raw.block_size.get() as usize == block.len()
            && (1..journal.length).contains(&journal.first)
            && (journal.first..journal.length).contains(&journal.start);
        site.must(sound, Fault::Field)?;
        Ok(Some(journal))
    }

    fn has(&self, feature: u32) -> bool {
        self.incompat & feature != 0
    }

    /// Bytes of a tag, a UUID aside. Source: `journal.rst`, "Block Tag".
    fn tag_bytes(&self) -> usize {
        match (self.has(FEATURE_CHECKSUM_V3), self.has(FEATURE_CHECKSUM_V2), self.has(FEATURE_64BIT)) {
            (true, _, _) => size_of::<TagV3>(),
            (false, false, false) => 8,
            (false, true, false) => 10,
            (false, false, true) => 12,
            (false, true, true) => 14,
        }
    }

    /// Does the checksum at the end of a descriptor or a revoke block hold?
    pub(crate) fn tail_holds(&self, block: &[u8]) -> bool {
        let Some(seed) = self.seed else { return true };
        let at = block.len().saturating_sub(4);
        bytes::record::<U32>(block, at).is_some_and(|sum| checksum::crc32c_blanked::<4>(seed, block, at) == sum.get())
    }

    /// Does a commit block's checksum hold?
    pub(crate) fn commit_holds(&self, block: &[u8]) -> bool {
        let Some(seed) = self.seed else { return true };
        let commit = bytes::record::<Commit>(block, 0);
        let sum = checksum::crc32c_blanked::<4>(seed, block, COMMIT_CHECKSUM_AT);
        commit.is_some_and(|commit| matches!(commit.checksum, [first, ..] if first.get() == sum))
    }

    /// Does the checksum of a copy hold that belongs to this transaction?
    pub(crate) fn copy_holds(&self, target: &Target, sequence: u32, block: &[u8]) -> bool {
        let Some(seed) = self.seed else { return true };
        let sum = checksum::crc32c(seed, &[&sequence.to_be_bytes(), block]);
        target.checksum == if self.has(FEATURE_CHECKSUM_V3) { sum } else { sum & 0xffff }
    }

    /// Where the copies belong that follow this descriptor.
    pub(crate) fn targets<'a>(&self, block: &'a [u8]) -> Targets<'a> {
        let tail = if self.seed.is_some() { 4 } else { 0 };
        let end = block.len().saturating_sub(tail);
        Targets { journal: *self, bytes: block.get(..end).unwrap_or_default(), at: size_of::<Header>() }
    }

    /// The blocks that a revoke block names; as many as its own count and its size allow.
    pub(crate) fn revoked<'a>(&self, block: &'a [u8]) -> impl Iterator<Item = u64> + use<'a> {
        let wide = self.has(FEATURE_64BIT);
        let used = bytes::record::<Revoke>(block, 0).map_or(0, |revoke| revoke.bytes.get() as usize);
        let tail = if self.seed.is_some() { 4 } else { 0 };
        let used = used.min(block.len().saturating_sub(tail));
        let list = block.get(size_of::<Revoke>()..used).unwrap_or_default();
        let number = |piece: &[u8]| piece.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        list.chunks_exact(if wide { 8 } else { 4 }).map(number)
    }

    /// The block of the ring `count` after this one.
    pub(crate) fn after(&self, block: u32, count: u32) -> u32 {
        let ring = u64::from(self.length - self.first);
        let offset = u64::from(block.saturating_sub(self.first)) + u64::from(count);
        self.first + (offset % ring) as u32
    }
}

/// When a commit block was written: nothing but an order.
pub(crate) fn commit_seconds(block: &[u8]) -> u64 {
    bytes::record::<Commit>(block, 0).map_or(0, |commit| commit.seconds.get())
}

/// The tags of a descriptor.
pub(crate) struct Targets<'a> {
    journal: Journal,
    bytes: &'a [u8],
    at: usize,
}

impl Iterator for Targets<'_> {
    type Item = Target;

    fn next(&mut self) -> Option<Target> {
        let size = self.journal.tag_bytes();
        let tag = self.bytes.get(self.at..self.at + size)?;
        let (target, flags) = self.journal.tag(tag)?;
        self.at += size + if flags & TAG_SAME_UUID == 0 { UUID_BYTES } else { 0 };
        if flags & TAG_LAST != 0 {
            self.at = self.bytes.len();
        }
        Some(target)
    }
}

impl Journal {
    /// A tag, and its flags.
    fn tag(&self, tag: &[u8]) -> Option<(Target, u32)> {
        let wide = |high: u32, low: u32| {
            if self.has(FEATURE_64BIT) { u64::from(high) << 32 | u64::from(low) } else { low.into() }
        };
        let (block, flags, checksum) = if self.has(FEATURE_CHECKSUM_V3) {
            let tag = bytes::record::<TagV3>(tag, 0)?;
            (wide(tag.block_high.get(), tag.block_low.get()), tag.flags.get(), tag.checksum.get())
        } else {
            let short = bytes::record::<Tag>(tag, 0)?;
            let high = bytes::record::<U32>(tag, size_of::<Tag>()).map_or(0, |high| high.get());
            (wide(high, short.block_low.get()), u32::from(short.flags.get()), u32::from(short.checksum.get()))
        };
        Some((Target { block, escaped: flags & TAG_ESCAPED, checksum }, flags))
    }
}
