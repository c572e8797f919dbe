//! Tasks (threads) and thread groups (processes): the data. Must hold: `group.threads` lists exactly the tasks whose
//! `group` is it; a group without threads is a zombie until its parent has waited for it.

use crate::mm::Mm;
use crate::signal::{AltStack, Pending, SigAction, SigSet};
use crate::step::RemoteResult;
use crate::wait::WaitKey;
use alloc::boxed::Box;
use alloc::vec::Vec;
use sal_arena::Id;

/// Names a task; the shell's native thread for it holds this.
pub type TaskId = Id<Task>;
/// Names a thread group.
pub(crate) type GroupId = Id<Group>;
/// Names an address space with its mappings.
pub(crate) type MmId = Id<Mm>;

/// What a task does, as far as wakers must know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// In the guest, or in a call.
    Running,
    /// Told to block; `woken` once `Platform::wake` was called for it.
    Blocked {
        /// The waker's mark: a second waker has nothing to do.
        woken: bool,
    },
    /// Told to make a call to another server.
    Remote {
        /// `Platform::interrupt` was called for it.
        interrupted: bool,
    },
    /// Stopped by a signal; `rerun`: with a call to be repeated.
    Stopped {
        /// The interrupted call's restart code.
        rerun: Option<crate::errno::Errno>,
        /// `Platform::wake` was called for it.
        woken: bool,
    },
}

/// What a call that blocked keeps for the next time that its handler runs. Starts as `None` with each call.
#[derive(Debug, Default)]
pub enum Progress {
    /// The handler runs for the first time.
    #[default]
    None,
    /// It waits until then (absolute), if ever.
    Deadline(Option<u64>),
    /// A futex wait: queued; `woken` is set by the waker.
    Futex {
        /// Absolute deadline.
        deadline: Option<u64>,
    },
    /// `vfork`: waits for this child to exec or exit.
    Vfork {
        /// The child's task.
        child: TaskId,
        /// The result.
        tid: u32,
    },
    /// It asked a server (for the file system: `Some`).
    Asked(Option<Box<sal_vfs::RemoteOp>>),
    /// The server answered.
    Answered(Option<Box<sal_vfs::RemoteOp>>, RemoteResult),
    /// `poll` and `select` asked a terminal.
    PollAsked {
        /// Absolute deadline.
        deadline: Option<u64>,
        /// The terminal's epoch when it was asked.
        epoch: u64,
    },
    /// The terminal answered: the `POLL*` bits.
    PollAnswered {
        /// Absolute deadline.
        deadline: Option<u64>,
        /// What holds.
        ready: u16,
        /// The terminal's epoch when it was asked.
        epoch: u64,
    },
    /// How much of a write is done.
    Write(sal_vfs::Progress),
    /// `sendfile`: bytes moved so far.
    Moved(u64),
}

/// Identity: credentials(7).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Real, effective, saved, file-system user.
    pub uid: [u32; 4],
    /// Real, effective, saved, file-system group.
    pub gid: [u32; 4],
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Effective, permitted, inheritable capabilities.
    pub caps: [u64; 3],
    /// `PR_SET_KEEPCAPS`.
    pub keep_caps: bool,
}

/// All capabilities of Linux 6.1.
pub(crate) const ALL_CAPS: u64 = (1 << 41) - 1;

impl Credentials {
    /// The superuser.
    pub fn root() -> Self {
        Credentials { caps: [ALL_CAPS, ALL_CAPS, 0], ..Default::default() }
    }

    /// Is the capability effective? Numbers as in capabilities(7).
    pub fn can(&self, capability: u32) -> bool {
        self.caps.first().is_some_and(|e| e >> capability & 1 == 1)
    }
}

/// A thread.
pub struct Task {
    /// Thread id.
    pub tid: u32,
    /// Its process.
    pub group: GroupId,
    /// Its address space; shared by threads and by a `vfork` child.
    pub mm: MmId,
    /// A signal, a stop or an exit wants looking at before the guest runs again.
    pub attention: bool,
    /// What wakers must know.
    pub state: State,
    /// What a call that blocked keeps.
    pub progress: Progress,
    /// Where it is queued.
    pub queued: Vec<WaitKey>,
    /// Where it is queued in the file system.
    pub file_queues: Vec<sal_vfs::QueueId>,
    /// The futex queue it is in.
    pub futex: Option<crate::futex::FutexKey>,
    /// Signals held back.
    pub blocked: SigSet,
    /// The mask to go back to after `sigsuspend`, `ppoll`, ...
    pub saved_mask: Option<SigSet>,
    /// In `sigtimedwait`: signals that end it although they are blocked.
    pub awaited: SigSet,
    /// Signals for this thread alone.
    pub pending: Pending,
    /// `sigaltstack`.
    pub alt_stack: AltStack,
    /// Files and directory context.
    pub files: crate::files::TaskFiles,
    /// Who it is.
    pub credentials: Credentials,
    /// `PR_SET_NAME`, without trailing zeros counted: 16 bytes, the last zero.
    pub comm: [u8; 16],
    /// Address to clear and wake at exit.
    pub clear_child_tid: u64,
    /// `CLONE_CHILD_SETTID`: written when the task starts.
    pub set_child_tid: u64,
    /// Head of the robust futex list.
    pub robust_list: u64,
    /// `vfork`: its parent waits.
    pub vfork_parent: Option<TaskId>,
    /// -20..=19.
    pub nice: i8,
    /// Signal when the parent thread's process dies.
    pub parent_death_signal: u8,
    /// `PR_SET_NO_NEW_PRIVS`.
    pub no_new_privs: bool,
    /// CPUs it may run on, as told.
    pub affinity: u64,
    /// When it started, nanoseconds since boot.
    pub started: u64,
    /// Page fault that was just retried, and how often: see `mm::fault`.
    pub last_fault: (u64, u64, u32),
    /// Page faults, context switches: counted for getrusage.
    pub faults: u64,
}

