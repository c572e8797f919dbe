//! Who waits for what. Must hold: a task is in the queue of each key in its `queued`, and in no other.

use crate::platform::Platform;
use crate::task::{GroupId, State, Task, TaskId};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use sal_arena::Arena;

/// A condition that tasks wait for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum WaitKey {
    /// A child of the process ended, stopped or went on.
    Children(GroupId),
    /// The last other thread of the process is gone (exec).
    Alone(GroupId),
    /// The `vfork` child has its own memory, or is gone.
    Vfork(TaskId),
    /// The terminal's readiness changed.
    Tty(u32),
}

/// The queues.
#[derive(Default)]
pub(crate) struct WaitQueues {
    queues: BTreeMap<WaitKey, Vec<TaskId>>,
}

impl WaitQueues {
    /// Puts `id` in the queue of `key`.
    pub(crate) fn enter(&mut self, id: TaskId, task: &mut Task, key: WaitKey) {
        if !task.queued.contains(&key) {
            task.queued.push(key);
            self.queues.entry(key).or_default().push(id);
        }
    }

    /// Takes `id` out of all its queues.
    pub(crate) fn leave(&mut self, id: TaskId, task: &mut Task) {
        for key in task.queued.drain(..) {
            if let Some(queue) = self.queues.get_mut(&key) {
                queue.retain(|t| *t != id);
                if queue.is_empty() {
                    self.queues.remove(&key);
                }
            }
        }
    }

    /// Wakes all who wait for `key`.
    pub(crate) fn wake(&self, key: WaitKey, tasks: &mut Arena<Task>, platform: &mut dyn Platform) {
        for id in self.queues.get(&key).into_iter().flatten() {
            wake_task(*id, tasks, platform);
        }
    }
}

/// Wakes a task that is blocked; nothing otherwise.
pub(crate) fn wake_task(id: TaskId, tasks: &mut Arena<Task>, platform: &mut dyn Platform) {
    if let Some(task) = tasks.get_mut(id)
        && let State::Blocked { woken: woken @ false } = &mut task.state
    {
        *woken = true;
        platform.wake(id);
    }
}
