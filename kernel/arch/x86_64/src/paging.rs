//! Page tables: the format of their words, for `kernel/mem`, and mapping by the kernel for itself (pure, over [`TableMemory`]).
//!
//! Four levels of 512 entries (Intel SDM volume 3, 4.5). The kernel's own leaves are global, and (the trampoline aside) never both writable
//! and executable.

use crate::bootinfo::Span;
use crate::layout::PAGE;
use sal_abi::Rights;
use sal_kernel_mem::{Cache, Decoded, Frame, Layout, Leaf, PageFormat, Who, Window};

const PRESENT: u64 = 1;
const WRITE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const WRITE_THROUGH: u64 = 1 << 3;
const NO_CACHE: u64 = 1 << 4;
/// The entry maps a page at a level above the last.
const LARGE: u64 = 1 << 7;
/// Kept over root switches.
const GLOBAL: u64 = 1 << 8;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Levels; level 0 maps 4 KiB pages.
pub const LEVELS: u32 = 4;

/// The two halves that programs see.
pub const LAYOUT: Layout = Layout {
    guest: Window { start: 0, end: sal_abi::x86_64::GUEST_END },
    native: Window { start: sal_abi::x86_64::NATIVE_START, end: sal_abi::x86_64::NATIVE_END },
};

/// The kernel's data, for [`map`].
pub const DATA: Leaf = own(Rights::READ.or(Rights::WRITE), Cache::Normal);
/// Its constants.
pub const CONSTANT: Leaf = own(Rights::READ, Cache::Normal);
/// Its code.
pub const CODE: Leaf = own(Rights::READ.or(Rights::EXECUTE), Cache::Normal);
/// Registers of devices.
pub const DEVICE: Leaf = own(Rights::READ.or(Rights::WRITE), Cache::Device);

const fn own(rights: Rights, cache: Cache) -> Leaf {
    Leaf { frame: Frame::NONE, rights, who: Who::Kernel, cache }
}

/// Physical address of a frame.
pub const fn physical(frame: Frame) -> u64 {
    frame.0 as u64 * PAGE
}

/// The frame at a physical address; [`Frame::NONE`] for one that is too high.
pub fn frame(physical: u64) -> Frame {
    u32::try_from(physical / PAGE).map_or(Frame::NONE, Frame)
}

/// The words of this processor's page tables.
#[derive(Clone, Copy, Debug)]
pub struct Format;

impl PageFormat for Format {
    const LEVELS: u32 = LEVELS;

    #[inline]
    fn leaf(leaf: Leaf) -> u64 {
        let parts = [
            (leaf.rights.has(Rights::WRITE), WRITE),
            (!leaf.rights.has(Rights::EXECUTE), NO_EXECUTE),
            (leaf.who == Who::User, USER),
            (leaf.who == Who::Kernel, GLOBAL),
            (leaf.cache == Cache::Device, NO_CACHE | WRITE_THROUGH),
        ];
        let bits = parts.iter().filter(|(has, _)| *has).fold(PRESENT, |all, (_, bits)| all | bits);
        physical(leaf.frame) | bits
    }

    /// Rights are decided in the last level.
    #[inline]
    fn node(frame: Frame) -> u64 {
        physical(frame) | PRESENT | WRITE | USER
    }

    #[inline]
    fn decode(level: u32, word: u64) -> Decoded {
        let frame = frame(word & ADDRESS);
        if word & PRESENT == 0 {
            return Decoded::Absent;
        }
        if level > 0 && word & LARGE == 0 {
            return Decoded::Node(frame);
        }
        let more = [(word & WRITE != 0, Rights::WRITE), (word & NO_EXECUTE == 0, Rights::EXECUTE)];
        Decoded::Leaf(Leaf {
            frame,
            rights: more.iter().filter(|(has, _)| *has).fold(Rights::READ, |all, (_, right)| all.or(*right)),
            who: if word & USER != 0 { Who::User } else { Who::Kernel },
            cache: if word & NO_CACHE != 0 { Cache::Device } else { Cache::Normal },
        })
    }
}

/// Bytes that one entry of `level` covers.
pub const fn reach(level: u32) -> u64 {
    1 << (12 + 9 * level)
}

/// Offset in its table of the entry for `address` at `level`.
const fn place(address: u64, level: u32) -> u64 {
    (address >> (12 + 9 * level) & 511) * 8
}

/// Why a kernel mapping could not be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MapError {
    /// No frame for a table.
    NoFrame,
    /// Something is mapped there.
    Occupied,
}

/// Words of page tables, and frames for new ones: physical memory as far as [`map`] needs it.
pub trait TableMemory {
    /// The entry at a physical address.
    fn read(&self, at: u64) -> u64;
    /// Writes the entry at a physical address.
    fn write(&mut self, at: u64, entry: u64);
    /// A zeroed frame: its physical address.
    fn frame(&mut self) -> Option<u64>;
}

