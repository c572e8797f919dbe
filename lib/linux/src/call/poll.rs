//! poll, select and their kin: one scan, one wait.
//!
//! A terminal's readiness is asked of its server each time that the call looks; the server tells once when it changes.
//! What it tells between its answer and the wait is not lost: the terminal's `epoch` counts what was told.

use super::signal::wait_masked;
use super::time::{SECOND, nanoseconds, timespec};
use super::{Answer, Args};
use crate::ctx::Ctx;
use crate::errno::Errno;
use crate::signal::SigSet;
use crate::step::{Outcome, RemoteCall, RemoteRequest, Server};
use crate::task::Progress;
use crate::wait::WaitKey;
use alloc::vec::Vec;
use linux_raw_sys::general as g;
use sal_vfs::{Events, Readiness, Target};

/// A descriptor and what is asked of it.
#[derive(Clone, Copy)]
struct Asked {
    fd: i32,
    events: u32,
}

/// What a look came to.
enum Scan {
    /// What holds, in order; at least one, or the time is over.
    Done(Vec<u32>),
    /// Wait, or ask a terminal.
    Later(Outcome),
}

/// How long: when it ends, if ever.
type Deadline = Option<u64>;

fn scan(ctx: &mut Ctx, asked: &[Asked], new_deadline: Deadline) -> Result<Scan, Errno> {
    let (deadline, answer) = match ctx.take_progress() {
        Progress::Deadline(deadline) => (deadline, None),
        Progress::PollAnswered { deadline, ready, epoch } => (deadline, Some((ready, epoch))),
        _ => (new_deadline, None),
    };
    let looks = look(ctx, asked)?;
    let mut holds = Vec::with_capacity(asked.len());
    let mut wanted = 0;
    let mut tty = None;
    for (look, item) in looks.iter().zip(asked) {
        let mut ready = look.ready.bits();
        if let Some(Target::Terminal { rdev }) = look.ask {
            tty = Some(ctx.tty_number(rdev)?);
            wanted |= item.events;
            ready |= answer.map_or(0, |(bits, _)| bits as u32) & (item.events | g::POLLERR | g::POLLHUP);
        }
        holds.push(ready);
    }
    let epoch = tty.and_then(|t| ctx.os.ttys.get(&t)).map_or(0, |t| t.epoch);
    let any = holds.iter().any(|h| *h != 0);
    if let Some(tty) = tty
        && (answer.is_none() || !any && answer.is_some_and(|(_, seen)| seen != epoch))
    {
        return ask(ctx, tty, wanted, deadline, epoch).map(Scan::Later);
    }
    if any || ctx.past(deadline) {
        return Ok(Scan::Done(holds));
    }
    if ctx.interrupted() {
        ctx.me_mut()?.progress = Progress::Deadline(deadline);
        return Err(Errno::RESTART_NO_HAND);
    }
    wait(ctx, &looks, tty, deadline).map(Scan::Later)
}

fn look(ctx: &mut Ctx, asked: &[Asked]) -> Result<Vec<Readiness>, Errno> {
    let looks = ctx.files(&[], 0, |vfs, c, _| {
        let one = |a: &Asked| {
            if a.fd < 0 {
                return Ok(Readiness { ready: Events::empty(), wait: None, ask: None });
            }
            vfs.poll(c, a.fd, Events::from_bits_truncate(a.events & 0xffff))
        };
        asked.iter().map(one).collect::<Result<Vec<_>, sal_vfs::Errno>>()
    })?;
    Ok(looks?)
}

fn ask(ctx: &mut Ctx, tty: u32, events: u32, deadline: Deadline, epoch: u64) -> Result<Outcome, Errno> {
    ctx.me_mut()?.progress = Progress::PollAsked { deadline, epoch };
    let request = RemoteRequest::Poll { events: events as u16 };
    Ok(Outcome::Remote(RemoteCall { server: Server::Tty(tty), request, buffers: Vec::new() }))
}

