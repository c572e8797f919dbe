//! Sending signals. Must hold: a task with a deliverable signal has `attention`, and was woken, kicked or interrupted.

use super::{
    DefaultAction, SIG_DFL, SIG_IGN, SIGCONT, SIGKILL, SIGTERM, SIGUSR1, SIGUSR2, STOPS, SigInfo, SigSet, code,
    default_action,
};
use crate::errno::Errno;
use crate::os::Os;
use crate::platform::{Platform, PowerState};
use crate::task::{Credentials, ExitStatus, GroupId, JobState, State, TaskId};
use crate::wait::WaitKey;
use alloc::vec::Vec;
use linux_raw_sys::general as g;

/// CAP_KILL
const CAP_KILL: u32 = 5;

impl Os {
    /// Sends to a thread; `EAGAIN` if a real-time signal does not fit.
    pub fn send_task(&mut self, id: TaskId, info: SigInfo, platform: &mut dyn Platform) -> Result<(), Errno> {
        let Some(task) = self.tasks.get(id) else {
            return Ok(());
        };
        let group = task.group;
        if !self.prepare(group, info.signal, platform) || self.drops(group, Some(id), info.signal) {
            return Ok(());
        }
        if info.signal == SIGKILL {
            self.end_group(group, ExitStatus::Killed(SIGKILL), platform);
            return Ok(());
        }
        let Some(task) = self.tasks.get_mut(id) else {
            return Ok(());
        };
        if !task.pending.push(info) {
            return Err(Errno::EAGAIN);
        }
        if !task.blocked.has(info.signal) || task.awaited.has(info.signal) {
            self.alert(id, platform);
        }
        Ok(())
    }

    /// Sends to a process.
    pub fn send_group(&mut self, id: GroupId, info: SigInfo, platform: &mut dyn Platform) -> Result<(), Errno> {
        if self.groups.get(id).is_none_or(|g| g.zombie.is_some()) {
            return Ok(());
        }
        if let Some(state) = self.asks_for_power(id, info.signal) {
            platform.power(state);
            return Ok(());
        }
        if !self.prepare(id, info.signal, platform) || self.drops(id, None, info.signal) {
            return Ok(());
        }
        if info.signal == SIGKILL {
            self.end_group(id, ExitStatus::Killed(SIGKILL), platform);
            return Ok(());
        }
        let Some(group) = self.groups.get_mut(id) else {
            return Ok(());
        };
        if !group.pending.push(info) {
            return Err(Errno::EAGAIN);
        }
        if let Some(thread) = self.receiver(id, info.signal) {
            self.alert(thread, platform);
        }
        Ok(())
    }

    /// Sends to every process of a process group; how many there were.
    pub fn send_pgrp(&mut self, pgid: u32, info: SigInfo, platform: &mut dyn Platform) -> usize {
        let members: Vec<GroupId> = self.members(pgid);
        for id in &members {
            let _ = self.send_group(*id, info, platform);
        }
        members.len()
    }

    /// The processes of a process group that are not zombies.
    pub fn members(&self, pgid: u32) -> Vec<GroupId> {
        self.groups.iter().filter(|(_, g)| g.pgid == pgid && g.zombie.is_none()).map(|(id, _)| id).collect()
    }

    /// What a signal does at the time of sending: SIGCONT and the stop signals cancel each other. False: nobody left.
    fn prepare(&mut self, id: GroupId, signal: u8, platform: &mut dyn Platform) -> bool {
        let Some(group) = self.groups.get_mut(id) else {
            return false;
        };
        if group.exiting.is_some() {
            return false;
        }
        let cancelled = match signal {
            SIGCONT => STOPS,
            s if STOPS.has(s) => SigSet::of(SIGCONT),
            _ => return true,
        };
        group.pending.discard(cancelled);
        let threads = group.threads.clone();
        for thread in &threads {
            if let Some(task) = self.tasks.get_mut(*thread) {
                task.pending.discard(cancelled);
            }
        }
        if signal == SIGCONT {
            self.continue_group(id, platform);
        }
        true
    }

    fn continue_group(&mut self, id: GroupId, platform: &mut dyn Platform) {
        let Some(group) = self.groups.get_mut(id) else {
            return;
        };
        if !matches!(group.job, JobState::Stopped { .. }) {
            return;
        }
        group.job = JobState::Continued;
        let threads = group.threads.clone();
        threads.iter().for_each(|t| self.unstop(*t, platform));
        self.notify_parent(id, code::CLD_CONTINUED, SIGCONT as i32, platform);
    }

    /// A stopped thread looks again.
    pub fn unstop(&mut self, id: TaskId, platform: &mut dyn Platform) {
        if let Some(task) = self.tasks.get_mut(id)
            && let State::Stopped { woken: woken @ false, .. } = &mut task.state
        {
            *woken = true;
            platform.wake(id);
        }
    }

