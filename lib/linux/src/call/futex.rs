//! futex(2).

use super::time::timespec;
use super::{Answer, Args};
use crate::ctx::Ctx;
use crate::errno::Errno;
use crate::futex::FutexKey;
use crate::platform::Backing;
use crate::step::Outcome;
use crate::task::Progress;
use linux_raw_sys::general as g;

impl Ctx<'_> {
    /// The key of a word in an object that may be mapped elsewhere too.
    pub(crate) fn shared_key(&self, address: u64) -> Option<FutexKey> {
        let mm = self.mm().ok()?;
        let area = mm.areas.find(address)?;
        match area.part(address / 4096 * 4096, area.end).backing {
            Backing::Shared { object, offset } => Some(FutexKey::Shared(object, offset + address % 4096)),
            _ => None,
        }
    }

    fn futex_key(&self, address: u64, operation: u32) -> Result<FutexKey, Errno> {
        if !address.is_multiple_of(4) {
            return Err(Errno::EINVAL);
        }
        if address >= crate::mm::USER_END {
            return Err(Errno::EFAULT);
        }
        let private = FutexKey::Private(self.me()?.mm, address);
        if operation & g::FUTEX_PRIVATE_FLAG != 0 {
            return Ok(private);
        }
        Ok(self.shared_key(address).unwrap_or(private))
    }
}

pub(super) fn futex(ctx: &mut Ctx, [address, operation, value, extra, second, value3]: Args) -> Answer {
    let operation = operation as u32;
    let key = ctx.futex_key(address, operation)?;
    let value = value as u32;
    match operation & !(g::FUTEX_PRIVATE_FLAG | g::FUTEX_CLOCK_REALTIME) {
        g::FUTEX_WAIT => wait(ctx, key, address, value, u32::MAX, (extra, operation)),
        g::FUTEX_WAIT_BITSET => wait(ctx, key, address, value, value3 as u32, (extra, operation)),
        g::FUTEX_WAKE => wake(ctx, key, value, u32::MAX),
        g::FUTEX_WAKE_BITSET if value3 as u32 == 0 => Err(Errno::EINVAL),
        g::FUTEX_WAKE_BITSET => wake(ctx, key, value, value3 as u32),
        g::FUTEX_REQUEUE => {
            let to = ctx.futex_key(second, operation)?;
            requeue(ctx, (key, to), value, extra as u32)
        }
        g::FUTEX_CMP_REQUEUE => {
            let to = ctx.futex_key(second, operation)?;
            if ctx.mem.load_u32(address)? != value3 as u32 {
                return Err(Errno::EAGAIN);
            }
            requeue(ctx, (key, to), value, extra as u32)
        }
        g::FUTEX_WAKE_OP => {
            let to = ctx.futex_key(second, operation)?;
            wake_op(ctx, (key, to), second, (value, extra as u32), value3 as u32)
        }
        _ => Err(Errno::ENOSYS),
    }
}

/// When the wait ends: relative for `FUTEX_WAIT`, absolute for `FUTEX_WAIT_BITSET`.
fn deadline(ctx: &mut Ctx, at: u64, operation: u32) -> Result<Option<u64>, Errno> {
    if at == 0 {
        return Ok(None);
    }
    let time = timespec(ctx, at)?;
    let relative = operation & !(g::FUTEX_PRIVATE_FLAG | g::FUTEX_CLOCK_REALTIME) == g::FUTEX_WAIT;
    Ok(Some(if relative {
        ctx.platform.now().saturating_add(time)
    } else if operation & g::FUTEX_CLOCK_REALTIME != 0 {
        time.saturating_sub(ctx.platform.realtime_offset())
    } else {
        time
    }))
}

