//! Page tables: the format of entries, and mapping by the kernel for itself (pure, over [`TableMemory`]).
//!
//! Four levels of 512 entries (Intel SDM volume 3, 4.5). User entries are made by `kernel/mem` through [`entry`]; the kernel's own are
//! made here: global, and (the trampoline aside) never both writable and executable.

/// What may be done with a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Access {
    /// Stores.
    pub write: bool,
    /// Instruction fetches.
    pub execute: bool,
    /// By user mode, too.
    pub user: bool,
    /// Device registers: no cache.
    pub device: bool,
}

/// An entry is valid.
pub const PRESENT: u64 = 1;
const WRITE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const WRITE_THROUGH: u64 = 1 << 3;
const NO_CACHE: u64 = 1 << 4;
/// The processor has used the page.
pub const ACCESSED: u64 = 1 << 5;
/// The processor has written to the page.
pub const DIRTY: u64 = 1 << 6;
/// The entry maps a page at a level above the last.
pub const LARGE: u64 = 1 << 7;
const GLOBAL: u64 = 1 << 8;
const NO_EXECUTE: u64 = 1 << 63;
/// The physical address in an entry.
pub const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Entries in a table.
pub const ENTRIES: usize = 512;
/// Levels; level 0 maps 4 KiB pages.
pub const LEVELS: u32 = 4;

/// An entry of the last level: `physical` with `access`.
pub const fn entry(physical: u64, access: Access) -> u64 {
    let mut e = physical & ADDRESS | PRESENT;
    if access.write {
        e |= WRITE;
    }
    if access.user {
        e |= USER;
    }
    if !access.execute {
        e |= NO_EXECUTE;
    }
    if access.device {
        e |= NO_CACHE | WRITE_THROUGH;
    }
    e
}

/// An entry of the kernel's own, the same in every root: kept over root switches.
pub const fn kernel_entry(physical: u64, access: Access) -> u64 {
    entry(physical, access) | GLOBAL
}

/// The table that an entry above the last level leads to.
pub const fn next_table(e: u64) -> Option<u64> {
    if e & PRESENT != 0 && e & LARGE == 0 { Some(e & ADDRESS) } else { None }
}

/// An entry that leads to the next table; rights are decided in the last level.
pub const fn table(physical: u64) -> u64 {
    physical & ADDRESS | PRESENT | WRITE | USER
}

/// What a present entry of the last level maps and allows.
pub const fn decode(e: u64) -> Option<(u64, Access)> {
    if e & PRESENT == 0 {
        return None;
    }
    let access =
        Access { write: e & WRITE != 0, execute: e & NO_EXECUTE == 0, user: e & USER != 0, device: e & NO_CACHE != 0 };
    Some((e & ADDRESS, access))
}

/// Index of `address` in a table of `level`.
pub const fn index(address: u64, level: u32) -> usize {
    (address >> (12 + 9 * level) & 511) as usize
}

/// Bytes that one entry of `level` covers.
pub const fn reach(level: u32) -> u64 {
    1 << (12 + 9 * level)
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
    /// A zeroed frame.
    fn frame(&mut self) -> Option<u64>;
}

/// Maps `length` bytes at `address` to `physical`, global unless it is for user mode, with the largest pages that fit up to `top_level` (0: 4 KiB,
/// 1: 2 MiB, 2: 1 GiB). All three numbers are multiples of a page.
///
/// # Errors
/// `MapError`; pages before the one that failed stay mapped.
pub fn map(
    memory: &mut impl TableMemory,
    root: u64,
    mut address: u64,
    mut physical: u64,
    mut length: u64,
    access: Access,
    top_level: u32,
) -> Result<(), MapError> {
    while length > 0 {
        let fits = |l: &u32| (address | physical) & (reach(*l) - 1) == 0 && length >= reach(*l);
        let level = (0..=top_level).rev().find(fits).unwrap_or(0);
        let large = if level > 0 { LARGE } else { 0 };
        let global = if access.user { 0 } else { GLOBAL };
        let slot = descend(memory, root, address, level, access)?;
        if memory.read(slot) != 0 {
            return Err(MapError::Occupied);
        }
        memory.write(slot, entry(physical, access) | global | large);
        let step = reach(level).min(length);
        (address, physical, length) = (address.wrapping_add(step), physical + step, length - step);
    }
    Ok(())
}

/// Physical address of the entry for `address` at `level`; makes the tables on the way, for user mode only where `access` is.
///
/// # Errors
/// `MapError`; tables made so far stay.
pub fn descend(
    memory: &mut impl TableMemory,
    root: u64,
    address: u64,
    level: u32,
    access: Access,
) -> Result<u64, MapError> {
    let mut at = root;
    for l in (level + 1..LEVELS).rev() {
        let slot = at + 8 * index(address, l) as u64;
        let mut e = memory.read(slot);
        if e & PRESENT == 0 {
            e = table(memory.frame().ok_or(MapError::NoFrame)?);
            if !access.user {
                e &= !USER;
            }
            memory.write(slot, e);
        } else if e & LARGE != 0 {
            return Err(MapError::Occupied);
        }
        at = e & ADDRESS;
    }
    Ok(at + 8 * index(address, level) as u64)
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
        let mut at = root;
        for level in (0..LEVELS).rev() {
            let e = t.read(at + 8 * index(address, level) as u64);
            if e & PRESENT == 0 {
                return None;
            }
            if level == 0 || e & LARGE != 0 {
                return Some((e & ADDRESS) + (address & (reach(level) - 1)));
            }
            at = e & ADDRESS;
        }
        None
    }

    #[test]
    fn a_range_with_ragged_ends_is_mapped_exactly() {
        let mut t = Tables::default();
        let (va, pa, length) = (0xffff_c000_0000_0000 + 0x1ff000, 0x1ff000, 0x4000_0000 + 0x60_3000);
        map(&mut t, 0, va, pa, length, Access::default(), 2).unwrap();
        for offset in [0, 0x1000, 0x20_0000, 0x4000_0000, length - 1] {
            assert_eq!(look(&t, 0, va + offset), Some(pa + offset), "{offset:#x}");
        }
        assert_eq!(look(&t, 0, va - 1), None);
        assert_eq!(look(&t, 0, va + length), None);
        assert_eq!(map(&mut t, 0, va + 0x20_1000, 0, 4096, Access::default(), 0), Err(MapError::Occupied));
    }

    #[test]
    fn an_entry_keeps_what_it_allows() {
        for bits in 0..16 {
            let access =
                Access { write: bits & 1 != 0, execute: bits & 2 != 0, user: bits & 4 != 0, device: bits & 8 != 0 };
            assert_eq!(decode(entry(0x1234_5000, access)), Some((0x1234_5000, access)));
        }
        assert_eq!(decode(0), None);
    }
}
