//! Room for the kernel's objects: a range of kernel addresses that grows by frames, so that an object never moves.
//!
//! The page tables of a region are made when it is reserved (one frame per 2 MiB and a few more), so growing takes exactly the frame
//! that is given.
#![allow(unsafe_code)]

use crate::layout::{ARENA_ROOTS, ARENAS, PAGE};
use crate::paging::{self, Format, MapError, TableMemory};
use crate::physmap::Carver;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicU64, Ordering};
use sal_kernel_mem::{Frame, Leaf, PageFormat, Store, Who};

/// Bytes from one region's start to the next's.
const STRIDE: u64 = 1 << 32;
/// Regions that there can be.
const REGIONS: u64 = (ARENA_ROOTS as u64) << 39 >> 32;

/// Regions given out.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Slots in a region of their own.
#[derive(Debug)]
pub struct Region<S> {
    base: u64,
    /// Pages that may ever be mapped, and that are.
    reserved: u64,
    mapped: u64,
    length: u32,
    root: u64,
    slots: PhantomData<S>,
}

impl<S> Region<S> {
    const PER_PAGE: u64 = PAGE / size_of::<S>() as u64;

    /// Sets addresses aside for at least `bytes` of slots.
    ///
    /// # Errors
    /// `MapError` if there is no frame for a table, or no address.
    pub fn reserve(tables: &mut impl TableMemory, root: u64, bytes: u64) -> Result<Region<S>, MapError> {
        const { assert!(size_of::<S>() as u64 <= PAGE && align_of::<S>() as u64 <= PAGE) };
        let index = NEXT.fetch_add(1, Ordering::Relaxed);
        let reserved = bytes.div_ceil(PAGE);
        if index >= REGIONS || bytes > STRIDE {
            return Err(MapError::Occupied);
        }
        let base = ARENAS + index * STRIDE;
        for start in (0..reserved * PAGE).step_by(paging::reach(1) as usize) {
            paging::descend(tables, root, base + start, 0, Who::Kernel)?;
        }
        Ok(Region { base, reserved, mapped: 0, length: 0, root, slots: PhantomData })
    }

    /// Where a slot is. A page holds whole slots: none crosses into the next.
    fn place(&self, index: u32) -> *mut S {
        let (page, within) = (u64::from(index) / Self::PER_PAGE, u64::from(index) % Self::PER_PAGE);
        (self.base + page * PAGE + within * size_of::<S>() as u64) as *mut S
    }

    /// Writes the entry for the next page, in a table that is there.
    fn map_next(&mut self, frame: Frame) -> Result<(), MapError> {
        let mut tables = Carver::empty();
        let slot = paging::descend(&mut tables, self.root, self.base + self.mapped * PAGE, 0, Who::Kernel)?;
        tables.write(slot, Format::leaf(Leaf { frame, ..paging::DATA }));
        self.mapped += 1;
        Ok(())
    }
}

impl<S> Store<S> for Region<S> {
    #[inline(always)]
    fn count(&self) -> u32 {
        self.length
    }

    #[inline(always)]
    fn get(&self, index: u32) -> Option<&S> {
        // SAFETY: slots below `length` are mapped and written; the region is this value's alone.
        (index < self.length).then(|| unsafe { &*self.place(index) })
    }

    #[inline(always)]
    fn get_mut(&mut self, index: u32) -> Option<&mut S> {
        // SAFETY: as for `get`, and `self` is borrowed alone.
        (index < self.length).then(|| unsafe { &mut *self.place(index) })
    }

    fn grow(&mut self, frame: Frame) -> bool {
        self.mapped < self.reserved && self.map_next(frame).is_ok()
    }

    fn push(&mut self, slot: S) -> bool {
        if u64::from(self.length) >= self.mapped * Self::PER_PAGE || self.length == u32::MAX {
            return false;
        }
        // SAFETY: the slot's page is mapped, and no slot is there yet.
        unsafe { self.place(self.length).write(slot) };
        self.length += 1;
        true
    }
}