fn wait(ctx: &mut Ctx, key: FutexKey, address: u64, value: u32, bits: u32, (timeout, operation): (u64, u32)) -> Answer {
    if bits == 0 {
        return Err(Errno::EINVAL);
    }
    let id = ctx.task;
    match ctx.take_progress() {
        Progress::Futex { deadline } => {
            let still = ctx.me()?.futex.is_some();
            if !still {
                return Ok(Outcome::Value(0));
            }
            let ended = if ctx.past(deadline) {
                Errno::ETIMEDOUT
            } else if ctx.interrupted() {
                if deadline.is_some() { Errno::RESTART_NO_HAND } else { Errno::RESTART_SYS }
            } else {
                return ctx.block(&[], deadline, Progress::Futex { deadline });
            };
            let task = ctx.os.tasks.get_mut(id).ok_or(Errno::ESRCH)?;
            ctx.os.futexes.leave(id, task);
            if ended.is_restart() {
                ctx.me_mut()?.progress = Progress::Deadline(deadline);
            }
            Err(ended)
        }
        progress => {
            let deadline = match progress {
                Progress::Deadline(deadline) => deadline,
                _ => deadline(ctx, timeout, operation)?,
            };
            if ctx.mem.load_u32(address)? != value {
                return Err(Errno::EAGAIN);
            }
            if ctx.interrupted() {
                ctx.me_mut()?.progress = Progress::Deadline(deadline);
                return Err(if deadline.is_some() { Errno::RESTART_NO_HAND } else { Errno::RESTART_SYS });
            }
            let task = ctx.os.tasks.get_mut(id).ok_or(Errno::ESRCH)?;
            ctx.os.futexes.enter(id, task, key, bits);
            ctx.block(&[], deadline, Progress::Futex { deadline })
        }
    }
}

fn wake(ctx: &mut Ctx, key: FutexKey, count: u32, bits: u32) -> Answer {
    // As Linux does: at least one.
    let count = (count as i32).max(1) as u64;
    Ok(Outcome::Value(ctx.os.futexes.wake(key, count, bits, &mut ctx.os.tasks, ctx.platform)))
}

fn requeue(ctx: &mut Ctx, (from, to): (FutexKey, FutexKey), wake: u32, move_: u32) -> Answer {
    if (wake as i32) < 0 || (move_ as i32) < 0 {
        return Err(Errno::EINVAL);
    }
    let os = &mut *ctx.os;
    let woken = os.futexes.wake(from, wake as u64, u32::MAX, &mut os.tasks, ctx.platform);
    let moved = os.futexes.requeue(from, to, move_ as u64, &mut os.tasks);
    Ok(Outcome::Value(woken + moved))
}

/// `FUTEX_WAKE_OP`: changes the second word, wakes at the first, and at the second if its old value compares.
fn wake_op(ctx: &mut Ctx, (first, second): (FutexKey, FutexKey), word: u64, counts: (u32, u32), code: u32) -> Answer {
    let (operation, compare) = (code >> 28 & 0xf, code >> 24 & 0xf);
    let sign_extend = |bits: u32| ((bits << 20) as i32 >> 20) as u32;
    let (mut argument, against) = (sign_extend(code >> 12 & 0xfff), sign_extend(code & 0xfff) as i32);
    if operation & 8 != 0 {
        argument = 1u32.checked_shl(argument).unwrap_or(1 << (argument & 31));
    }
    let old = loop {
        let old = ctx.mem.load_u32(word)?;
        let new = match operation & 7 {
            g::FUTEX_OP_SET => argument,
            g::FUTEX_OP_ADD => old.wrapping_add(argument),
            g::FUTEX_OP_OR => old | argument,
            g::FUTEX_OP_ANDN => old & !argument,
            g::FUTEX_OP_XOR => old ^ argument,
            _ => return Err(Errno::ENOSYS),
        };
        if ctx.mem.compare_exchange_u32(word, old, new)? == old {
            break old as i32;
        }
    };
    let holds = match compare {
        g::FUTEX_OP_CMP_EQ => old == against,
        g::FUTEX_OP_CMP_NE => old != against,
        g::FUTEX_OP_CMP_LT => old < against,
        g::FUTEX_OP_CMP_LE => old <= against,
        g::FUTEX_OP_CMP_GT => old > against,
        g::FUTEX_OP_CMP_GE => old >= against,
        _ => return Err(Errno::ENOSYS),
    };
    let os = &mut *ctx.os;
    let count = |n: u32| (n as i32).max(1) as u64;
    let mut woken = os.futexes.wake(first, count(counts.0), u32::MAX, &mut os.tasks, ctx.platform);
    if holds {
        woken += os.futexes.wake(second, count(counts.1), u32::MAX, &mut os.tasks, ctx.platform);
    }
    Ok(Outcome::Value(woken))
}
