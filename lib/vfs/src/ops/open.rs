//! open, close, dup, descriptor flags, pipes.

use crate::contents::Contents;
use crate::errno::Errno;
use crate::types::{Ctx, Fd, Try};
use crate::vfs::Vfs;

impl<C: Contents> Vfs<C> {
    /// openat(2). `flags` as given, `mode` before the umask. Done: the descriptor.
    #[allow(unused_variables)]
    pub fn open(&mut self, ctx: &Ctx, dirfd: Fd, path: &[u8], flags: u32, mode: u32) -> Try<Fd> {
        Err(Errno::ENOSYS)
    }

    /// close(2). The number is free even if an error comes.
    #[allow(unused_variables)]
    pub fn close(&mut self, ctx: &Ctx, fd: Fd) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    /// close_range(2): `first..=last`; `flags`: `CLOSE_RANGE_CLOEXEC`.
    #[allow(unused_variables)]
    pub fn close_range(&mut self, ctx: &Ctx, first: u32, last: u32, flags: u32) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    /// dup(2), and fcntl `F_DUPFD`, `F_DUPFD_CLOEXEC`: the lowest free number not below `min`.
    #[allow(unused_variables)]
    pub fn dup(&mut self, ctx: &Ctx, fd: Fd, min: u32, cloexec: bool) -> Result<Fd, Errno> {
        Err(Errno::ENOSYS)
    }

    /// dup2(2): `to` is closed first; the same number is only checked.
    #[allow(unused_variables)]
    pub fn dup2(&mut self, ctx: &Ctx, fd: Fd, to: Fd) -> Result<Fd, Errno> {
        Err(Errno::ENOSYS)
    }

    /// dup3(2): as dup2, but the same number is `EINVAL`; `flags`: `O_CLOEXEC`.
    #[allow(unused_variables)]
    pub fn dup3(&mut self, ctx: &Ctx, fd: Fd, to: Fd, flags: u32) -> Result<Fd, Errno> {
        Err(Errno::ENOSYS)
    }

    /// fcntl `F_GETFD`: 1 if close-on-exec.
    #[allow(unused_variables)]
    pub fn get_fd_flags(&self, ctx: &Ctx, fd: Fd) -> Result<u32, Errno> {
        Err(Errno::ENOSYS)
    }

    /// fcntl `F_SETFD`.
    #[allow(unused_variables)]
    pub fn set_fd_flags(&mut self, ctx: &Ctx, fd: Fd, flags: u32) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    /// fcntl `F_GETFL`: access mode and status flags.
    #[allow(unused_variables)]
    pub fn get_status_flags(&self, ctx: &Ctx, fd: Fd) -> Result<u32, Errno> {
        Err(Errno::ENOSYS)
    }

    /// fcntl `F_SETFL`: `O_APPEND`, `O_NONBLOCK`, `O_NOATIME`, `O_DIRECT`; the others are ignored.
    #[allow(unused_variables)]
    pub fn set_status_flags(&mut self, ctx: &Ctx, fd: Fd, flags: u32) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    /// pipe2(2): (read end, write end); `flags`: `O_CLOEXEC`, `O_NONBLOCK`, `O_DIRECT`.
    #[allow(unused_variables)]
    pub fn pipe(&mut self, ctx: &Ctx, flags: u32) -> Result<(Fd, Fd), Errno> {
        Err(Errno::ENOSYS)
    }

    /// fcntl `F_GETPIPE_SZ`.
    #[allow(unused_variables)]
    pub fn get_pipe_size(&self, ctx: &Ctx, fd: Fd) -> Result<u32, Errno> {
        Err(Errno::ENOSYS)
    }

    /// fcntl `F_SETPIPE_SZ`: gives the size set, a power of two of pages.
    #[allow(unused_variables)]
    pub fn set_pipe_size(&mut self, ctx: &Ctx, fd: Fd, size: u32) -> Result<u32, Errno> {
        Err(Errno::ENOSYS)
    }
}
