//! The door: events come in, steps go out. Every entry names the task whose native thread calls.

use crate::call;
use crate::ctx::{Ctx, wall};
use crate::errno::Errno;
use crate::files::Store;
use crate::job::TtyEvent;
use crate::mm::{Verdict, verdict};
use crate::os::{Config, Os};
use crate::platform::Platform;
use crate::signal::deliver::Delivered;
use crate::signal::{SIGALRM, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP, SigInfo, code};
use crate::step::{Outcome, RemoteResult, Step, Wait};
use crate::task::{ExitStatus, Progress, State, TaskId};
use crate::user::UserMemory;
use sal_abi::x86_64::GuestRegisters;
use sal_vfs::{Contents, Vfs};

/// The personality: all processes and all their files.
pub struct Linux {
    pub(crate) os: Os,
    pub(crate) vfs: Vfs<Store>,
}

impl Linux {
    /// Without processes, with an empty root file system.
    pub fn new(config: Config, store: Store, platform: &mut dyn Platform) -> Result<Linux, Errno> {
        let now = wall(platform);
        Ok(Linux { os: Os::new(config), vfs: Vfs::new(store, now)? })
    }

    /// The file system, to fill it at start: make calls with [`Linux::with_files`].
    pub fn vfs(&mut self) -> &mut Vfs<Store> {
        &mut self.vfs
    }

    /// The store of file bytes.
    pub fn contents(&mut self) -> &mut impl Contents {
        self.vfs.contents()
    }

    /// A file operation as root, outside of any process (mounts at start).
    pub fn with_files<R>(
        &mut self,
        platform: &mut dyn Platform,
        ask: impl FnOnce(&mut Vfs<Store>, &sal_vfs::Ctx) -> R,
    ) -> Result<R, Errno> {
        let (fs, files) = (self.vfs.fs_new()?, self.vfs.table_new());
        let cred = sal_vfs::Cred::root();
        let now = wall(platform);
        let ctx = sal_vfs::Ctx {
            cred: &cred,
            fs,
            files,
            clock: &now,
            nofile: 1024,
            fsize: u64::MAX,
            pid: 0,
            tid: 0,
            proc: &sal_vfs::NoProcesses,
        };
        let result = ask(&mut self.vfs, &ctx);
        self.vfs.table_release(files, 0);
        self.vfs.fs_release(fs);
        wake_for_files(&mut self.vfs, &mut self.os, platform);
        Ok(result)
    }

    /// The guest of `task` executed `syscall`: number in `rax`, arguments in `rdi rsi rdx r10 r8 r9`.
    pub fn syscall(
        &mut self,
        task: TaskId,
        regs: &mut GuestRegisters,
        mem: &mut dyn UserMemory,
        platform: &mut dyn Platform,
    ) -> Step {
        self.os.current = Some(task);
        let mut ctx = Ctx { os: &mut self.os, vfs: &mut self.vfs, task, regs, mem, platform };
        let answer = ctx.run();
        if let Ok(Outcome::Value(value)) = answer
            && ctx.os.tasks.get(task).is_some_and(|t| !t.attention && t.saved_mask.is_none())
        {
            ctx.regs.rax = value;
            return Step::Return;
        }
        let step = ctx.settle(answer);
        self.os.current = None;
        step
    }

    /// The native thread of a new task (from [`Platform::spawn`]) begins: before its guest runs for the first time.
    pub fn start(
        &mut self,
        task: TaskId,
        regs: &mut GuestRegisters,
        mem: &mut dyn UserMemory,
        platform: &mut dyn Platform,
    ) -> Step {
        self.enter(task, regs, mem, platform, |ctx| {
            let (tid, at) = ctx.me().map_or((0, 0), |t| (t.tid, t.set_child_tid));
            if at != 0 {
                // As on Linux: a bad address is the program's loss.
                let _ = ctx.mem.put_u32(at, tid);
            }
            ctx.signals(None)
        })
    }

