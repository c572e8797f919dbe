//! Descriptors and bytes.

use super::{Answer, Args};
use crate::ctx::Ctx;
use crate::errno::Errno;
use crate::files::{GuestBuffer, Store, UserBuffers};
use crate::signal::{SIGPIPE, SIGXFSZ, SigInfo};
use crate::step::{DONE, Outcome, RemoteResult};
use crate::task::Progress;
use alloc::vec::Vec;
use linux_raw_sys::general as g;
use sal_vfs::{Completed, Flock, LockKind, Outcome as FileOutcome, Try, Vfs};

/// What a file operation gave: its own result, what a server's answer came to, or a wait.
pub(super) enum Gave<T> {
    Now(T),
    Completed(Completed),
    Later(Outcome),
}

/// Makes a file operation, or finishes one that a server answered.
pub(super) fn file_call<T>(
    ctx: &mut Ctx,
    buffers: &[GuestBuffer],
    ask: impl FnOnce(&mut Vfs<Store>, &sal_vfs::Ctx, &mut UserBuffers) -> Try<T>,
) -> Result<Gave<T>, Errno> {
    match ctx.take_progress() {
        Progress::Answered(Some(op), result) => {
            let answer = match result {
                RemoteResult::File(reply) => Ok(reply),
                RemoteResult::Failed(error) => Err(error.into()),
                _ => Err(sal_vfs::Errno::EIO),
            };
            let done = ctx.files(buffers, 0, |vfs, c, user| vfs.complete(c, *op, answer, Some(user)))?;
            return Ok(Gave::Completed(done?));
        }
        Progress::None => {}
        other => ctx.me_mut()?.progress = other,
    }
    let outcome = ctx.files(buffers, 0, ask)?;
    ctx.me_mut()?.progress = Progress::None;
    match outcome? {
        FileOutcome::Done(value) => Ok(Gave::Now(value)),
        FileOutcome::Block(on) => later(ctx, on, Progress::None, Errno::RESTART_SYS).map(Gave::Later),
        FileOutcome::Remote(op) => ctx.ask(op, buffers).map(Gave::Later),
    }
}

/// Waits for a file; `interrupted`: what a signal makes of it.
fn later(ctx: &mut Ctx, on: sal_vfs::WaitOn, keep: Progress, interrupted: Errno) -> Result<Outcome, Errno> {
    if ctx.interrupted() {
        return Err(interrupted);
    }
    let again = ctx.wait_for_file(on)?;
    ctx.block(&[], again.then_some(0), keep)
}

/// A call whose result is a number.
pub(super) fn number<T>(
    ctx: &mut Ctx,
    buffers: &[GuestBuffer],
    ask: impl FnOnce(&mut Vfs<Store>, &sal_vfs::Ctx, &mut UserBuffers) -> Try<T>,
    value: impl FnOnce(T) -> u64,
) -> Answer {
    Ok(match file_call(ctx, buffers, ask)? {
        Gave::Now(done) => Outcome::Value(value(done)),
        Gave::Completed(Completed::Number(n)) => Outcome::Value(n as u64),
        Gave::Completed(_) => Outcome::Value(0),
        Gave::Later(outcome) => outcome,
    })
}

/// A call whose result is only that it is done.
pub(super) fn unit(ctx: &mut Ctx, ask: impl FnOnce(&mut Vfs<Store>, &sal_vfs::Ctx) -> Try<()>) -> Answer {
    number(ctx, &[], |vfs, c, _| ask(vfs, c), |()| 0)
}

/// A call that neither waits nor asks.
pub(super) fn at_once<T>(
    ctx: &mut Ctx,
    ask: impl FnOnce(&mut Vfs<Store>, &sal_vfs::Ctx) -> Result<T, sal_vfs::Errno>,
) -> Result<T, Errno> {
    Ok(ctx.files(&[], 0, |vfs, c, _| ask(vfs, c))??)
}

/// Bytes of one call at most (`MAX_RW_COUNT`).
const MAX_RW: u64 = 0x7fff_f000;

