//! Reply objects: a place for a caller whose answer comes later, from any thread of the server.

use crate::cell::Cell;
use crate::id::Id;
use crate::region::Region;
use crate::threads::NONE;
use core::sync::atomic::{AtomicU32, Ordering};

/// A Reply object's slot.
#[derive(Debug, Default)]
pub struct Slot {
    pub(crate) generation: AtomicU32,
    /// Capabilities that name it.
    pub(crate) refs: AtomicU32,
    link: AtomicU32,
    /// Who waits.
    pub(crate) cell: Cell,
    /// The endpoint that the caller called, to lend its servers priority.
    pub(crate) endpoint: AtomicU32,
}

impl crate::free::Link for Slot {
    fn link(&self) -> &AtomicU32 {
        &self.link
    }
}

/// Marks ids of Reply objects.
#[derive(Debug)]
pub struct Reply;

/// All Reply objects.
pub struct Replies {
    region: Region<Slot>,
}

impl Replies {
    /// Over a region of free slots.
    pub fn new(region: Region<Slot>) -> Self {
        Replies { region }
    }

    /// The region, to grow it.
    pub fn region(&self) -> &Region<Slot> {
        &self.region
    }

    /// A copy, for the host's tests.
    #[cfg(not(target_os = "none"))]
    pub(crate) fn duplicate(&self) -> Self {
        use crate::emulated::copy_u32;
        let region = self.region.duplicate(|s| Slot {
            generation: copy_u32(&s.generation),
            refs: copy_u32(&s.refs),
            link: copy_u32(&s.link),
            cell: s.cell.duplicate(),
            endpoint: copy_u32(&s.endpoint),
        });
        Replies { region }
    }

    /// The object of that name.
    #[inline(always)]
    pub fn get(&self, id: Id<Reply>) -> Option<&Slot> {
        let slot = self.region.get(id.index())?;
        (slot.generation.load(Ordering::Acquire) == id.generation()).then_some(slot)
    }

    /// Slot `index`, whatever object it is now.
    pub fn slot(&self, index: u32) -> Option<&Slot> {
        self.region.get(index)
    }

    /// Opens slot `index` as a new, empty object.
    pub(crate) fn open(&self, index: u32) -> Option<Id<Reply>> {
        let slot = self.region.get(index)?;
        slot.endpoint.store(NONE, Ordering::Relaxed);
        let generation = slot.generation.load(Ordering::Relaxed) + 1;
        slot.generation.store(generation, Ordering::Release);
        Some(Id::new(generation, index))
    }
}