    /// A task that was told to block was woken, or its deadline passed.
    pub fn resume(
        &mut self,
        task: TaskId,
        regs: &mut GuestRegisters,
        mem: &mut dyn UserMemory,
        platform: &mut dyn Platform,
    ) -> Step {
        self.enter(task, regs, mem, platform, |ctx| ctx.resume())
    }

    /// The answer to [`Step::Remote`].
    pub fn complete(
        &mut self,
        task: TaskId,
        result: RemoteResult,
        regs: &mut GuestRegisters,
        mem: &mut dyn UserMemory,
        platform: &mut dyn Platform,
    ) -> Step {
        self.enter(task, regs, mem, platform, |ctx| ctx.complete(result))
    }

    /// The guest stopped because [`Platform::kick`] asked for it.
    pub fn kicked(
        &mut self,
        task: TaskId,
        regs: &mut GuestRegisters,
        mem: &mut dyn UserMemory,
        platform: &mut dyn Platform,
    ) -> Step {
        self.enter(task, regs, mem, platform, |ctx| ctx.signals(None))
    }

    /// The guest faulted where the kernel could not help: address and the processor's error code.
    pub fn page_fault(
        &mut self,
        task: TaskId,
        address: u64,
        error: u64,
        regs: &mut GuestRegisters,
        mem: &mut dyn UserMemory,
        platform: &mut dyn Platform,
    ) -> Step {
        self.enter(task, regs, mem, platform, |ctx| ctx.page_fault(address, error))
    }

    /// The guest raised another exception: the processor's vector and error code.
    pub fn exception(
        &mut self,
        task: TaskId,
        vector: u64,
        error: u64,
        regs: &mut GuestRegisters,
        mem: &mut dyn UserMemory,
        platform: &mut dyn Platform,
    ) -> Step {
        self.enter(task, regs, mem, platform, |ctx| ctx.exception(vector, error))
    }

    fn enter(
        &mut self,
        task: TaskId,
        regs: &mut GuestRegisters,
        mem: &mut dyn UserMemory,
        platform: &mut dyn Platform,
        then: impl FnOnce(&mut Ctx) -> Step,
    ) -> Step {
        self.os.current = Some(task);
        let mut ctx = Ctx { os: &mut self.os, vfs: &mut self.vfs, task, regs, mem, platform };
        let step = if ctx.me().is_ok() { then(&mut ctx) } else { Step::Exit };
        self.os.current = None;
        step
    }

    /// The time of [`Platform::set_alarm`] has come.
    pub fn timers_due(&mut self, platform: &mut dyn Platform) {
        self.os.current = None;
        let now = platform.now();
        while let Some((at, id)) = self.os.timers.first().copied()
            && at <= now
        {
            self.os.timers.remove(&(at, id));
            self.os.fire_timer(id, now);
            let _ = self.os.send_group(id, SigInfo::from_kernel(SIGALRM), platform);
        }
        self.os.rearm(platform);
    }

    /// A terminal's server tells something (^C, readiness, ...).
    pub fn tty_event(&mut self, tty: u32, event: TtyEvent, platform: &mut dyn Platform) {
        self.os.current = None;
        self.os.tty_event(tty, event, platform);
        if event == TtyEvent::Ready {
            let target = sal_vfs::Target::Terminal { rdev: crate::job::device_of_tty(tty) };
            self.vfs.remote_ready(target);
            wake_for_files(&mut self.vfs, &mut self.os, platform);
        }
    }

    /// Is there something for [`Linux::take_closes`]?
    #[inline]
    pub fn has_closes(&self) -> bool {
        self.vfs.has_closes()
    }

    /// Files of servers that were closed for good: each server is to be told; nobody waits for the answer.
    pub fn take_closes(&mut self) -> alloc::vec::Vec<crate::step::RemoteCall> {
        let closes = self.vfs.drain_closes();
        closes.filter_map(|op| crate::step::RemoteCall::of_close(&op)).collect()
    }

    /// Calls that nobody does yet and programs made: name (or number) and how often. For /svc/linux/stats.
    pub fn missing_calls(&self) -> impl Iterator<Item = (&'static str, usize, u64)> {
        let counts = self.os.missing.iter().copied().enumerate().filter(|(_, n)| *n != 0);
        counts.map(|(number, n)| (call::entry(number as u64).name, number, n))
    }

