//! Making, replacing, ending and waiting for processes.

use super::{Answer, Args};
use crate::ctx::Ctx;
use crate::errno::Errno;
use crate::execve::ExecRequest;
use crate::signal::{SIGCHLD, code};
use crate::spawn::CloneRequest;
use crate::step::{DONE, Outcome};
use crate::task::{ExitStatus, Group, GroupId, JobState, Progress, Usage};
use crate::user::PAGE;
use crate::wait::WaitKey;
use alloc::vec::Vec;
use linux_raw_sys::{general as g, prctl as p};
use sal_abi::x86_64::GUEST_END;

/// clone(flags, stack, parent_tid, child_tid, tls), x86_64 order.
pub(super) fn clone(ctx: &mut Ctx, [flags, stack, parent_tid, child_tid, tls, _]: Args) -> Answer {
    let request = CloneRequest {
        flags: flags & 0xffff_ffff & !(g::CSIGNAL as u64),
        exit_signal: flags & g::CSIGNAL as u64,
        stack,
        parent_tid,
        child_tid,
        tls,
    };
    ctx.clone_task(request)
}

/// Bytes of the first version of `struct clone_args`, and of the one that is known.
const CLONE_ARGS: [u64; 2] = [64, 88];

pub(super) fn clone3(ctx: &mut Ctx, [at, size, ..]: Args) -> Answer {
    let [least, known] = CLONE_ARGS;
    if size > PAGE {
        return Err(Errno::E2BIG);
    }
    if size < least {
        return Err(Errno::EINVAL);
    }
    let rest = ctx.mem.get_vec(at, size as usize)?;
    if rest.get(known as usize..).unwrap_or_default().iter().any(|b| *b != 0) {
        return Err(Errno::E2BIG);
    }
    let mut words = [0u64; 11];
    for (word, bytes) in words.iter_mut().zip(rest.chunks_exact(8)) {
        *word = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
    }
    let [flags, _pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, _cgroup] =
        words;
    let signal_bits = flags & (g::CSIGNAL | g::CLONE_DETACHED) as u64 != 0;
    if signal_bits || set_tid != 0 || set_tid_size != 0 || (stack == 0) != (stack_size == 0) {
        return Err(Errno::EINVAL);
    }
    if flags & (g::CLONE_THREAD | g::CLONE_PARENT) as u64 != 0 && exit_signal != 0 {
        return Err(Errno::EINVAL);
    }
    let stack = stack.checked_add(stack_size).ok_or(Errno::EINVAL)?;
    ctx.clone_task(CloneRequest { flags, exit_signal, stack, parent_tid, child_tid, tls })
}

pub(super) fn fork(ctx: &mut Ctx, _: Args) -> Answer {
    ctx.clone_task(CloneRequest { exit_signal: SIGCHLD as u64, ..Default::default() })
}

pub(super) fn vfork(ctx: &mut Ctx, _: Args) -> Answer {
    let flags = (g::CLONE_VM | g::CLONE_VFORK) as u64;
    ctx.clone_task(CloneRequest { flags, exit_signal: SIGCHLD as u64, ..Default::default() })
}

/// One argument or environment string at most (`MAX_ARG_STRLEN`), and all of them.
const MAX_STRING: usize = 32 * PAGE as usize;
const MAX_STRINGS: usize = 2 << 20;

fn strings(ctx: &mut Ctx, mut at: u64, budget: &mut usize) -> Result<Vec<Vec<u8>>, Errno> {
    let mut found = Vec::new();
    if at == 0 {
        return Ok(found);
    }
    loop {
        let pointer = ctx.mem.get_u64(at)?;
        if pointer == 0 {
            return Ok(found);
        }
        let string = ctx.mem.get_string(pointer, MAX_STRING, Errno::E2BIG)?;
        *budget = budget.checked_sub(string.len() + 9).ok_or(Errno::E2BIG)?;
        found.push(string);
        at = at.wrapping_add(8);
    }
}

fn exec(ctx: &mut Ctx, directory: i32, [path, argv, envp]: [u64; 3], flags: u32) -> Answer {
    let path = ctx.mem.get_path(path)?;
    let mut budget = MAX_STRINGS;
    let mut arguments = strings(ctx, argv, &mut budget)?;
    let environment = strings(ctx, envp, &mut budget)?;
    if arguments.is_empty() {
        // As Linux since 5.18: programs count on argv[0].
        arguments.push(Vec::new());
    }
    ctx.exec(ExecRequest { directory, path, flags, arguments, environment })
}