/// How a process ended or changed, as `wait4` tells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExitStatus {
    /// `exit(code)`.
    Exited(u8),
    /// Killed by the signal.
    Killed(u8),
}

impl ExitStatus {
    /// As `wait4` stores it.
    pub const fn wait_status(self) -> u32 {
        match self {
            ExitStatus::Exited(code) => (code as u32) << 8,
            ExitStatus::Killed(signal) => signal as u32 & 0x7f,
        }
    }
}

/// Where a group is in job control.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum JobState {
    /// Goes on.
    #[default]
    Running,
    /// Continued by SIGCONT and not yet waited for.
    Continued,
    /// Stopped by the signal.
    Stopped {
        /// Which.
        signal: u8,
        /// The parent has waited for it.
        reported: bool,
    },
}

/// Processor time and faults of dead threads and waited-for children.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Processor nanoseconds.
    pub cpu: u64,
    /// Page faults.
    pub faults: u64,
    /// Largest resident size, bytes.
    pub resident: u64,
}

impl Usage {
    /// Adds times and faults; takes the larger size.
    pub fn add(&mut self, other: Usage) {
        self.cpu += other.cpu;
        self.faults += other.faults;
        self.resident = self.resident.max(other.resident);
    }
}

/// An interval timer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct IntervalTimer {
    /// When it fires next, nanoseconds since boot.
    pub at: Option<u64>,
    /// Then every so many nanoseconds; 0: once.
    pub interval: u64,
}

/// A resource limit; `u64::MAX` is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    /// What holds now.
    pub soft: u64,
    /// Up to where the program may raise it.
    pub hard: u64,
}

/// Resources of `getrlimit`.
pub(crate) const LIMITS: usize = 16;

/// A process.
pub struct Group {
    /// Process id.
    pub tgid: u32,
    /// The thread whose tid is the tgid, as long as it lives.
    pub leader: TaskId,
    /// Its live threads.
    pub threads: Vec<TaskId>,
    /// Whose `wait` reaps it; `None`: nobody's (init).
    pub parent: Option<GroupId>,
    /// `getppid`.
    pub parent_tgid: u32,
    /// Living and zombie children.
    pub children: Vec<GroupId>,
    /// Sent to the parent at the end; 0: none.
    pub exit_signal: u8,
    /// Process group.
    pub pgid: u32,
    /// Session.
    pub sid: u32,
    /// Has called `execve` since it was made (`setpgid` of it is refused then).
    pub execed: bool,
    /// `PR_SET_CHILD_SUBREAPER`.
    pub subreaper: bool,
    /// What signals do.
    pub actions: Box<[SigAction; 64]>,
    /// Signals for the process.
    pub pending: Pending,
    /// Everyone must end with this.
    pub exiting: Option<ExitStatus>,
    /// This thread execs: the others must end.
    pub exec: Option<TaskId>,
    /// Zombie: all threads are gone.
    pub zombie: Option<ExitStatus>,
    /// Job control.
    pub job: JobState,
    /// Resource limits, by number.
    pub limits: [Limit; LIMITS],
    /// `ITIMER_REAL` and `alarm`.
    pub real_timer: IntervalTimer,
    /// Of threads that are gone.
    pub usage: Usage,
    /// Of children waited for.
    pub children_usage: Usage,
    /// `personality`.
    pub personality: u32,
    /// `PR_SET_DUMPABLE`.
    pub dumpable: u8,
    /// When it started, nanoseconds since boot.
    pub started: u64,
    /// Real user of the last thread, for SIGCHLD and /proc of a zombie.
    pub uid: u32,
    /// What the first thread gave to `exit`.
    pub leader_status: u8,
    /// Name of the last thread, for /proc of a zombie.
    pub comm: [u8; 16],
}

impl Group {
    /// The soft limit.
    pub fn limit(&self, resource: u32) -> u64 {
        self.limits.get(resource as usize).map_or(u64::MAX, |l| l.soft)
    }
}
