//! Slots of plain data with generation-tagged ids.
//!
//! What must always hold: a stale id is never another object, for a slot's generation changes when it is freed, and a slot at its last
//! generation retires. Ids are plain numbers, so that the whole state can lie in any memory and be copied.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

use alloc::vec::Vec;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;

/// Slots of a piece.
const PIECE: usize = 64;

/// Names one `T` in its arena: index and generation.
pub struct Id<T> {
    index: u32,
    generation: u32,
    of: PhantomData<fn() -> T>,
}

impl<T> Id<T> {
    /// Names nothing in any arena: generations start at 1.
    pub const NONE: Self = Id::from_raw(0);

    /// Index in the low half, generation in the high half.
    #[inline(always)]
    pub const fn to_raw(self) -> u64 {
        ((self.generation as u64) << 32) | self.index as u64
    }

    /// The id that `to_raw` gave. A made-up number names nothing, or an object of this arena; never anything else.
    #[inline(always)]
    pub const fn from_raw(raw: u64) -> Self {
        Id { index: raw as u32, generation: (raw >> 32) as u32, of: PhantomData }
    }

    /// Its slot, which no other object of the arena has at the same time. Small: for tables beside the arena.
    #[inline(always)]
    pub const fn index(self) -> usize {
        self.index as usize
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
        self.index == other.index && self.generation == other.generation
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
        self.to_raw().cmp(&other.to_raw())
    }
}
impl<T> Hash for Id<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.to_raw().hash(state);
    }
}
impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}.{}", self.index, self.generation)
    }
}

/// A place for an object, and how often it was used.
#[derive(Clone, Debug)]
pub struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// A growing row of slots.
pub trait Row<S>: Default {
    /// The slot of that index.
    fn get(&self, index: usize) -> Option<&S>;

    /// The slot of that index, to change it.
    fn get_mut(&mut self, index: usize) -> Option<&mut S>;

    /// One more; its index.
    fn push(&mut self, slot: S) -> usize;

    /// All, in order.
    fn iter<'a>(&'a self) -> impl Iterator<Item = &'a S>
    where
        S: 'a;
}

impl<S> Row<S> for Vec<S> {
    #[inline(always)]
    fn get(&self, index: usize) -> Option<&S> {
        self.as_slice().get(index)
    }

    #[inline(always)]
    fn get_mut(&mut self, index: usize) -> Option<&mut S> {
        self.as_mut_slice().get_mut(index)
    }

    fn push(&mut self, slot: S) -> usize {
        Vec::push(self, slot);
        self.len() - 1
    }

    fn iter<'a>(&'a self) -> impl Iterator<Item = &'a S>
    where
        S: 'a,
    {
        self.as_slice().iter()
    }
}

/// A row in pieces of a fixed number, which never move: it grows without a second copy of itself, and a look-up takes a step more.
#[derive(Clone, Debug)]
pub struct Pieces<S>(Vec<Vec<S>>);

impl<S> Default for Pieces<S> {
    fn default() -> Self {
        Pieces(Vec::new())
    }
}

impl<S> Row<S> for Pieces<S> {
    #[inline]
    fn get(&self, index: usize) -> Option<&S> {
        self.0.get(index / PIECE)?.get(index % PIECE)
    }

    #[inline]
    fn get_mut(&mut self, index: usize) -> Option<&mut S> {
        self.0.get_mut(index / PIECE)?.get_mut(index % PIECE)
    }

    fn push(&mut self, slot: S) -> usize {
        if self.0.last().is_none_or(|piece| piece.len() == PIECE) {
            self.0.push(Vec::new());
        }
        let before = (self.0.len() - 1) * PIECE;
        self.0.last_mut().map_or(0, |piece| {
            piece.push(slot);
            before + piece.len() - 1
        })
    }

    fn iter<'a>(&'a self) -> impl Iterator<Item = &'a S>
    where
        S: 'a,
    {
        self.0.iter().flatten()
    }
}

/// A growing table of `T`, freed slots used again under a new generation.
#[derive(Clone, Debug)]
pub struct Arena<T, R = Vec<Slot<T>>> {
    slots: R,
    free: Vec<u32>,
    count: usize,
    of: PhantomData<T>,
}

/// An arena of very many: in [`Pieces`].
pub type TallArena<T> = Arena<T, Pieces<Slot<T>>>;

impl<T, R: Default> Default for Arena<T, R> {
    fn default() -> Self {
        Arena { slots: R::default(), free: Vec::new(), count: 0, of: PhantomData }
    }
}

