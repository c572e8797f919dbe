//! What a handler works with: the state, the caller, its memory, the machine.

use crate::errno::Errno;
use crate::files::{GuestBuffer, Store, UserBuffers};
use crate::mm::Mm;
use crate::os::Os;
use crate::platform::Platform;
use crate::proc::Proc;
use crate::step::{Outcome, RemoteCall, RemoteRequest, Server, Wait};
use crate::task::{Group, GroupId, JobState, Progress, Task, TaskId};
use crate::user::UserMemory;
use crate::wait::WaitKey;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use sal_abi::x86_64::GuestRegisters;
use sal_vfs::{Time, Vfs};

/// A call that is being served.
pub struct Ctx<'a> {
    /// Processes.
    pub os: &'a mut Os,
    /// Files.
    pub vfs: &'a mut Vfs<Store>,
    /// The caller.
    pub task: TaskId,
    /// Its registers.
    pub regs: &'a mut GuestRegisters,
    /// Its memory.
    pub mem: &'a mut dyn UserMemory,
    /// The machine.
    pub platform: &'a mut dyn Platform,
}

impl Ctx<'_> {
    /// The caller.
    #[inline(always)]
    pub fn me(&self) -> Result<&Task, Errno> {
        self.os.tasks.get(self.task).ok_or(Errno::ESRCH)
    }

    /// The caller, to change it.
    #[inline(always)]
    pub fn me_mut(&mut self) -> Result<&mut Task, Errno> {
        self.os.tasks.get_mut(self.task).ok_or(Errno::ESRCH)
    }

    /// Its process's number.
    #[inline(always)]
    pub fn group_id(&self) -> Result<GroupId, Errno> {
        Ok(self.me()?.group)
    }

    /// Its process.
    #[inline(always)]
    pub fn group(&self) -> Result<&Group, Errno> {
        self.os.groups.get(self.me()?.group).ok_or(Errno::ESRCH)
    }

    /// Its process, to change it.
    pub fn group_mut(&mut self) -> Result<&mut Group, Errno> {
        let id = self.me()?.group;
        self.os.groups.get_mut(id).ok_or(Errno::ESRCH)
    }

    /// Its address space.
    pub fn mm(&self) -> Result<&Mm, Errno> {
        self.os.mms.get(self.me()?.mm).ok_or(Errno::ESRCH)
    }

    /// Its address space, to change it, and the machine.
    pub fn mm_mut(&mut self) -> Result<(&mut Mm, &mut dyn Platform), Errno> {
        let id = self.me()?.mm;
        let mm = self.os.mms.get_mut(id).ok_or(Errno::ESRCH)?;
        Ok((mm, &mut *self.platform))
    }

    /// Is there something that ends a wait: a deliverable signal, a stop, the end?
    pub fn interrupted(&self) -> bool {
        let (Ok(task), Ok(group)) = (self.me(), self.group()) else {
            return true;
        };
        let pending = task.pending.set.or(group.pending.set).without(task.blocked);
        !pending.is_empty()
            || group.exiting.is_some()
            || group.exec.is_some_and(|t| t != self.task)
            || matches!(group.job, JobState::Stopped { .. })
    }

    /// What an earlier run of the handler kept; `None` in the first run.
    pub fn take_progress(&mut self) -> Progress {
        self.me_mut().map(|t| core::mem::take(&mut t.progress)).unwrap_or_default()
    }

    /// Blocks until a waker of one of `keys`, a signal, or the deadline; the handler then runs again and finds `keep`.
    pub fn block(&mut self, keys: &[WaitKey], deadline: Option<u64>, keep: Progress) -> Result<Outcome, Errno> {
        let id = self.task;
        let task = self.os.tasks.get_mut(id).ok_or(Errno::ESRCH)?;
        task.progress = keep;
        for key in keys {
            self.os.queues.enter(id, task, *key);
        }
        Ok(Outcome::Block(Wait { deadline }))
    }

    /// Has the time come?
    pub fn past(&mut self, deadline: Option<u64>) -> bool {
        deadline.is_some_and(|d| self.platform.now() >= d)
    }

    /// The wall clock.
    pub fn wall(&mut self) -> Time {
        wall(self.platform)
    }

    /// Asks a file operation of the file system, and wakes those whom it woke.
    pub fn files<R>(
        &mut self,
        buffers: &[GuestBuffer],
        skip: u64,
        ask: impl FnOnce(&mut Vfs<Store>, &sal_vfs::Ctx, &mut UserBuffers) -> R,
    ) -> Result<R, Errno> {
        let task = self.os.tasks.get(self.task).ok_or(Errno::ESRCH)?;
        let group = self.os.groups.get(task.group).ok_or(Errno::ESRCH)?;
        let proc = Proc { os: &*self.os, platform: RefCell::new(&mut *self.platform), time: Cell::new(None) };
        let ctx = sal_vfs::Ctx {
            cred: &task.files.cred,
            fs: task.files.fs,
            files: task.files.table,
            clock: &proc,
            nofile: group.limit(linux_raw_sys::general::RLIMIT_NOFILE).min(1 << 20) as u32,
            fsize: group.limit(linux_raw_sys::general::RLIMIT_FSIZE),
            pid: group.tgid,
            tid: task.tid,
            proc: &proc,
        };
        let mut user = UserBuffers::new(&mut *self.mem, buffers, skip);
        let result = ask(self.vfs, &ctx, &mut user);
        self.wake_for_files();
        Ok(result)
    }

    /// Wakes those whom file operations woke.
    pub fn wake_for_files(&mut self) {
        crate::linux::wake_for_files(self.vfs, self.os, self.platform);
    }

    /// Queues the caller where the file system says; true: make the call again at once.
    pub fn wait_for_file(&mut self, on: sal_vfs::WaitOn) -> Result<bool, Errno> {
        let id = self.task;
        if !self.vfs.wait(on, sal_vfs::TaskId(id.to_raw())) {
            return Ok(true);
        }
        let task = self.me_mut()?;
        if !task.file_queues.contains(&on.queue) {
            task.file_queues.push(on.queue);
        }
        Ok(false)
    }

    /// Which terminal a device number means for the caller: `/dev/tty` (5:0) is its own.
    pub fn tty_number(&self, rdev: u64) -> Result<u32, Errno> {
        if rdev == sal_vfs::makedev(5, 0) {
            return self.os.tty_of(self.group_id()?).ok_or(Errno::ENXIO);
        }
        Ok(crate::job::tty_of_device(rdev))
    }

    /// A call to the server that the file system names; the handler runs again with the answer.
    pub fn ask(&mut self, op: Box<sal_vfs::RemoteOp>, buffers: &[GuestBuffer]) -> Result<Outcome, Errno> {
        let server = match op.target {
            sal_vfs::Target::Server(id) => Server::Mounted(id),
            sal_vfs::Target::Terminal { rdev } => Server::Tty(self.tty_number(rdev)?),
        };
        if let Server::Tty(tty) = server {
            self.check_terminal(tty, &op.request)?;
        }
        let request = RemoteRequest::File(Box::new(op.request.clone()));
        let buffers: Vec<GuestBuffer> = buffers.iter().filter(|b| b.length != 0).take(4).copied().collect();
        self.me_mut()?.progress = Progress::Asked(Some(op));
        Ok(Outcome::Remote(RemoteCall { server, request, buffers }))
    }

    /// Job control before a terminal's read or write.
    fn check_terminal(&mut self, tty: u32, request: &sal_vfs::Request) -> Result<(), Errno> {
        let signal = match request {
            sal_vfs::Request::Read { .. } => crate::signal::SIGTTIN,
            sal_vfs::Request::Write { .. } if self.os.ttys.get(&tty).is_some_and(|t| t.to_stop) => {
                crate::signal::SIGTTOU
            }
            _ => return Ok(()),
        };
        self.os.check_background(self.task, tty, signal, self.platform)
    }
}

/// The wall clock.
pub(crate) fn wall(platform: &mut dyn Platform) -> Time {
    let ns = platform.realtime_offset().wrapping_add(platform.now());
    Time { sec: (ns / 1_000_000_000) as i64, nsec: (ns % 1_000_000_000) as u32 }
}