fn wait(ctx: &mut Ctx, looks: &[Readiness], tty: Option<u32>, deadline: Deadline) -> Result<Outcome, Errno> {
    let mut again = false;
    for on in looks.iter().filter(|l| l.ask.is_none()).filter_map(|l| l.wait) {
        again |= ctx.wait_for_file(on)?;
    }
    let until = if again { Some(0) } else { deadline };
    let outcome = match tty {
        Some(tty) => ctx.block(&[WaitKey::Tty(tty)], until, Progress::None),
        None => ctx.block(&[], until, Progress::None),
    };
    ctx.me_mut()?.progress = Progress::Deadline(deadline);
    outcome
}

/// The mask from before the call comes back, unless a signal is to be delivered under the call's own.
fn unmask(ctx: &mut Ctx) -> Result<(), Errno> {
    if let Some(mask) = ctx.me_mut()?.saved_mask.take() {
        ctx.set_mask(mask)?;
    }
    Ok(())
}

fn after(ctx: &mut Ctx, ns: u64) -> u64 {
    ctx.platform.now().saturating_add(ns)
}

/// Descriptors of one call at most, whatever the limit.
const MOST: u64 = 1 << 16;

fn poll_list(ctx: &mut Ctx, at: u64, count: u64, deadline: Deadline) -> Answer {
    if count > ctx.group()?.limit(g::RLIMIT_NOFILE).min(MOST) {
        return Err(Errno::EINVAL);
    }
    let bytes = ctx.mem.get_vec(at, count as usize * 8)?;
    let asked: Vec<Asked> = bytes
        .chunks_exact(8)
        .map(|c| u64::from_le_bytes(c.try_into().unwrap_or_default()))
        .map(|word| Asked { fd: word as i32, events: (word >> 32) as u32 & 0xffff })
        .collect();
    let holds = match scan(ctx, &asked, deadline)? {
        Scan::Later(outcome) => return Ok(outcome),
        Scan::Done(holds) => holds,
    };
    unmask(ctx)?;
    for (index, ready) in holds.iter().enumerate() {
        ctx.mem.write(at.wrapping_add(index as u64 * 8 + 6), &(*ready as u16).to_le_bytes())?;
    }
    Ok(Outcome::Value(holds.iter().filter(|h| **h != 0).count() as u64))
}

pub(super) fn poll(ctx: &mut Ctx, [at, count, timeout, ..]: Args) -> Answer {
    let deadline = match timeout as i32 {
        ms if ms < 0 => None,
        ms => Some(after(ctx, ms as u64 * 1_000_000)),
    };
    poll_list(ctx, at, count, deadline)
}

fn relative(ctx: &mut Ctx, at: u64) -> Result<Deadline, Errno> {
    if at == 0 {
        return Ok(None);
    }
    let ns = timespec(ctx, at)?;
    Ok(Some(after(ctx, ns)))
}

pub(super) fn ppoll(ctx: &mut Ctx, [at, count, timeout, mask, size, _]: Args) -> Answer {
    let deadline = relative(ctx, timeout)?;
    if mask != 0 {
        let mask = read_mask(ctx, mask, size)?;
        wait_masked(ctx, mask)?;
    }
    poll_list(ctx, at, count, deadline)
}

fn read_mask(ctx: &mut Ctx, at: u64, size: u64) -> Result<SigSet, Errno> {
    if size != 8 {
        return Err(Errno::EINVAL);
    }
    Ok(SigSet(ctx.mem.get_u64(at)?))
}

/// What makes a descriptor readable, writable, exceptional for select (fs/select.c).
const SETS: [(u32, u32); 3] = [
    (g::POLLIN | g::POLLRDNORM, g::POLLIN | g::POLLRDNORM | g::POLLHUP | g::POLLERR),
    (g::POLLOUT | g::POLLWRNORM, g::POLLOUT | g::POLLWRNORM | g::POLLERR),
    (g::POLLPRI, g::POLLPRI),
];

/// Descriptors that a set may name.
const SELECT_MOST: u64 = 1 << 16;

