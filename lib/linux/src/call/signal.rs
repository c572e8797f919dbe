//! The signal calls.

use super::time::timespec;
use super::{Answer, Args};
use crate::ctx::Ctx;
use crate::errno::Errno;
use crate::signal::{
    AltStack, SIGINFO_BYTES, SIGKILL, SIGMAX, SIGSEGV, SIGSTOP, SigAction, SigInfo, SigSet, code, frame,
};
use crate::step::{DONE, Outcome};
use crate::task::{GroupId, Progress, TaskId};
use alloc::vec::Vec;
use linux_raw_sys::general as g;

/// Bytes of a signal set.
const SET: u64 = 8;

fn check_set(size: u64) -> Result<(), Errno> {
    if size == SET { Ok(()) } else { Err(Errno::EINVAL) }
}

fn signal_number(signal: u64) -> Result<u8, Errno> {
    u8::try_from(signal as u32).ok().filter(|s| (1..=SIGMAX).contains(s)).ok_or(Errno::EINVAL)
}

pub(super) fn rt_sigaction(ctx: &mut Ctx, [signal, new, old, size, ..]: Args) -> Answer {
    check_set(size)?;
    let signal = signal_number(signal)?;
    let action = if new != 0 {
        let [handler, flags, restorer, mask] = ctx.mem.get_words(new)?;
        if signal == SIGKILL || signal == SIGSTOP {
            return Err(Errno::EINVAL);
        }
        Some(SigAction { handler, flags, restorer, mask: SigSet(mask).blockable() })
    } else {
        None
    };
    let group = ctx.group_mut()?;
    let slot = group.actions.get_mut(signal as usize - 1).ok_or(Errno::EINVAL)?;
    let before = *slot;
    if let Some(action) = action {
        *slot = action;
        if action.ignores(signal) {
            discard(ctx, signal)?;
        }
    }
    if old != 0 {
        ctx.mem.put_words(old, &[before.handler, before.flags, before.restorer, before.mask.0])?;
    }
    DONE
}

/// What is ignored from now on does not stay pending.
fn discard(ctx: &mut Ctx, signal: u8) -> Result<(), Errno> {
    let set = SigSet::of(signal);
    let group = ctx.group_mut()?;
    group.pending.discard(set);
    for thread in group.threads.clone() {
        if let Some(task) = ctx.os.tasks.get_mut(thread) {
            task.pending.discard(set);
        }
    }
    Ok(())
}

pub(super) fn rt_sigprocmask(ctx: &mut Ctx, [how, new, old, size, ..]: Args) -> Answer {
    check_set(size)?;
    let before = ctx.me()?.blocked;
    if new != 0 {
        let set = SigSet(ctx.mem.get_u64(new)?);
        let mask = match how as u32 {
            g::SIG_BLOCK => before.or(set),
            g::SIG_UNBLOCK => before.without(set),
            g::SIG_SETMASK => set,
            _ => return Err(Errno::EINVAL),
        };
        ctx.set_mask(mask)?;
    }
    if old != 0 {
        ctx.mem.put_u64(old, before.0)?;
    }
    DONE
}

pub(super) fn rt_sigreturn(ctx: &mut Ctx, _: Args) -> Answer {
    if frame::pop(ctx).is_err() {
        ctx.force(SigInfo::from_kernel(SIGSEGV), false);
    }
    Ok(Outcome::Registers)
}

pub(super) fn rt_sigpending(ctx: &mut Ctx, [at, size, ..]: Args) -> Answer {
    if size > SET {
        return Err(Errno::EINVAL);
    }
    let pending = ctx.me()?.pending.set.or(ctx.group()?.pending.set);
    let visible = pending.0 & ctx.me()?.blocked.0;
    let bytes = visible.to_le_bytes();
    ctx.mem.write(at, bytes.get(..size as usize).unwrap_or_default())?;
    DONE
}

pub(super) fn rt_sigsuspend(ctx: &mut Ctx, [set, size, ..]: Args) -> Answer {
    check_set(size)?;
    let mask = SigSet(ctx.mem.get_u64(set)?);
    wait_masked(ctx, mask)?;
    if ctx.interrupted() {
        return Err(Errno::RESTART_NO_HAND);
    }
    ctx.block(&[], None, Progress::None)
}