pub(super) fn execve(ctx: &mut Ctx, [path, argv, envp, ..]: Args) -> Answer {
    exec(ctx, g::AT_FDCWD, [path, argv, envp], 0)
}

pub(super) fn execveat(ctx: &mut Ctx, [directory, path, argv, envp, flags, _]: Args) -> Answer {
    exec(ctx, directory as i32, [path, argv, envp], flags as u32)
}

pub(super) fn exit(ctx: &mut Ctx, [status, ..]: Args) -> Answer {
    let me = ctx.me()?.tid;
    let group = ctx.group_mut()?;
    if group.tgid == me {
        group.leader_status = status as u8;
    }
    ctx.exit_thread();
    Ok(Outcome::Exit)
}

pub(super) fn exit_group(ctx: &mut Ctx, [status, ..]: Args) -> Answer {
    let id = ctx.group_id()?;
    ctx.os.end_group(id, ExitStatus::Exited(status as u8), ctx.platform);
    ctx.exit_thread();
    Ok(Outcome::Exit)
}

/// What a wait looks for.
#[derive(Clone, Copy)]
enum Which {
    Any,
    Process(u32),
    Group(u32),
}

/// What a wait found.
struct Change {
    child: GroupId,
    pid: u32,
    uid: u32,
    code: i32,
    /// As in `si_status`.
    status: i32,
    /// As `wait4` stores it.
    word: u32,
    usage: Usage,
}

impl Which {
    fn takes(self, group: &Group) -> bool {
        match self {
            Which::Any => true,
            Which::Process(pid) => group.tgid == pid,
            Which::Group(pgid) => group.pgid == pgid,
        }
    }
}

/// Has this child something to tell that `options` ask for?
fn change(ctx: &mut Ctx, child: GroupId, options: u32) -> Option<Change> {
    let cpu = ctx.os.group_cpu(child, ctx.platform);
    let group = ctx.os.groups.get(child)?;
    let (code, status, word) = match (group.zombie, group.job) {
        (Some(end), _) if options & g::WEXITED != 0 => match end {
            ExitStatus::Exited(c) => (code::CLD_EXITED, c as i32, end.wait_status()),
            ExitStatus::Killed(s) => (code::CLD_KILLED, s as i32, end.wait_status()),
        },
        (None, JobState::Stopped { signal, reported: false }) if options & g::WSTOPPED != 0 => {
            (code::CLD_STOPPED, signal as i32, (signal as u32) << 8 | 0x7f)
        }
        (None, JobState::Continued) if options & g::WCONTINUED != 0 => {
            (code::CLD_CONTINUED, crate::signal::SIGCONT as i32, 0xffff)
        }
        _ => return None,
    };
    let uid = group.threads.first().and_then(|t| ctx.os.tasks.get(*t)).map_or(group.uid, |t| t.credentials.uid[0]);
    let mut usage = group.usage;
    usage.add(group.children_usage);
    usage.cpu = cpu + group.children_usage.cpu;
    Some(Change { child, pid: group.tgid, uid, code, status, word, usage })
}

/// The change is told: it is not told again.
fn consume(ctx: &mut Ctx, change: &Change, options: u32) {
    if options & g::WNOWAIT != 0 {
        return;
    }
    let Some(group) = ctx.os.groups.get_mut(change.child) else {
        return;
    };
    match &mut group.job {
        _ if group.zombie.is_some() => ctx.os.reap(change.child),
        JobState::Stopped { reported, .. } => *reported = true,
        job => *job = JobState::Running,
    }
}

/// The common part of the waits: a change, or `None` (`WNOHANG`), or a block.
fn wait(ctx: &mut Ctx, which: Which, options: u32) -> Result<Result<Option<Change>, Outcome>, Errno> {
    let id = ctx.group_id()?;
    let candidates: Vec<GroupId> = ctx
        .group()?
        .children
        .iter()
        .copied()
        .filter(|c| ctx.os.groups.get(*c).is_some_and(|g| which.takes(g) && is_waitable(g, options)))
        .collect();
    for child in &candidates {
        if let Some(found) = change(ctx, *child, options) {
            return Ok(Ok(Some(found)));
        }
    }
    if candidates.is_empty() {
        return Err(Errno::ECHILD);
    }
    if options & g::WNOHANG != 0 {
        return Ok(Ok(None));
    }
    if ctx.interrupted() {
        return Err(Errno::RESTART_SYS);
    }
    ctx.block(&[WaitKey::Children(id)], None, Progress::None).map(Err)
}