pub(super) fn one(address: u64, length: u64) -> Result<[GuestBuffer; 1], Errno> {
    if length != 0 && address.checked_add(length.min(MAX_RW)).is_none_or(|end| end > crate::mm::USER_END) {
        return Err(Errno::EFAULT);
    }
    Ok([GuestBuffer { address, length: length.min(MAX_RW) }])
}

/// `IOV_MAX`
const IOV_MAX: u64 = 1024;

pub(super) fn vectors(ctx: &mut Ctx, at: u64, count: u64) -> Result<Vec<GuestBuffer>, Errno> {
    if count > IOV_MAX {
        return Err(Errno::EINVAL);
    }
    let mut left = MAX_RW;
    let mut buffers = Vec::with_capacity(count as usize);
    for index in 0..count {
        let [address, length] = ctx.mem.get_words(at.wrapping_add(index * 16))?;
        if length > i64::MAX as u64 {
            return Err(Errno::EINVAL);
        }
        let length = length.min(left);
        left -= length;
        let [buffer] = one(address, length)?;
        buffers.push(buffer);
    }
    Ok(buffers)
}

fn read_into(ctx: &mut Ctx, fd: i32, buffers: &[GuestBuffer]) -> Answer {
    number(ctx, buffers, |vfs, c, user| vfs.read(c, fd, user), |n| n as u64)
}

/// How far a call that waited had come; other progress stays where it is.
pub(super) fn kept_progress(ctx: &mut Ctx) -> Result<sal_vfs::Progress, Errno> {
    match ctx.take_progress() {
        Progress::Write(progress) => Ok(progress),
        other => {
            ctx.me_mut()?.progress = other;
            Ok(sal_vfs::Progress::default())
        }
    }
}

/// Waits to move the rest. A signal ends it with what was moved, if that is something.
pub(super) fn moved_later(ctx: &mut Ctx, on: sal_vfs::WaitOn, progress: sal_vfs::Progress) -> Answer {
    match later(ctx, on, Progress::Write(progress), Errno::RESTART_SYS) {
        Err(error) if error.is_restart() && progress.done > 0 => Ok(Outcome::Value(progress.done as u64)),
        answer => answer,
    }
}

/// write(2), with what was written before a wait kept.
fn write_from(ctx: &mut Ctx, fd: i32, buffers: &[GuestBuffer]) -> Answer {
    let mut progress = kept_progress(ctx)?;
    if matches!(ctx.me()?.progress, Progress::Answered(..)) {
        let answer = number(ctx, buffers, |_, _, _| Err::<FileOutcome<usize>, _>(sal_vfs::Errno::EIO), |n| n as u64);
        return with_signals(ctx, fd, answer);
    }
    let outcome = ctx.files(buffers, progress.done as u64, |vfs, c, user| vfs.write(c, fd, user, &mut progress))?;
    let answer = match outcome {
        Ok(FileOutcome::Done(n)) => Ok(Outcome::Value(n as u64)),
        Ok(FileOutcome::Block(on)) => moved_later(ctx, on, progress),
        Ok(FileOutcome::Remote(op)) => ctx.ask(op, buffers),
        Err(error) => Err(error.into()),
    };
    with_signals(ctx, fd, answer)
}

/// `EPIPE` and `EFBIG` come with a signal, `EPIPE` of a socket with packets does not.
pub(super) fn with_signals(ctx: &mut Ctx, fd: i32, answer: Answer) -> Answer {
    let signal = match answer {
        Err(Errno::EPIPE) if !at_once(ctx, |vfs, c| Ok(vfs.broken_pipe_signals(c, fd)))? => return answer,
        Err(Errno::EPIPE) => SIGPIPE,
        Err(Errno::EFBIG) => SIGXFSZ,
        answer => return answer,
    };
    ctx.os.send_task(ctx.task, SigInfo::from_kernel(signal), ctx.platform)?;
    answer
}

