//! Capability slots and tables. Looking one up takes no lock; changing one takes the registry's.
//!
//! What must always hold: a slot's word (generation, rights, kind) is written last when it is filled and first when it is emptied, so a
//! reader that sees the same word before and after has read one capability. A slot at its last generation is never filled again.

use crate::region::Region;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use sal_abi::{Error, Handle, Rights};

/// Slots in a chunk; tables grow by chunks.
pub const CHUNK: u32 = 64;
/// Chunks in a table.
pub const CHUNKS: usize = 64;

/// What kind of object a capability is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs, reason = "docs/abi.md describes the objects")]
pub enum Kind {
    Budget = 1,
    Space = 2,
    Process = 3,
    Thread = 4,
    Endpoint = 5,
    Notification = 6,
    Reply = 7,
    Memory = 8,
    Interrupt = 9,
    IoPorts = 10,
    Log = 11,
}

impl Kind {
    /// From its number.
    pub fn from_number(n: u8) -> Option<Kind> {
        use Kind::*;
        const ALL: [Kind; 11] =
            [Budget, Space, Process, Thread, Endpoint, Notification, Reply, Memory, Interrupt, IoPorts, Log];
        ALL.get(n.wrapping_sub(1) as usize).copied()
    }
}

/// A capability: object, rights, badge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cap {
    /// Kind of the object.
    pub kind: Kind,
    /// What it lets its holder do.
    pub rights: Rights,
    /// The object's raw id (or, for ports and interrupts: first | count << 32).
    pub object: u64,
    /// Badge, for endpoints.
    pub badge: u64,
}

impl Cap {
    /// Of ports or interrupts: is it for `count` of them from `first` on?
    pub(crate) fn covers(&self, first: u64, count: u64) -> bool {
        let (start, end) = (self.object & 0xffff_ffff, (self.object & 0xffff_ffff) + (self.object >> 32));
        first >= start && first.checked_add(count).is_some_and(|last| last <= end)
    }
}

/// A slot.
#[derive(Debug, Default)]
pub struct Slot {
    word: AtomicU64,
    object: AtomicU64,
    badge: AtomicU64,
    /// Derivation tree: global slot numbers + 1, 0 for none. Under the registry's lock.
    pub(crate) parent: AtomicU32,
    pub(crate) child: AtomicU32,
    pub(crate) next: AtomicU32,
    pub(crate) prev: AtomicU32,
}

const KIND: u64 = 0xff;
const RIGHTS_SHIFT: u32 = 8;
const RIGHTS: u64 = 0xfff;
const GENERATION_SHIFT: u32 = 32;

impl Slot {
    /// The capability, if the slot is at that generation and filled.
    #[inline(always)]
    pub fn read(&self, generation: u32) -> Option<Cap> {
        let word = self.word.load(Ordering::Acquire);
        if (word >> GENERATION_SHIFT) as u32 != generation || generation == 0 {
            return None;
        }
        let kind = Kind::from_number((word & KIND) as u8)?;
        let object = self.object.load(Ordering::Acquire);
        let badge = self.badge.load(Ordering::Acquire);
        if self.word.load(Ordering::Acquire) != word {
            return None;
        }
        let rights = Rights((word >> RIGHTS_SHIFT & RIGHTS) as u32);
        Some(Cap { kind, rights, object, badge })
    }

    /// The message path's look-up: object and badge of a capability of this kind with these rights, or `None` for the slow path to say why.
    #[inline(always)]
    pub fn expect(&self, generation: u32, kind: Kind, rights: Rights) -> Option<(u64, u64)> {
        let mask = 0xffff_ffff_0000_0000 | KIND | (rights.0 as u64) << RIGHTS_SHIFT;
        let want = (generation as u64) << GENERATION_SHIFT | kind as u64 | (rights.0 as u64) << RIGHTS_SHIFT;
        let word = self.word.load(Ordering::Acquire);
        if word & mask != want {
            return None;
        }
        let object = self.object.load(Ordering::Acquire);
        let badge = self.badge.load(Ordering::Acquire);
        (self.word.load(Ordering::Acquire) == word).then_some((object, badge))
    }

    /// Is it empty and usable?
    pub fn is_free(&self) -> bool {
        let word = self.word.load(Ordering::Relaxed);
        word & KIND == 0 && (word >> GENERATION_SHIFT) as u32 != u32::MAX
    }

    /// Fills an empty slot; returns its new generation. Under the registry's lock.
    pub fn fill(&self, cap: Cap) -> u32 {
        let generation = ((self.word.load(Ordering::Relaxed) >> GENERATION_SHIFT) as u32) + 1;
        self.object.store(cap.object, Ordering::Release);
        self.badge.store(cap.badge, Ordering::Release);
        let word = (generation as u64) << GENERATION_SHIFT
            | ((cap.rights.0 as u64) & RIGHTS) << RIGHTS_SHIFT
            | cap.kind as u64;
        self.word.store(word, Ordering::Release);
        generation
    }

    /// Empties it. Under the registry's lock.
    pub fn clear(&self) {
        let word = self.word.load(Ordering::Relaxed);
        self.word.store(word & 0xffff_ffff_0000_0000, Ordering::Release);
    }

    /// A copy, for the host's tests.
    #[cfg(not(target_os = "none"))]
    pub(crate) fn duplicate(&self) -> Slot {
        use crate::emulated::{copy_u32, copy_u64};
        Slot {
            word: copy_u64(&self.word),
            object: copy_u64(&self.object),
            badge: copy_u64(&self.badge),
            parent: copy_u32(&self.parent),
            child: copy_u32(&self.child),
            next: copy_u32(&self.next),
            prev: copy_u32(&self.prev),
        }
    }

