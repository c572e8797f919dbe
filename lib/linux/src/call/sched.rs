//! Scheduling: nice, affinity, policies. The kernel below schedules; these are hints.

use super::{Answer, Args};
use crate::ctx::Ctx;
use crate::errno::Errno;
use crate::step::{DONE, Outcome};
use crate::task::TaskId;
use alloc::vec::Vec;
use linux_raw_sys::general as g;

/// CAP_SYS_NICE
const CAP_SYS_NICE: u32 = 23;

fn thread(ctx: &Ctx, tid: u64) -> Result<TaskId, Errno> {
    if tid == 0 { Ok(ctx.task) } else { ctx.os.tids.get(&(tid as u32)).copied().ok_or(Errno::ESRCH) }
}

/// Not under the lock, for which others may wait: the shell's native thread yields when it has let go of it.
pub(super) fn sched_yield(_: &mut Ctx, _: Args) -> Answer {
    Ok(Outcome::Yield)
}

fn all_cpus(ctx: &mut Ctx) -> u64 {
    let cpus = ctx.platform.cpus().clamp(1, 64);
    u64::MAX >> (64 - cpus)
}

pub(super) fn sched_getaffinity(ctx: &mut Ctx, [tid, size, at, ..]: Args) -> Answer {
    let id = thread(ctx, tid)?;
    if size < 8 || size % 8 != 0 {
        return Err(Errno::EINVAL);
    }
    let mask = ctx.os.tasks.get(id).ok_or(Errno::ESRCH)?.affinity & all_cpus(ctx);
    ctx.mem.put_u64(at, mask)?;
    Ok(Outcome::Value(8))
}

pub(super) fn sched_setaffinity(ctx: &mut Ctx, [tid, size, at, ..]: Args) -> Answer {
    let id = thread(ctx, tid)?;
    let bytes = ctx.mem.get_vec(at, size.min(8) as usize)?;
    let mut word = [0; 8];
    for (place, byte) in word.iter_mut().zip(bytes) {
        *place = byte;
    }
    let mask = u64::from_le_bytes(word) & all_cpus(ctx);
    if mask == 0 {
        return Err(Errno::EINVAL);
    }
    ctx.os.tasks.get_mut(id).ok_or(Errno::ESRCH)?.affinity = mask;
    DONE
}

pub(super) fn getcpu(ctx: &mut Ctx, [cpu, node, ..]: Args) -> Answer {
    let number = ctx.platform.cpu(ctx.task);
    if cpu != 0 {
        ctx.mem.put_u32(cpu, number)?;
    }
    if node != 0 {
        ctx.mem.put_u32(node, 0)?;
    }
    DONE
}

pub(super) fn sched_getscheduler(ctx: &mut Ctx, [tid, ..]: Args) -> Answer {
    thread(ctx, tid)?;
    Ok(Outcome::Value(g::SCHED_NORMAL as u64))
}

/// Only the ordinary policies: there is no real-time class yet.
pub(super) fn sched_setscheduler(ctx: &mut Ctx, [tid, policy, at, ..]: Args) -> Answer {
    thread(ctx, tid)?;
    let priority = ctx.mem.get_u32(at)?;
    match policy as u32 {
        g::SCHED_NORMAL | g::SCHED_BATCH | g::SCHED_IDLE if priority == 0 => DONE,
        g::SCHED_FIFO | g::SCHED_RR => Err(Errno::EPERM),
        _ => Err(Errno::EINVAL),
    }
}

pub(super) fn sched_getparam(ctx: &mut Ctx, [tid, at, ..]: Args) -> Answer {
    thread(ctx, tid)?;
    ctx.mem.put_u32(at, 0)?;
    DONE
}

pub(super) fn sched_setparam(ctx: &mut Ctx, [tid, at, ..]: Args) -> Answer {
    thread(ctx, tid)?;
    if ctx.mem.get_u32(at)? == 0 { DONE } else { Err(Errno::EINVAL) }
}

pub(super) fn sched_get_priority_max(_: &mut Ctx, [policy, ..]: Args) -> Answer {
    priority_bound(policy, 99)
}

pub(super) fn sched_get_priority_min(_: &mut Ctx, [policy, ..]: Args) -> Answer {
    priority_bound(policy, 1)
}

fn priority_bound(policy: u64, real_time: u64) -> Answer {
    match policy as u32 {
        g::SCHED_FIFO | g::SCHED_RR => Ok(Outcome::Value(real_time)),
        g::SCHED_NORMAL | g::SCHED_BATCH | g::SCHED_IDLE | g::SCHED_DEADLINE => DONE,
        _ => Err(Errno::EINVAL),
    }
}

/// The threads that getpriority and setpriority name.
fn named(ctx: &Ctx, which: u64, who: u64) -> Result<Vec<TaskId>, Errno> {
    let group = ctx.group()?;
    let who = who as u32;
    let threads_of = |wanted: &dyn Fn(&crate::task::Group) -> bool| -> Vec<TaskId> {
        ctx.os.groups.iter().filter(|(_, g)| wanted(g)).flat_map(|(_, g)| g.threads.iter().copied()).collect()
    };
    let found = match which as u32 {
        g::PRIO_PROCESS if who == 0 => alloc::vec![ctx.task],
        g::PRIO_PROCESS => ctx.os.tids.get(&who).copied().into_iter().collect(),
        g::PRIO_PGRP => {
            let pgid = if who == 0 { group.pgid } else { who };
            threads_of(&|g| g.pgid == pgid)
        }
        g::PRIO_USER => {
            let uid = if who == 0 { ctx.me()?.credentials.uid[0] } else { who };
            ctx.os.tasks.iter().filter(|(_, t)| t.credentials.uid[0] == uid).map(|(id, _)| id).collect()
        }
        _ => return Err(Errno::EINVAL),
    };
    if found.is_empty() { Err(Errno::ESRCH) } else { Ok(found) }
}

pub(super) fn getpriority(ctx: &mut Ctx, [which, who, ..]: Args) -> Answer {
    let threads = named(ctx, which, who)?;
    let nice = threads.iter().filter_map(|t| ctx.os.tasks.get(*t)).map(|t| t.nice).min().ok_or(Errno::ESRCH)?;
    Ok(Outcome::Value((20 - nice as i64) as u64))
}

pub(super) fn setpriority(ctx: &mut Ctx, [which, who, nice, ..]: Args) -> Answer {
    let nice = (nice as i32).clamp(-20, 19) as i8;
    let may_raise = ctx.me()?.credentials.can(CAP_SYS_NICE);
    for id in named(ctx, which, who)? {
        let Some(task) = ctx.os.tasks.get_mut(id) else {
            continue;
        };
        if nice < task.nice && !may_raise {
            return Err(Errno::EACCES);
        }
        task.nice = nice;
        ctx.platform.set_nice(id, nice);
    }
    DONE
}
