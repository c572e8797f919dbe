//! Wait queues: who waits for what, and whom an operation woke.
//!
//! A waiter is an opaque task number. An operation that makes something ready moves the waiters that care to the list
//! of the woken, which the caller drains after each step. A woken task is out of that queue and makes its call again:
//! being woken is a hint, never a promise.

use alloc::vec::Vec;
use sal_arena::{Arena, Id};

bitflags::bitflags! {
    /// Readiness, as poll(2) numbers it.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
    pub struct Events: u32 {
        /// Something to read, or end of file.
        const IN = 0x1;
        /// Urgent data.
        const PRI = 0x2;
        /// Room to write.
        const OUT = 0x4;
        /// Error: a pipe without readers. Always reported.
        const ERR = 0x8;
        /// Hang up: a pipe without writers. Always reported.
        const HUP = 0x10;
        /// Not an open descriptor. Always reported.
        const NVAL = 0x20;
        /// As `IN`.
        const RDNORM = 0x40;
        /// As `OUT`.
        const WRNORM = 0x100;
        /// The peer won't write any more.
        const RDHUP = 0x2000;
        /// A lock was let go (only inside).
        const LOCK = 0x8000_0000;
    }
}

/// An opaque number that the caller gives his tasks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct TaskId(pub u64);

/// Tasks that wait at one object.
#[derive(Clone, Debug, Default)]
pub struct WaitQueue {
    waiters: Vec<(TaskId, Events)>,
}

/// Names a wait queue.
pub type QueueId = Id<WaitQueue>;

/// What a blocked call waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WaitOn {
    /// Where.
    pub queue: QueueId,
    /// For which events; errors and hang-ups wake everyone.
    pub events: Events,
}

/// All wait queues, and the tasks that were woken since the last drain.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waits {
    queues: Arena<WaitQueue>,
    woken: Vec<TaskId>,
}

impl Waits {
    /// A new, empty queue.
    pub(crate) fn create(&mut self) -> QueueId {
        self.queues.insert(WaitQueue::default())
    }

    /// The object is gone: everyone who waits at it is woken.
    pub(crate) fn destroy(&mut self, queue: QueueId) {
        if let Some(gone) = self.queues.remove(queue) {
            self.woken.extend(gone.waiters.iter().map(|w| w.0));
        }
    }

    /// Wakes those at `queue` who wait for one of `events`.
    #[inline]
    pub(crate) fn wake(&mut self, queue: QueueId, events: Events) {
        let Some(queue) = self.queues.get_mut(queue) else {
            return;
        };
        if queue.waiters.is_empty() {
            return;
        }
        // poll(2)'s two names for the same thing.
        let mut events = events;
        if events.contains(Events::IN) {
            events |= Events::RDNORM;
        }
        if events.contains(Events::OUT) {
            events |= Events::WRNORM;
        }
        let woken = &mut self.woken;
        queue.waiters.retain(|&(task, wants)| {
            let wakes = events.intersects(wants | Events::ERR | Events::HUP);
            if wakes {
                woken.push(task);
            }
            !wakes
        });
    }

    /// Queues `task`. False: the queue is gone, so the task must make its call again at once.
    pub(crate) fn wait(&mut self, on: WaitOn, task: TaskId) -> bool {
        let Some(queue) = self.queues.get_mut(on.queue) else {
            return false;
        };
        match queue.waiters.iter_mut().find(|w| w.0 == task) {
            Some(there) => there.1 |= on.events,
            None => queue.waiters.push((task, on.events)),
        }
        true
    }

    /// Takes `task` out of `queue` (woken elsewhere, signal, deadline, death).
    pub(crate) fn unwait(&mut self, queue: QueueId, task: TaskId) {
        if let Some(queue) = self.queues.get_mut(queue) {
            queue.waiters.retain(|w| w.0 != task);
        }
    }

    /// Whether there is someone to wake.
    pub(crate) fn any_woken(&self) -> bool {
        !self.woken.is_empty()
    }

    /// The tasks woken since the last call; each may come more than once.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = TaskId> + '_ {
        self.woken.drain(..)
    }
}