    /// What is in it, whatever its generation; with the generation.
    pub fn current(&self) -> Option<(u32, Cap)> {
        let generation = (self.word.load(Ordering::Acquire) >> GENERATION_SHIFT) as u32;
        Some((generation, self.read(generation)?))
    }
}

/// All capability slots of the machine.
pub type Slots = Region<Slot>;

/// A process's table: which chunks of slots are its own.
#[derive(Debug)]
pub struct Table {
    chunks: [AtomicU32; CHUNKS],
    /// Where to look for a free slot next. Under the registry's lock.
    hint: AtomicU32,
}

impl Default for Table {
    fn default() -> Self {
        Table { chunks: [const { AtomicU32::new(0) }; CHUNKS], hint: AtomicU32::new(0) }
    }
}

impl Table {
    /// A copy, for the host's tests.
    #[cfg(not(target_os = "none"))]
    pub(crate) fn duplicate(&self) -> Table {
        Table {
            chunks: core::array::from_fn(|n| crate::emulated::copy_u32(&self.chunks[n])),
            hint: crate::emulated::copy_u32(&self.hint),
        }
    }

    /// Global number of the slot with that index in this table.
    #[inline(always)]
    pub fn global(&self, index: u32) -> Option<u32> {
        let chunk = self.chunks.get((index / CHUNK) as usize)?.load(Ordering::Acquire);
        (chunk != 0).then(|| (chunk - 1) * CHUNK + index % CHUNK)
    }

    /// The slot that a handle's index names.
    #[inline(always)]
    pub fn slot<'a>(&self, slots: &'a Slots, index: u32) -> Option<&'a Slot> {
        slots.get(self.global(index)?)
    }

    /// The capability that a handle names.
    ///
    /// # Errors
    /// `BadHandle`.
    #[inline]
    pub fn look(&self, slots: &Slots, handle: Handle) -> Result<Cap, Error> {
        self.slot(slots, handle.index()).and_then(|s| s.read(handle.generation())).ok_or(Error::BadHandle)
    }

    /// The same, of one kind and with some rights.
    ///
    /// # Errors
    /// `BadHandle`, `WrongKind`, `NoRight`.
    #[inline]
    pub fn need(&self, slots: &Slots, handle: Handle, kind: Kind, rights: Rights) -> Result<Cap, Error> {
        let cap = self.look(slots, handle)?;
        if cap.kind != kind {
            return Err(Error::WrongKind);
        }
        if !cap.rights.has(rights) {
            return Err(Error::NoRight);
        }
        Ok(cap)
    }

    /// Number of chunk `n`, if the table has it.
    pub fn chunk(&self, n: usize) -> Option<u32> {
        self.chunks.get(n)?.load(Ordering::Acquire).checked_sub(1)
    }

    /// The index at which to look for a free slot next.
    pub(crate) fn hint(&self) -> u32 {
        self.hint.load(Ordering::Relaxed) % (CHUNKS as u32 * CHUNK)
    }

    /// See [`Table::hint`].
    pub(crate) fn set_hint(&self, index: u32) {
        self.hint.store(index, Ordering::Relaxed);
    }

    /// Gives or takes chunk `n`. Under the registry's lock.
    pub fn set_chunk(&self, n: usize, chunk: Option<u32>) {
        if let Some(place) = self.chunks.get(n) {
            place.store(chunk.map_or(0, |c| c + 1), Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> (Table, Slots) {
        let table = Table::default();
        table.set_chunk(0, Some(1));
        (table, Region::boxed(128, Slot::default))
    }

    #[test]
    fn a_stale_handle_is_refused_and_never_another_object() {
        let (table, slots) = table();
        let cap = Cap { kind: Kind::Memory, rights: Rights::READ, object: 7, badge: 0 };
        let slot = table.slot(&slots, 5).unwrap();
        let old = Handle::new(slot.fill(cap), 5);
        assert_eq!(table.look(&slots, old), Ok(cap));
        slot.clear();
        assert_eq!(table.look(&slots, old), Err(Error::BadHandle));
        slot.fill(Cap { object: 8, ..cap });
        assert_eq!(table.look(&slots, old), Err(Error::BadHandle));
    }

    #[test]
    fn none_of_65536_guesses_works_but_ones_own() {
        let (table, slots) = table();
        let cap = Cap { kind: Kind::Memory, rights: Rights::READ, object: 7, badge: 0 };
        let own = Handle::new(table.slot(&slots, 9).unwrap().fill(cap), 9);
        let hits = (0..1u64 << 16)
            .map(|g| Handle((g & 0xff) << 32 | g >> 8))
            .filter(|h| table.look(&slots, *h).is_ok())
            .count();
        assert_eq!(hits, 1);
        assert!(table.look(&slots, own).is_ok());
    }

    #[test]
    fn wrong_kind_and_missing_right_are_named() {
        let (table, slots) = table();
        let cap = Cap { kind: Kind::Memory, rights: Rights::READ, object: 7, badge: 0 };
        let h = Handle::new(table.slot(&slots, 0).unwrap().fill(cap), 0);
        assert_eq!(table.need(&slots, h, Kind::Thread, Rights::NONE), Err(Error::WrongKind));
        assert_eq!(table.need(&slots, h, Kind::Memory, Rights::WRITE), Err(Error::NoRight));
        assert!(table.need(&slots, h, Kind::Memory, Rights::READ).is_ok());
    }

    #[test]
    fn a_slot_at_its_last_generation_retires() {
        let slot = Slot::default();
        slot.word.store((u32::MAX as u64 - 1) << GENERATION_SHIFT, Ordering::Relaxed);
        assert!(slot.is_free());
        slot.fill(Cap { kind: Kind::Log, rights: Rights::ALL, object: 0, badge: 0 });
        slot.clear();
        assert!(!slot.is_free());
    }
}