/// `__WALL`, `__WCLONE`: children that do not end with SIGCHLD.
fn is_waitable(group: &Group, options: u32) -> bool {
    options & g::__WALL != 0 || (group.exit_signal != SIGCHLD) == (options & g::__WCLONE != 0)
}

pub(super) fn wait4(ctx: &mut Ctx, [pid, status, options, usage, ..]: Args) -> Answer {
    let options = options as u32;
    let known = g::WNOHANG | g::WUNTRACED | g::WCONTINUED | g::__WNOTHREAD | g::__WCLONE | g::__WALL;
    if options & !known != 0 {
        return Err(Errno::EINVAL);
    }
    let which = match pid as i32 {
        -1 => Which::Any,
        0 => Which::Group(ctx.group()?.pgid),
        i32::MIN => return Err(Errno::ESRCH),
        pid if pid > 0 => Which::Process(pid as u32),
        pgid => Which::Group(pgid.unsigned_abs()),
    };
    let found = match wait(ctx, which, options | g::WEXITED)? {
        Err(block) => return Ok(block),
        Ok(None) => return DONE,
        Ok(Some(found)) => found,
    };
    if status != 0 {
        ctx.mem.put_u32(status, found.word)?;
    }
    if usage != 0 {
        super::info::put_usage(ctx, usage, found.usage)?;
    }
    consume(ctx, &found, options);
    Ok(Outcome::Value(found.pid as u64))
}

pub(super) fn waitid(ctx: &mut Ctx, [kind, id, info, options, usage, _]: Args) -> Answer {
    let options = options as u32;
    let wanted = g::WEXITED | g::WSTOPPED | g::WCONTINUED;
    let known = wanted | g::WNOHANG | g::WNOWAIT | g::__WNOTHREAD | g::__WCLONE | g::__WALL;
    if options & !known != 0 || options & wanted == 0 {
        return Err(Errno::EINVAL);
    }
    let which = match kind as u32 {
        g::P_ALL => Which::Any,
        g::P_PID if id as i32 > 0 => Which::Process(id as u32),
        g::P_PGID if id as i32 > 0 => Which::Group(id as u32),
        g::P_PGID if id == 0 => Which::Group(ctx.group()?.pgid),
        _ => return Err(Errno::EINVAL),
    };
    let found = match wait(ctx, which, options)? {
        Err(block) => return Ok(block),
        Ok(found) => found,
    };
    if info != 0 {
        put_child_info(ctx, info, found.as_ref())?;
    }
    if let Some(found) = found {
        if usage != 0 {
            super::info::put_usage(ctx, usage, found.usage)?;
        }
        consume(ctx, &found, options);
    }
    DONE
}

/// The fields of `siginfo_t` that waitid sets; the others stay.
fn put_child_info(ctx: &mut Ctx, at: u64, found: Option<&Change>) -> Result<(), Errno> {
    let (signal, code, pid, uid, status) =
        found.map_or((0, 0, 0, 0, 0), |c| (SIGCHLD as u32, c.code as u32, c.pid, c.uid, c.status as u32));
    for (offset, value) in [(0, signal), (4, 0), (8, code), (16, pid), (20, uid), (24, status)] {
        ctx.mem.put_u32(at.wrapping_add(offset), value)?;
    }
    Ok(())
}

pub(super) fn set_tid_address(ctx: &mut Ctx, [at, ..]: Args) -> Answer {
    let task = ctx.me_mut()?;
    task.clear_child_tid = at;
    Ok(Outcome::Value(task.tid as u64))
}

pub(super) fn getpid(ctx: &mut Ctx, _: Args) -> Answer {
    Ok(Outcome::Value(ctx.group()?.tgid as u64))
}

pub(super) fn gettid(ctx: &mut Ctx, _: Args) -> Answer {
    Ok(Outcome::Value(ctx.me()?.tid as u64))
}

pub(super) fn getppid(ctx: &mut Ctx, _: Args) -> Answer {
    Ok(Outcome::Value(ctx.group()?.parent_tgid as u64))
}

/// `struct robust_list_head`
const ROBUST_HEAD: u64 = 24;

pub(super) fn set_robust_list(ctx: &mut Ctx, [head, length, ..]: Args) -> Answer {
    if length != ROBUST_HEAD {
        return Err(Errno::EINVAL);
    }
    ctx.me_mut()?.robust_list = head;
    DONE
}

