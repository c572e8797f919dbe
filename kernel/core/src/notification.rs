//! Notifications: 64 bits that stay set until they are received.
//!
//! What must always hold: a notification with bits set is in its endpoint's pending list, or about to be put there by whoever set the first bit.

use crate::endpoint::Body;
use crate::objects::{Head, Object, Objects};
use crate::threads::{Link, NONE};
use core::sync::atomic::{AtomicU64, Ordering};

/// A notification's slot.
#[derive(Debug, Default)]
pub struct Slot {
    head: Head,
    bits: AtomicU64,
    /// The endpoint that it is bound to, as a raw id.
    pub(crate) endpoint: AtomicU64,
    /// The badge that the receiver sees.
    pub(crate) badge: AtomicU64,
    /// Link in the pending list; under the endpoint's lock.
    next: Link,
}

impl Object for Slot {
    fn head(&self) -> &Head {
        &self.head
    }
}

impl Objects<Slot> {
    /// Puts it at the end of the pending list.
    pub(crate) fn push(&self, at: &mut Body, index: u32) {
        let Some(slot) = self.slot(index) else { return };
        slot.next.store(NONE, Ordering::Relaxed);
        match self.slot(at.last_notified) {
            Some(last) => last.next.store(index, Ordering::Relaxed),
            None => at.notified = index,
        }
        at.last_notified = index;
    }

    /// Takes the first pending one: its badge and its bits.
    pub(crate) fn pop(&self, at: &mut Body) -> Option<(u64, u64)> {
        loop {
            let slot = self.slot(at.notified)?;
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
        let (mut before, mut here) = (NONE, at.notified);
        while here != index {
            let Some(slot) = self.slot(here) else { return };
            (before, here) = (here, slot.next.load(Ordering::Relaxed));
        }
        let Some(slot) = self.slot(index) else { return };
        let next = slot.next.load(Ordering::Relaxed);
        match self.slot(before) {
            Some(b) => b.next.store(next, Ordering::Relaxed),
            None => at.notified = next,
        }
        if at.last_notified == index {
            at.last_notified = before;
        }
        slot.take();
    }
}

impl Slot {
    /// Binds a new one to an endpoint.
    pub(crate) fn open(&self, endpoint: u64, badge: u64) {
        self.bits.store(0, Ordering::Relaxed);
        self.endpoint.store(endpoint, Ordering::Relaxed);
        self.badge.store(badge, Ordering::Relaxed);
    }

    /// A copy, for the host's tests.
    #[cfg(not(target_os = "none"))]
    pub(crate) fn duplicate(&self) -> Slot {
        use crate::emulated::copy_u64;
        Slot {
            head: self.head.duplicate(),
            bits: copy_u64(&self.bits),
            endpoint: copy_u64(&self.endpoint),
            badge: copy_u64(&self.badge),
            next: self.next.duplicate(),
        }
    }

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
