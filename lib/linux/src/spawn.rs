//! New tasks: clone, and the first process. clone(2). Must hold: a task that was announced to the platform is in the
//! arenas; one that could not be started leaves nothing behind.

use crate::ctx::Ctx;
use crate::errno::Errno;
use crate::files::TaskFiles;
use crate::os::Os;
use crate::signal::{AltStack, Pending, SigAction, SigSet};
use crate::step::Outcome;
use crate::task::{
    Credentials, Group, GroupId, IntervalTimer, JobState, LIMITS, Limit, MmId, Progress, State, Task, TaskId, Usage,
};
use crate::wait::WaitKey;
use alloc::boxed::Box;
use alloc::vec::Vec;
use linux_raw_sys::general as g;

/// What clone and clone3 ask for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CloneRequest {
    /// `CLONE_*`, without the signal.
    pub flags: u64,
    /// Sent to the parent at the end.
    pub exit_signal: u64,
    /// The new stack pointer; 0: the same.
    pub stack: u64,
    /// Where the parent finds the thread id.
    pub parent_tid: u64,
    /// Where the child finds it, and where it is cleared.
    pub child_tid: u64,
    /// The new FS base.
    pub tls: u64,
}

/// What may be shared or done. The rest (namespaces, pidfd, ptrace's) is `EINVAL`.
const KNOWN: u64 = (g::CLONE_VM
    | g::CLONE_FS
    | g::CLONE_FILES
    | g::CLONE_SIGHAND
    | g::CLONE_VFORK
    | g::CLONE_PARENT
    | g::CLONE_THREAD
    | g::CLONE_SYSVSEM
    | g::CLONE_SETTLS
    | g::CLONE_PARENT_SETTID
    | g::CLONE_CHILD_CLEARTID
    | g::CLONE_DETACHED
    | g::CLONE_UNTRACED
    | g::CLONE_CHILD_SETTID
    | g::CLONE_IO
    | g::CLONE_PTRACE) as u64
    | CLEAR_SIGHAND;
/// `CLONE_CLEAR_SIGHAND`, clone3 only.
const CLEAR_SIGHAND: u64 = 1 << 32;

impl CloneRequest {
    fn has(&self, flag: u32) -> bool {
        self.flags & flag as u64 != 0
    }

    fn check(&self) -> Result<(), Errno> {
        let bad = self.flags & !KNOWN != 0
            || self.has(g::CLONE_THREAD) && !self.has(g::CLONE_SIGHAND)
            || self.has(g::CLONE_SIGHAND) && !self.has(g::CLONE_VM)
            || self.has(g::CLONE_SIGHAND) && self.flags & CLEAR_SIGHAND != 0
            || self.exit_signal > crate::signal::SIGMAX as u64;
        if bad { Err(Errno::EINVAL) } else { Ok(()) }
    }
}

