//! Clocks, sleeps, timers.

use super::{Answer, Args};
use crate::ctx::Ctx;
use crate::errno::Errno;
use crate::step::{DONE, Outcome};
use crate::task::{IntervalTimer, Progress};
use linux_raw_sys::general as g;

/// Nanoseconds of a second.
pub(super) const SECOND: u64 = 1_000_000_000;

/// Nanoseconds of seconds and nanoseconds as a program gives them; `EINVAL`.
pub(super) fn nanoseconds(seconds: u64, rest: u64) -> Result<u64, Errno> {
    if seconds as i64 >= 0 && rest < SECOND {
        Ok(seconds.saturating_mul(SECOND).saturating_add(rest))
    } else {
        Err(Errno::EINVAL)
    }
}

/// Reads a `struct timespec`.
pub(super) fn timespec(ctx: &mut Ctx, at: u64) -> Result<u64, Errno> {
    let [seconds, rest] = ctx.mem.get_words(at)?;
    nanoseconds(seconds, rest)
}

fn put_timespec(ctx: &mut Ctx, at: u64, ns: u64) -> Result<(), Errno> {
    ctx.mem.put_words(at, &[ns / SECOND, ns % SECOND])
}

fn timeval(ctx: &mut Ctx, at: u64) -> Result<u64, Errno> {
    let [seconds, micro] = ctx.mem.get_words(at)?;
    if micro >= 1_000_000 {
        return Err(Errno::EINVAL);
    }
    nanoseconds(seconds, micro * 1000)
}

/// What a clock says now.
fn clock(ctx: &mut Ctx, id: u32) -> Result<u64, Errno> {
    Ok(match id {
        g::CLOCK_REALTIME | g::CLOCK_REALTIME_COARSE | CLOCK_TAI => {
            ctx.platform.realtime_offset().wrapping_add(ctx.platform.now())
        }
        g::CLOCK_MONOTONIC | g::CLOCK_MONOTONIC_RAW | g::CLOCK_MONOTONIC_COARSE | g::CLOCK_BOOTTIME => {
            ctx.platform.now()
        }
        g::CLOCK_PROCESS_CPUTIME_ID => ctx.os.group_cpu(ctx.group_id()?, ctx.platform),
        g::CLOCK_THREAD_CPUTIME_ID => ctx.platform.cpu_time(ctx.task),
        id if (id as i32) < 0 => return cpu_clock(ctx, id),
        _ => return Err(Errno::EINVAL),
    })
}

const CLOCK_TAI: u32 = 11;

/// The clocks of `clock_getcpuclockid` and `pthread_getcpuclockid`: id in the high bits, inverted.
fn cpu_clock(ctx: &mut Ctx, id: u32) -> Result<u64, Errno> {
    let pid = !((id as i32) >> 3) as u32;
    if id & 4 != 0 {
        let task = if pid == 0 { ctx.task } else { *ctx.os.tids.get(&pid).ok_or(Errno::EINVAL)? };
        return Ok(ctx.platform.cpu_time(task));
    }
    let group = if pid == 0 { ctx.group_id()? } else { *ctx.os.tgids.get(&pid).ok_or(Errno::EINVAL)? };
    Ok(ctx.os.group_cpu(group, ctx.platform))
}

pub(super) fn clock_gettime(ctx: &mut Ctx, [id, at, ..]: Args) -> Answer {
    let now = clock(ctx, id as u32)?;
    put_timespec(ctx, at, now)?;
    DONE
}

pub(super) fn clock_getres(ctx: &mut Ctx, [id, at, ..]: Args) -> Answer {
    clock(ctx, id as u32)?;
    if at != 0 {
        put_timespec(ctx, at, 1)?;
    }
    DONE
}

/// CAP_SYS_TIME
const CAP_SYS_TIME: u32 = 25;

fn set_wall(ctx: &mut Ctx, ns: u64) -> Answer {
    if !ctx.me()?.credentials.can(CAP_SYS_TIME) {
        return Err(Errno::EPERM);
    }
    let offset = ns.checked_sub(ctx.platform.now()).ok_or(Errno::EINVAL)?;
    ctx.platform.set_realtime_offset(offset)?;
    DONE
}

pub(super) fn clock_settime(ctx: &mut Ctx, [id, at, ..]: Args) -> Answer {
    let ns = timespec(ctx, at)?;
    if id as u32 == g::CLOCK_REALTIME { set_wall(ctx, ns) } else { Err(Errno::EINVAL) }
}

pub(super) fn settimeofday(ctx: &mut Ctx, [tv, ..]: Args) -> Answer {
    if tv == 0 {
        return DONE;
    }
    let ns = timeval(ctx, tv)?;
    set_wall(ctx, ns)
}

pub(super) fn gettimeofday(ctx: &mut Ctx, [tv, tz, ..]: Args) -> Answer {
    let now = clock(ctx, g::CLOCK_REALTIME)?;
    if tv != 0 {
        ctx.mem.put_words(tv, &[now / SECOND, now % SECOND / 1000])?;
    }
    if tz != 0 {
        ctx.mem.put_u64(tz, 0)?;
    }
    DONE
}

pub(super) fn time(ctx: &mut Ctx, [at, ..]: Args) -> Answer {
    let now = clock(ctx, g::CLOCK_REALTIME)? / SECOND;
    if at != 0 {
        ctx.mem.put_u64(at, now)?;
    }
    Ok(Outcome::Value(now))
}