/// Sets a mask for the time of a wait; the old one comes back at its end, or in the handler's frame.
pub(super) fn wait_masked(ctx: &mut Ctx, mask: SigSet) -> Result<(), Errno> {
    let task = ctx.me_mut()?;
    if task.saved_mask.is_none() {
        task.saved_mask = Some(task.blocked);
    }
    task.blocked = mask.blockable();
    Ok(())
}

pub(super) fn pause(ctx: &mut Ctx, _: Args) -> Answer {
    if ctx.interrupted() {
        return Err(Errno::RESTART_NO_HAND);
    }
    ctx.block(&[], None, Progress::None)
}

pub(super) fn rt_sigtimedwait(ctx: &mut Ctx, [set, info, timeout, size, ..]: Args) -> Answer {
    check_set(size)?;
    let wanted = SigSet(ctx.mem.get_u64(set)?).blockable();
    let deadline = match ctx.take_progress() {
        Progress::Deadline(deadline) => deadline,
        _ if timeout == 0 => None,
        _ => Some(ctx.platform.now().saturating_add(timespec(ctx, timeout)?)),
    };
    let id = ctx.group_id()?;
    let task = ctx.os.tasks.get_mut(ctx.task).ok_or(Errno::ESRCH)?;
    task.awaited = SigSet::default();
    let others = SigSet(!wanted.0);
    let found = match task.pending.take(others) {
        None => ctx.os.groups.get_mut(id).and_then(|group| group.pending.take(others)),
        found => found,
    };
    if let Some(found) = found {
        if info != 0 {
            ctx.mem.write(info, &found.to_bytes())?;
        }
        return Ok(Outcome::Value(found.signal as u64));
    }
    if ctx.past(deadline) {
        return Err(Errno::EAGAIN);
    }
    if ctx.interrupted() {
        return Err(Errno::EINTR);
    }
    ctx.me_mut()?.awaited = wanted;
    ctx.block(&[], deadline, Progress::Deadline(deadline))
}

pub(super) fn sigaltstack(ctx: &mut Ctx, [new, old, ..]: Args) -> Answer {
    let sp = ctx.regs.rsp;
    let before = ctx.me()?.alt_stack;
    if new != 0 {
        let [base, flags, size] = ctx.mem.get_words(new)?;
        if before.holds(sp) {
            return Err(Errno::EPERM);
        }
        let stack = match flags as u32 & !g::SS_AUTODISARM {
            g::SS_DISABLE => AltStack::default(),
            0 | g::SS_ONSTACK if size < g::MINSIGSTKSZ as u64 => return Err(Errno::ENOMEM),
            0 | g::SS_ONSTACK => AltStack { base, size, flags: flags as u32 & g::SS_AUTODISARM },
            _ => return Err(Errno::EINVAL),
        };
        ctx.me_mut()?.alt_stack = stack;
    }
    if old != 0 {
        ctx.mem.put_words(old, &[before.base, before.state(sp) as u64, before.size])?;
    }
    DONE
}

/// Sends to a process; signal 0 only asks whether that may be.
fn send(ctx: &mut Ctx, target: GroupId, signal: u8, info: SigInfo) -> Result<(), Errno> {
    let (sender, session) = (ctx.me()?.credentials.clone(), ctx.group()?.sid);
    if !ctx.os.may_signal(&sender, session, target, signal) {
        return Err(Errno::EPERM);
    }
    if signal == 0 {
        return Ok(());
    }
    ctx.os.send_group(target, info, ctx.platform)
}

fn check_number(signal: u64) -> Result<u8, Errno> {
    u8::try_from(signal as u32).ok().filter(|s| *s <= SIGMAX).ok_or(Errno::EINVAL)
}

fn info_from_me(ctx: &Ctx, signal: u8, code: i32) -> Result<SigInfo, Errno> {
    Ok(SigInfo::from_user(signal, code, ctx.group()?.tgid, ctx.me()?.credentials.uid[0]))
}

