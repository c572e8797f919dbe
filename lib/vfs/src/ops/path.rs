//! Operations on names.

use crate::contents::Contents;
use crate::errno::Errno;
use crate::types::{Ctx, Fd, Try};
use crate::vfs::Vfs;
use alloc::vec::Vec;

impl<C: Contents> Vfs<C> {
    /// mkdirat(2); `mode` before the umask.
    #[allow(unused_variables)]
    pub fn mkdir(&mut self, ctx: &Ctx, dirfd: Fd, path: &[u8], mode: u32) -> Try<()> {
        Err(Errno::ENOSYS)
    }

    /// mknodat(2); type 0 is a regular file.
    #[allow(unused_variables)]
    pub fn mknod(&mut self, ctx: &Ctx, dirfd: Fd, path: &[u8], mode: u32, rdev: u64) -> Try<()> {
        Err(Errno::ENOSYS)
    }

    /// linkat(2); `flags`: `AT_SYMLINK_FOLLOW`, `AT_EMPTY_PATH`.
    #[allow(unused_variables)]
    pub fn link(&mut self, ctx: &Ctx, fromfd: Fd, from: &[u8], tofd: Fd, to: &[u8], flags: u32) -> Try<()> {
        Err(Errno::ENOSYS)
    }

    /// symlinkat(2).
    #[allow(unused_variables)]
    pub fn symlink(&mut self, ctx: &Ctx, target: &[u8], dirfd: Fd, path: &[u8]) -> Try<()> {
        Err(Errno::ENOSYS)
    }

    /// unlinkat(2); `AT_REMOVEDIR`: rmdir(2).
    #[allow(unused_variables)]
    pub fn unlink(&mut self, ctx: &Ctx, dirfd: Fd, path: &[u8], flags: u32) -> Try<()> {
        Err(Errno::ENOSYS)
    }

    /// renameat2(2); `RENAME_NOREPLACE`, `RENAME_EXCHANGE`.
    #[allow(unused_variables)]
    pub fn rename(&mut self, ctx: &Ctx, fromfd: Fd, from: &[u8], tofd: Fd, to: &[u8], flags: u32) -> Try<()> {
        Err(Errno::ENOSYS)
    }

    /// readlinkat(2): the whole target; the caller cuts it to his buffer.
    #[allow(unused_variables)]
    pub fn readlink(&mut self, ctx: &Ctx, dirfd: Fd, path: &[u8]) -> Try<Vec<u8>> {
        Err(Errno::ENOSYS)
    }

    /// truncate(2).
    #[allow(unused_variables)]
    pub fn truncate(&mut self, ctx: &Ctx, path: &[u8], size: i64) -> Try<()> {
        Err(Errno::ENOSYS)
    }

    /// chdir(2).
    #[allow(unused_variables)]
    pub fn chdir(&mut self, ctx: &Ctx, path: &[u8]) -> Try<()> {
        Err(Errno::ENOSYS)
    }

    /// fchdir(2).
    #[allow(unused_variables)]
    pub fn fchdir(&mut self, ctx: &Ctx, fd: Fd) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    /// chroot(2): root only.
    #[allow(unused_variables)]
    pub fn chroot(&mut self, ctx: &Ctx, path: &[u8]) -> Try<()> {
        Err(Errno::ENOSYS)
    }

    /// getcwd(2) without the NUL; `(unreachable)` in front if it is outside the root, `ENOENT` if it was removed.
    #[allow(unused_variables)]
    pub fn getcwd(&self, ctx: &Ctx) -> Result<Vec<u8>, Errno> {
        Err(Errno::ENOSYS)
    }
}
