//! Names and attributes.

use super::file::{Gave, file_call, unit};
use super::{Answer, Args};
use crate::ctx::Ctx;
use crate::errno::Errno;
use crate::step::{DONE, Outcome};
use alloc::vec::Vec;
use linux_raw_sys::general as g;
use sal_vfs::{Completed, MountKind, SetTime, Stat, StatFs, Time, Try, Vfs};

type Files = Vfs<crate::files::Store>;

/// `struct stat` of x86_64: 144 bytes.
fn stat_words(s: &Stat) -> [u64; 18] {
    let time = |t: Time| [t.sec as u64, t.nsec as u64];
    let ([a, an], [m, mn], [c, cn]) = (time(s.atime), time(s.mtime), time(s.ctime));
    let mode_uid = s.mode as u64 | (s.uid as u64) << 32;
    [
        s.dev,
        s.ino,
        s.nlink as u64,
        mode_uid,
        s.gid as u64,
        s.rdev,
        s.size,
        s.blksize as u64,
        s.blocks,
        a,
        an,
        m,
        mn,
        c,
        cn,
        0,
        0,
        0,
    ]
}

fn put_stat(ctx: &mut Ctx, at: u64, ask: impl FnOnce(&mut Files, &sal_vfs::Ctx) -> Try<Stat>) -> Answer {
    match look(ctx, ask)? {
        Ok(stat) => {
            ctx.mem.put_words(at, &stat_words(&stat))?;
            DONE
        }
        Err(outcome) => Ok(outcome),
    }
}

fn look(
    ctx: &mut Ctx,
    ask: impl FnOnce(&mut Files, &sal_vfs::Ctx) -> Try<Stat>,
) -> Result<Result<Stat, Outcome>, Errno> {
    Ok(match file_call(ctx, &[], |vfs, c, _| ask(vfs, c))? {
        Gave::Now(stat) | Gave::Completed(Completed::Stat(stat)) => Ok(stat),
        Gave::Completed(_) => return Err(Errno::EIO),
        Gave::Later(outcome) => Err(outcome),
    })
}

/// A path that `AT_EMPTY_PATH` lets be a null pointer or empty.
fn path_or_empty(ctx: &mut Ctx, at: u64, flags: u32) -> Result<Vec<u8>, Errno> {
    if at == 0 && flags & g::AT_EMPTY_PATH != 0 { Ok(Vec::new()) } else { ctx.mem.get_path(at) }
}

fn stat_at(ctx: &mut Ctx, directory: i32, path: u64, at: u64, flags: u32) -> Answer {
    let path = path_or_empty(ctx, path, flags)?;
    put_stat(ctx, at, |vfs, c| vfs.stat(c, directory, &path, flags))
}

pub(super) fn stat(ctx: &mut Ctx, [path, at, ..]: Args) -> Answer {
    stat_at(ctx, g::AT_FDCWD, path, at, 0)
}

pub(super) fn lstat(ctx: &mut Ctx, [path, at, ..]: Args) -> Answer {
    stat_at(ctx, g::AT_FDCWD, path, at, g::AT_SYMLINK_NOFOLLOW)
}

pub(super) fn newfstatat(ctx: &mut Ctx, [directory, path, at, flags, ..]: Args) -> Answer {
    stat_at(ctx, directory as i32, path, at, flags as u32)
}

pub(super) fn fstat(ctx: &mut Ctx, [fd, at, ..]: Args) -> Answer {
    put_stat(ctx, at, |vfs, c| vfs.fstat(c, fd as i32))
}

/// `STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID`
const STATX_MASK: u32 = 0x7ff | 0x800 | 0x1000;

/// `struct statx`: 256 bytes.
fn statx_bytes(s: &Stat) -> [u8; 256] {
    let mut bytes = [0; 256];
    let mut put = |at: usize, value: &[u8]| {
        if let Some(place) = bytes.get_mut(at..at + value.len()) {
            place.copy_from_slice(value);
        }
    };
    for (at, value) in [(0, STATX_MASK), (4, s.blksize), (16, s.nlink), (20, s.uid), (24, s.gid)] {
        put(at, &value.to_le_bytes());
    }
    put(28, &(s.mode as u16).to_le_bytes());
    for (at, value) in [(32, s.ino), (40, s.size), (48, s.blocks), (144, s.mount)] {
        put(at, &value.to_le_bytes());
    }
    for (at, time) in [(64, s.atime), (80, s.btime), (96, s.ctime), (112, s.mtime)] {
        put(at, &time.sec.to_le_bytes());
        put(at + 8, &time.nsec.to_le_bytes());
    }
    for (at, dev) in [(128, s.rdev), (136, s.dev)] {
        put(at, &sal_vfs::major(dev).to_le_bytes());
        put(at + 4, &sal_vfs::minor(dev).to_le_bytes());
    }
    bytes
}

