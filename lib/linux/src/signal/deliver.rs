//! Delivering: what a task does about its signals before it goes back to its program.

use super::default_action;
use super::frame;
use super::{DefaultAction, SIG_DFL, SIG_IGN, SIGCHLD, SIGKILL, SIGSEGV, SIGSTOP, SigAction, SigInfo, SigSet, code};
use crate::ctx::Ctx;
use crate::errno::Errno;
use crate::task::{ExitStatus, JobState, Progress, State};
use linux_raw_sys::general as g;

/// What a look at the signals came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delivered {
    /// Back to the program.
    Return,
    /// Nobody caught anything: the interrupted call goes on.
    Rerun,
    /// The process stopped.
    Stopped,
    /// This thread ends.
    Exit,
}

enum Next {
    Nothing,
    Handler(SigInfo, SigAction),
    Stop,
    Exit,
}

impl Ctx<'_> {
    /// Looks at the caller's signals; `code`: a call was interrupted and wants to be repeated.
    pub fn deliver(&mut self, mut code: Option<Errno>) -> Delivered {
        loop {
            match self.next_signal() {
                Next::Nothing if code.is_some() => return Delivered::Rerun,
                Next::Nothing => {
                    if !self.restore_mask() {
                        return Delivered::Return;
                    }
                }
                Next::Handler(info, action) => {
                    self.interrupt_call(code.take(), &action);
                    if frame::push(self, &info, &action).is_err() {
                        self.force(SigInfo::from_kernel(SIGSEGV), info.signal == SIGSEGV);
                    }
                }
                Next::Stop => {
                    if let Ok(task) = self.me_mut() {
                        task.state = State::Stopped { rerun: code, woken: false };
                    }
                    return Delivered::Stopped;
                }
                Next::Exit => return Delivered::Exit,
            }
        }
    }

    /// A handler runs in the middle of a call: does the call start again afterwards, or fail?
    fn interrupt_call(&mut self, code: Option<Errno>, action: &SigAction) {
        let Some(code) = code else { return };
        let again = code == Errno::RESTART_NO_INTR || code == Errno::RESTART_SYS && action.has(g::SA_RESTART);
        if again {
            // The `syscall` instruction is two bytes; rax still holds the number.
            self.regs.rip = self.regs.rip.wrapping_sub(2);
        } else {
            self.regs.rax = Errno::EINTR.to_result();
        }
        if let Ok(task) = self.me_mut() {
            task.progress = Progress::None;
            task.awaited = SigSet::default();
        }
    }

    /// The mask from before `sigsuspend` or `ppoll` comes back; true: look again.
    fn restore_mask(&mut self) -> bool {
        let Ok(task) = self.me_mut() else { return false };
        let Some(mask) = task.saved_mask.take() else {
            return false;
        };
        task.blocked = mask;
        true
    }

    fn next_signal(&mut self) -> Next {
        loop {
            let id = self.task;
            let Some(task) = self.os.tasks.get_mut(id) else {
                return Next::Exit;
            };
            let Some(group) = self.os.groups.get_mut(task.group) else {
                return Next::Exit;
            };
            if group.exiting.is_some() || group.exec.is_some_and(|t| t != id) {
                return Next::Exit;
            }
            if matches!(group.job, JobState::Stopped { .. }) {
                return Next::Stop;
            }
            let Some(info) = task.pending.take(task.blocked).or_else(|| group.pending.take(task.blocked)) else {
                task.attention = false;
                return Next::Nothing;
            };
            let Some(slot) = group.actions.get_mut(info.signal as usize - 1) else {
                continue;
            };
            let action = *slot;
            match action.handler {
                SIG_IGN => continue,
                SIG_DFL => {}
                _ => {
                    if action.has(g::SA_RESETHAND) {
                        slot.handler = SIG_DFL;
                    }
                    return Next::Handler(info, action);
                }
            }
            if let Some(next) = self.by_default(&info) {
                return next;
            }
        }
    }

    fn by_default(&mut self, info: &SigInfo) -> Option<Next> {
        let group_id = self.group_id().ok()?;
        let kernel_fault = super::SYNCHRONOUS.has(info.signal) && info.code > 0;
        if self.os.is_protected(group_id) && !kernel_fault && info.signal != SIGKILL {
            return None;
        }
        match default_action(info.signal) {
            DefaultAction::Ignore => None,
            DefaultAction::Terminate => {
                self.os.end_group(group_id, ExitStatus::Killed(info.signal), self.platform);
                Some(Next::Exit)
            }
            DefaultAction::Stop => {
                let pgid = self.group().ok()?.pgid;
                if info.signal != SIGSTOP && self.os.is_orphaned(pgid) {
                    return None;
                }
                self.stop_group(info.signal);
                Some(Next::Stop)
            }
        }
    }

    /// All threads stop when they next look; the parent is told.
    fn stop_group(&mut self, signal: u8) {
        let Ok(id) = self.group_id() else { return };
        let Ok(group) = self.group_mut() else { return };
        group.job = JobState::Stopped { signal, reported: false };
        for thread in group.threads.clone() {
            if thread != self.task {
                self.os.alert(thread, self.platform);
            }
        }
        self.os.notify_parent(id, code::CLD_STOPPED, signal as i32, self.platform);
    }

    /// A signal that the thread cannot refuse: a fault. If it is blocked, ignored, or `reset`, it kills.
    pub fn force(&mut self, info: SigInfo, reset: bool) {
        let id = self.task;
        let Some(task) = self.os.tasks.get_mut(id) else {
            return;
        };
        let Some(group) = self.os.groups.get_mut(task.group) else {
            return;
        };
        if let Some(action) = group.actions.get_mut(info.signal as usize - 1)
            && (reset || action.handler == SIG_IGN || task.blocked.has(info.signal))
        {
            action.handler = SIG_DFL;
        }
        task.blocked = task.blocked.without(SigSet::of(info.signal));
        task.pending.discard(SigSet::of(info.signal));
        task.pending.push(info);
        task.attention = true;
    }

    /// Sets the caller's mask, and looks whether that lets something in.
    pub fn set_mask(&mut self, mask: SigSet) -> Result<(), Errno> {
        self.me_mut()?.blocked = mask.blockable();
        if self.interrupted() {
            self.me_mut()?.attention = true;
        }
        Ok(())
    }
}

/// What `wait` says of children is not wanted: they vanish.
pub fn reaps_itself(actions: &[SigAction; 64]) -> bool {
    let action = actions.get(SIGCHLD as usize - 1).copied().unwrap_or_default();
    action.handler == SIG_IGN || action.has(g::SA_NOCLDWAIT)
}