pub(super) fn read(ctx: &mut Ctx, [fd, at, length, ..]: Args) -> Answer {
    let buffers = one(at, length)?;
    read_into(ctx, fd as i32, &buffers)
}

pub(super) fn write(ctx: &mut Ctx, [fd, at, length, ..]: Args) -> Answer {
    let buffers = one(at, length)?;
    write_from(ctx, fd as i32, &buffers)
}

pub(super) fn readv(ctx: &mut Ctx, [fd, at, count, ..]: Args) -> Answer {
    let buffers = vectors(ctx, at, count)?;
    read_into(ctx, fd as i32, &buffers)
}

pub(super) fn writev(ctx: &mut Ctx, [fd, at, count, ..]: Args) -> Answer {
    let buffers = vectors(ctx, at, count)?;
    write_from(ctx, fd as i32, &buffers)
}

fn pread_into(ctx: &mut Ctx, fd: i32, buffers: &[GuestBuffer], offset: i64) -> Answer {
    number(ctx, buffers, |vfs, c, user| vfs.pread(c, fd, user, offset), |n| n as u64)
}

fn pwrite_from(ctx: &mut Ctx, fd: i32, buffers: &[GuestBuffer], offset: i64) -> Answer {
    let answer = number(ctx, buffers, |vfs, c, user| vfs.pwrite(c, fd, user, offset), |n| n as u64);
    with_signals(ctx, fd, answer)
}

pub(super) fn pread64(ctx: &mut Ctx, [fd, at, length, offset, ..]: Args) -> Answer {
    let buffers = one(at, length)?;
    pread_into(ctx, fd as i32, &buffers, offset as i64)
}

pub(super) fn pwrite64(ctx: &mut Ctx, [fd, at, length, offset, ..]: Args) -> Answer {
    let buffers = one(at, length)?;
    pwrite_from(ctx, fd as i32, &buffers, offset as i64)
}

pub(super) fn preadv(ctx: &mut Ctx, [fd, at, count, offset, ..]: Args) -> Answer {
    let buffers = vectors(ctx, at, count)?;
    pread_into(ctx, fd as i32, &buffers, offset as i64)
}

pub(super) fn pwritev(ctx: &mut Ctx, [fd, at, count, offset, ..]: Args) -> Answer {
    let buffers = vectors(ctx, at, count)?;
    pwrite_from(ctx, fd as i32, &buffers, offset as i64)
}

/// `RWF_*`: only `RWF_HIPRI`, `RWF_DSYNC`, `RWF_SYNC`, which change nothing here.
fn check_rwf(flags: u64) -> Result<(), Errno> {
    if flags & !7 == 0 { Ok(()) } else { Err(Errno::EOPNOTSUPP) }
}

pub(super) fn preadv2(ctx: &mut Ctx, [fd, at, count, offset, high, flags]: Args) -> Answer {
    check_rwf(flags)?;
    if offset as i64 == -1 {
        return readv(ctx, [fd, at, count, 0, 0, 0]);
    }
    preadv(ctx, [fd, at, count, offset, high, 0])
}

pub(super) fn pwritev2(ctx: &mut Ctx, [fd, at, count, offset, high, flags]: Args) -> Answer {
    check_rwf(flags)?;
    if offset as i64 == -1 {
        return writev(ctx, [fd, at, count, 0, 0, 0]);
    }
    pwritev(ctx, [fd, at, count, offset, high, 0])
}

fn open_at(ctx: &mut Ctx, directory: i32, path: u64, flags: u32, mode: u32) -> Answer {
    let path = ctx.mem.get_path(path)?;
    let tid = ctx.me()?.tid;
    let answer = number(ctx, &[], |vfs, c, _| vfs.open(c, directory, &path, flags, mode), |fd| fd as u64);
    match answer {
        Ok(Outcome::Value(fd)) if flags & g::O_NOCTTY == 0 => acquire_tty(ctx, fd as i32)?,
        Err(error) if error.is_restart() => ctx.vfs.abandon_open(tid),
        _ => {}
    }
    answer
}