pub(super) fn statx(ctx: &mut Ctx, [directory, path, flags, mask, at, _]: Args) -> Answer {
    let (flags, both) = (flags as u32, g::AT_STATX_FORCE_SYNC | g::AT_STATX_DONT_SYNC);
    if flags & both == both || mask as u32 & 0x8000_0000 != 0 {
        return Err(Errno::EINVAL);
    }
    let path = path_or_empty(ctx, path, flags)?;
    match look(ctx, |vfs, c| vfs.stat(c, directory as i32, &path, flags & !both))? {
        Ok(stat) => {
            ctx.mem.write(at, &statx_bytes(&stat))?;
            DONE
        }
        Err(outcome) => Ok(outcome),
    }
}

/// access(2) asks for the real ids: the file system is shown them for the time of the call.
fn access_at(ctx: &mut Ctx, directory: i32, path: u64, mask: u32, flags: u32) -> Answer {
    if mask & !7 != 0 || flags & !(g::AT_EACCESS | g::AT_SYMLINK_NOFOLLOW | g::AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let path = path_or_empty(ctx, path, flags)?;
    let task = ctx.me()?;
    let mut cred = task.files.cred.clone();
    if flags & g::AT_EACCESS == 0 {
        (cred.uid, cred.gid) = (task.credentials.uid[0], task.credentials.gid[0]);
    }
    unit(ctx, |vfs, c| vfs.access(&sal_vfs::Ctx { cred: &cred, ..*c }, directory, &path, mask, flags))
}

pub(super) fn access(ctx: &mut Ctx, [path, mask, ..]: Args) -> Answer {
    access_at(ctx, g::AT_FDCWD, path, mask as u32, 0)
}

pub(super) fn faccessat(ctx: &mut Ctx, [directory, path, mask, ..]: Args) -> Answer {
    access_at(ctx, directory as i32, path, mask as u32, 0)
}

pub(super) fn faccessat2(ctx: &mut Ctx, [directory, path, mask, flags, ..]: Args) -> Answer {
    access_at(ctx, directory as i32, path, mask as u32, flags as u32)
}

/// A call on one path below a directory.
fn on_path(
    ctx: &mut Ctx,
    directory: i32,
    path: u64,
    ask: impl FnOnce(&mut Files, &sal_vfs::Ctx, i32, &[u8]) -> Try<()>,
) -> Answer {
    let path = ctx.mem.get_path(path)?;
    unit(ctx, |vfs, c| ask(vfs, c, directory, &path))
}

pub(super) fn mkdir(ctx: &mut Ctx, [path, mode, ..]: Args) -> Answer {
    on_path(ctx, g::AT_FDCWD, path, |vfs, c, d, p| vfs.mkdir(c, d, p, mode as u32))
}

pub(super) fn mkdirat(ctx: &mut Ctx, [directory, path, mode, ..]: Args) -> Answer {
    on_path(ctx, directory as i32, path, |vfs, c, d, p| vfs.mkdir(c, d, p, mode as u32))
}

pub(super) fn rmdir(ctx: &mut Ctx, [path, ..]: Args) -> Answer {
    on_path(ctx, g::AT_FDCWD, path, |vfs, c, d, p| vfs.unlink(c, d, p, g::AT_REMOVEDIR))
}

pub(super) fn unlink(ctx: &mut Ctx, [path, ..]: Args) -> Answer {
    on_path(ctx, g::AT_FDCWD, path, |vfs, c, d, p| vfs.unlink(c, d, p, 0))
}

pub(super) fn unlinkat(ctx: &mut Ctx, [directory, path, flags, ..]: Args) -> Answer {
    on_path(ctx, directory as i32, path, |vfs, c, d, p| vfs.unlink(c, d, p, flags as u32))
}

/// A call on two paths.
fn on_two(
    ctx: &mut Ctx,
    from: u64,
    to: u64,
    ask: impl FnOnce(&mut Files, &sal_vfs::Ctx, &[u8], &[u8]) -> Try<()>,
) -> Answer {
    let (from, to) = (ctx.mem.get_path(from)?, ctx.mem.get_path(to)?);
    unit(ctx, |vfs, c| ask(vfs, c, &from, &to))
}

pub(super) fn rename(ctx: &mut Ctx, [from, to, ..]: Args) -> Answer {
    on_two(ctx, from, to, |vfs, c, a, b| vfs.rename(c, g::AT_FDCWD, a, g::AT_FDCWD, b, 0))
}

pub(super) fn renameat(ctx: &mut Ctx, [fromfd, from, tofd, to, ..]: Args) -> Answer {
    on_two(ctx, from, to, |vfs, c, a, b| vfs.rename(c, fromfd as i32, a, tofd as i32, b, 0))
}

pub(super) fn renameat2(ctx: &mut Ctx, [fromfd, from, tofd, to, flags, _]: Args) -> Answer {
    on_two(ctx, from, to, |vfs, c, a, b| vfs.rename(c, fromfd as i32, a, tofd as i32, b, flags as u32))
}

pub(super) fn link(ctx: &mut Ctx, [from, to, ..]: Args) -> Answer {
    on_two(ctx, from, to, |vfs, c, a, b| vfs.link(c, g::AT_FDCWD, a, g::AT_FDCWD, b, 0))
}

pub(super) fn linkat(ctx: &mut Ctx, [fromfd, from, tofd, to, flags, _]: Args) -> Answer {
    on_two(ctx, from, to, |vfs, c, a, b| vfs.link(c, fromfd as i32, a, tofd as i32, b, flags as u32))
}

pub(super) fn symlink(ctx: &mut Ctx, [target, path, ..]: Args) -> Answer {
    on_two(ctx, target, path, |vfs, c, t, p| vfs.symlink(c, t, g::AT_FDCWD, p))
}

pub(super) fn symlinkat(ctx: &mut Ctx, [target, directory, path, ..]: Args) -> Answer {
    on_two(ctx, target, path, |vfs, c, t, p| vfs.symlink(c, t, directory as i32, p))
}

fn readlink_at(ctx: &mut Ctx, directory: i32, path: u64, at: u64, size: u64) -> Answer {
    if size as i32 <= 0 {
        return Err(Errno::EINVAL);
    }
    let path = ctx.mem.get_path(path)?;
    let target = match file_call(ctx, &[], |vfs, c, _| vfs.readlink(c, directory, &path))? {
        Gave::Now(target) | Gave::Completed(Completed::Bytes(target)) => target,
        Gave::Completed(_) => return Err(Errno::EIO),
        Gave::Later(outcome) => return Ok(outcome),
    };
    let shown = target.get(..target.len().min(size as usize)).unwrap_or_default();
    ctx.mem.write(at, shown)?;
    Ok(Outcome::Value(shown.len() as u64))
}

pub(super) fn readlink(ctx: &mut Ctx, [path, at, size, ..]: Args) -> Answer {
    readlink_at(ctx, g::AT_FDCWD, path, at, size)
}

pub(super) fn readlinkat(ctx: &mut Ctx, [directory, path, at, size, ..]: Args) -> Answer {
    readlink_at(ctx, directory as i32, path, at, size)
}

pub(super) fn chmod(ctx: &mut Ctx, [path, mode, ..]: Args) -> Answer {
    on_path(ctx, g::AT_FDCWD, path, |vfs, c, d, p| vfs.chmod(c, d, p, mode as u32, 0))
}

pub(super) fn fchmod(ctx: &mut Ctx, [fd, mode, ..]: Args) -> Answer {
    unit(ctx, |vfs, c| vfs.chmod(c, fd as i32, b"", mode as u32, g::AT_EMPTY_PATH))
}

pub(super) fn fchmodat(ctx: &mut Ctx, [directory, path, mode, ..]: Args) -> Answer {
    on_path(ctx, directory as i32, path, |vfs, c, d, p| vfs.chmod(c, d, p, mode as u32, 0))
}

fn chown_at(ctx: &mut Ctx, directory: i32, path: &[u8], [uid, gid]: [u64; 2], flags: u32) -> Answer {
    let keep = |id: u64| Some(id as u32).filter(|id| *id != u32::MAX);
    unit(ctx, |vfs, c| vfs.chown(c, directory, path, keep(uid), keep(gid), flags))
}

pub(super) fn chown(ctx: &mut Ctx, [path, uid, gid, ..]: Args) -> Answer {
    let path = ctx.mem.get_path(path)?;
    chown_at(ctx, g::AT_FDCWD, &path, [uid, gid], 0)
}

pub(super) fn lchown(ctx: &mut Ctx, [path, uid, gid, ..]: Args) -> Answer {
    let path = ctx.mem.get_path(path)?;
    chown_at(ctx, g::AT_FDCWD, &path, [uid, gid], g::AT_SYMLINK_NOFOLLOW)
}

pub(super) fn fchown(ctx: &mut Ctx, [fd, uid, gid, ..]: Args) -> Answer {
    chown_at(ctx, fd as i32, b"", [uid, gid], g::AT_EMPTY_PATH)
}

pub(super) fn fchownat(ctx: &mut Ctx, [directory, path, uid, gid, flags, _]: Args) -> Answer {
    let path = path_or_empty(ctx, path, flags as u32)?;
    chown_at(ctx, directory as i32, &path, [uid, gid], flags as u32)
}

pub(super) fn mknod(ctx: &mut Ctx, [path, mode, dev, ..]: Args) -> Answer {
    mknodat(ctx, [g::AT_FDCWD as u64, path, mode, dev, 0, 0])
}

pub(super) fn mknodat(ctx: &mut Ctx, [directory, path, mode, dev, ..]: Args) -> Answer {
    on_path(ctx, directory as i32, path, |vfs, c, d, p| vfs.mknod(c, d, p, mode as u32, dev))
}

pub(super) fn truncate(ctx: &mut Ctx, [path, size, ..]: Args) -> Answer {
    let path = ctx.mem.get_path(path)?;
    unit(ctx, |vfs, c| vfs.truncate(c, &path, size as i64))
}

pub(super) fn chdir(ctx: &mut Ctx, [path, ..]: Args) -> Answer {
    let path = ctx.mem.get_path(path)?;
    unit(ctx, |vfs, c| vfs.chdir(c, &path))
}

pub(super) fn fchdir(ctx: &mut Ctx, [fd, ..]: Args) -> Answer {
    ctx.files(&[], 0, |vfs, c, _| vfs.fchdir(c, fd as i32))??;
    DONE
}

pub(super) fn chroot(ctx: &mut Ctx, [path, ..]: Args) -> Answer {
    let path = ctx.mem.get_path(path)?;
    unit(ctx, |vfs, c| vfs.chroot(c, &path))
}

/// getcwd: the length with its zero byte.
pub(super) fn getcwd(ctx: &mut Ctx, [at, size, ..]: Args) -> Answer {
    let mut path = ctx.files(&[], 0, |vfs, c, _| vfs.getcwd(c))??;
    path.push(0);
    if path.len() as u64 > size {
        return Err(Errno::ERANGE);
    }
    ctx.mem.write(at, &path)?;
    Ok(Outcome::Value(path.len() as u64))
}

pub(super) fn umask(ctx: &mut Ctx, [mask, ..]: Args) -> Answer {
    let fs = ctx.me()?.files.fs;
    Ok(Outcome::Value(ctx.vfs.umask(fs, mask as u32) as u64))
}

/// `UTIME_NOW`, `UTIME_OMIT`
const UTIME_NOW: u64 = 0x3fff_ffff;
const UTIME_OMIT: u64 = 0x3fff_fffe;

fn set_time(seconds: u64, nanoseconds: u64) -> Result<SetTime, Errno> {
    Ok(match nanoseconds {
        UTIME_NOW => SetTime::Now,
        UTIME_OMIT => SetTime::Keep,
        n if n < 1_000_000_000 => SetTime::At(Time { sec: seconds as i64, nsec: n as u32 }),
        _ => return Err(Errno::EINVAL),
    })
}

fn set_times(ctx: &mut Ctx, directory: i32, path: u64, times: [SetTime; 2], flags: u32) -> Answer {
    // A null path: the descriptor itself (futimens).
    let path = if path == 0 { Vec::new() } else { ctx.mem.get_path(path)? };
    let flags = if path.is_empty() { flags | g::AT_EMPTY_PATH } else { flags };
    let [atime, mtime] = times;
    unit(ctx, |vfs, c| vfs.utimens(c, directory, &path, atime, mtime, flags))
}

pub(super) fn utimensat(ctx: &mut Ctx, [directory, path, times, flags, ..]: Args) -> Answer {
    let times = if times == 0 {
        [SetTime::Now; 2]
    } else {
        let [a, an, m, mn] = ctx.mem.get_words(times)?;
        [set_time(a, an)?, set_time(m, mn)?]
    };
    set_times(ctx, directory as i32, path, times, flags as u32)
}

/// The older calls give microseconds.
fn from_micro(ctx: &mut Ctx, at: u64) -> Result<[SetTime; 2], Errno> {
    if at == 0 {
        return Ok([SetTime::Now; 2]);
    }
    let [a, au, m, mu] = ctx.mem.get_words(at)?;
    if au >= 1_000_000 || mu >= 1_000_000 {
        return Err(Errno::EINVAL);
    }
    Ok([set_time(a, au * 1000)?, set_time(m, mu * 1000)?])
}

pub(super) fn utimes(ctx: &mut Ctx, [path, times, ..]: Args) -> Answer {
    let times = from_micro(ctx, times)?;
    set_times(ctx, g::AT_FDCWD, path, times, 0)
}

pub(super) fn futimesat(ctx: &mut Ctx, [directory, path, times, ..]: Args) -> Answer {
    let times = from_micro(ctx, times)?;
    set_times(ctx, directory as i32, path, times, 0)
}

pub(super) fn utime(ctx: &mut Ctx, [path, times, ..]: Args) -> Answer {
    let times = if times == 0 {
        [SetTime::Now; 2]
    } else {
        let [a, m] = ctx.mem.get_words(times)?;
        [set_time(a, 0)?, set_time(m, 0)?]
    };
    set_times(ctx, g::AT_FDCWD, path, times, 0)
}

/// `struct statfs`: 120 bytes.
fn put_statfs(ctx: &mut Ctx, at: u64, ask: impl FnOnce(&mut Files, &sal_vfs::Ctx) -> Try<StatFs>) -> Answer {
    let s = match file_call(ctx, &[], |vfs, c, _| ask(vfs, c))? {
        Gave::Now(s) | Gave::Completed(Completed::StatFs(s)) => s,
        Gave::Completed(_) => return Err(Errno::EIO),
        Gave::Later(outcome) => return Ok(outcome),
    };
    let words = [
        s.kind, s.bsize, s.blocks, s.bfree, s.bavail, s.files, s.ffree, s.fsid, s.namelen, s.bsize, s.flags, 0, 0, 0, 0,
    ];
    ctx.mem.put_words(at, &words)?;
    DONE
}

pub(super) fn statfs(ctx: &mut Ctx, [path, at, ..]: Args) -> Answer {
    let path = ctx.mem.get_path(path)?;
    put_statfs(ctx, at, |vfs, c| vfs.statfs(c, &path))
}

pub(super) fn fstatfs(ctx: &mut Ctx, [fd, at, ..]: Args) -> Answer {
    put_statfs(ctx, at, |vfs, c| vfs.fstatfs(c, fd as i32))
}

/// mount(2): new file systems of the types that there are.
pub(super) fn mount(ctx: &mut Ctx, [source, target, kind, flags, ..]: Args) -> Answer {
    let special =
        g::MS_REMOUNT | g::MS_BIND | g::MS_MOVE | g::MS_SHARED | g::MS_PRIVATE | g::MS_SLAVE | g::MS_UNBINDABLE;
    if flags as u32 & special != 0 {
        return Err(Errno::EINVAL);
    }
    let source = if source == 0 { b"none".to_vec() } else { ctx.mem.get_path(source)? };
    let target = ctx.mem.get_path(target)?;
    let kind = match ctx.mem.get_path(kind)?.as_slice() {
        b"tmpfs" | b"ramfs" => MountKind::Tmpfs,
        b"devtmpfs" => MountKind::Dev,
        b"proc" => MountKind::Proc,
        _ => return Err(Errno::ENODEV),
    };
    unit(ctx, |vfs, c| vfs.mount(c, &source, &target, kind))
}

pub(super) fn umount2(ctx: &mut Ctx, [target, flags, ..]: Args) -> Answer {
    let target = ctx.mem.get_path(target)?;
    unit(ctx, |vfs, c| vfs.umount(c, &target, flags as u32))
}
