//! Futex queues. futex(2). Must hold: a task is in at most one queue, the one that its `futex` names.

use crate::platform::{ObjectId, Platform};
use crate::task::{MmId, Task, TaskId};
use crate::wait::wake_task;
use alloc::collections::{BTreeMap, VecDeque};
use sal_arena::Arena;

/// Which word.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum FutexKey {
    /// In an address space.
    Private(MmId, u64),
    /// In an object, by byte offset.
    Shared(ObjectId, u64),
}

#[derive(Clone, Copy, Debug)]
struct Waiter {
    task: TaskId,
    bits: u32,
}

/// All queues, first come first served.
#[derive(Default)]
pub(crate) struct Futexes {
    queues: BTreeMap<FutexKey, VecDeque<Waiter>>,
}

impl Futexes {
    /// Queues a task.
    pub(crate) fn enter(&mut self, id: TaskId, task: &mut Task, key: FutexKey, bits: u32) {
        task.futex = Some(key);
        self.queues.entry(key).or_default().push_back(Waiter { task: id, bits });
    }

    /// Takes a task out; false: it was woken before.
    pub(crate) fn leave(&mut self, id: TaskId, task: &mut Task) -> bool {
        let Some(key) = task.futex.take() else {
            return false;
        };
        if let Some(queue) = self.queues.get_mut(&key) {
            queue.retain(|w| w.task != id);
            if queue.is_empty() {
                self.queues.remove(&key);
            }
        }
        true
    }

    /// Wakes up to `count` that wait with one of `bits`; how many.
    pub(crate) fn wake(
        &mut self,
        key: FutexKey,
        count: u64,
        bits: u32,
        tasks: &mut Arena<Task>,
        platform: &mut dyn Platform,
    ) -> u64 {
        let Some(queue) = self.queues.get_mut(&key) else {
            return 0;
        };
        let mut woken = 0;
        let mut at = 0;
        while woken < count
            && let Some(waiter) = queue.get(at).copied()
        {
            if waiter.bits & bits == 0 {
                at += 1;
                continue;
            }
            queue.remove(at);
            woken += 1;
            if let Some(task) = tasks.get_mut(waiter.task) {
                task.futex = None;
            }
            wake_task(waiter.task, tasks, platform);
        }
        if queue.is_empty() {
            self.queues.remove(&key);
        }
        woken
    }

    /// Moves up to `count` to another queue; how many.
    pub(crate) fn requeue(&mut self, from: FutexKey, to: FutexKey, count: u64, tasks: &mut Arena<Task>) -> u64 {
        if from == to {
            return 0;
        }
        let mut moved = 0;
        while moved < count
            && let Some(waiter) = self.queues.get_mut(&from).and_then(VecDeque::pop_front)
        {
            if let Some(task) = tasks.get_mut(waiter.task) {
                task.futex = Some(to);
            }
            self.queues.entry(to).or_default().push_back(waiter);
            moved += 1;
        }
        if self.queues.get(&from).is_some_and(VecDeque::is_empty) {
            self.queues.remove(&from);
        }
        moved
    }
}
