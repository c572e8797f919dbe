//! Attributes.

use crate::contents::Contents;
use crate::errno::Errno;
use crate::types::{Ctx, Fd, Stat, StatFs, Time, Try};
use crate::vfs::Vfs;

/// What utimensat does to a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SetTime {
    /// `UTIME_OMIT`.
    Keep,
    /// `UTIME_NOW`, or no times given.
    Now,
    /// This one.
    At(Time),
}

impl<C: Contents> Vfs<C> {
    /// newfstatat(2), statx(2): `AT_EMPTY_PATH`, `AT_SYMLINK_NOFOLLOW`.
    #[allow(unused_variables)]
    pub fn stat(&mut self, ctx: &Ctx, dirfd: Fd, path: &[u8], flags: u32) -> Try<Stat> {
        Err(Errno::ENOSYS)
    }

    /// fstat(2).
    #[allow(unused_variables)]
    pub fn fstat(&mut self, ctx: &Ctx, fd: Fd) -> Try<Stat> {
        Err(Errno::ENOSYS)
    }

    /// statfs(2).
    #[allow(unused_variables)]
    pub fn statfs(&mut self, ctx: &Ctx, path: &[u8]) -> Try<StatFs> {
        Err(Errno::ENOSYS)
    }

    /// fstatfs(2).
    #[allow(unused_variables)]
    pub fn fstatfs(&mut self, ctx: &Ctx, fd: Fd) -> Try<StatFs> {
        Err(Errno::ENOSYS)
    }

    /// faccessat2(2): `mask` of `R_OK`, `W_OK`, `X_OK`. The caller puts the real ids in `ctx.cred` unless `AT_EACCESS`.
    #[allow(unused_variables)]
    pub fn access(&mut self, ctx: &Ctx, dirfd: Fd, path: &[u8], mask: u32, flags: u32) -> Try<()> {
        Err(Errno::ENOSYS)
    }

    /// fchmodat2(2), and fchmod(2) by `AT_EMPTY_PATH`.
    #[allow(unused_variables)]
    pub fn chmod(&mut self, ctx: &Ctx, dirfd: Fd, path: &[u8], mode: u32, flags: u32) -> Try<()> {
        Err(Errno::ENOSYS)
    }

    /// fchownat(2), and fchown(2) by `AT_EMPTY_PATH`; `None` keeps.
    #[allow(unused_variables)]
    pub fn chown(
        &mut self,
        ctx: &Ctx,
        dirfd: Fd,
        path: &[u8],
        uid: Option<u32>,
        gid: Option<u32>,
        flags: u32,
    ) -> Try<()> {
        Err(Errno::ENOSYS)
    }

    /// utimensat(2): access and modification time; the empty path is the descriptor itself.
    #[allow(unused_variables)]
    pub fn utimens(
        &mut self,
        ctx: &Ctx,
        dirfd: Fd,
        path: &[u8],
        atime: SetTime,
        mtime: SetTime,
        flags: u32,
    ) -> Try<()> {
        Err(Errno::ENOSYS)
    }
}
