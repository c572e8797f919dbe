//! Why an operation ended without a result: a block that must be fetched, one that can't be read, one that is wrong, or
//! a file system that isn't for us. Each is written for the people who will read it in a log.

use crate::feature::Incompat;
use core::fmt::{self, Display, Formatter};

/// Why an operation ended without a result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// This block isn't there yet: fetch it and repeat the operation.
    Absent(u64),
    /// The device can't read this block.
    Io(u64),
    /// What is on the disk breaks a rule.
    Corrupt(Corrupt),
    /// A sound file system, but none that this library reads.
    Refused(Refusal),
}

/// What on the disk is wrong: where it is and which rule it breaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Corrupt {
    /// To whom the structure belongs.
    pub owner: Owner,
    /// The structure.
    pub part: Part,
    /// The block of the file system it lies in.
    pub block: u64,
    /// The broken rule.
    pub fault: Fault,
}

/// To whom a structure belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// The file system as a whole.
    FileSystem,
    /// The block group of this number.
    Group(u32),
    /// The inode of this number.
    Inode(u32),
    /// The journal.
    Journal,
}

macro_rules! sentences {
    ($(#[$head:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident => $text:literal,)* }) => {
        $(#[$head])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl Display for $name {
            fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $($name::$variant => $text,)* })
            }
        }
    };
}

sentences! {
    /// A structure of the disk.
    Part {
        /// The superblock.
        Superblock => "superblock",
        /// A block of group descriptors.
        Descriptors => "descriptor block",
        /// A bitmap of blocks in use.
        BlockBitmap => "block bitmap",
        /// A bitmap of inodes in use.
        InodeBitmap => "inode bitmap",
        /// A block of an inode table.
        InodeTable => "inode table block",
        /// A node of an extent tree.
        ExtentBlock => "extent block",
        /// A block of block numbers.
        IndirectBlock => "indirect block",
        /// A block of directory entries.
        DirectoryBlock => "directory block",
        /// A node of a hashed directory's index.
        IndexBlock => "directory index block",
        /// A symbolic link's target.
        SymlinkBlock => "symlink block",
        /// A block of extended attributes.
        XattrBlock => "xattr block",
        /// The journal's own superblock.
        JournalSuperblock => "journal superblock",
        /// A block of the journal that says where the next ones belong.
        JournalDescriptor => "journal descriptor",
        /// A block that ends a transaction.
        JournalCommit => "journal commit block",
        /// A block of block numbers that must not be replayed.
        JournalRevoke => "journal revoke block",
        /// A copy of a block in the journal.
        JournalData => "journal data block",
    }
}

sentences! {
    /// A broken rule.
    Fault {
        /// What a checksum covers was changed.
        Checksum => "checksum is wrong",
        /// A block number that the file system doesn't have.
        Outside => "points outside the file system",
        /// An inode number that the file system doesn't have.
        NoSuchInode => "names an inode that can't be",
        /// An inode that no file has.
        NotInUse => "is not in use",
        /// It doesn't start as it should.
        Magic => "magic number is wrong",
        /// A tree's level that doesn't fit its parent's, or too deep a tree.
        Depth => "depth is wrong",
        /// More entries than there is room for, or none where one must be.
        Count => "number of entries is wrong",
        /// Entries that don't ascend, or overlap.
        Order => "entries are out of order",
        /// A length of zero, or one that reaches too far.
        Length => "length is wrong",
        /// A directory entry's length or name.
        Entry => "directory entry is broken",
        /// A directory with a hole.
        Hole => "directory has a hole",
        /// A directory's block without room for a checksum.
        NoTail => "checksum is missing",
        /// A name lies in a leaf for other hashes.
        HashPlace => "name is in the wrong hash leaf",
        /// More names of one hash than any directory has.
        TooManyOfOneHash => "too many names of one hash",
        /// A directory of more blocks than may be searched one by one.
        TooLong => "directory is too long to search without an index",
        /// A size that can't be.
        Size => "size is wrong",
        /// A value that lies outside its block.
        Value => "attribute is broken",
        /// A field of the superblock that can't be.
        Field => "a field is impossible",
        /// A journal that leads round in a circle.
        Endless => "never ends",
        /// Another end of the journal than the first look found.
        EndMoved => "ends too early",
        /// A count that differs from what the bitmap says.
        Tally => "free count differs from the bitmap",
    }
}

