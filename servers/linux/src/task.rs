//! A guest thread's native thread: enter, ask the core, do what the step says.

use crate::remote;
use crate::shared::{Core, Shared};
use crate::user::GuestMemory;
use alloc::vec::Vec;
use sal_abi::x86_64::{Exit, GuestRegisters};
use sal_abi::{Error, Handle};
use sal_linux_core::{ExitStatus, Linux, Platform, RemoteCall, Step, TaskId, UserMemory, Wait};
use sal_rt::guest::{self, Guest};
use sal_rt::log;
use sal_sys::guest::Stopped;
use sal_sys::ipc::{self, Extras};
use sal_sys::page;
use sal_sys::process;

/// What a new thread starts with.
pub(crate) struct Beginning {
    pub(crate) task: TaskId,
    /// The guest space; the task keeps it.
    pub(crate) space: Handle,
    /// Where it waits.
    pub(crate) bell: Handle,
    pub(crate) registers: GuestRegisters,
    /// The parent's FPU state; `None`: the initial one.
    pub(crate) fpu: Option<Vec<u8>>,
}

/// The calling thread.
struct Me {
    shared: &'static Shared,
    task: TaskId,
    bell: Handle,
    guest: Guest,
}

/// A door of the core: what happened to the task.
type Door<'a> =
    &'a mut dyn FnMut(&mut Linux, TaskId, &mut GuestRegisters, &mut dyn UserMemory, &mut dyn Platform) -> Step;

/// `ENOSYS` in the guest's `rax`.
const ENOSYS: u64 = -38_i64 as u64;
/// General protection: what the processor says of a guest that can't be entered.
const PROTECTION: u64 = 13;

/// Runs a task to its end.
pub(crate) fn live(shared: &'static Shared, beginning: Beginning) {
    let Some(guest) = Guest::take() else { return };
    let mut me = Me { shared, task: beginning.task, bell: beginning.bell, guest };
    if let Err(error) = me.settle_in(beginning) {
        // Its first entry fails then, which is the program's death.
        log::error!("a program's thread does not start: {}", error.name());
    }
    let mut step = me.slow(&mut |l, t, r, m, p| l.start(t, r, m, p));
    loop {
        step = match step {
            Step::Return => me.run_guest(),
            Step::Yield => {
                process::yield_now();
                me.run_guest()
            }
            Step::Block(wait) => {
                me.wait(wait);
                me.slow(&mut |l, t, r, m, p| l.resume(t, r, m, p))
            }
            Step::Remote(call) => {
                let mut result = Some(remote::call(shared, &call));
                me.slow(&mut |l, t, r, m, p| match result.take() {
                    Some(result) => l.complete(t, result, r, m, p),
                    None => l.resume(t, r, m, p),
                })
            }
            Step::Exit => break,
        };
    }
    if let Err(error) = guest::attach(None) {
        log::error!("leaving a program's memory: {}", error.name());
    }
}

impl Me {
    fn settle_in(&mut self, beginning: Beginning) -> Result<(), Error> {
        *self.guest.registers() = beginning.registers;
        guest::attach_handle(beginning.space)?;
        beginning.fpu.map_or(Ok(()), |state| guest::fpu_load(&state))
    }

    /// Enters the guest, and again after each call that the core settles at once: the path of every cheap system call.
    #[inline]
    fn run_guest(&mut self) -> Step {
        loop {
            match self.guest.enter() {
                Ok(Stopped { exit: Exit::Syscall, .. }) => {
                    let mut core = self.shared.core.lock();
                    let Core { linux, machine } = &mut *core;
                    let regs = self.guest.registers();
                    let step = linux.syscall(self.task, regs, &mut GuestMemory, machine);
                    let plain = matches!(step, Step::Return) && regs.rax != ENOSYS && !linux.has_closes();
                    if !plain {
                        let (closes, step) = self.look(&mut core, step);
                        drop(core);
                        self.close(closes);
                        return step;
                    }
                }
                Ok(stopped) => return self.stopped(stopped),
                Err(Error::Interrupted) => {}
                Err(error) => {
                    log::error!("a program can't run: {}", error.name());
                    return self.slow(&mut |l, t, r, m, p| l.exception(t, PROTECTION, 0, r, m, p));
                }
            }
        }
    }

    fn stopped(&mut self, Stopped { exit, details: [a, b, _] }: Stopped) -> Step {
        self.slow(&mut |l, t, r, m, p| match exit {
            Exit::Syscall => l.syscall(t, r, m, p),
            Exit::PageFault => l.page_fault(t, a, b, r, m, p),
            Exit::Exception => l.exception(t, a, b, r, m, p),
            Exit::Kicked => l.kicked(t, r, m, p),
        })
    }

    /// One visit to the core, with all that may follow.
    fn slow(&mut self, door: Door<'_>) -> Step {
        let mut core = self.shared.core.lock();
        let Core { linux, machine } = &mut *core;
        let step = door(linux, self.task, self.guest.registers(), &mut GuestMemory, machine);
        let (closes, step) = self.look(&mut core, step);
        drop(core);
        self.close(closes);
        step
    }

    /// What a step brings beside itself: files to close, the task's end, the machine's, a call that nobody does.
    fn look(&mut self, core: &mut Core, step: Step) -> (Vec<RemoteCall>, Step) {
        let Core { linux, machine } = core;
        if matches!(step, Step::Exit) {
            machine.leave(self.task);
            if let Some(status) = linux.init_status() {
                self.shared.end(match status {
                    ExitStatus::Exited(code) => code,
                    ExitStatus::Killed(signal) => 128 + signal,
                });
            }
        } else if self.guest.registers().rax == ENOSYS {
            for (name, number, _) in linux.missing_calls() {
                if machine.reported.insert(number) {
                    log::warn!("system call {number} ({name}) is not there");
                }
            }
        }
        (linux.take_closes(), step)
    }

    /// Tells servers of files that are closed for good. Nobody waits for what they say.
    fn close(&self, closes: Vec<RemoteCall>) {
        for call in closes {
            let _ = remote::call(self.shared, &call);
        }
    }

    /// Waits to be woken. Woken for nothing, or interrupted: the core looks and says so.
    fn wait(&self, wait: Wait) {
        let extras = match wait.deadline {
            None => Extras::NONE,
            Some(deadline) => {
                page::set_deadline(deadline);
                Extras::NONE.with_deadline()
            }
        };
        if let Err(failed) = ipc::receive(self.bell, extras)
            && !matches!(failed.error, Error::DeadlinePassed | Error::Interrupted)
        {
            log::error!("waiting: {}", failed.error.name());
        }
    }
}