impl Ctx<'_> {
    /// clone(2); the parent's result is the thread id.
    pub(crate) fn clone_task(&mut self, request: CloneRequest) -> Result<Outcome, Errno> {
        if let Progress::Vfork { child, tid } = self.take_progress() {
            return self.wait_vfork(child, tid);
        }
        request.check()?;
        if self.interrupted() {
            return Err(Errno::RESTART_NO_INTR);
        }
        let tid = self.os.free_pid().ok_or(Errno::EAGAIN)?;
        let child = self.make_child(&request, tid)?;
        if request.has(g::CLONE_PARENT_SETTID) {
            // As on Linux: the child exists, whether or not its number could be told.
            let _ = self.mem.put_u32(request.parent_tid, tid);
        }
        if let Err(error) = self.start_child(&request, child) {
            self.undo_child(child);
            return Err(error);
        }
        self.os.forks += 1;
        if request.has(g::CLONE_VFORK) { self.wait_vfork(child, tid) } else { Ok(Outcome::Value(tid as u64)) }
    }

    fn wait_vfork(&mut self, child: TaskId, tid: u32) -> Result<Outcome, Errno> {
        let mine = self.os.tasks.get(child).is_some_and(|c| c.tid == tid && c.vfork_parent == Some(self.task));
        let killed = self.group()?.exiting.is_some();
        if !mine || killed {
            return Ok(Outcome::Value(tid as u64));
        }
        self.block(&[WaitKey::Vfork(child)], None, Progress::Vfork { child, tid })
    }

    fn make_child(&mut self, request: &CloneRequest, tid: u32) -> Result<TaskId, Errno> {
        let mm = self.child_mm(request)?;
        let files = match self.child_files(request) {
            Ok(files) => files,
            Err(error) => {
                self.os.leave_mm(mm, self.platform);
                return Err(error);
            }
        };
        let now = self.platform.now();
        let me = self.os.tasks.get(self.task).ok_or(Errno::ESRCH)?;
        let task = Task {
            mm,
            files,
            credentials: me.credentials.clone(),
            comm: me.comm,
            blocked: me.blocked,
            nice: me.nice,
            affinity: me.affinity,
            no_new_privs: me.no_new_privs,
            alt_stack: if request.has(g::CLONE_VM) && !request.has(g::CLONE_VFORK) {
                AltStack::default()
            } else {
                me.alt_stack
            },
            clear_child_tid: if request.has(g::CLONE_CHILD_CLEARTID) { request.child_tid } else { 0 },
            set_child_tid: if request.has(g::CLONE_CHILD_SETTID) { request.child_tid } else { 0 },
            vfork_parent: request.has(g::CLONE_VFORK).then_some(self.task),
            ..Task::new(tid, me.group, mm, me.files.clone(), now)
        };
        let parent = me.group;
        let child = self.os.tasks.insert(task);
        self.os.tids.insert(tid, child);
        if request.has(g::CLONE_THREAD) {
            self.os.groups.get_mut(parent).ok_or(Errno::ESRCH)?.threads.push(child);
        } else {
            self.os.fork_group(parent, child, request, now)?;
        }
        Ok(child)
    }

    fn child_mm(&mut self, request: &CloneRequest) -> Result<MmId, Errno> {
        let id = self.me()?.mm;
        let mm = self.os.mms.get_mut(id).ok_or(Errno::ESRCH)?;
        if request.has(g::CLONE_VM) {
            mm.users += 1;
            return Ok(id);
        }
        let copy = mm.fork(self.platform)?;
        Ok(self.os.mms.insert(copy))
    }

    fn child_files(&mut self, request: &CloneRequest) -> Result<TaskFiles, Errno> {
        let mine = self.me()?.files.clone();
        let table = if request.has(g::CLONE_FILES) {
            self.vfs.table_share(mine.table);
            mine.table
        } else {
            self.vfs.table_fork(mine.table)?
        };
        let fs = if request.has(g::CLONE_FS) {
            self.vfs.fs_share(mine.fs);
            Ok(mine.fs)
        } else {
            self.vfs.fs_fork(mine.fs)
        };
        match fs {
            Ok(fs) => Ok(TaskFiles { table, fs, cred: mine.cred }),
            Err(error) => {
                self.vfs.table_release(table, 0);
                Err(error.into())
            }
        }
    }

    fn start_child(&mut self, request: &CloneRequest, child: TaskId) -> Result<(), Errno> {
        let mut regs = *self.regs;
        regs.rax = 0;
        if request.stack != 0 {
            regs.rsp = request.stack;
        }
        if request.has(g::CLONE_SETTLS) {
            regs.fs_base = request.tls;
        }
        let space = self.os.mm_of(child).ok_or(Errno::ESRCH)?.space;
        self.platform.spawn(child, space, &regs, Some(self.task))
    }

    fn undo_child(&mut self, child: TaskId) {
        let Some(task) = self.os.tasks.remove(child) else {
            return;
        };
        self.os.tids.remove(&task.tid);
        self.vfs.table_release(task.files.table, 0);
        self.vfs.fs_release(task.files.fs);
        self.os.leave_mm(task.mm, self.platform);
        let Some(group) = self.os.groups.get_mut(task.group) else {
            return;
        };
        group.threads.retain(|t| *t != child);
        if group.threads.is_empty() {
            self.os.reap(task.group);
        }
    }
}