/// Why a file system is not for us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// There is no ext4 superblock.
    NotExt4,
    /// Features without which it can't be understood.
    Features(Incompat),
    /// Blocks of this many bytes (given as the power of two over 1024).
    BlockSize(u32),
    /// It has more blocks than the device.
    DeviceTooSmall {
        /// Bytes the file system takes.
        needs: u64,
        /// Bytes the device has.
        has: u64,
    },
    /// Metadata checksums of an unknown kind.
    ChecksumType(u8),
    /// An unclean journal on another device.
    ExternalJournal,
    /// An unclean journal with features that this library can't replay: the bits of jbd2's `s_feature_incompat`.
    JournalFeatures(u32),
    /// An unclean journal with transaction checksums of jbd2's first kind (`journal_checksum` before Linux 3.5).
    JournalChecksumV1,
    /// An inode whose contents are stored in a way that isn't read here.
    Inode {
        /// The inode's number.
        inode: u32,
        /// The feature's name.
        feature: &'static str,
    },
    /// The operation is not one for this inode's kind (a lookup in a file, a link's target of a directory).
    Kind {
        /// The inode's number.
        inode: u32,
    },
}

impl Display for Owner {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Owner::FileSystem => f.write_str("file system"),
            Owner::Group(number) => write!(f, "group {number}"),
            Owner::Inode(number) => write!(f, "inode {number}"),
            Owner::Journal => f.write_str("journal"),
        }
    }
}

impl Display for Corrupt {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}: {}", self.owner, self.part, self.block, self.fault)
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NotExt4 => f.write_str("there is no ext4 file system here"),
            Refusal::Features(features) => write!(f, "unknown features: {features}"),
            Refusal::BlockSize(log) => write!(f, "blocks of 2^{log} KiB are not supported"),
            Refusal::DeviceTooSmall { needs, has } => {
                write!(f, "the file system takes {needs} bytes, the device has {has}")
            }
            Refusal::ChecksumType(kind) => write!(f, "unknown checksum type {kind}"),
            Refusal::ExternalJournal => f.write_str("the journal must be replayed, but lies on another device"),
            Refusal::JournalFeatures(bits) => crate::journal::write_features(f, *bits),
            Refusal::JournalChecksumV1 => {
                f.write_str("the journal must be replayed, but has transaction checksums of the first kind")
            }
            Refusal::Inode { inode, feature } => write!(f, "inode {inode}: {feature} is not supported"),
            Refusal::Kind { inode } => write!(f, "inode {inode}: is of the wrong kind for this"),
        }
    }
}

impl Display for Stop {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Stop::Absent(block) => write!(f, "ext4: block {block} has not been read yet"),
            Stop::Io(block) => write!(f, "ext4: block {block} can't be read"),
            Stop::Corrupt(corrupt) => write!(f, "ext4: {corrupt}"),
            Stop::Refused(refusal) => write!(f, "ext4: {refusal}"),
        }
    }
}

impl core::error::Error for Stop {}

/// Where a structure is: all that a [`Corrupt`] needs but the fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Site {
    pub(crate) owner: Owner,
    pub(crate) part: Part,
    pub(crate) block: u64,
}

impl Site {
    pub(crate) fn new(owner: Owner, part: Part, block: u64) -> Site {
        Site { owner, part, block }
    }

    /// This rule is broken here.
    pub(crate) fn fault(self, fault: Fault) -> Stop {
        Stop::Corrupt(Corrupt { owner: self.owner, part: self.part, block: self.block, fault })
    }

    /// Ends the operation unless the rule holds.
    pub(crate) fn must(self, holds: bool, fault: Fault) -> Result<(), Stop> {
        if holds { Ok(()) } else { Err(self.fault(fault)) }
    }
}
