//! Advisory locks: flock(2), and record locks of fcntl(2).

use crate::contents::Contents;
use crate::errno::Errno;
use crate::types::{Ctx, Fd, Try};
use crate::vfs::Vfs;

/// Shared or exclusive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LockKind {
    /// `F_RDLCK`, `LOCK_SH`.
    Read,
    /// `F_WRLCK`, `LOCK_EX`.
    Write,
}

/// `struct flock`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flock {
    /// `None`: `F_UNLCK`.
    pub kind: Option<LockKind>,
    /// `SEEK_SET`, `SEEK_CUR`, `SEEK_END`.
    pub whence: u32,
    /// From there.
    pub start: i64,
    /// Bytes; 0: to the end; negative: before `start`.
    pub len: i64,
    /// Who holds it (answer of `get_lock`).
    pub pid: u32,
}

impl<C: Contents> Vfs<C> {
    /// flock(2): `None` unlocks; with `wait` it blocks, else `EAGAIN`.
    #[allow(unused_variables)]
    pub fn flock(&mut self, ctx: &Ctx, fd: Fd, kind: Option<LockKind>, wait: bool) -> Try<()> {
        Err(Errno::ENOSYS)
    }

    /// fcntl `F_SETLK`, and with `wait` `F_SETLKW`: `kind` `None` unlocks.
    #[allow(unused_variables)]
    pub fn set_lock(&mut self, ctx: &Ctx, fd: Fd, lock: &Flock, wait: bool) -> Try<()> {
        Err(Errno::ENOSYS)
    }

    /// fcntl `F_GETLK`: the first lock that stands in the way, offsets from the start; `kind` `None` if there is none.
    #[allow(unused_variables)]
    pub fn get_lock(&mut self, ctx: &Ctx, fd: Fd, lock: &Flock) -> Result<Flock, Errno> {
        Err(Errno::ENOSYS)
    }
}
