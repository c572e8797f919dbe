//! The replayed journal: blocks whose newer contents lie in the journal, ascending by block.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// One block whose newer contents lie in the journal. Plain data: a list of them can lie in a vault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Replayed {
    /// The block of the file system.
    pub block: U64,
    /// Where on the device its contents are.
    pub journal: U64,
    /// Not 0: there, the first four bytes are zero in place of [`JOURNAL_MAGIC`](crate::JOURNAL_MAGIC).
    pub escaped: U32,
    /// Always 0.
    pub reserved: U32,
}

impl Replayed {
    pub(crate) fn new(block: u64, journal: u64, escaped: u32) -> Replayed {
        Replayed { block: block.into(), journal: journal.into(), escaped: escaped.into(), reserved: 0.into() }
    }

    pub(crate) fn is_escaped(&self) -> bool {
        self.escaped.get() != 0
    }
}

/// The newer contents of this block, if there are.
pub(crate) fn find(replayed: &[Replayed], block: u64) -> Option<Replayed> {
    first_from(replayed, block).filter(|first| first.block.get() == block)
}

/// The first entry at or after this block.
pub(crate) fn first_from(replayed: &[Replayed], block: u64) -> Option<Replayed> {
    replayed.get(replayed.partition_point(|entry| entry.block.get() < block)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_found_only_where_it_is() {
        let list = [Replayed::new(3, 100, 0), Replayed::new(7, 101, 1)];
        assert_eq!(find(&list, 7), Some(list[1]));
        assert_eq!(find(&list, 4), None);
        assert_eq!(first_from(&list, 4), Some(list[1]));
        assert_eq!(first_from(&list, 8), None);
    }
}
