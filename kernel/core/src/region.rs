//! Where kernel objects lie: a run of slots that never move and only grow in number.
//!
//! What must always hold: the first `len` slots are initialised and stay so until the region is dropped. This file and `threads.rs`
//! are the only unsafe in the core.
#![allow(unsafe_code)]

use core::ptr::NonNull;

/// A growing array of `S` at a fixed place, shared by all CPUs.
pub struct Region<S> {
    base: NonNull<S>,
    len: u32,
    capacity: u32,
    #[cfg(not(target_os = "none"))]
    owned: bool,
}

// SAFETY: a region hands out only `&S`, to slots that stay initialised; what `S` allows across CPUs is `S`'s own affair.
unsafe impl<S: Sync + Send> Sync for Region<S> {}
// SAFETY: as above; nothing in a region belongs to one CPU.
unsafe impl<S: Sync + Send> Send for Region<S> {}

impl<S> Region<S> {
    /// A region at `base` with room for `capacity` slots, none of them there yet.
    ///
    /// # Safety
    /// 1. The `capacity` slots from `base` on are reserved for this region for ever. 2. Before `grow(n)` raises the length, the memory of
    ///    those slots is mapped, writable, and used by nobody else.
    pub const unsafe fn at(base: NonNull<S>, capacity: u32) -> Self {
        Region {
            base,
            len: 0,
            capacity,
            #[cfg(not(target_os = "none"))]
            owned: false,
        }
    }

    /// Slots there are.
    #[inline(always)]
    pub fn count(&self) -> u32 {
        self.len
    }

    /// The slot, if there is one of this index.
    #[inline(always)]
    pub fn get(&self, index: u32) -> Option<&S> {
        if index < self.len {
            // SAFETY: index < len, and the first len slots are initialised for as long as self lives.
            Some(unsafe { self.base.add(index as usize).as_ref() })
        } else {
            None
        }
    }

    /// Adds up to `count` slots made by `make`; returns how many were added. Called under the registry's lock.
    ///
    /// # Safety
    /// The memory of the new slots is mapped, writable and used by nobody (see [`Region::at`]), and no other CPU grows this region now.
    pub unsafe fn grow(&mut self, count: u32, mut make: impl FnMut() -> S) -> u32 {
        let old = self.len;
        let new = old.saturating_add(count).min(self.capacity);
        for i in old..new {
            // SAFETY: the caller's promise: this slot's memory is ours and nobody reads it before len says so.
            unsafe { self.base.add(i as usize).write(make()) };
        }
        self.len = new;
        new - old
    }

    /// A region of copies of this one's slots, on the host's heap.
    #[cfg(not(target_os = "none"))]
    pub fn duplicate(&self, mut copy: impl FnMut(&S) -> S) -> Self {
        let mut from = (0..self.count()).filter_map(|n| self.get(n));
        let mut make = || from.next().map(&mut copy);
        // `boxed` asks exactly `len` times, and there are as many.
        Self::boxed(self.count(), || make().unwrap_or_else(|| unreachable!("as many slots as were counted")))
    }

    /// A region of `count` slots on the host's heap, for tests.
    #[cfg(not(target_os = "none"))]
    pub fn boxed(count: u32, mut make: impl FnMut() -> S) -> Self {
        extern crate std;
        let slots: std::boxed::Box<[S]> = (0..count).map(|_| make()).collect();
        let base = NonNull::from(std::boxed::Box::leak(slots)).cast();
        Region { base, len: count, capacity: count, owned: true }
    }
}

#[cfg(not(target_os = "none"))]
impl<S> Drop for Region<S> {
    fn drop(&mut self) {
        extern crate std;
        if self.owned {
            let slice = core::ptr::slice_from_raw_parts_mut(self.base.as_ptr(), self.capacity as usize);
            // SAFETY: `boxed` leaked exactly this slice and all of it is initialised.
            drop(unsafe { std::boxed::Box::from_raw(slice) });
        }
    }
}
