//! Slots of objects, named by index and generation.
//!
//! A slot whose generation is spent is not used again, so an old id never names a new object.

use crate::{Error, Frame, Frames, Ram, Use};
use core::fmt;
use core::marker::PhantomData;

/// Names an object of kind `T`: generation (never 0) and index. As a word, 0 is "none".
pub struct Id<T> {
    word: u64,
    kind: PhantomData<fn() -> T>,
}

impl<T> Id<T> {
    /// Names nothing.
    pub const NONE: Id<T> = Id { word: 0, kind: PhantomData };

    /// From its parts.
    #[inline(always)]
    pub const fn new(generation: u32, index: u32) -> Id<T> {
        Id { word: (generation as u64) << 32 | index as u64, kind: PhantomData }
    }

    /// From what [`Id::word`] gave.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Id<T> {
        Id { word, kind: PhantomData }
    }

    /// As one word, for the caller's tables.
    #[inline(always)]
    pub const fn word(self) -> u64 {
        self.word
    }

    /// Which slot.
    #[inline(always)]
    pub const fn index(self) -> u32 {
        self.word as u32
    }

    /// Which use of the slot.
    #[inline(always)]
    pub const fn generation(self) -> u32 {
        (self.word >> 32) as u32
    }

    /// Does it name nothing?
    #[inline(always)]
    pub const fn is_none(self) -> bool {
        self.word == 0
    }
}

impl<T> Clone for Id<T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Id<T> {}
impl<T> PartialEq for Id<T> {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.word == other.word
    }
}
impl<T> Eq for Id<T> {}
impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index(), self.generation())
    }
}

/// One slot: empty or in use.
#[derive(Clone, Debug)]
pub struct Slot<T> {
    generation: u32,
    /// Next free slot + 1 while empty, 0 ends the list.
    next: u32,
    /// Who names the object, besides other objects: the owner counts.
    names: u32,
    value: Option<T>,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Slot { generation: 1, next: 0, names: 0, value: None }
    }
}

/// Where slots live: on the target a region that grows by frames, in tests a vector.
pub trait Store<S> {
    /// How many slots there are.
    fn count(&self) -> u32;
    /// One slot.
    fn get(&self, index: u32) -> Option<&S>;
    /// One slot.
    fn get_mut(&mut self, index: u32) -> Option<&mut S>;
    /// Takes a zeroed frame as room for more slots; `false` if the region is at its end (the frame stays the caller's).
    fn grow(&mut self, frame: Frame) -> bool;
    /// Adds one slot in the room that there is; `false` if it is full: the owner calls [`Store::grow`] then.
    fn push(&mut self, slot: S) -> bool;
}

/// Objects of kind `T` in a store.
#[derive(Clone, Debug)]
pub struct Arena<T, S> {
    store: S,
    /// First free slot + 1, or 0.
    free: u32,
    kind: PhantomData<T>,
}

impl<T, S: Store<Slot<T>>> Arena<T, S> {
    /// An empty arena in an empty store.
    pub const fn new(store: S) -> Self {
        Arena { store, free: 0, kind: PhantomData }
    }

    /// Sees to it that the next [`Arena::insert`] finds a slot. The frames are the kernel's own, not charged.
    pub(crate) fn make_room<R: Ram>(&mut self, ram: &R, frames: &mut Frames) -> Result<(), Error> {
        if self.free != 0 {
            return Ok(());
        }
        if !self.store.push(Slot::default()) {
            let frame = frames.take(ram, Use::Kernel)?;
            ram.zero(frame);
            if !self.store.grow(frame) {
                frames.release(ram, frame);
                return Err(Error::Full);
            }
            if !self.store.push(Slot::default()) {
                return Err(Error::Full);
            }
        }
        self.free = self.store.count();
        Ok(())
    }

    fn slot(&self, id: Id<T>) -> Option<&Slot<T>> {
        self.store.get(id.index()).filter(|slot| slot.generation == id.generation())
    }

    fn slot_mut(&mut self, id: Id<T>) -> Option<&mut Slot<T>> {
        self.store.get_mut(id.index()).filter(|slot| slot.generation == id.generation())
    }

    /// The object of that name.
    pub fn get(&self, id: Id<T>) -> Option<&T> {
        self.slot(id)?.value.as_ref()
    }

    /// The object of that name.
    pub fn get_mut(&mut self, id: Id<T>) -> Option<&mut T> {
        self.slot_mut(id)?.value.as_mut()
    }

    /// Does somebody name it?
    pub(crate) fn is_named(&self, id: Id<T>) -> bool {
        self.slot(id).is_some_and(|slot| slot.names != 0)
    }

    /// Somebody more names it.
    pub(crate) fn add_name(&mut self, id: Id<T>) {
        if let Some(slot) = self.slot_mut(id) {
            slot.names += 1;
        }
    }

    /// Somebody fewer names it. -> was that the last one?
    pub(crate) fn drop_name(&mut self, id: Id<T>) -> bool {
        let Some(slot) = self.slot_mut(id) else { return false };
        slot.names = slot.names.saturating_sub(1);
        slot.names == 0
    }

    /// Puts an object in the slot that [`Arena::make_room`] has found.
    pub(crate) fn insert(&mut self, value: T) -> Result<Id<T>, Error> {
        let index = self.free.checked_sub(1).ok_or(Error::Full)?;
        let slot = self.store.get_mut(index).ok_or(Error::Full)?;
        self.free = slot.next;
        (slot.names, slot.value) = (0, Some(value));
        Ok(Id::new(slot.generation, index))
    }

    /// Takes an object out; its id is stale from now on.
    pub(crate) fn remove(&mut self, id: Id<T>) -> Option<T> {
        let free = self.free;
        let slot = self.slot_mut(id)?;
        let value = slot.value.take()?;
        // At its last generation a slot retires.
        if let Some(next) = slot.generation.checked_add(1) {
            (slot.generation, slot.next) = (next, free);
            self.free = id.index() + 1;
        }
        Some(value)
    }

    /// The ids in use, for checks.
    #[cfg(any(test, feature = "emulated"))]
    pub(crate) fn ids(&self) -> std::vec::Vec<Id<T>> {
        (0..self.store.count())
            .filter_map(|i| {
                let slot = self.store.get(i)?;
                slot.value.as_ref().map(|_| Id::new(slot.generation, i))
            })
            .collect()
    }
}