pub(super) fn kill(ctx: &mut Ctx, [pid, signal, ..]: Args) -> Answer {
    let signal = check_number(signal)?;
    let info = info_from_me(ctx, signal, code::USER)?;
    let me = ctx.group_id()?;
    let targets: Vec<GroupId> = match pid as i32 {
        pid if pid > 0 => ctx.os.tgids.get(&(pid as u32)).copied().into_iter().collect(),
        0 => with_zombies(ctx, ctx.group()?.pgid),
        -1 => ctx.os.groups.iter().map(|(id, _)| id).filter(|id| *id != me && ctx.os.init != Some(*id)).collect(),
        i32::MIN => return Err(Errno::ESRCH),
        pgid => with_zombies(ctx, pgid.unsigned_abs()),
    };
    if targets.is_empty() {
        return Err(Errno::ESRCH);
    }
    let mut answer = Err(Errno::ESRCH);
    for target in targets {
        match send(ctx, target, signal, info) {
            Ok(()) => answer = Ok(()),
            Err(error) if answer.is_err() => answer = Err(error),
            Err(_) => {}
        }
    }
    answer.map(|()| Outcome::Value(0))
}

fn with_zombies(ctx: &Ctx, pgid: u32) -> Vec<GroupId> {
    ctx.os.groups.iter().filter(|(_, g)| g.pgid == pgid).map(|(id, _)| id).collect()
}

fn thread(ctx: &Ctx, tgid: Option<u32>, tid: u32) -> Result<TaskId, Errno> {
    let id = *ctx.os.tids.get(&tid).ok_or(Errno::ESRCH)?;
    let group = ctx.os.tasks.get(id).map(|t| t.group).ok_or(Errno::ESRCH)?;
    let owner = ctx.os.groups.get(group).ok_or(Errno::ESRCH)?.tgid;
    if tgid.is_some_and(|t| t != owner) { Err(Errno::ESRCH) } else { Ok(id) }
}

fn send_thread(ctx: &mut Ctx, id: TaskId, signal: u8, info: SigInfo) -> Answer {
    let (sender, session) = (ctx.me()?.credentials.clone(), ctx.group()?.sid);
    let group = ctx.os.tasks.get(id).ok_or(Errno::ESRCH)?.group;
    if !ctx.os.may_signal(&sender, session, group, signal) {
        return Err(Errno::EPERM);
    }
    if signal != 0 {
        ctx.os.send_task(id, info, ctx.platform)?;
    }
    DONE
}

pub(super) fn tkill(ctx: &mut Ctx, [tid, signal, ..]: Args) -> Answer {
    let signal = check_number(signal)?;
    if tid as i32 <= 0 {
        return Err(Errno::EINVAL);
    }
    let (id, info) = (thread(ctx, None, tid as u32)?, info_from_me(ctx, signal, code::TKILL)?);
    send_thread(ctx, id, signal, info)
}

pub(super) fn tgkill(ctx: &mut Ctx, [tgid, tid, signal, ..]: Args) -> Answer {
    let signal = check_number(signal)?;
    if tid as i32 <= 0 || tgid as i32 <= 0 {
        return Err(Errno::EINVAL);
    }
    let (id, info) = (thread(ctx, Some(tgid as u32), tid as u32)?, info_from_me(ctx, signal, code::TKILL)?);
    send_thread(ctx, id, signal, info)
}

/// The sender's own `siginfo_t`: it may not look like the kernel's or another's kill.
fn queued_info(ctx: &mut Ctx, at: u64, signal: u8, to_self: bool) -> Result<SigInfo, Errno> {
    const { assert!(SIGINFO_BYTES >= 48) };
    let info = SigInfo::from_words(signal, ctx.mem.get_words(at)?);
    if (info.code >= 0 || info.code == code::TKILL) && !to_self { Err(Errno::EPERM) } else { Ok(info) }
}

pub(super) fn rt_sigqueueinfo(ctx: &mut Ctx, [pid, signal, info, ..]: Args) -> Answer {
    let signal = check_number(signal)?;
    let target = *ctx.os.tgids.get(&(pid as u32)).ok_or(Errno::ESRCH)?;
    let to_self = target == ctx.group_id()?;
    let info = queued_info(ctx, info, signal, to_self)?;
    send(ctx, target, signal, info)?;
    DONE
}

pub(super) fn rt_tgsigqueueinfo(ctx: &mut Ctx, [tgid, tid, signal, info, ..]: Args) -> Answer {
    let signal = check_number(signal)?;
    let id = thread(ctx, Some(tgid as u32), tid as u32)?;
    let to_self = ctx.group()?.tgid == tgid as u32;
    let info = queued_info(ctx, info, signal, to_self)?;
    send_thread(ctx, id, signal, info)
}