fn select_sets(ctx: &mut Ctx, count: u64, at: [u64; 3], deadline: Deadline) -> Answer {
    if count as i32 as i64 != count as i64 && count > u32::MAX as u64 || (count as i32) < 0 {
        return Err(Errno::EINVAL);
    }
    let count = (count as u32 as u64).min(ctx.group()?.limit(g::RLIMIT_NOFILE)).min(SELECT_MOST);
    let bytes = count.div_ceil(64) as usize * 8;
    let mut sets: [Vec<u8>; 3] = Default::default();
    for (set, at) in sets.iter_mut().zip(at) {
        *set = if at == 0 { alloc::vec![0; bytes] } else { ctx.mem.get_vec(at, bytes)? };
    }
    let named = |fd: u64, set: &Vec<u8>| set.get(fd as usize / 8).is_some_and(|b| b >> (fd % 8) & 1 == 1);
    let mut asked = Vec::new();
    for fd in 0..count {
        let events =
            sets.iter().zip(SETS).filter(|(set, _)| named(fd, set)).fold(0, |all, (_, (wants, _))| all | wants);
        if events != 0 {
            asked.push(Asked { fd: fd as i32, events });
        }
    }
    let holds = match scan(ctx, &asked, deadline)? {
        Scan::Later(outcome) => return Ok(outcome),
        Scan::Done(holds) => holds,
    };
    unmask(ctx)?;
    if holds.iter().any(|h| h & g::POLLNVAL != 0) {
        return Err(Errno::EBADF);
    }
    put_sets(ctx, &asked, &holds, at, bytes)
}

fn put_sets(ctx: &mut Ctx, asked: &[Asked], holds: &[u32], at: [u64; 3], bytes: usize) -> Answer {
    let mut total = 0;
    for (address, (wants, counts)) in at.into_iter().zip(SETS).filter(|(at, _)| *at != 0) {
        let mut set = alloc::vec![0u8; bytes];
        for (item, _) in asked.iter().zip(holds).filter(|(a, h)| a.events & wants != 0 && **h & counts != 0) {
            if let Some(byte) = set.get_mut(item.fd as usize / 8) {
                *byte |= 1 << (item.fd % 8);
                total += 1;
            }
        }
        ctx.mem.write(address, &set)?;
    }
    Ok(Outcome::Value(total))
}

pub(super) fn select(ctx: &mut Ctx, [count, read, write, except, timeout, _]: Args) -> Answer {
    let deadline = if timeout == 0 {
        None
    } else {
        let [seconds, micro] = ctx.mem.get_words(timeout)?;
        let whole = seconds.saturating_add(micro / 1_000_000);
        let ns = nanoseconds(whole, micro % 1_000_000 * 1000)?;
        Some(after(ctx, ns))
    };
    let kept = kept_deadline(ctx).unwrap_or(deadline);
    let answer = select_sets(ctx, count, [read, write, except], deadline);
    if let (Ok(Outcome::Value(_)), Some(end)) = (&answer, kept) {
        let left = end.saturating_sub(ctx.platform.now());
        // As on Linux: the program's timeout becomes what is left of it, if that can be written.
        let _ = ctx.mem.put_words(timeout, &[left / SECOND, left % SECOND / 1000]);
    }
    answer
}

/// The deadline that an earlier run of the handler set.
fn kept_deadline(ctx: &Ctx) -> Option<Deadline> {
    match ctx.me().ok()?.progress {
        Progress::Deadline(deadline) | Progress::PollAnswered { deadline, .. } => Some(deadline),
        _ => None,
    }
}

pub(super) fn pselect6(ctx: &mut Ctx, [count, read, write, except, timeout, mask]: Args) -> Answer {
    let deadline = relative(ctx, timeout)?;
    if mask != 0 {
        let [set, size] = ctx.mem.get_words(mask)?;
        if set != 0 {
            let mask = read_mask(ctx, set, size)?;
            wait_masked(ctx, mask)?;
        }
    }
    select_sets(ctx, count, [read, write, except], deadline)
}
