//! Free slots of a region, as a list through the slots themselves. Everything here happens under the registry's lock.

use crate::region::Region;
use crate::threads::NONE;
use core::sync::atomic::{AtomicU32, Ordering};

/// A slot that can stand in a free list.
pub trait Link {
    /// The next free slot's index.
    fn link(&self) -> &AtomicU32;
}

/// A free list.
#[derive(Clone, Debug)]
pub struct Free {
    head: u32,
    /// Slots handed out so far that were never freed come after this index.
    fresh: u32,
}

impl Default for Free {
    fn default() -> Self {
        Free { head: NONE, fresh: 0 }
    }
}

impl Free {
    /// Takes a free slot; `None` if the region has to grow first.
    pub fn take<S: Link>(&mut self, region: &Region<S>) -> Option<u32> {
        if let Some(slot) = region.get(self.head) {
            let index = self.head;
            self.head = slot.link().load(Ordering::Relaxed);
            return Some(index);
        }
        if self.fresh < region.len() {
            self.fresh += 1;
            return Some(self.fresh - 1);
        }
        None
    }

    /// Gives a slot back.
    pub fn give<S: Link>(&mut self, region: &Region<S>, index: u32) {
        if let Some(slot) = region.get(index) {
            slot.link().store(self.head, Ordering::Relaxed);
            self.head = index;
        }
    }
}
