//! read, write and their kin.

use crate::contents::Contents;
use crate::contents::{Dest, Source};
use crate::errno::Errno;
use crate::types::{Ctx, Fd, Progress, Try};
use crate::vfs::Vfs;

impl<C: Contents> Vfs<C> {
    /// read(2), readv(2): at the description's offset.
    #[allow(unused_variables)]
    pub fn read(&mut self, ctx: &Ctx, fd: Fd, to: &mut dyn Dest) -> Try {
        Err(Errno::ENOSYS)
    }

    /// write(2), writev(2). `EPIPE`: the caller also raises SIGPIPE; `EFBIG`: SIGXFSZ. See [`Progress`].
    #[allow(unused_variables)]
    pub fn write(&mut self, ctx: &Ctx, fd: Fd, from: &mut dyn Source, progress: &mut Progress) -> Try {
        Err(Errno::ENOSYS)
    }

    /// pread64(2), preadv(2). A negative offset is `EINVAL`; pipes and terminals `ESPIPE`.
    #[allow(unused_variables)]
    pub fn pread(&mut self, ctx: &Ctx, fd: Fd, to: &mut dyn Dest, offset: i64) -> Try {
        Err(Errno::ENOSYS)
    }

    /// pwrite64(2), pwritev(2).
    #[allow(unused_variables)]
    pub fn pwrite(&mut self, ctx: &Ctx, fd: Fd, from: &mut dyn Source, offset: i64) -> Try {
        Err(Errno::ENOSYS)
    }

    /// lseek(2): the new offset; `whence`: `SEEK_SET`, `SEEK_CUR`, `SEEK_END`, `SEEK_DATA`, `SEEK_HOLE`.
    #[allow(unused_variables)]
    pub fn lseek(&mut self, ctx: &Ctx, fd: Fd, offset: i64, whence: u32) -> Try<u64> {
        Err(Errno::ENOSYS)
    }

    /// getdents64(2): whole `struct linux_dirent64` records into `to`; 0 at the end, `EINVAL` if not even one fits.
    #[allow(unused_variables)]
    pub fn getdents(&mut self, ctx: &Ctx, fd: Fd, to: &mut dyn Dest) -> Try {
        Err(Errno::ENOSYS)
    }

    /// ftruncate(2).
    #[allow(unused_variables)]
    pub fn ftruncate(&mut self, ctx: &Ctx, fd: Fd, size: i64) -> Try<()> {
        Err(Errno::ENOSYS)
    }

    /// fallocate(2): mode 0, `FALLOC_FL_KEEP_SIZE`, `FALLOC_FL_PUNCH_HOLE`, `FALLOC_FL_ZERO_RANGE`.
    #[allow(unused_variables)]
    pub fn fallocate(&mut self, ctx: &Ctx, fd: Fd, mode: u32, offset: i64, len: i64) -> Try<()> {
        Err(Errno::ENOSYS)
    }

    /// fsync(2), fdatasync(2): nothing to do in memory.
    #[allow(unused_variables)]
    pub fn fsync(&mut self, ctx: &Ctx, fd: Fd) -> Try<()> {
        Err(Errno::ENOSYS)
    }

    /// ioctl(2) on what isn't decided here (`FIONREAD`, `FIONBIO`, ...): terminals and servers answer (`Remote`), others `ENOTTY`.
    #[allow(unused_variables)]
    pub fn ioctl(&mut self, ctx: &Ctx, fd: Fd, command: u32, argument: u64) -> Try<i64> {
        Err(Errno::ENOSYS)
    }

    /// fcntl(2) `F_*`/ioctl `FIONREAD`: bytes that can be read at once.
    #[allow(unused_variables)]
    pub fn bytes_available(&mut self, ctx: &Ctx, fd: Fd) -> Result<usize, Errno> {
        Err(Errno::ENOSYS)
    }

    /// sendfile(2): `offset` is read and moved if given, else the input's own.
    #[allow(unused_variables)]
    pub fn sendfile(
        &mut self,
        ctx: &Ctx,
        output: Fd,
        input: Fd,
        offset: Option<&mut i64>,
        count: usize,
    ) -> Try {
        Err(Errno::ENOSYS)
    }

    /// copy_file_range(2); both files in memory (`EXDEV` if one is not, as between file systems: programs fall back).
    #[allow(unused_variables)]
    pub fn copy_file_range(
        &mut self,
        ctx: &Ctx,
        input: Fd,
        from: Option<&mut i64>,
        output: Fd,
        to: Option<&mut i64>,
        len: usize,
    ) -> Try {
        Err(Errno::ENOSYS)
    }
}
