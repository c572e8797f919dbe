//! Kernel objects of one kind: slots named by index and generation, of which some are free.
//!
//! What must always hold: a generation is odd while its object lives; it changes when the object is made and when it ends, so a stale id is
//! refused and never names another object. Making and ending happen under the registry's lock, whose token says so.

use crate::region::Region;
use crate::registry::Token;
use crate::threads::Link;
use core::sync::atomic::{AtomicU32, Ordering};
use sal_abi::Error;
use sal_kernel_mem::Id;

/// What every object's slot has.
#[derive(Debug, Default)]
pub struct Head {
    generation: AtomicU32,
    /// Capabilities that name it.
    pub(crate) refs: AtomicU32,
    /// Next in a list of slots: the free ones, or one of the kind's own.
    pub(crate) link: Link,
}

impl Head {
    /// Which use of the slot this is.
    #[inline(always)]
    pub fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    /// A copy, for the host's tests.
    #[cfg(not(target_os = "none"))]
    pub(crate) fn duplicate(&self) -> Head {
        let copy = crate::emulated::copy_u32;
        Head { generation: copy(&self.generation), refs: copy(&self.refs), link: self.link.duplicate() }
    }
}

/// A slot with a head.
pub trait Object {
    /// It.
    fn head(&self) -> &Head;
}

/// All objects of a kind.
pub struct Objects<S> {
    region: Region<S>,
    /// First free slot.
    free: Link,
    /// Slots from this one on were never used.
    fresh: AtomicU32,
}

impl<S: Object> Objects<S> {
    /// Over a region of free slots.
    pub fn new(region: Region<S>) -> Self {
        Objects { region, free: Link::default(), fresh: AtomicU32::new(0) }
    }

    /// Slots there are.
    pub fn count(&self) -> u32 {
        self.region.count()
    }

    /// A copy, for the host's tests.
    #[cfg(not(target_os = "none"))]
    pub(crate) fn duplicate(&self, copy: impl FnMut(&S) -> S) -> Self {
        use crate::emulated::copy_u32;
        Objects { region: self.region.duplicate(copy), free: self.free.duplicate(), fresh: copy_u32(&self.fresh) }
    }

    /// Slot `index`, whatever object it is now.
    #[inline(always)]
    pub fn slot(&self, index: u32) -> Option<&S> {
        self.region.get(index)
    }

    /// The object of that name.
    #[inline(always)]
    pub fn get(&self, id: Id<S>) -> Option<&S> {
        self.slot(id.index()).filter(|slot| slot.head().generation() == id.generation())
    }

    /// Makes a free slot a new object.
    ///
    /// # Errors
    /// `NoBudget`: none is left.
    pub(crate) fn make(&self, _: &mut Token) -> Result<(Id<S>, &S), Error> {
        let mut index = self.free.load(Ordering::Relaxed);
        match self.slot(index) {
            Some(slot) => self.free.store(slot.head().link.load(Ordering::Relaxed), Ordering::Relaxed),
            None => index = self.fresh.load(Ordering::Relaxed),
        }
        let slot = self.slot(index).ok_or(Error::NoBudget)?;
        self.fresh.fetch_max(index + 1, Ordering::Relaxed);
        let generation = slot.head().generation.fetch_add(1, Ordering::AcqRel) + 1;
        Ok((Id::new(generation, index), slot))
    }

    /// Ends the object in a slot: its ids are stale from now on.
    pub(crate) fn end(&self, _: &mut Token, index: u32) {
        let Some(slot) = self.slot(index) else { return };
        slot.head().generation.fetch_add(1, Ordering::AcqRel);
        slot.head().link.store(self.free.swap(index, Ordering::Relaxed), Ordering::Relaxed);
    }
}
