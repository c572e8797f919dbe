//! Calls that another server must answer: mounted prefixes (`proto file`) and terminals (`console`).
//!
//! An operation that reaches one returns [`crate::Outcome::Remote`]. The caller lets the lock go, makes the call, takes the
//! lock again and gives the answer to [`crate::Vfs::complete`], which finishes the operation. What the request needs of the
//! program's memory (a read's buffer, a write's bytes) the caller lends to the server: it is the buffer of the system
//! call that is being executed.

use crate::errno::Errno;
use crate::types::{Stat, StatFs};
use alloc::vec::Vec;

/// Which server: a number that the mount was made with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ServerId(pub u64);

/// Which file of a server: its own number for an open file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RemoteFile(pub u64);

/// A call to make, and how the operation goes on afterwards.
#[derive(Debug)]
pub struct RemoteOp {
    /// Whom to ask.
    pub target: Target,
    /// What to ask.
    pub request: Request,
    /// Kept for `complete`.
    pub(crate) then: crate::ops::remote::Then,
}

/// Who answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// The server of a mounted prefix.
    Server(ServerId),
    /// The terminal driver, by device number (`/dev/tty`, `/dev/console`: which terminal is the caller's, the
    /// personality knows).
    Terminal {
        /// Device number of the node that was opened.
        rdev: u64,
    },
}

/// Requests. Paths are relative to the mount, without a leading slash; the mount's root is the empty path.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Request {
    /// Open (`O_*` flags as in open(2), mode without umask bits) → `Opened`.
    Open { path: Vec<u8>, flags: u32, mode: u32 },
    /// The last descriptor is closed → `Done`; the answer is not waited for by the program.
    Close { file: RemoteFile },
    /// Into the system call's buffer → `Count`. `offset`: `None` reads a stream (a terminal).
    Read { file: RemoteFile, offset: Option<u64>, len: usize, nonblock: bool },
    /// From the system call's buffer → `Count`.
    Write { file: RemoteFile, offset: Option<u64>, len: usize, nonblock: bool, append: bool },
    /// Entries of an open directory from `cookie` (0: start) → `Entries`.
    Entries { file: RemoteFile, cookie: u64, max: usize },
    /// Attributes by name → `Attributes`.
    StatPath { path: Vec<u8>, follow: bool },
    /// Attributes of an open file → `Attributes`.
    StatFile { file: RemoteFile },
    /// statfs of the mount → `StatFs`.
    StatFs,
    /// Target of a symbolic link → `Bytes`.
    ReadLink { path: Vec<u8> },
    /// New size by name → `Done`.
    TruncatePath { path: Vec<u8>, size: u64 },
    /// New size of an open file → `Done`.
    Truncate { file: RemoteFile, size: u64 },
    /// Everything to the disk → `Done`.
    Sync { file: RemoteFile },
    /// → `Done`
    MakeDirectory { path: Vec<u8>, mode: u32 },
    /// → `Done`
    MakeNode { path: Vec<u8>, mode: u32, rdev: u64 },
    /// → `Done`
    MakeSymlink { path: Vec<u8>, target: Vec<u8> },
    /// → `Done`
    Unlink { path: Vec<u8>, directory: bool },
    /// Both on the same mount → `Done`
    Rename { from: Vec<u8>, to: Vec<u8>, flags: u32 },
    /// Both on the same mount → `Done`
    Link { from: Vec<u8>, to: Vec<u8> },
    /// Permission bits → `Done`
    SetMode { path: Vec<u8>, mode: u32, follow: bool },
    /// → `Done`
    SetOwner { path: Vec<u8>, uid: Option<u32>, gid: Option<u32>, follow: bool },
    /// May the caller (`R_OK` 4, `W_OK` 2, `X_OK` 1; 0: does it exist)? → `Done`
    Access { path: Vec<u8>, mask: u32 },
    /// ioctl: the caller decodes argument memory → `Number`.
    Ioctl { file: RemoteFile, command: u32, argument: u64 },
}

/// A server's answer to a [`Request`]; errors come as `Err(Errno)` beside it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// Nothing more to say.
    Done,
    /// Bytes moved.
    Count(usize),
    /// The value that the system call returns.
    Number(i64),
    /// A file was opened.
    Opened {
        /// The server's number for it.
        file: RemoteFile,
        /// Its attributes, as far as the server has them.
        stat: Stat,
    },
    /// Attributes.
    Attributes(Stat),
    /// Of the mount.
    StatFs(StatFs),
    /// A link's target.
    Bytes(Vec<u8>),
    /// Some entries of a directory, in order; none: its end.
    Entries(Vec<RemoteEntry>),
}

/// An entry of a remote directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RemoteEntry {
    /// Name.
    pub name: Vec<u8>,
    /// Inode number.
    pub ino: u64,
    /// `DT_*`.
    pub kind: u8,
    /// The cookie from which the next one is read.
    pub next: u64,
}

/// What an operation that went through a server comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Completed {
    /// The number that the system call returns: bytes, a descriptor, 0.
    Number(i64),
    /// For stat.
    Stat(Stat),
    /// For statfs.
    StatFs(StatFs),
    /// For readlink: cut it to the program's buffer.
    Bytes(Vec<u8>),
}

/// How a remote call ended.
pub type RemoteResult = Result<Reply, Errno>;