    /// Is the signal thrown away at once?
    fn drops(&self, id: GroupId, thread: Option<TaskId>, signal: u8) -> bool {
        let Some(group) = self.groups.get(id) else {
            return true;
        };
        let Some(action) = group.actions.get(signal.wrapping_sub(1) as usize) else {
            return true;
        };
        let held = |t: &TaskId| {
            self.tasks.get(*t).is_some_and(|t| {
                t.blocked.has(signal) || t.awaited.has(signal) || t.saved_mask.is_some_and(|m| m.has(signal))
            })
        };
        let is_held = match thread {
            Some(thread) => held(&thread),
            None => group.threads.iter().any(held),
        };
        if self.is_protected(id) && action.handler == SIG_DFL && default_action(signal) != DefaultAction::Ignore {
            return true;
        }
        action.ignores(signal) && !is_held
    }

    /// `poweroff`, `halt` and `reboot` send init a signal. A shell as init has no handler for it: then the personality does what init
    /// would. busybox(1).
    fn asks_for_power(&self, id: GroupId, signal: u8) -> Option<PowerState> {
        let state = match signal {
            SIGUSR1 => PowerState::Halt,
            SIGUSR2 => PowerState::Off(0),
            SIGTERM => PowerState::Restart,
            _ => return None,
        };
        let action = self.groups.get(id)?.actions.get(signal.wrapping_sub(1) as usize)?;
        let handled = action.handler != SIG_DFL && action.handler != SIG_IGN;
        (self.is_protected(id) && !handled).then_some(state)
    }

    /// Is it init, which only gets what it asked for?
    pub fn is_protected(&self, id: GroupId) -> bool {
        self.config.protect_init && self.init == Some(id)
    }

    /// Which thread takes a signal that was sent to its process.
    fn receiver(&self, id: GroupId, signal: u8) -> Option<TaskId> {
        let group = self.groups.get(id)?;
        let wants =
            |t: &TaskId| self.tasks.get(*t).is_some_and(|task| !task.blocked.has(signal) || task.awaited.has(signal));
        Some(group.leader)
            .filter(|l| group.threads.contains(l) && wants(l))
            .or_else(|| group.threads.iter().copied().find(wants))
    }

    /// A thread must look at its signals.
    pub fn alert(&mut self, id: TaskId, platform: &mut dyn Platform) {
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        task.attention = true;
        match &mut task.state {
            State::Running if self.current == Some(id) => {}
            State::Running => platform.kick(id),
            State::Blocked { woken: woken @ false } => {
                *woken = true;
                platform.wake(id);
            }
            State::Remote { interrupted: interrupted @ false } => {
                *interrupted = true;
                platform.interrupt(id);
            }
            _ => {}
        }
    }

    /// All threads of a process end with `status` as soon as they look.
    pub fn end_group(&mut self, id: GroupId, status: ExitStatus, platform: &mut dyn Platform) {
        let Some(group) = self.groups.get_mut(id) else {
            return;
        };
        if group.exiting.is_none() {
            group.exiting = Some(status);
        }
        group.job = JobState::Running;
        for thread in group.threads.clone() {
            self.alert(thread, platform);
            self.unstop(thread, platform);
        }
    }

    /// SIGCHLD and a wake for who waits: a child changed.
    pub fn notify_parent(&mut self, id: GroupId, code: i32, status: i32, platform: &mut dyn Platform) {
        let Some(group) = self.groups.get(id) else { return };
        let Some(parent) = group.parent else { return };
        let uid = group.threads.first().and_then(|t| self.tasks.get(*t)).map_or(group.uid, |t| t.credentials.uid[0]);
        let info = SigInfo::child(code, group.tgid, uid, status, group.usage.cpu / 10_000_000);
        let ended = matches!(code, code::CLD_EXITED | code::CLD_KILLED);
        let signal = if ended { group.exit_signal } else { super::SIGCHLD };
        let quiet = self
            .groups
            .get(parent)
            .and_then(|p| p.actions.get(super::SIGCHLD as usize - 1))
            .is_some_and(|a| !ended && (a.has(g::SA_NOCLDSTOP) || a.handler == super::SIG_IGN));
        if signal != 0 && !quiet {
            let _ = self.send_group(parent, SigInfo { signal, ..info }, platform);
        }
        self.queues.wake(WaitKey::Children(parent), &mut self.tasks, platform);
    }

    /// May `sender` send to the process? kill(2).
    pub fn may_signal(&self, sender: &Credentials, session: u32, target: GroupId, signal: u8) -> bool {
        let Some(group) = self.groups.get(target) else {
            return false;
        };
        let Some(task) = group.threads.first().and_then(|t| self.tasks.get(*t)) else {
            return true;
        };
        let [real, effective, ..] = sender.uid;
        let [target_real, _, target_saved, _] = task.credentials.uid;
        sender.can(CAP_KILL)
            || [real, effective].iter().any(|u| *u == target_real || *u == target_saved)
            || signal == SIGCONT && group.sid == session
    }
}
