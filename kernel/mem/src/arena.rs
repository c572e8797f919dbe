//! Slots of objects, named by index and generation.
//!
//! A slot whose generation is spent is not used again, so an old id never names a new object.

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
    value: Option<T>,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Slot { generation: 1, next: 0, value: None }
    }
}

/// Where slots live: on the target a region that grows by frames, in tests a vector.
pub trait Store<S> {
    /// How many slots there are.
    fn len(&self) -> u32;
    /// Are there none?
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// One slot.
    fn get(&self, index: u32) -> Option<&S>;
    /// One slot.
    fn get_mut(&mut self, index: u32) -> Option<&mut S>;
    /// Does another slot need a frame first? Then the owner calls [`Store::grow`].
    fn is_full(&self) -> bool;
    /// Takes a zeroed frame as room for more slots; `false` if the region is at its end (the frame stays the caller's).
    fn grow(&mut self, frame: crate::Frame) -> bool;
    /// Adds one slot in the room that there is; `false` if it is full.
    fn push(&mut self, slot: S) -> bool;
}

/// Objects of kind `T` in a store.
#[derive(Clone, Debug)]
pub struct Arena<T, S> {
    store: S,
    free: u32,
    live: u32,
    kind: PhantomData<T>,
}

impl<T, S: Store<Slot<T>>> Arena<T, S> {
    /// An empty arena in an empty store.
    pub const fn new(store: S) -> Self {
        Arena { store, free: 0, live: 0, kind: PhantomData }
    }

    /// Objects in use.
    pub fn live(&self) -> u32 {
        self.live
    }

    /// Would the next [`Arena::insert`] need a frame?
    pub(crate) fn needs_frame(&self) -> bool {
        self.free == 0 && self.store.is_full()
    }

    /// Gives the store a frame.
    pub(crate) fn grow(&mut self, frame: crate::Frame) -> bool {
        self.store.grow(frame)
    }

    /// The object of that name.
    #[inline]
    pub fn get(&self, id: Id<T>) -> Option<&T> {
        match self.store.get(id.index()) {
            Some(slot) if slot.generation == id.generation() => slot.value.as_ref(),
            _ => None,
        }
    }

    /// The object of that name.
    #[inline]
    pub fn get_mut(&mut self, id: Id<T>) -> Option<&mut T> {
        match self.store.get_mut(id.index()) {
            Some(slot) if slot.generation == id.generation() => slot.value.as_mut(),
            _ => None,
        }
    }

    /// Puts an object in a slot; `None` when there is none.
    pub(crate) fn insert(&mut self, value: T) -> Option<Id<T>> {
        let index = if self.free != 0 {
            self.free - 1
        } else {
            let index = self.store.len();
            if !self.store.push(Slot::default()) {
                return None;
            }
            index
        };
        let slot = self.store.get_mut(index)?;
        if self.free != 0 {
            self.free = slot.next;
        }
        slot.value = Some(value);
        self.live += 1;
        Some(Id::new(slot.generation, index))
    }

    /// Takes an object out; its id is stale from now on.
    pub(crate) fn remove(&mut self, id: Id<T>) -> Option<T> {
        let free = self.free;
        let slot = self.store.get_mut(id.index())?;
        if slot.generation != id.generation() {
            return None;
        }
        let value = slot.value.take()?;
        self.live -= 1;
        // At its last generation a slot retires.
        if let Some(next) = slot.generation.checked_add(1) {
            slot.generation = next;
            slot.next = free;
            self.free = id.index() + 1;
        }
        Some(value)
    }

    /// The ids in use, for checks.
    #[cfg(any(test, feature = "emulated"))]
    pub(crate) fn ids(&self) -> std::vec::Vec<Id<T>> {
        (0..self.store.len())
            .filter_map(|i| {
                let slot = self.store.get(i)?;
                slot.value.as_ref().map(|_| Id::new(slot.generation, i))
            })
            .collect()
    }
}