/// A session leader without terminal that opens one which nobody has gets it.
fn acquire_tty(ctx: &mut Ctx, fd: i32) -> Result<(), Errno> {
    let group = ctx.group()?;
    if group.sid != group.tgid || ctx.os.tty_of(ctx.group_id()?).is_some() {
        return Ok(());
    }
    let Ok(Some(rdev)) = at_once(ctx, |vfs, c| vfs.terminal_of(c, fd)) else {
        return Ok(());
    };
    let tty = ctx.tty_number(rdev)?;
    let id = ctx.group_id()?;
    // Somebody else's: it is just a file then.
    let _ = ctx.os.take_tty(id, tty);
    Ok(())
}

pub(super) fn open(ctx: &mut Ctx, [path, flags, mode, ..]: Args) -> Answer {
    open_at(ctx, g::AT_FDCWD, path, flags as u32, mode as u32)
}

pub(super) fn openat(ctx: &mut Ctx, [directory, path, flags, mode, ..]: Args) -> Answer {
    open_at(ctx, directory as i32, path, flags as u32, mode as u32)
}

pub(super) fn creat(ctx: &mut Ctx, [path, mode, ..]: Args) -> Answer {
    open_at(ctx, g::AT_FDCWD, path, g::O_CREAT | g::O_WRONLY | g::O_TRUNC, mode as u32)
}

pub(super) fn close(ctx: &mut Ctx, [fd, ..]: Args) -> Answer {
    at_once(ctx, |vfs, c| vfs.close(c, fd as i32))?;
    DONE
}

/// `CLOSE_RANGE_UNSHARE`
const UNSHARE: u32 = 2;

pub(super) fn close_range(ctx: &mut Ctx, [first, last, flags, ..]: Args) -> Answer {
    let flags = flags as u32;
    if flags & UNSHARE != 0 {
        let (table, tgid) = (ctx.me()?.files.table, ctx.group()?.tgid);
        let own = ctx.vfs.table_fork(table)?;
        ctx.vfs.table_release(table, tgid);
        ctx.me_mut()?.files.table = own;
    }
    at_once(ctx, |vfs, c| vfs.close_range(c, first as u32, last as u32, flags & !UNSHARE))?;
    DONE
}

pub(super) fn lseek(ctx: &mut Ctx, [fd, offset, whence, ..]: Args) -> Answer {
    number(ctx, &[], |vfs, c, _| vfs.lseek(c, fd as i32, offset as i64, whence as u32), |at| at)
}

fn descriptor(fd: i32) -> Answer {
    Ok(Outcome::Value(fd as u64))
}

pub(super) fn dup(ctx: &mut Ctx, [fd, ..]: Args) -> Answer {
    descriptor(at_once(ctx, |vfs, c| vfs.dup(c, fd as i32, 0, false))?)
}

pub(super) fn dup2(ctx: &mut Ctx, [fd, to, ..]: Args) -> Answer {
    descriptor(at_once(ctx, |vfs, c| vfs.dup2(c, fd as i32, to as i32))?)
}

pub(super) fn dup3(ctx: &mut Ctx, [fd, to, flags, ..]: Args) -> Answer {
    descriptor(at_once(ctx, |vfs, c| vfs.dup3(c, fd as i32, to as i32, flags as u32))?)
}

pub(super) fn pipe(ctx: &mut Ctx, [at, ..]: Args) -> Answer {
    pipe2(ctx, [at, 0, 0, 0, 0, 0])
}

pub(super) fn pipe2(ctx: &mut Ctx, [at, flags, ..]: Args) -> Answer {
    let (read, write) = at_once(ctx, |vfs, c| vfs.pipe(c, flags as u32))?;
    let both = read as u32 as u64 | (write as u32 as u64) << 32;
    if let Err(error) = ctx.mem.put_u64(at, both) {
        at_once(ctx, |vfs, c| vfs.close(c, read).and(vfs.close(c, write)))?;
        return Err(error);
    }
    DONE
}

