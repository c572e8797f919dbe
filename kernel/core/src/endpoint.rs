//! Endpoints: where callers and receivers meet.
//!
//! What must always hold: callers wait only while nobody receives; callers are ordered by priority, first come first within one;
//! pending notifications go before callers; everything here is behind the endpoint's lock.

use crate::hw::Frame;
use crate::location::Location;
use crate::objects::{Head, Object, Objects};
use crate::threads::{NONE, Threads, Won};
use sal_kernel_mem::Id;
use spin::{Mutex, MutexGuard};

/// Serving threads that an endpoint remembers, to lend them its callers' priority.
pub const SERVERS: usize = 8;

/// What the lock of an endpoint guards.
#[derive(Clone, Debug)]
pub struct Body {
    index: u32,
    callers: u32,
    last_caller: u32,
    receivers: u32,
    /// First pending notification (an index), or `NONE`.
    pub(crate) notified: u32,
    /// Last pending notification.
    pub(crate) last_notified: u32,
    /// 0, or the code with which calls fail.
    pub(crate) failed: u64,
    /// Threads that last received here.
    pub(crate) servers: [u32; SERVERS],
}

impl Body {
    /// Which endpoint this is.
    #[inline(always)]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The last waiting caller.
    #[cfg(feature = "check")]
    pub(crate) fn last_caller(&self) -> u32 {
        self.last_caller
    }

    /// The first waiting caller.
    #[inline(always)]
    pub fn first_caller(&self) -> Option<u32> {
        (self.callers != NONE).then_some(self.callers)
    }

    /// The first idle receiver.
    #[inline(always)]
    pub fn first_receiver(&self) -> Option<u32> {
        (self.receivers != NONE).then_some(self.receivers)
    }

    /// Takes an idle receiver.
    #[inline(always)]
    pub fn pop_receiver<F: Frame>(&mut self, threads: &Threads<F>) -> Option<Won> {
        let index = self.first_receiver()?;
        self.receivers = threads.waiting(self, index)?.next;
        if let Some(t) = threads.waiting(self, self.receivers) {
            t.prev = NONE;
        }
        Some(Won::taken(index))
    }

    /// Takes the receiver that is alone on the stack: its `next` says so.
    #[inline(always)]
    pub(crate) fn take_only_receiver(&mut self, index: u32) -> Won {
        self.receivers = NONE;
        Won::taken(index)
    }

    /// Puts a receiver, unlinked and located here already, on the empty stack.
    #[inline(always)]
    pub(crate) fn put_only_receiver(&mut self, index: u32) {
        self.receivers = index;
    }

    /// Puts a receiver on the stack. The thread's location already says so.
    #[inline(always)]
    pub fn push_receiver<F: Frame>(&mut self, threads: &Threads<F>, index: u32) {
        let head = self.receivers;
        if head != NONE
            && let Some(t) = threads.waiting(self, head)
        {
            t.prev = index;
        }
        if let Some(t) = threads.waiting(self, index) {
            t.next = head;
            t.prev = NONE;
        }
        self.receivers = index;
    }

    /// Queues a caller by its priority, from the back: equal priorities cost one step.
    pub fn push_caller<F: Frame>(&mut self, threads: &Threads<F>, index: u32) {
        let Some(priority) = threads.waiting(self, index).map(|t| t.priority) else { return };
        let mut before = self.last_caller;
        while before != NONE {
            match threads.waiting(self, before) {
                Some(t) if t.priority < priority => before = t.prev,
                _ => break,
            }
        }
        let after = match threads.waiting(self, before) {
            Some(t) => core::mem::replace(&mut t.next, index),
            None => core::mem::replace(&mut self.callers, index),
        };
        match threads.waiting(self, after) {
            Some(t) => t.prev = index,
            None => self.last_caller = index,
        }
        if let Some(t) = threads.waiting(self, index) {
            t.prev = before;
            t.next = after;
        }
    }

    /// Takes the first caller.
    pub fn pop_caller<F: Frame>(&mut self, threads: &Threads<F>) -> Option<Won> {
        let index = self.first_caller()?;
        self.remove(threads, index)
    }

    /// Takes a caller or receiver out of its queue, wherever in it it stands.
    pub fn remove<F: Frame>(&mut self, threads: &Threads<F>, index: u32) -> Option<Won> {
        let at = threads.slot(index)?.location().at();
        let t = threads.waiting(self, index)?;
        let (prev, next) = (t.prev, t.next);
        t.unlink();
        match threads.waiting(self, prev) {
            Some(p) => p.next = next,
            None if matches!(at, Location::Queued(_)) => self.callers = next,
            None => self.receivers = next,
        }
        match threads.waiting(self, next) {
            Some(n) => n.prev = prev,
            None if matches!(at, Location::Queued(_)) => self.last_caller = prev,
            None => {}
        }
        Some(Won::taken(index))
    }

    /// Callers that wait, and when the oldest of them called.
    pub fn queued<F: Frame>(&mut self, threads: &Threads<F>) -> (u64, Option<u64>) {
        let (mut count, mut oldest, mut here) = (0, None, self.callers);
        while let Some(t) = threads.waiting(self, here) {
            count += 1;
            oldest = Some(oldest.map_or(t.called_at, |o: u64| o.min(t.called_at)));
            here = t.next;
        }
        (count, oldest)
    }

    /// Remembers that a thread receives here.
    pub fn add_server(&mut self, index: u32) {
        if self.servers.contains(&index) {
            return;
        }
        if let Some(place) = self.servers.iter_mut().find(|s| **s == NONE) {
            *place = index;
        }
    }

    /// Forgets a thread.
    pub fn remove_server(&mut self, index: u32) {
        for place in self.servers.iter_mut().filter(|s| **s == index) {
            *place = NONE;
        }
    }
}

/// An endpoint's slot.
#[derive(Debug)]
pub struct Slot {
    /// Its generation changes under the body's lock only.
    head: Head,
    body: Mutex<Body>,
}

impl Object for Slot {
    fn head(&self) -> &Head {
        &self.head
    }
}

impl Slot {
    /// The free slot number `index`.
    pub fn free(index: u32) -> Slot {
        let body = Body {
            index,
            callers: NONE,
            last_caller: NONE,
            receivers: NONE,
            notified: NONE,
            last_notified: NONE,
            failed: 0,
            servers: [NONE; SERVERS],
        };
        Slot { head: Head::default(), body: Mutex::new(body) }
    }

    /// A copy, for the host's tests.
    #[cfg(not(target_os = "none"))]
    pub(crate) fn duplicate(&self) -> Slot {
        Slot { head: self.head.duplicate(), body: Mutex::new(self.body.lock().clone()) }
    }
}

impl Objects<Slot> {
    /// Locks the endpoint of that name, if it still is that one.
    #[inline(always)]
    pub fn lock(&self, id: Id<Slot>) -> Option<MutexGuard<'_, Body>> {
        let slot = self.slot(id.index())?;
        let body = slot.body.lock();
        (slot.head.generation() == id.generation()).then_some(body)
    }

    /// Locks slot `index`.
    #[inline(always)]
    pub fn lock_index(&self, index: u32) -> Option<MutexGuard<'_, Body>> {
        Some(self.slot(index)?.body.lock())
    }
}