pub(super) fn get_robust_list(ctx: &mut Ctx, [tid, head, length, ..]: Args) -> Answer {
    let id = if tid == 0 { ctx.task } else { *ctx.os.tids.get(&(tid as u32)).ok_or(Errno::ESRCH)? };
    let list = ctx.os.tasks.get(id).ok_or(Errno::ESRCH)?.robust_list;
    ctx.mem.put_u64(head, list)?;
    ctx.mem.put_u64(length, ROBUST_HEAD)?;
    DONE
}

pub(super) fn personality(ctx: &mut Ctx, [persona, ..]: Args) -> Answer {
    let group = ctx.group_mut()?;
    let old = group.personality;
    if persona as u32 != u32::MAX {
        group.personality = persona as u32;
    }
    Ok(Outcome::Value(old as u64))
}

/// asm/prctl.h
const ARCH_SET_GS: u64 = 0x1001;
const ARCH_SET_FS: u64 = 0x1002;
const ARCH_GET_FS: u64 = 0x1003;
const ARCH_GET_GS: u64 = 0x1004;

pub(super) fn arch_prctl(ctx: &mut Ctx, [code, address, ..]: Args) -> Answer {
    match code {
        ARCH_SET_FS | ARCH_SET_GS if address >= GUEST_END => return Err(Errno::EPERM),
        ARCH_SET_FS => ctx.regs.fs_base = address,
        ARCH_SET_GS => ctx.regs.gs_base = address,
        ARCH_GET_FS => ctx.mem.put_u64(address, ctx.regs.fs_base)?,
        ARCH_GET_GS => ctx.mem.put_u64(address, ctx.regs.gs_base)?,
        _ => return Err(Errno::EINVAL),
    }
    DONE
}

pub(super) fn prctl(ctx: &mut Ctx, [option, a, ..]: Args) -> Answer {
    let value = match option as u32 {
        p::PR_SET_NAME => return set_name(ctx, a),
        p::PR_GET_NAME => {
            let comm = ctx.me()?.comm;
            ctx.mem.write(a, &comm)?;
            0
        }
        p::PR_SET_PDEATHSIG if a > crate::signal::SIGMAX as u64 => return Err(Errno::EINVAL),
        p::PR_SET_PDEATHSIG => {
            ctx.me_mut()?.parent_death_signal = a as u8;
            0
        }
        p::PR_GET_PDEATHSIG => {
            let signal = ctx.me()?.parent_death_signal;
            ctx.mem.put_u32(a, signal as u32)?;
            0
        }
        p::PR_GET_DUMPABLE => ctx.group()?.dumpable as u64,
        p::PR_SET_DUMPABLE if a > 1 => return Err(Errno::EINVAL),
        p::PR_SET_DUMPABLE => {
            ctx.group_mut()?.dumpable = a as u8;
            0
        }
        p::PR_SET_CHILD_SUBREAPER => {
            ctx.group_mut()?.subreaper = a != 0;
            0
        }
        p::PR_GET_CHILD_SUBREAPER => {
            let is = ctx.group()?.subreaper;
            ctx.mem.put_u32(a, is as u32)?;
            0
        }
        p::PR_SET_NO_NEW_PRIVS if a != 1 => return Err(Errno::EINVAL),
        p::PR_SET_NO_NEW_PRIVS => {
            ctx.me_mut()?.no_new_privs = true;
            0
        }
        p::PR_GET_NO_NEW_PRIVS => ctx.me()?.no_new_privs as u64,
        p::PR_SET_KEEPCAPS => {
            ctx.me_mut()?.credentials.keep_caps = a != 0;
            0
        }
        p::PR_GET_KEEPCAPS => ctx.me()?.credentials.keep_caps as u64,
        p::PR_CAPBSET_READ if a <= 40 => 1,
        p::PR_GET_SECCOMP | p::PR_GET_TIMING => 0,
        p::PR_GET_TIMERSLACK => 50_000,
        p::PR_SET_TIMERSLACK => 0,
        _ => return Err(Errno::EINVAL),
    };
    Ok(Outcome::Value(value))
}

fn set_name(ctx: &mut Ctx, at: u64) -> Answer {
    let name = match ctx.mem.get_string(at, 16, Errno::E2BIG) {
        Err(Errno::E2BIG) => ctx.mem.get_vec(at, 15)?,
        name => name?,
    };
    let mut comm = [0; 16];
    for (place, byte) in comm.iter_mut().zip(name.iter().take(15)) {
        *place = *byte;
    }
    ctx.me_mut()?.comm = comm;
    DONE
}