/// Maps whole pages of physical memory at `address`, as `leaf` says, with the largest pages that fit up to `top_level` (0: 4 KiB, 1: 2 MiB,
/// 2: 1 GiB).
///
/// # Errors
/// `MapError`; pages before the one that failed stay mapped.
pub fn map(
    memory: &mut impl TableMemory,
    root: u64,
    address: u64,
    range: Span,
    leaf: Leaf,
    top_level: u32,
) -> Result<(), MapError> {
    let mut at = range.start;
    while at < range.end {
        let address = address + (at - range.start);
        let fits = |l: &u32| (address | at) & (reach(*l) - 1) == 0 && range.end - at >= reach(*l);
        let level = (1..=top_level).rev().find(fits).unwrap_or(0);
        let slot = descend(memory, root, address, level, leaf.who)?;
        if memory.read(slot) != 0 {
            return Err(MapError::Occupied);
        }
        let large = if level > 0 { LARGE } else { 0 };
        memory.write(slot, Format::leaf(Leaf { frame: frame(at), ..leaf }) | large);
        at += reach(level);
    }
    Ok(())
}

/// Physical address of the entry for `address` at `level`; makes the tables on the way, for `who`.
///
/// # Errors
/// `MapError`; tables made so far stay.
pub fn descend(memory: &mut impl TableMemory, root: u64, address: u64, level: u32, who: Who) -> Result<u64, MapError> {
    let mut table = root;
    for l in (level + 1..LEVELS).rev() {
        let slot = table + place(address, l);
        table = match Format::decode(l, memory.read(slot)) {
            Decoded::Node(next) => physical(next),
            Decoded::Leaf(_) => return Err(MapError::Occupied),
            Decoded::Absent => {
                let next = memory.frame().ok_or(MapError::NoFrame)?;
                let hidden = if who == Who::Kernel { USER } else { 0 };
                memory.write(slot, Format::node(frame(next)) & !hidden);
                next
            }
        };
    }
    Ok(table + place(address, level))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[derive(Default)]
    struct Tables(BTreeMap<u64, u64>, u64);

    impl TableMemory for Tables {
        fn read(&self, at: u64) -> u64 {
            *self.0.get(&at).unwrap_or(&0)
        }
        fn write(&mut self, at: u64, entry: u64) {
            self.0.insert(at, entry);
        }
        fn frame(&mut self) -> Option<u64> {
            self.1 += 4096;
            Some(self.1)
        }
    }

    fn look(t: &Tables, root: u64, address: u64) -> Option<u64> {
        let mut table = root;
        for level in (0..LEVELS).rev() {
            match Format::decode(level, t.read(table + place(address, level))) {
                Decoded::Absent => return None,
                Decoded::Node(next) => table = physical(next),
                Decoded::Leaf(leaf) => return Some(physical(leaf.frame) + (address & (reach(level) - 1))),
            }
        }
        None
    }

    #[test]
    fn a_range_with_ragged_ends_is_mapped_exactly() {
        let mut t = Tables::default();
        let (va, pa, length) = (0xffff_c000_0000_0000 + 0x1ff000, 0x1ff000, 0x4000_0000 + 0x60_3000);
        map(&mut t, 0, va, Span::sized(pa, length), DATA, 2).unwrap();
        for offset in [0, 0x1000, 0x20_0000, 0x4000_0000, length - 1] {
            assert_eq!(look(&t, 0, va + offset), Some(pa + offset), "{offset:#x}");
        }
        assert_eq!(look(&t, 0, va - 1), None);
        assert_eq!(look(&t, 0, va + length), None);
        let again = map(&mut t, 0, va + 0x20_1000, Span::sized(0, 4096), DATA, 0);
        assert_eq!(again, Err(MapError::Occupied));
    }

    #[test]
    fn tables_of_the_kernel_are_hidden_from_user_mode() {
        for (who, user) in [(Who::Kernel, 0), (Who::User, USER)] {
            let mut t = Tables::default();
            map(&mut t, 0, 0x40_0000, Span::sized(0x5000, 4096), Leaf { who, ..DATA }, 0).unwrap();
            assert!(t.0.values().all(|entry| entry & USER == user));
        }
    }

    #[test]
    fn a_leaf_is_decoded_as_it_was_made() {
        let others = [Rights::READ, Rights::READ.or(Rights::WRITE), Rights::READ.or(Rights::EXECUTE)];
        for rights in others {
            for who in [Who::User, Who::Kernel] {
                for cache in [Cache::Normal, Cache::Device] {
                    let leaf = Leaf { frame: Frame(0x12345), rights, who, cache };
                    assert_eq!(Format::decode(0, Format::leaf(leaf)), Decoded::Leaf(leaf));
                }
            }
        }
    }

    #[test]
    fn a_node_is_one_above_the_last_level_only() {
        for level in 1..4 {
            assert_eq!(Format::decode(level, Format::node(Frame(77))), Decoded::Node(Frame(77)));
            assert_eq!(Format::decode(level, 0), Decoded::Absent);
        }
        const ACCESSED_AND_DIRTY: u64 = 0x60;
        let used = Format::node(Frame(77)) | ACCESSED_AND_DIRTY;
        assert_eq!(Format::decode(2, used), Decoded::Node(Frame(77)));
    }
}
