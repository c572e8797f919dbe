//! About the system and the process: names, figures, limits, randomness, power.

use super::time::SECOND;
use super::{Answer, Args};
use crate::ctx::Ctx;
use crate::errno::Errno;
use crate::platform::PowerState;
use crate::step::{DONE, Outcome};
use crate::task::{GroupId, LIMITS, Limit, Usage};
use crate::user::PAGE;
use alloc::vec::Vec;
use linux_raw_sys::general as g;

/// What `uname -r` says.
pub(crate) const RELEASE: &str = "6.1.0-salamandra";
/// What `uname -v` says.
pub(crate) const VERSION: &str = "#1 SMP Salamandra";
/// Bytes of a name of `struct new_utsname`, and without its zero.
const NAME: usize = 65;

pub(super) fn uname(ctx: &mut Ctx, [at, ..]: Args) -> Answer {
    let names: [&[u8]; 6] =
        [b"Linux", &ctx.os.hostname, RELEASE.as_bytes(), VERSION.as_bytes(), b"x86_64", &ctx.os.domainname];
    let mut bytes = Vec::with_capacity(6 * NAME);
    for (index, name) in names.iter().enumerate() {
        bytes.extend(name.iter().take(NAME - 1));
        bytes.resize((index + 1) * NAME, 0);
    }
    ctx.mem.write(at, &bytes)?;
    DONE
}

const CAP_SYS_ADMIN: u32 = 21;
const CAP_SYS_BOOT: u32 = 22;
const CAP_SYS_RESOURCE: u32 = 24;

fn new_name(ctx: &mut Ctx, at: u64, length: u64) -> Result<Vec<u8>, Errno> {
    if !ctx.me()?.credentials.can(CAP_SYS_ADMIN) {
        return Err(Errno::EPERM);
    }
    if length as usize >= NAME {
        return Err(Errno::EINVAL);
    }
    ctx.mem.get_vec(at, length as usize)
}

pub(super) fn sethostname(ctx: &mut Ctx, [at, length, ..]: Args) -> Answer {
    ctx.os.hostname = new_name(ctx, at, length)?;
    DONE
}

pub(super) fn setdomainname(ctx: &mut Ctx, [at, length, ..]: Args) -> Answer {
    ctx.os.domainname = new_name(ctx, at, length)?;
    DONE
}

/// `struct sysinfo`: words up to the number of processes, then the unit of the memory figures.
pub(super) fn sysinfo(ctx: &mut Ctx, [at, ..]: Args) -> Answer {
    let memory = ctx.platform.memory();
    let uptime = ctx.platform.now() / SECOND;
    let processes = ctx.os.tasks.len().min(u16::MAX as usize) as u64;
    let words = [uptime, 0, 0, 0, memory.total, memory.free, memory.files, 0, 0, 0, processes, 0, 0];
    ctx.mem.put_words(at, &words)?;
    ctx.mem.put_u64(at.wrapping_add(104), 1)?;
    DONE
}

/// `struct rusage`: user time, system time, largest size in KiB, faults.
pub(super) fn put_usage(ctx: &mut Ctx, at: u64, usage: Usage) -> Result<(), Errno> {
    let mut words = [0u64; 18];
    (words[0], words[1]) = (usage.cpu / SECOND, usage.cpu % SECOND / 1000);
    (words[4], words[8]) = (usage.resident / 1024, usage.faults);
    ctx.mem.put_words(at, &words)
}

const RUSAGE_CHILDREN: i32 = -1;

pub(super) fn getrusage(ctx: &mut Ctx, [who, at, ..]: Args) -> Answer {
    let usage = match who as i32 {
        RUSAGE_CHILDREN => ctx.group()?.children_usage,
        0 => own_usage(ctx)?,
        1 => Usage { cpu: ctx.platform.cpu_time(ctx.task), faults: ctx.me()?.faults, resident: 0 },
        _ => return Err(Errno::EINVAL),
    };
    put_usage(ctx, at, usage)?;
    DONE
}

