//! Looking at bytes as records, without ever leaving them.

use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// Records whose every bit pattern is valid, at any alignment.
pub(crate) trait Record: FromBytes + Immutable + KnownLayout + Unaligned {}

impl<T: FromBytes + Immutable + KnownLayout + Unaligned> Record for T {}

/// The record at offset `at`, if all of it is there.
pub(crate) fn record<T: Record>(bytes: &[u8], at: usize) -> Option<&T> {
    Some(T::ref_from_prefix(bytes.get(at..)?).ok()?.0)
}

/// `count` records from offset `at` on, if all of them are there.
pub(crate) fn records<T: Record>(bytes: &[u8], at: usize, count: usize) -> Option<&[T]> {
    Some(<[T]>::ref_from_prefix_with_elems(bytes.get(at..)?, count).ok()?.0)
}