/// Clock ticks of a second, as programs see them (`AT_CLKTCK`), in nanoseconds.
pub(crate) const TICK: u64 = SECOND / 100;

pub(super) fn times(ctx: &mut Ctx, [at, ..]: Args) -> Answer {
    let own = ctx.os.group_cpu(ctx.group_id()?, ctx.platform);
    let children = ctx.group()?.children_usage.cpu;
    if at != 0 {
        ctx.mem.put_words(at, &[own / TICK, 0, children / TICK, 0])?;
    }
    Ok(Outcome::Value(ctx.platform.now() / TICK))
}

/// Sleeps until `deadline`; `rest`: where the remaining time goes when a signal ends it.
fn sleep(ctx: &mut Ctx, deadline: u64, rest: Option<u64>) -> Answer {
    let now = ctx.platform.now();
    if now >= deadline {
        return DONE;
    }
    if ctx.interrupted() {
        if let Some(at) = rest.filter(|at| *at != 0) {
            put_timespec(ctx, at, deadline - now)?;
        }
        ctx.me_mut()?.progress = Progress::Deadline(Some(deadline));
        return Err(Errno::RESTART_NO_HAND);
    }
    ctx.block(&[], Some(deadline), Progress::Deadline(Some(deadline)))
}

pub(super) fn nanosleep(ctx: &mut Ctx, [request, rest, ..]: Args) -> Answer {
    let deadline = match ctx.take_progress() {
        Progress::Deadline(Some(deadline)) => deadline,
        _ => ctx.platform.now().saturating_add(timespec(ctx, request)?),
    };
    sleep(ctx, deadline, Some(rest))
}

pub(super) fn clock_nanosleep(ctx: &mut Ctx, [id, flags, request, rest, ..]: Args) -> Answer {
    let absolute = flags as u32 & g::TIMER_ABSTIME != 0;
    let deadline = match ctx.take_progress() {
        Progress::Deadline(Some(deadline)) => deadline,
        _ => {
            let wanted = timespec(ctx, request)?;
            let base = match id as u32 {
                g::CLOCK_THREAD_CPUTIME_ID => return Err(Errno::EINVAL),
                g::CLOCK_PROCESS_CPUTIME_ID => return Err(Errno::EOPNOTSUPP),
                id => clock(ctx, id)?,
            };
            let distance = if absolute { wanted.saturating_sub(base) } else { wanted };
            ctx.platform.now().saturating_add(distance)
        }
    };
    sleep(ctx, deadline, (!absolute).then_some(rest))
}

/// Sets the real-time timer; returns the old one's remaining time and interval.
fn set_timer(ctx: &mut Ctx, value: u64, interval: u64) -> Result<(u64, u64), Errno> {
    let (id, now) = (ctx.group_id()?, ctx.platform.now());
    let group = ctx.os.groups.get_mut(id).ok_or(Errno::ESRCH)?;
    let old = group.real_timer;
    let at = (value != 0).then(|| now.saturating_add(value));
    group.real_timer = IntervalTimer { at, interval };
    if let Some(at) = old.at {
        ctx.os.timers.remove(&(at, id));
    }
    if let Some(at) = at {
        ctx.os.timers.insert((at, id));
    }
    ctx.os.rearm(ctx.platform);
    Ok((remaining(old, now), old.interval))
}

fn remaining(timer: IntervalTimer, now: u64) -> u64 {
    timer.at.map_or(0, |at| at.saturating_sub(now).max(1))
}

pub(super) fn alarm(ctx: &mut Ctx, [seconds, ..]: Args) -> Answer {
    let (left, _) = set_timer(ctx, (seconds as u32 as u64).saturating_mul(SECOND), 0)?;
    Ok(Outcome::Value(left.div_ceil(SECOND)))
}

fn put_timer(ctx: &mut Ctx, at: u64, value: u64, interval: u64) -> Result<(), Errno> {
    let micro = value.div_ceil(1000);
    let words = [interval / SECOND, interval % SECOND / 1000, micro / 1_000_000, micro % 1_000_000];
    ctx.mem.put_words(at, &words)
}

pub(super) fn setitimer(ctx: &mut Ctx, [which, new, old, ..]: Args) -> Answer {
    if which as u32 != g::ITIMER_REAL {
        // Timers of processor time come with the accounting that they need.
        return Err(if which <= 2 { Errno::ENOSYS } else { Errno::EINVAL });
    }
    let (interval, value) = if new == 0 { (0, 0) } else { (timeval(ctx, new)?, timeval(ctx, new.wrapping_add(16))?) };
    let (left, old_interval) = set_timer(ctx, value, interval)?;
    if old != 0 {
        put_timer(ctx, old, left, old_interval)?;
    }
    DONE
}

pub(super) fn getitimer(ctx: &mut Ctx, [which, at, ..]: Args) -> Answer {
    if which > 2 {
        return Err(Errno::EINVAL);
    }
    let now = ctx.platform.now();
    let timer = if which as u32 == g::ITIMER_REAL { ctx.group()?.real_timer } else { IntervalTimer::default() };
    put_timer(ctx, at, remaining(timer, now), timer.interval)?;
    DONE
}
