//! An index-based arena: plain data in slots, freed slots reused. Must hold: a slot on the free list is empty.

use alloc::vec::Vec;
use core::marker::PhantomData;

/// An index of an [`Arena`] of `T`.
pub struct Id<T>(u32, PhantomData<fn() -> T>);

impl<T> Id<T> {
    /// From its number, as the shell got it.
    #[inline(always)]
    pub const fn new(index: u32) -> Self {
        Id(index, PhantomData)
    }

    /// The number; the smallest free one is not promised.
    #[inline(always)]
    pub const fn index(self) -> u32 {
        self.0
    }
}

impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Id<T> {}
impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<T> Eq for Id<T> {}
impl<T> PartialOrd for Id<T> {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Id<T> {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
impl<T> core::fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// Slots of `T`.
pub(crate) struct Arena<T> {
    slots: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Arena { slots: Vec::new(), free: Vec::new() }
    }
}

impl<T> Arena<T> {
    /// Puts `value` in a free slot.
    pub(crate) fn insert(&mut self, value: T) -> Id<T> {
        if let Some(index) = self.free.pop()
            && let Some(slot) = self.slots.get_mut(index as usize)
        {
            *slot = Some(value);
            return Id::new(index);
        }
        self.slots.push(Some(value));
        Id::new(self.slots.len() as u32 - 1)
    }

    /// Empties a slot.
    pub(crate) fn remove(&mut self, id: Id<T>) -> Option<T> {
        let value = self.slots.get_mut(id.0 as usize)?.take()?;
        self.free.push(id.0);
        Some(value)
    }

    /// Looks at a slot.
    #[inline(always)]
    pub(crate) fn get(&self, id: Id<T>) -> Option<&T> {
        self.slots.get(id.0 as usize)?.as_ref()
    }

    /// Looks at a slot, to change it.
    #[inline(always)]
    pub(crate) fn get_mut(&mut self, id: Id<T>) -> Option<&mut T> {
        self.slots.get_mut(id.0 as usize)?.as_mut()
    }

    /// All that are there, by index.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Id<T>, &T)> {
        self.slots.iter().enumerate().filter_map(|(i, s)| s.as_ref().map(|v| (Id::new(i as u32), v)))
    }

    /// How many are there.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}
