//! Everything but the files: tasks, processes, memory maps, signals, sessions, timers. Must hold: what the module heads
//! of the parts say, and: the caller's task is `current` while the lock is held.

use crate::futex::Futexes;
use crate::job::{Session, Tty};
use crate::mm::{Mm, Object};
use crate::platform::{ObjectId, Platform};
use crate::task::{Group, GroupId, MmId, Task, TaskId};
use crate::wait::WaitQueues;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use sal_arena::Arena;

/// What stands at the first process's descriptors 0, 1 and 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Stdio {
    /// `/dev/console`, its controlling terminal.
    #[default]
    Terminal,
    /// Three streams of bytes, and no controlling terminal.
    Streams,
}

/// What is decided at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The first process gets no signal that it has no handler for, as on Linux. Off when the first process is the
    /// user's command.
    pub protect_init: bool,
    /// `kernel.pid_max`
    pub pid_max: u32,
    /// Address space layout: randomised, or the same each time.
    pub randomize: bool,
    /// What the first process reads and writes.
    pub stdio: Stdio,
}

impl Default for Config {
    fn default() -> Self {
        Config { protect_init: true, pid_max: 32768, randomize: true, stdio: Stdio::Terminal }
    }
}

/// Processes and all that is theirs but files.
pub struct Os {
    pub(crate) config: Config,
    pub(crate) tasks: Arena<Task>,
    pub(crate) groups: Arena<Group>,
    pub(crate) mms: Arena<Mm>,
    pub(crate) tids: BTreeMap<u32, TaskId>,
    pub(crate) tgids: BTreeMap<u32, GroupId>,
    pub(crate) last_pid: u32,
    pub(crate) init: Option<GroupId>,
    pub(crate) current: Option<TaskId>,
    pub(crate) queues: WaitQueues,
    pub(crate) futexes: Futexes,
    pub(crate) sessions: BTreeMap<u32, Session>,
    pub(crate) ttys: BTreeMap<u32, Tty>,
    pub(crate) timers: BTreeSet<(u64, GroupId)>,
    pub(crate) objects: BTreeMap<ObjectId, Arc<Object>>,
    pub(crate) hostname: Vec<u8>,
    pub(crate) domainname: Vec<u8>,
    pub(crate) missing: Vec<u64>,
    pub(crate) missing_total: u64,
    pub(crate) forks: u64,
    pub(crate) init_status: Option<crate::task::ExitStatus>,
}

impl Os {
    pub(crate) fn new(config: Config) -> Os {
        Os {
            config,
            tasks: Arena::default(),
            groups: Arena::default(),
            mms: Arena::default(),
            tids: BTreeMap::new(),
            tgids: BTreeMap::new(),
            last_pid: 0,
            init: None,
            current: None,
            queues: WaitQueues::default(),
            futexes: Futexes::default(),
            sessions: BTreeMap::new(),
            ttys: BTreeMap::new(),
            timers: BTreeSet::new(),
            objects: BTreeMap::new(),
            hostname: b"salamandra".to_vec(),
            domainname: b"(none)".to_vec(),
            missing: alloc::vec![0; crate::call::TABLE_LEN + 1],
            missing_total: 0,
            forks: 0,
            init_status: None,
        }
    }

    /// A number that no thread, process, process group or session has.
    pub(crate) fn free_pid(&mut self) -> Option<u32> {
        for _ in 0..self.config.pid_max {
            self.last_pid = if self.last_pid + 1 >= self.config.pid_max { 2 } else { self.last_pid + 1 };
            let pid = self.last_pid;
            let used = self.tids.contains_key(&pid)
                || self.tgids.contains_key(&pid)
                || self.groups.iter().any(|(_, g)| g.pgid == pid || g.sid == pid);
            if !used {
                return Some(pid);
            }
        }
        None
    }

    /// The address space of a task.
    pub(crate) fn mm_of(&self, id: TaskId) -> Option<&Mm> {
        self.tasks.get(id).and_then(|t| self.mms.get(t.mm))
    }

    /// One user less; the last one takes it away.
    pub(crate) fn leave_mm(&mut self, id: MmId, platform: &mut dyn Platform) {
        let Some(mm) = self.mms.get_mut(id) else { return };
        mm.users -= 1;
        if mm.users == 0
            && let Some(mm) = self.mms.remove(id)
        {
            platform.space_destroy(mm.space);
        }
    }

    /// Processor nanoseconds of a process's live and dead threads.
    pub(crate) fn group_cpu(&self, id: GroupId, platform: &mut dyn Platform) -> u64 {
        let Some(group) = self.groups.get(id) else {
            return 0;
        };
        group.usage.cpu + group.threads.iter().map(|t| platform.cpu_time(*t)).sum::<u64>()
    }

    /// The alarm clock is set to the first timer.
    pub(crate) fn rearm(&self, platform: &mut dyn Platform) {
        platform.set_alarm(self.timers.first().map(|(at, _)| *at));
    }
}