impl<T, R: Row<Slot<T>>> Arena<T, R> {
    /// Puts `value` in and names it.
    pub fn insert(&mut self, value: T) -> Id<T> {
        self.count += 1;
        if let Some(index) = self.free.pop()
            && let Some(slot) = self.slots.get_mut(index as usize)
        {
            slot.value = Some(value);
            return Id { index, generation: slot.generation, of: PhantomData };
        }
        let index = self.slots.push(Slot { generation: 1, value: Some(value) });
        Id { index: index as u32, generation: 1, of: PhantomData }
    }

    /// Takes the object out; its id names nothing from now on.
    pub fn remove(&mut self, id: Id<T>) -> Option<T> {
        let slot = self.slots.get_mut(id.index()).filter(|s| s.generation == id.generation)?;
        let value = slot.value.take()?;
        // A slot at its last generation retires: it is never reused, so an old id can't come true again.
        if let Some(next) = slot.generation.checked_add(1) {
            slot.generation = next;
            self.free.push(id.index);
        }
        self.count -= 1;
        Some(value)
    }

    /// The object, if the id is not stale.
    #[inline(always)]
    pub fn get(&self, id: Id<T>) -> Option<&T> {
        let slot = self.slots.get(id.index())?;
        if slot.generation == id.generation { slot.value.as_ref() } else { None }
    }

    /// The object to change, if the id is not stale.
    #[inline(always)]
    pub fn get_mut(&mut self, id: Id<T>) -> Option<&mut T> {
        let slot = self.slots.get_mut(id.index())?;
        if slot.generation == id.generation { slot.value.as_mut() } else { None }
    }

    /// Every object with its id, in index order.
    pub fn iter<'a>(&'a self) -> impl Iterator<Item = (Id<T>, &'a T)>
    where
        T: 'a,
    {
        self.slots.iter().enumerate().filter_map(|(i, s)| {
            let value = s.value.as_ref()?;
            Some((Id { index: i as u32, generation: s.generation, of: PhantomData }, value))
        })
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

#[cfg(test)]
mod tests {
    use super::{Arena, Id, PIECE, Row, Slot, TallArena};
    use std::collections::BTreeMap;
    use std::vec::Vec;

    #[test]
    fn a_stale_id_is_refused() {
        let mut arena: Arena<char> = Arena::default();
        let first = arena.insert('a');
        assert_eq!(arena.remove(first), Some('a'));
        let second = arena.insert('b');
        assert_eq!((first.index(), first == second), (second.index(), false));
        assert_eq!(arena.get(first), None);
        assert_eq!(arena.get_mut(first), None);
        assert_eq!(arena.remove(first), None);
        assert_eq!((arena.get(second), arena.len()), (Some(&'b'), 1));
        assert_eq!(arena.get(Id::NONE), None);
        assert_eq!(Id::from_raw(second.to_raw()), second);
    }

    #[test]
    fn a_slot_at_its_last_generation_retires() {
        let mut arena: Arena<i32> = Arena::default();
        let id = arena.insert(1);
        arena.slots[0].generation = u32::MAX;
        let last = Id::from_raw(u64::from(u32::MAX) << 32 | id.index() as u64);
        assert_eq!(arena.remove(last), Some(1));
        assert_ne!(arena.insert(2).index(), last.index());
        assert_eq!(arena.get(last), None);
    }

    /// Against a map, over several pieces.
    #[test]
    fn like_a_map() {
        against_a_map::<Vec<_>>(Arena::default());
        against_a_map(TallArena::default());
    }

    fn against_a_map<R: Row<Slot<usize>>>(mut arena: Arena<usize, R>) {
        let mut model = BTreeMap::new();
        let (mut ids, mut seed) = (Vec::new(), 12345u64);
        for n in 0..6 * PIECE {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            if seed >> 62 == 0 && !ids.is_empty() {
                let id = ids.swap_remove(seed as usize % ids.len());
                assert_eq!(arena.remove(id), model.remove(&id));
            } else {
                let id = arena.insert(n);
                assert_eq!(model.insert(id, n), None);
                ids.push(id);
            }
            assert_eq!(arena.len(), model.len());
        }
        assert!(arena.len() > 2 * PIECE);
        let have: BTreeMap<_, _> = arena.iter().map(|(id, n)| (id, *n)).collect();
        assert_eq!(have, model);
        assert!(model.iter().all(|(id, n)| arena.get(*id) == Some(n)));
    }
}