pub(super) fn fcntl(ctx: &mut Ctx, [fd, command, argument, ..]: Args) -> Answer {
    let (fd, command) = (fd as i32, command as u32);
    let value = match command {
        g::F_DUPFD | g::F_DUPFD_CLOEXEC => {
            let cloexec = command == g::F_DUPFD_CLOEXEC;
            if argument >= ctx.group()?.limit(g::RLIMIT_NOFILE) {
                return Err(Errno::EINVAL);
            }
            at_once(ctx, |vfs, c| vfs.dup(c, fd, argument as u32, cloexec))? as u64
        }
        g::F_GETFD => at_once(ctx, |vfs, c| vfs.get_fd_flags(c, fd))? as u64,
        g::F_SETFD => {
            at_once(ctx, |vfs, c| vfs.set_fd_flags(c, fd, argument as u32))?;
            0
        }
        g::F_GETFL => at_once(ctx, |vfs, c| vfs.get_status_flags(c, fd))? as u64,
        g::F_SETFL => {
            at_once(ctx, |vfs, c| vfs.set_status_flags(c, fd, argument as u32))?;
            0
        }
        g::F_GETPIPE_SZ => at_once(ctx, |vfs, c| vfs.get_pipe_size(c, fd))? as u64,
        g::F_SETPIPE_SZ => at_once(ctx, |vfs, c| vfs.set_pipe_size(c, fd, argument as u32))? as u64,
        g::F_GETLK | g::F_SETLK | g::F_SETLKW => return record_lock(ctx, fd, command, argument),
        _ => return Err(Errno::EINVAL),
    };
    Ok(Outcome::Value(value))
}

/// `struct flock`: type, whence (16 bits each), start, length, process.
fn record_lock(ctx: &mut Ctx, fd: i32, command: u32, at: u64) -> Answer {
    let [head, start, len] = ctx.mem.get_words(at)?;
    let kind = match head as u16 as u32 {
        g::F_RDLCK => Some(LockKind::Read),
        g::F_WRLCK => Some(LockKind::Write),
        g::F_UNLCK => None,
        _ => return Err(Errno::EINVAL),
    };
    let lock = Flock { kind, whence: (head >> 16) as u16 as u32, start: start as i64, len: len as i64, pid: 0 };
    if command == g::F_GETLK {
        let found = at_once(ctx, |vfs, c| vfs.get_lock(c, fd, &lock))?;
        let kind = match found.kind {
            Some(LockKind::Read) => g::F_RDLCK,
            Some(LockKind::Write) => g::F_WRLCK,
            None => g::F_UNLCK,
        };
        ctx.mem.write(at, &(kind as u16).to_le_bytes())?;
        if found.kind.is_some() {
            ctx.mem.write(at.wrapping_add(2), &(found.whence as u16).to_le_bytes())?;
            ctx.mem.put_words(at.wrapping_add(8), &[found.start as u64, found.len as u64])?;
            ctx.mem.put_u32(at.wrapping_add(24), found.pid)?;
        }
        return DONE;
    }
    let pid = ctx.group()?.tgid;
    let answer = unit(ctx, |vfs, c| vfs.set_lock(c, fd, &lock, command == g::F_SETLKW));
    if matches!(answer, Err(error) if error.is_restart()) {
        ctx.vfs.abandon_lock(pid);
    }
    answer
}

pub(super) fn flock(ctx: &mut Ctx, [fd, operation, ..]: Args) -> Answer {
    let wait = operation as u32 & g::LOCK_NB == 0;
    let kind = match operation as u32 & !g::LOCK_NB {
        g::LOCK_SH => Some(LockKind::Read),
        g::LOCK_EX => Some(LockKind::Write),
        g::LOCK_UN => None,
        _ => return Err(Errno::EINVAL),
    };
    unit(ctx, |vfs, c| vfs.flock(c, fd as i32, kind, wait))
}

