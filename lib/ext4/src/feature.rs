//! Features: what a file system's maker and users have switched on. Source: `super.rst`, "Feature flags".
//!
//! Unknown bits of [`Incompat`] forbid reading, those of [`RoCompat`] only writing, those of [`Compat`] nothing.

use bitflags::bitflags;
use core::fmt::{self, Display, Formatter};

bitflags! {
    /// Features that one may ignore.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Compat: u32 {
        #[allow(missing_docs)] const DIR_PREALLOC = 1 << 0;
        #[allow(missing_docs)] const IMAGIC_INODES = 1 << 1;
        #[allow(missing_docs)] const HAS_JOURNAL = 1 << 2;
        #[allow(missing_docs)] const EXT_ATTR = 1 << 3;
        #[allow(missing_docs)] const RESIZE_INODE = 1 << 4;
        #[allow(missing_docs)] const DIR_INDEX = 1 << 5;
        #[allow(missing_docs)] const SPARSE_SUPER2 = 1 << 9;
        #[allow(missing_docs)] const FAST_COMMIT = 1 << 10;
        #[allow(missing_docs)] const STABLE_INODES = 1 << 11;
        #[allow(missing_docs)] const ORPHAN_FILE = 1 << 12;
    }

    /// Features that a reader must know.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Incompat: u32 {
        #[allow(missing_docs)] const COMPRESSION = 1 << 0;
        #[allow(missing_docs)] const FILETYPE = 1 << 1;
        #[allow(missing_docs)] const RECOVER = 1 << 2;
        #[allow(missing_docs)] const JOURNAL_DEV = 1 << 3;
        #[allow(missing_docs)] const META_BG = 1 << 4;
        #[allow(missing_docs)] const EXTENTS = 1 << 6;
        #[allow(missing_docs)] const _64BIT = 1 << 7;
        #[allow(missing_docs)] const MMP = 1 << 8;
        #[allow(missing_docs)] const FLEX_BG = 1 << 9;
        #[allow(missing_docs)] const EA_INODE = 1 << 10;
        #[allow(missing_docs)] const DIRDATA = 1 << 12;
        #[allow(missing_docs)] const CSUM_SEED = 1 << 13;
        #[allow(missing_docs)] const LARGEDIR = 1 << 14;
        #[allow(missing_docs)] const INLINE_DATA = 1 << 15;
        #[allow(missing_docs)] const ENCRYPT = 1 << 16;
        #[allow(missing_docs)] const CASEFOLD = 1 << 17;
    }

    /// Features that a writer must know.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct RoCompat: u32 {
        #[allow(missing_docs)] const SPARSE_SUPER = 1 << 0;
        #[allow(missing_docs)] const LARGE_FILE = 1 << 1;
        #[allow(missing_docs)] const BTREE_DIR = 1 << 2;
        #[allow(missing_docs)] const HUGE_FILE = 1 << 3;
        #[allow(missing_docs)] const GDT_CSUM = 1 << 4;
        #[allow(missing_docs)] const DIR_NLINK = 1 << 5;
        #[allow(missing_docs)] const EXTRA_ISIZE = 1 << 6;
        #[allow(missing_docs)] const HAS_SNAPSHOT = 1 << 7;
        #[allow(missing_docs)] const QUOTA = 1 << 8;
        #[allow(missing_docs)] const BIGALLOC = 1 << 9;
        #[allow(missing_docs)] const METADATA_CSUM = 1 << 10;
        #[allow(missing_docs)] const REPLICA = 1 << 11;
        #[allow(missing_docs)] const READONLY = 1 << 12;
        #[allow(missing_docs)] const PROJECT = 1 << 13;
        #[allow(missing_docs)] const SHARED_BLOCKS = 1 << 14;
        #[allow(missing_docs)] const VERITY = 1 << 15;
        #[allow(missing_docs)] const ORPHAN_PRESENT = 1 << 16;
    }
}

impl Incompat {
    /// What this library reads. `MMP` guards against two writers: it doesn't concern one who reads.
    pub const READ: Incompat = Incompat::FILETYPE
        .union(Incompat::RECOVER)
        .union(Incompat::META_BG)
        .union(Incompat::EXTENTS)
        .union(Incompat::_64BIT)
        .union(Incompat::MMP)
        .union(Incompat::FLEX_BG)
        .union(Incompat::CSUM_SEED)
        .union(Incompat::LARGEDIR);
}

impl RoCompat {
    /// What a writer can count on being kept by this library's reading half: the rest is named to the user.
    pub const KNOWN: RoCompat = RoCompat::SPARSE_SUPER
        .union(RoCompat::LARGE_FILE)
        .union(RoCompat::HUGE_FILE)
        .union(RoCompat::GDT_CSUM)
        .union(RoCompat::DIR_NLINK)
        .union(RoCompat::EXTRA_ISIZE)
        .union(RoCompat::METADATA_CSUM);
}

/// The names as `mke2fs -O` spells them, separated by commas; bits without a name as numbers.
macro_rules! names {
    ($type:ty) => {
        impl Display for $type {
            fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
                let mut names = self.iter_names();
                for (place, (name, _)) in names.by_ref().enumerate() {
                    f.write_str(if place == 0 { "" } else { ", " })?;
                    name.trim_start_matches('_').chars().try_for_each(|c| write!(f, "{}", c.to_ascii_lowercase()))?;
                }
                let unnamed = names.remaining().bits() & !Self::all().bits();
                match (unnamed, unnamed == self.bits()) {
                    (0, _) => Ok(()),
                    (bits, true) => write!(f, "{bits:#x}"),
                    (bits, false) => write!(f, ", {bits:#x}"),
                }
            }
        }
    };
}

names!(Compat);
names!(Incompat);
names!(RoCompat);

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn features_are_named_as_mke2fs_names_them_and_unknown_ones_by_number() {
        assert_eq!((Incompat::_64BIT | Incompat::CASEFOLD).to_string(), "64bit, casefold");
        assert_eq!(Incompat::from_bits_retain(1 << 31 | 1 << 15).to_string(), "inline_data, 0x80000000");
        assert_eq!(Incompat::from_bits_retain(1 << 31).to_string(), "0x80000000");
        assert_eq!(RoCompat::empty().to_string(), "");
    }
}
