//! Sessions, process groups, controlling terminals: job control. credentials(7), tty_ioctl(4).
//! Must hold: a terminal has at most one session, a session at most one terminal, and both say the same.

use crate::errno::Errno;
use crate::os::Os;
use crate::platform::Platform;
use crate::signal::{SIG_IGN, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH, SigInfo};
use crate::task::{GroupId, JobState, TaskId};
use crate::wait::WaitKey;

/// A session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// Its controlling terminal.
    pub tty: Option<u32>,
}

/// Major number of the three streams that a first process without terminal has: minor 1 input, 2 output, 3 error output.
/// For the shell each is a terminal of that number, which knows no ioctl.
pub const STREAM_MAJOR: u32 = 4;

/// Which terminal a device number other than `/dev/tty`'s stands for: 0 is the console.
pub(crate) const fn tty_of_device(rdev: u64) -> u32 {
    if sal_vfs::major(rdev) == STREAM_MAJOR { sal_vfs::minor(rdev) } else { 0 }
}

/// The device number of a terminal.
pub(crate) const fn device_of_tty(tty: u32) -> u64 {
    if tty == 0 { sal_vfs::makedev(5, 1) } else { sal_vfs::makedev(STREAM_MAJOR, tty) }
}

/// What is known here of a terminal; the rest is its server's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tty {
    /// Whose controlling terminal it is.
    pub session: Option<u32>,
    /// The foreground process group; 0: none.
    pub foreground: u32,
    /// `TOSTOP` is set: background writers are stopped.
    pub to_stop: bool,
    /// How often its server told of readiness.
    pub epoch: u64,
}

/// What a terminal's server tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TtyEvent {
    /// ^C
    Interrupt,
    /// ^\
    Quit,
    /// ^Z
    Suspend,
    /// Another size.
    Resized,
    /// The line is gone.
    HangUp,
    /// Something of what a poll asked for holds now.
    Ready,
}

impl Os {
    /// The terminal of a process.
    pub(crate) fn tty_of(&self, id: GroupId) -> Option<u32> {
        let group = self.groups.get(id)?;
        self.sessions.get(&group.sid)?.tty
    }

    /// A terminal's server tells something.
    pub(crate) fn tty_event(&mut self, tty: u32, event: TtyEvent, platform: &mut dyn Platform) {
        let signal = match event {
            TtyEvent::Interrupt => SIGINT,
            TtyEvent::Quit => SIGQUIT,
            TtyEvent::Suspend => SIGTSTP,
            TtyEvent::Resized => SIGWINCH,
            TtyEvent::HangUp => return self.hang_up(tty, platform),
            TtyEvent::Ready => {
                self.ttys.entry(tty).or_default().epoch += 1;
                return self.queues.wake(WaitKey::Tty(tty), &mut self.tasks, platform);
            }
        };
        let foreground = self.ttys.get(&tty).map_or(0, |t| t.foreground);
        if foreground != 0 {
            self.send_pgrp(foreground, SigInfo::from_kernel(signal), platform);
        }
    }

    /// The terminal is gone: SIGHUP and SIGCONT to the session leader and the foreground.
    fn hang_up(&mut self, tty: u32, platform: &mut dyn Platform) {
        let Some(known) = self.ttys.get(&tty).copied() else {
            return;
        };
        if let Some(leader) = known.session.and_then(|s| self.tgids.get(&s).copied()) {
            let _ = self.send_group(leader, SigInfo::from_kernel(SIGHUP), platform);
            let _ = self.send_group(leader, SigInfo::from_kernel(SIGCONT), platform);
        }
        self.release_tty(tty, platform);
    }

    /// The session lets its terminal go; the foreground is told.
    fn release_tty(&mut self, tty: u32, platform: &mut dyn Platform) {
        let Some(known) = self.ttys.get_mut(&tty) else {
            return;
        };
        let foreground = core::mem::take(&mut known.foreground);
        let session = known.session.take();
        if foreground != 0 {
            self.send_pgrp(foreground, SigInfo::from_kernel(SIGHUP), platform);
            self.send_pgrp(foreground, SigInfo::from_kernel(SIGCONT), platform);
        }
        if let Some(session) = session.and_then(|s| self.sessions.get_mut(&s)) {
            session.tty = None;
        }
    }

    /// A session leader ends.
    pub(crate) fn leader_ends(&mut self, id: GroupId, platform: &mut dyn Platform) {
        if self.groups.get(id).is_some_and(|g| g.sid == g.tgid)
            && let Some(tty) = self.tty_of(id)
        {
            self.release_tty(tty, platform);
        }
    }

