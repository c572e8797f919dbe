//! Notifications: 64 bits that stay set until they are received.
//!
//! What must always hold: a notification with bits set is in its endpoint's pending list, or about to be put there by whoever set the first bit.

use crate::endpoint::Body;
use crate::id::Id;
use crate::region::Region;
use crate::threads::NONE;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// A notification's slot.
#[derive(Debug, Default)]
pub struct Slot {
    pub(crate) generation: AtomicU32,
    /// Capabilities that name it.
    pub(crate) refs: AtomicU32,
    link: AtomicU32,
    bits: AtomicU64,
    /// The endpoint that it is bound to, as a raw id.
    pub(crate) endpoint: AtomicU64,
    /// The badge that the receiver sees.
    pub(crate) badge: AtomicU64,
    /// Link in the pending list; under the endpoint's lock.
    next: AtomicU32,
}

impl crate::free::Link for Slot {
    fn link(&self) -> &AtomicU32 {
        &self.link
    }
}

/// Marks ids of notifications.
#[derive(Debug)]
pub struct Notification;

/// All notifications.
pub struct Notifications {
    region: Region<Slot>,
}

impl Notifications {
    /// Over a region of free slots.
    pub fn new(region: Region<Slot>) -> Self {
        Notifications { region }
    }

    /// The region, to grow it.
    pub fn region(&self) -> &Region<Slot> {
        &self.region
    }

    /// A copy, for the host's tests.
    #[cfg(not(target_os = "none"))]
    pub(crate) fn duplicate(&self) -> Self {
        use crate::emulated::{copy_u32, copy_u64};
        let region = self.region.duplicate(|s| Slot {
            generation: copy_u32(&s.generation),
            refs: copy_u32(&s.refs),
            link: copy_u32(&s.link),
            bits: copy_u64(&s.bits),
            endpoint: copy_u64(&s.endpoint),
            badge: copy_u64(&s.badge),
            next: copy_u32(&s.next),
        });
        Notifications { region }
    }

    /// The object of that name.
    #[inline(always)]
    pub fn get(&self, id: Id<Notification>) -> Option<&Slot> {
        let slot = self.region.get(id.index())?;
        (slot.generation.load(Ordering::Acquire) == id.generation()).then_some(slot)
    }

    /// Opens slot `index` as a new notification, bound to an endpoint.
    pub(crate) fn open(&self, index: u32, endpoint: u64, badge: u64) -> Option<Id<Notification>> {
        let slot = self.region.get(index)?;
        slot.bits.store(0, Ordering::Relaxed);
        slot.endpoint.store(endpoint, Ordering::Relaxed);
        slot.badge.store(badge, Ordering::Relaxed);
        slot.next.store(NONE, Ordering::Relaxed);
        let generation = slot.generation.load(Ordering::Relaxed) + 1;
        slot.generation.store(generation, Ordering::Release);
        Some(Id::new(generation, index))
    }

    /// Puts it at the end of the pending list.
    pub(crate) fn push(&self, at: &mut Body, index: u32) {
        let Some(slot) = self.region.get(index) else {
            return;
        };
        slot.next.store(NONE, Ordering::Relaxed);
        match self.region.get(at.last_notified) {
            Some(last) => last.next.store(index, Ordering::Relaxed),
            None => at.notified = index,
        }
        at.last_notified = index;
    }

    /// Takes the first pending one: its badge and its bits.
    pub(crate) fn pop(&self, at: &mut Body) -> Option<(u64, u64)> {
        loop {
            let slot = self.region.get(at.notified)?;
            at.notified = slot.next.swap(NONE, Ordering::Relaxed);
            if at.notified == NONE {
                at.last_notified = NONE;
            }
            let bits = slot.take();
            if bits != 0 {
                return Some((slot.badge.load(Ordering::Relaxed), bits));
            }
        }
    }

    /// Takes it out of the pending list: it is closed.
    pub(crate) fn unlink(&self, at: &mut Body, index: u32) {
        let mut before = NONE;
        let mut here = at.notified;
        while let Some(slot) = self.region.get(here) {
            let next = slot.next.load(Ordering::Relaxed);
            if here == index {
                match self.region.get(before) {
                    Some(b) => b.next.store(next, Ordering::Relaxed),
                    None => at.notified = next,
                }
                if at.last_notified == index {
                    at.last_notified = before;
                }
                slot.take();
                return;
            }
            before = here;
            here = next;
        }
    }
}

impl Slot {
    /// Sets bits; true if none was set before: then it has to be queued.
    #[inline(always)]
    pub(crate) fn raise(&self, bits: u64) -> bool {
        self.bits.fetch_or(bits, Ordering::AcqRel) == 0
    }

    /// The bits that are set.
    #[cfg(feature = "check")]
    pub(crate) fn bits(&self) -> u64 {
        self.bits.load(Ordering::Acquire)
    }

    /// The next pending one.
    #[cfg(feature = "check")]
    pub(crate) fn next(&self) -> u32 {
        self.next.load(Ordering::Acquire)
    }

    fn take(&self) -> u64 {
        self.bits.swap(0, Ordering::AcqRel)
    }
}