fn own_usage(ctx: &mut Ctx) -> Result<Usage, Errno> {
    let id = ctx.group_id()?;
    let cpu = ctx.os.group_cpu(id, ctx.platform);
    let space = ctx.mm()?.space;
    let resident = ctx.platform.space_resident(space);
    let group = ctx.group()?;
    let live: u64 = group.threads.iter().filter_map(|t| ctx.os.tasks.get(*t)).map(|t| t.faults).sum();
    Ok(Usage { cpu, faults: group.usage.faults + live, resident: resident.max(group.usage.resident) })
}

pub(super) fn getrlimit(ctx: &mut Ctx, [resource, at, ..]: Args) -> Answer {
    let limit = *ctx.group()?.limits.get(resource as usize).ok_or(Errno::EINVAL)?;
    ctx.mem.put_words(at, &[limit.soft, limit.hard])?;
    DONE
}

pub(super) fn setrlimit(ctx: &mut Ctx, [resource, at, ..]: Args) -> Answer {
    prlimit64(ctx, [0, resource, at, 0, 0, 0])
}

pub(super) fn prlimit64(ctx: &mut Ctx, [pid, resource, new, old, ..]: Args) -> Answer {
    let id: GroupId = match pid as u32 {
        0 => ctx.group_id()?,
        pid => *ctx.os.tgids.get(&pid).ok_or(Errno::ESRCH)?,
    };
    let resource = usize::try_from(resource as u32).ok().filter(|r| *r < LIMITS).ok_or(Errno::EINVAL)?;
    let wanted = if new == 0 {
        None
    } else {
        let [soft, hard] = ctx.mem.get_words(new)?;
        Some(Limit { soft, hard })
    };
    let may_raise = ctx.me()?.credentials.can(CAP_SYS_RESOURCE);
    let place = ctx.os.groups.get_mut(id).and_then(|g| g.limits.get_mut(resource)).ok_or(Errno::ESRCH)?;
    let before = *place;
    if let Some(limit) = wanted {
        if limit.soft > limit.hard {
            return Err(Errno::EINVAL);
        }
        let too_many_files = resource == g::RLIMIT_NOFILE as usize && limit.hard > 1 << 20;
        if limit.hard > before.hard && !may_raise || too_many_files {
            return Err(Errno::EPERM);
        }
        *place = limit;
    }
    if old != 0 {
        ctx.mem.put_words(old, &[before.soft, before.hard])?;
    }
    DONE
}

/// Bytes of one call at most: longer ones are answered in part, as Linux may.
const RANDOM_LIMIT: u64 = 1 << 20;

pub(super) fn getrandom(ctx: &mut Ctx, [at, length, flags, ..]: Args) -> Answer {
    let flags = flags as u32;
    let both = g::GRND_RANDOM | g::GRND_INSECURE;
    if flags & !(both | g::GRND_NONBLOCK) != 0 || flags & both == both {
        return Err(Errno::EINVAL);
    }
    let length = length.min(RANDOM_LIMIT);
    let mut done = 0;
    let mut buffer = [0; PAGE as usize / 16];
    while done < length {
        let piece = buffer.get_mut(..(length - done).min(PAGE / 16) as usize).unwrap_or_default();
        ctx.platform.random(piece);
        match ctx.mem.write(at.wrapping_add(done), piece) {
            Ok(()) => done += piece.len() as u64,
            Err(_) if done > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(Outcome::Value(done))
}

/// reboot(2): the two magic numbers, and what to do.
const MAGIC: u32 = 0xfee1_dead;
const MAGIC2: [u32; 4] = [672_274_793, 85_072_278, 369_367_448, 537_993_216];

pub(super) fn reboot(ctx: &mut Ctx, [magic, magic2, command, ..]: Args) -> Answer {
    if !ctx.me()?.credentials.can(CAP_SYS_BOOT) {
        return Err(Errno::EPERM);
    }
    if magic as u32 != MAGIC || !MAGIC2.contains(&(magic2 as u32)) {
        return Err(Errno::EINVAL);
    }
    match command as u32 {
        // Ctrl-Alt-Del on, off: there is no such key.
        0x89ab_cdef | 0 => {}
        0x4321_fedc => ctx.platform.power(PowerState::Off(0)),
        0x0123_4567 => ctx.platform.power(PowerState::Restart),
        0xcdef_0123 => ctx.platform.power(PowerState::Halt),
        _ => return Err(Errno::EINVAL),
    }
    DONE
}