    /// `TIOCSCTTY`: the terminal becomes the caller's session's. `EPERM`.
    pub(crate) fn take_tty(&mut self, id: GroupId, tty: u32) -> Result<(), Errno> {
        let group = self.groups.get(id).ok_or(Errno::ESRCH)?;
        let (sid, pgid) = (group.sid, group.pgid);
        let session = self.sessions.entry(sid).or_default();
        let known = self.ttys.entry(tty).or_default();
        if session.tty == Some(tty) && known.session == Some(sid) {
            return Ok(());
        }
        if sid != group.tgid || session.tty.is_some() || known.session.is_some() {
            return Err(Errno::EPERM);
        }
        session.tty = Some(tty);
        known.session = Some(sid);
        known.foreground = pgid;
        Ok(())
    }

    /// `TIOCNOTTY`: the caller's process gives its terminal up; as a session leader, for the session.
    pub(crate) fn leave_tty(&mut self, id: GroupId, tty: u32, platform: &mut dyn Platform) -> Result<(), Errno> {
        if self.tty_of(id) != Some(tty) {
            return Err(Errno::ENOTTY);
        }
        self.leader_ends(id, platform);
        Ok(())
    }

    /// `tcsetpgrp`.
    pub(crate) fn set_foreground(&mut self, id: GroupId, tty: u32, pgid: u32) -> Result<(), Errno> {
        let sid = self.groups.get(id).ok_or(Errno::ESRCH)?.sid;
        if self.tty_of(id) != Some(tty) {
            return Err(Errno::ENOTTY);
        }
        let mut members = self.groups.iter().filter(|(_, g)| g.pgid == pgid).peekable();
        if members.peek().is_none() {
            return Err(Errno::ESRCH);
        }
        if members.any(|(_, g)| g.sid != sid) {
            return Err(Errno::EPERM);
        }
        if let Some(known) = self.ttys.get_mut(&tty) {
            known.foreground = pgid;
        }
        Ok(())
    }

    /// A background process touches its terminal: `Err` is what its call comes to (the signal was sent), `Ok`: go on.
    pub(crate) fn check_background(
        &mut self,
        id: TaskId,
        tty: u32,
        signal: u8,
        platform: &mut dyn Platform,
    ) -> Result<(), Errno> {
        let Some(task) = self.tasks.get(id) else {
            return Ok(());
        };
        let blocked = task.blocked.has(signal);
        let Some(group) = self.groups.get(task.group) else {
            return Ok(());
        };
        let known = self.ttys.get(&tty).copied().unwrap_or_default();
        if known.session != Some(group.sid) || known.foreground == group.pgid || known.foreground == 0 {
            return Ok(());
        }
        let ignored = group.actions.get(signal as usize - 1).is_some_and(|a| a.handler == SIG_IGN);
        if blocked || ignored {
            return if signal == SIGTTIN { Err(Errno::EIO) } else { Ok(()) };
        }
        let pgid = group.pgid;
        if self.is_orphaned(pgid) || self.tasks.get(id).is_some_and(|t| self.is_protected(t.group)) {
            return Err(Errno::EIO);
        }
        debug_assert!(signal == SIGTTIN || signal == SIGTTOU);
        self.send_pgrp(pgid, SigInfo::from_kernel(signal), platform);
        Err(Errno::RESTART_SYS)
    }

    /// Has no member a parent in another group of the same session?
    pub(crate) fn is_orphaned(&self, pgid: u32) -> bool {
        !self.groups.iter().any(|(_, g)| {
            g.pgid == pgid
                && g.zombie.is_none()
                && g.parent.and_then(|p| self.groups.get(p)).is_some_and(|p| p.pgid != pgid && p.sid == g.sid)
        })
    }

    /// A member of the process group or its `parent` has ended. If the two tied the group to its session (POSIX, exit: the parent was in
    /// another group of it), and no other pair does now, and a member is stopped: all get SIGHUP and SIGCONT. A group that was orphaned
    /// before is left alone.
    pub(crate) fn tell_orphans(&mut self, parent: GroupId, pgid: u32, platform: &mut dyn Platform) {
        let session = self.groups.iter().find(|(_, g)| g.pgid == pgid).map(|(_, g)| g.sid);
        let tied = self.groups.get(parent).is_some_and(|p| p.pgid != pgid && Some(p.sid) == session);
        if !tied {
            return;
        }
        let stopped = self
            .groups
            .iter()
            .any(|(_, g)| g.pgid == pgid && g.zombie.is_none() && matches!(g.job, JobState::Stopped { .. }));
        if stopped && self.is_orphaned(pgid) {
            self.send_pgrp(pgid, SigInfo::from_kernel(SIGHUP), platform);
            self.send_pgrp(pgid, SigInfo::from_kernel(SIGCONT), platform);
        }
    }
}