pub(super) fn ftruncate(ctx: &mut Ctx, [fd, size, ..]: Args) -> Answer {
    let answer = unit(ctx, |vfs, c| vfs.ftruncate(c, fd as i32, size as i64));
    with_signals(ctx, fd as i32, answer)
}

pub(super) fn fallocate(ctx: &mut Ctx, [fd, mode, offset, length, ..]: Args) -> Answer {
    let answer = unit(ctx, |vfs, c| vfs.fallocate(c, fd as i32, mode as u32, offset as i64, length as i64));
    with_signals(ctx, fd as i32, answer)
}

pub(super) fn fsync(ctx: &mut Ctx, [fd, ..]: Args) -> Answer {
    unit(ctx, |vfs, c| vfs.fsync(c, fd as i32))
}

pub(super) fn fdatasync(ctx: &mut Ctx, args: Args) -> Answer {
    fsync(ctx, args)
}

/// What is in memory is as safe as it gets; servers of mounted prefixes are told file by file.
pub(super) fn sync(_: &mut Ctx, _: Args) -> Answer {
    DONE
}

fn open_descriptor(ctx: &mut Ctx, fd: u64) -> Answer {
    at_once(ctx, |vfs, c| vfs.get_fd_flags(c, fd as i32))?;
    DONE
}

pub(super) fn syncfs(ctx: &mut Ctx, [fd, ..]: Args) -> Answer {
    open_descriptor(ctx, fd)
}

/// Advice about reading ahead: there is nothing ahead.
pub(super) fn fadvise64(ctx: &mut Ctx, [fd, _, _, advice, ..]: Args) -> Answer {
    if advice > 5 {
        return Err(Errno::EINVAL);
    }
    open_descriptor(ctx, fd)
}

pub(super) fn readahead(ctx: &mut Ctx, [fd, ..]: Args) -> Answer {
    open_descriptor(ctx, fd)
}

pub(super) fn sync_file_range(ctx: &mut Ctx, args: Args) -> Answer {
    fsync(ctx, args)
}

pub(super) fn getdents64(ctx: &mut Ctx, [fd, at, length, ..]: Args) -> Answer {
    let buffers = one(at, length)?;
    number(ctx, &buffers, |vfs, c, user| vfs.getdents(c, fd as i32, user), |n| n as u64)
}

/// A file offset that the program passed by pointer.
fn offset_at(ctx: &mut Ctx, at: u64) -> Result<Option<i64>, Errno> {
    Ok(if at == 0 { None } else { Some(ctx.mem.get_u64(at)? as i64) })
}

fn put_offset(ctx: &mut Ctx, at: u64, offset: Option<i64>) -> Result<(), Errno> {
    match offset {
        Some(offset) => ctx.mem.put_u64(at, offset as u64),
        None => Ok(()),
    }
}

pub(super) fn sendfile(ctx: &mut Ctx, [output, input, offset, count, ..]: Args) -> Answer {
    let mut from = offset_at(ctx, offset)?;
    let count = count.min(MAX_RW) as usize;
    let (output, input) = (output as i32, input as i32);
    let answer = number(ctx, &[], |vfs, c, _| vfs.sendfile(c, output, input, from.as_mut(), count), |n| n as u64);
    if let Ok(Outcome::Value(_)) = answer {
        put_offset(ctx, offset, from)?;
    }
    with_signals(ctx, output, answer)
}

pub(super) fn copy_file_range(ctx: &mut Ctx, [input, from, output, to, length, flags]: Args) -> Answer {
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let (mut source, mut target) = (offset_at(ctx, from)?, offset_at(ctx, to)?);
    let length = length.min(MAX_RW) as usize;
    let (input, output) = (input as i32, output as i32);
    let answer = number(
        ctx,
        &[],
        |vfs, c, _| vfs.copy_file_range(c, input, source.as_mut(), output, target.as_mut(), length),
        |n| n as u64,
    );
    if let Ok(Outcome::Value(_)) = answer {
        put_offset(ctx, from, source)?;
        put_offset(ctx, to, target)?;
    }
    answer
}
