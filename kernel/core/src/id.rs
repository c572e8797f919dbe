//! Typed names of kernel objects: index and generation. A stale id is refused, never another object.

use core::fmt;
use core::marker::PhantomData;

/// Names one object of type `T`.
pub struct Id<T> {
    raw: u64,
    of: PhantomData<fn() -> T>,
}

impl<T> Id<T> {
    /// From its parts.
    #[inline(always)]
    pub const fn new(generation: u32, index: u32) -> Self {
        Id { raw: (generation as u64) << 32 | index as u64, of: PhantomData }
    }

    /// From [`Id::raw`].
    #[inline(always)]
    pub const fn from_raw(raw: u64) -> Self {
        Id { raw, of: PhantomData }
    }

    /// As one word, for a capability slot.
    #[inline(always)]
    pub const fn raw(self) -> u64 {
        self.raw
    }

    /// Which slot.
    #[inline(always)]
    pub const fn index(self) -> u32 {
        self.raw as u32
    }

    /// Which use of the slot.
    #[inline(always)]
    pub const fn generation(self) -> u32 {
        (self.raw >> 32) as u32
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
        self.raw == other.raw
    }
}
impl<T> Eq for Id<T> {}
impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}.{}", self.index(), self.generation())
    }
}