    /// How often programs made such calls in all: more than before says that [`Linux::missing_calls`] has news.
    #[inline]
    pub fn missing_total(&self) -> u64 {
        self.os.missing_total
    }

    /// Threads, processes (with zombies), address spaces: for /svc/linux/stats.
    pub fn population(&self) -> (usize, usize, usize) {
        (self.os.tasks.len(), self.os.groups.len(), self.os.mms.len())
    }

    /// How the first process ended, once it has.
    pub fn init_status(&self) -> Option<ExitStatus> {
        self.os.init_status
    }

    /// The thread id of a task, for logs.
    pub fn tid(&self, task: TaskId) -> Option<u32> {
        self.os.tasks.get(task).map(|t| t.tid)
    }
}

/// Wakes those whom file operations woke.
pub(crate) fn wake_for_files(vfs: &mut Vfs<Store>, os: &mut Os, platform: &mut dyn Platform) {
    if vfs.any_woken() {
        for id in vfs.drain_woken() {
            crate::wait::wake_task(TaskId::from_raw(id.0), &mut os.tasks, platform);
        }
    }
}

impl Ctx<'_> {
    /// Runs the handler of the call that the registers hold.
    #[inline(always)]
    fn run(&mut self) -> Result<Outcome, Errno> {
        let r = &*self.regs;
        let args = [r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9];
        (call::entry(r.rax).handler)(self, args)
    }

    /// What a handler came to becomes what the shell does.
    fn settle(&mut self, mut answer: Result<Outcome, Errno>) -> Step {
        let mut step = Step::Return;
        loop {
            let code = match answer {
                Ok(Outcome::Value(value)) => self.finish(value),
                Ok(Outcome::Yield) => {
                    step = Step::Yield;
                    self.finish(0)
                }
                Ok(Outcome::Registers) => None,
                Ok(Outcome::Exit) => return Step::Exit,
                Ok(Outcome::Block(wait)) => {
                    return self.set_state(State::Blocked { woken: false }, Step::Block(wait));
                }
                Ok(Outcome::Remote(call)) => {
                    return self.set_state(State::Remote { interrupted: false }, Step::Remote(call));
                }
                Err(error) if error.is_restart() => Some(error),
                Err(error) => self.finish(error.to_result()),
            };
            match self.deliver(code) {
                Delivered::Return => return step,
                Delivered::Rerun => answer = self.run(),
                Delivered::Stopped => return Step::Block(Wait { deadline: None }),
                Delivered::Exit => {
                    self.exit_thread();
                    return Step::Exit;
                }
            }
        }
    }

    fn finish(&mut self, value: u64) -> Option<Errno> {
        self.regs.rax = value;
        if let Ok(task) = self.me_mut() {
            task.progress = Progress::None;
        }
        None
    }

    fn set_state(&mut self, state: State, step: Step) -> Step {
        if let Ok(task) = self.me_mut() {
            task.state = state;
        }
        step
    }

    /// Looks at the signals; then back to the program, or on with the interrupted call.
    pub(crate) fn signals(&mut self, code: Option<Errno>) -> Step {
        match self.deliver(code) {
            Delivered::Return => Step::Return,
            Delivered::Rerun => {
                let answer = self.run();
                self.settle(answer)
            }
            Delivered::Stopped => Step::Block(Wait { deadline: None }),
            Delivered::Exit => {
                self.exit_thread();
                Step::Exit
            }
        }
    }

    /// Takes the caller out of all queues but the futex's, which its handler looks at.
    pub(crate) fn unqueue(&mut self) {
        let id = self.task;
        let Some(task) = self.os.tasks.get_mut(id) else {
            return;
        };
        self.os.queues.leave(id, task);
        for queue in task.file_queues.drain(..) {
            self.vfs.unwait(queue, sal_vfs::TaskId(id.to_raw()));
        }
    }

    fn resume(&mut self) -> Step {
        let Ok(task) = self.me_mut() else {
            return Step::Exit;
        };
        let state = core::mem::replace(&mut task.state, State::Running);
        match state {
            State::Blocked { .. } => {
                self.unqueue();
                let answer = self.run();
                self.settle(answer)
            }
            State::Stopped { rerun, .. } => self.signals(rerun),
            // A wake that came too late for what it was for.
            State::Running => self.signals(None),
            State::Remote { .. } => self.complete(RemoteResult::Interrupted),
        }
    }

    fn complete(&mut self, result: RemoteResult) -> Step {
        let Ok(task) = self.me_mut() else {
            return Step::Exit;
        };
        task.state = State::Running;
        let interrupted = result == RemoteResult::Interrupted;
        let (progress, code) = match (self.take_progress(), result) {
            (Progress::PollAsked { deadline, .. }, _) if interrupted => {
                (Progress::Deadline(deadline), Errno::RESTART_NO_HAND)
            }
            (Progress::Asked(Some(op)), _) if interrupted => {
                let _ = self.files(&[], 0, |vfs, c, _| vfs.complete(c, *op, Err(sal_vfs::Errno::EINTR), None));
                (Progress::None, Errno::RESTART_SYS)
            }
            (_, _) if interrupted => (Progress::None, Errno::RESTART_SYS),
            (Progress::PollAsked { deadline, epoch }, result) => {
                (Progress::PollAnswered { deadline, ready: poll_bits(&result), epoch }, Errno::EINTR)
            }
            (Progress::Asked(op), result) => (Progress::Answered(op, result), Errno::EINTR),
            (other, _) => (other, Errno::EINTR),
        };
        if let Ok(task) = self.me_mut() {
            task.progress = progress;
        }
        if interrupted {
            return self.signals(Some(code));
        }
        let answer = self.run();
        self.settle(answer)
    }

    fn page_fault(&mut self, address: u64, error: u64) -> Step {
        let Ok(mm) = self.mm() else { return Step::Exit };
        let verdict = verdict(mm, address, error);
        let rip = self.regs.rip;
        let Ok(task) = self.me_mut() else {
            return Step::Exit;
        };
        task.faults += 1;
        let info = match verdict {
            Verdict::Unmapped => SigInfo::fault(SIGSEGV, code::SEGV_MAPERR, address),
            Verdict::Refused => SigInfo::fault(SIGSEGV, code::SEGV_ACCERR, address),
            Verdict::Retry => {
                let (last_address, last_rip, times) = task.last_fault;
                let times = if (last_address, last_rip) == (address, rip) { times + 1 } else { 0 };
                task.last_fault = (address, rip, times);
                if times < FAULT_RETRIES {
                    return self.signals(None);
                }
                // The kernel has no page for it: its memory is used up.
                task.last_fault = (0, 0, 0);
                SigInfo::fault(SIGBUS, code::BUS_ADRERR, address)
            }
        };
        self.force(info, false);
        self.signals(None)
    }

    fn exception(&mut self, vector: u64, _error: u64) -> Step {
        let rip = self.regs.rip;
        let info = match vector {
            0 => SigInfo::fault(SIGFPE, code::FPE_INTDIV, rip),
            1 | 3 => SigInfo::fault(SIGTRAP, code::TRAP_BRKPT, rip),
            6 => SigInfo::fault(SIGILL, code::ILL_ILLOPN, rip),
            16 | 19 => SigInfo::fault(SIGFPE, code::FPE_FLTINV, rip),
            17 => SigInfo::fault(SIGBUS, code::BUS_ADRALN, 0),
            _ => SigInfo::from_kernel(SIGSEGV),
        };
        self.force(info, false);
        self.signals(None)
    }
}

/// So often the same access may fault at the same instruction although the mappings allow it.
const FAULT_RETRIES: u32 = 64;

fn poll_bits(result: &RemoteResult) -> u16 {
    match result {
        RemoteResult::File(sal_vfs::Reply::Number(bits)) => *bits as u16,
        RemoteResult::Bytes(bits, _) => *bits as u16,
        // A terminal without server: reading it tells the error.
        _ => linux_raw_sys::general::POLLERR as u16 | linux_raw_sys::general::POLLHUP as u16,
    }
}