impl Os {
    /// A process for `leader`, a copy of `from`.
    fn fork_group(&mut self, from: GroupId, leader: TaskId, request: &CloneRequest, now: u64) -> Result<(), Errno> {
        let tgid = self.tasks.get(leader).ok_or(Errno::ESRCH)?.tid;
        let old = self.groups.get(from).ok_or(Errno::ESRCH)?;
        let parent = if request.has(g::CLONE_PARENT) { old.parent } else { Some(from) };
        let mut actions = old.actions.clone();
        if request.flags & CLEAR_SIGHAND != 0 {
            reset_handlers(&mut actions);
        }
        let group = Group {
            exit_signal: if request.has(g::CLONE_PARENT) { old.exit_signal } else { request.exit_signal as u8 },
            pgid: old.pgid,
            sid: old.sid,
            actions,
            limits: old.limits,
            personality: old.personality,
            dumpable: old.dumpable,
            parent,
            parent_tgid: parent.and_then(|p| self.groups.get(p)).map_or(0, |p| p.tgid),
            ..Group::new(tgid, leader, now)
        };
        let id = self.groups.insert(group);
        self.tgids.insert(tgid, id);
        if let Some(parent) = parent.and_then(|p| self.groups.get_mut(p)) {
            parent.children.push(id);
        }
        if let Some(task) = self.tasks.get_mut(leader) {
            task.group = id;
        }
        Ok(())
    }
}

/// exec: handlers become the default; what is ignored stays so.
pub(crate) fn reset_handlers(actions: &mut [SigAction; 64]) {
    for action in actions {
        let handler = if action.handler == crate::signal::SIG_IGN { action.handler } else { crate::signal::SIG_DFL };
        *action = SigAction { handler, ..SigAction::default() };
    }
}

impl Task {
    /// With nothing inherited.
    pub(crate) fn new(tid: u32, group: GroupId, mm: MmId, files: TaskFiles, now: u64) -> Task {
        Task {
            tid,
            group,
            mm,
            attention: false,
            state: State::Running,
            progress: Progress::None,
            queued: Vec::new(),
            file_queues: Vec::new(),
            futex: None,
            blocked: SigSet::default(),
            saved_mask: None,
            awaited: SigSet::default(),
            pending: Pending::default(),
            alt_stack: AltStack::default(),
            files,
            credentials: Credentials::root(),
            comm: [0; 16],
            clear_child_tid: 0,
            set_child_tid: 0,
            robust_list: 0,
            vfork_parent: None,
            nice: 0,
            parent_death_signal: 0,
            no_new_privs: false,
            affinity: u64::MAX,
            started: now,
            last_fault: (0, 0, 0),
            faults: 0,
        }
    }
}

impl Group {
    /// With nothing inherited.
    pub(crate) fn new(tgid: u32, leader: TaskId, now: u64) -> Group {
        Group {
            tgid,
            leader,
            threads: alloc::vec![leader],
            parent: None,
            parent_tgid: 0,
            children: Vec::new(),
            exit_signal: crate::signal::SIGCHLD,
            pgid: tgid,
            sid: tgid,
            execed: false,
            subreaper: false,
            actions: Box::new([SigAction::default(); 64]),
            pending: Pending::default(),
            exiting: None,
            exec: None,
            zombie: None,
            job: JobState::Running,
            limits: default_limits(),
            real_timer: IntervalTimer::default(),
            usage: Usage::default(),
            children_usage: Usage::default(),
            personality: 0,
            dumpable: 1,
            started: now,
            uid: 0,
            leader_status: 0,
            comm: [0; 16],
        }
    }
}

/// As Linux starts its first process (`INIT_RLIMITS`).
fn default_limits() -> [Limit; LIMITS] {
    let mut limits = [Limit { soft: u64::MAX, hard: u64::MAX }; LIMITS];
    let set = [
        (g::RLIMIT_STACK, 8 << 20, u64::MAX),
        (g::RLIMIT_CORE, 0, u64::MAX),
        (g::RLIMIT_NPROC, 16384, 16384),
        (g::RLIMIT_NOFILE, 1024, 1 << 20),
        (g::RLIMIT_MEMLOCK, 8 << 20, 8 << 20),
        (g::RLIMIT_SIGPENDING, 1024, 1024),
        (g::RLIMIT_MSGQUEUE, 819_200, 819_200),
        (g::RLIMIT_NICE, 0, 0),
        (g::RLIMIT_RTPRIO, 0, 0),
    ];
    for (resource, soft, hard) in set {
        if let Some(limit) = limits.get_mut(resource as usize) {
            *limit = Limit { soft, hard };
        }
    }
    limits
}
