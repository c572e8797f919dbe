//! The plain types of the interface: who calls, when, what comes out.

use crate::errno::Errno;
use crate::fd::{FdTable, FsContext};
use crate::procfs::ProcSource;
use crate::remote::RemoteOp;
use crate::wait::WaitOn;
use alloc::boxed::Box;
use alloc::vec::Vec;
use sal_arena::Id;

/// A file descriptor number as a program gives it: anything can come in.
pub type Fd = i32;

/// Names a file descriptor table (shared by `CLONE_FILES`).
pub type TableId = Id<FdTable>;

/// Names a root, working directory and umask (shared by `CLONE_FS`).
pub type FsContextId = Id<FsContext>;

/// Seconds and nanoseconds of the wall clock, as in `struct timespec`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Time {
    /// Seconds since 1970.
    pub sec: i64,
    /// 0 to 999,999,999.
    pub nsec: u32,
}

/// With what rights a call is made: the file system ids of credentials(7).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cred {
    /// File system user id; 0 passes every check as root does.
    pub uid: u32,
    /// File system group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

impl Cred {
    /// The super user.
    pub const fn root() -> Self {
        Cred { uid: 0, gid: 0, groups: Vec::new() }
    }

    /// Whether `gid` is the group or one of the supplementary groups.
    pub fn in_group(&self, gid: u32) -> bool {
        self.gid == gid || self.groups.contains(&gid)
    }
}

/// The wall clock: asking may cost a kernel call, so that only those ask who need it. The same answer for all of one operation.
pub trait Clock {
    /// Now.
    fn now(&self) -> Time;
}

/// A clock that stands.
impl Clock for Time {
    fn now(&self) -> Time {
        *self
    }
}

impl Ctx<'_> {
    /// The wall clock now.
    pub fn now(&self) -> Time {
        self.clock.now()
    }
}

/// Everything about the caller that an operation may need. Cheap to make: references and numbers.
#[derive(Clone, Copy)]
pub struct Ctx<'a> {
    /// Rights.
    pub cred: &'a Cred,
    /// Root, working directory, umask.
    pub fs: FsContextId,
    /// Descriptors.
    pub files: TableId,
    /// The wall clock, for operations that need it.
    pub clock: &'a dyn Clock,
    /// `RLIMIT_NOFILE`: descriptors are below it.
    pub nofile: u32,
    /// `RLIMIT_FSIZE` in bytes (`u64::MAX`: none). A write or truncation past it is `EFBIG`; the caller raises SIGXFSZ.
    pub fsize: u64,
    /// Process id (thread group): owner of record locks, and /proc/self.
    pub pid: u32,
    /// Thread id: /proc/thread-self.
    pub tid: u32,
    /// What fills /proc.
    pub proc: &'a dyn ProcSource,
}

/// What became of an operation that may have to wait.
#[derive(Debug)]
pub enum Outcome<T = usize> {
    /// It is done.
    Done(T),
    /// Queue the task with [`crate::Vfs::wait`], and when it is woken make the same call again.
    Block(WaitOn),
    /// Make this call without the lock, then hand the answer to [`crate::Vfs::complete`].
    Remote(Box<RemoteOp>),
}

/// The usual result: an outcome, or an error that changed nothing.
pub type Try<T = usize> = Result<Outcome<T>, Errno>;

/// How far a restartable write is. Zero at the first call; kept over a `Block` and given again with a source that
/// starts `done` bytes further. A signal while blocked: the system call returns `done` if it isn't 0, else `EINTR`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// Bytes that have been written.
    pub done: usize,
}

/// What stat(2) says. The personality lays it out as `struct stat` or `struct statx`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stat {
    /// Device: `makedev(major, minor)` in Linux's 64-bit form.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Type and permission bits.
    pub mode: u32,
    /// Hard links.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number of a device node.
    pub rdev: u64,
    /// Bytes.
    pub size: u64,
    /// Best unit of I/O.
    pub blksize: u32,
    /// Units of 512 bytes.
    pub blocks: u64,
    /// Last access.
    pub atime: Time,
    /// Last change of the bytes.
    pub mtime: Time,
    /// Last change of the inode.
    pub ctime: Time,
    /// Birth (statx only).
    pub btime: Time,
    /// Mount id (statx `STATX_MNT_ID`).
    pub mount: u64,
}

/// What statfs(2) says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StatFs {
    /// Magic number of the type (`TMPFS_MAGIC`, `PROC_SUPER_MAGIC`, ...).
    pub kind: u64,
    /// Bytes of a block.
    pub bsize: u64,
    /// Blocks in all.
    pub blocks: u64,
    /// Free blocks.
    pub bfree: u64,
    /// Blocks free to users.
    pub bavail: u64,
    /// Inodes in all.
    pub files: u64,
    /// Free inodes.
    pub ffree: u64,
    /// Id.
    pub fsid: u64,
    /// Longest name.
    pub namelen: u64,
    /// `ST_*` mount flags.
    pub flags: u64,
}

/// `makedev(3)`: the 64-bit form of a device number.
pub const fn makedev(major: u32, minor: u32) -> u64 {
    let (a, i) = (major as u64, minor as u64);
    ((a & 0xffff_f000) << 32) | ((a & 0xfff) << 8) | ((i & 0xffff_ff00) << 12) | (i & 0xff)
}

/// `major(3)`.
pub const fn major(dev: u64) -> u32 {
    (((dev >> 32) & 0xffff_f000) | ((dev >> 8) & 0xfff)) as u32
}

/// `minor(3)`.
pub const fn minor(dev: u64) -> u32 {
    (((dev >> 12) & 0xffff_ff00) | (dev & 0xff)) as u32
}
