//! Linux files as a value: tmpfs, /dev, /proc, mounts, paths, descriptors, pipes, socket pairs, locks, readiness.
//!
//! One value, [`Vfs`], holds all state in arenas of plain data. A system call of the file family, its arguments decoded,
//! is one method: it takes a [`Ctx`] (who asks, when), and returns what came of it. What must always hold:
//!
//! - Nothing here blocks, asks a clock or calls anyone. An operation is done, or says what to wait for
//!   ([`Outcome::Block`]) or whom to ask ([`Outcome::Remote`]), and is then made again or completed.
//! - An operation that returns an error has changed nothing (a write that moved bytes says how many instead).
//! - Bytes of files move once: between the [`Contents`] and the program's memory ([`Dest`], [`Source`]).
//! - Whom an operation woke is in [`Vfs::drain_woken`]; whoever calls must look after each call.
//!
//! Semantics are those of the Linux man pages (section 2, and pipe(7), path_resolution(7), symlink(7), proc(5)).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod contents;
mod devfs;
mod dir;
mod errno;
mod fd;
mod file;
mod locks;
mod mount;
mod name;
mod node;
mod ops;
mod packed;
mod pipe;
mod procfs;
mod procfs_tree;
mod remote;
mod ring;
mod room;
mod socket;
mod tar;
mod tmpfs;
mod types;
mod vfs;
mod wait;
mod walk;

pub use contents::{Capacity, ContentId, Contents, Dest, Extent, HeapContents, PAGE, SliceDest, SliceSource, Source};
pub use errno::Errno;
pub use fd::{FdTable, FsContext};
pub use locks::{Flock, LockKind};
pub use mount::{MountId, MountKind};
pub use name::{NAME_MAX, PATH_MAX};
pub use node::{FileType, Inode, InodeId, Place};
pub use ops::map::MapTarget;
pub use ops::poll::Readiness;
pub use ops::socket::{Ends, Received, SocketError};
pub use ops::stat::SetTime;
pub use packed::{Bank, CHUNK_PAGES, Packed, SMALL_MOST};
pub use pipe::PIPE_BUF;
pub use procfs::{NoProcesses, ProcFile, ProcOwner, ProcSource};
pub use remote::{Completed, RemoteEntry, RemoteFile, RemoteOp, RemoteResult, Reply, Request, ServerId, Target};
pub use sal_arena::Id;
pub use socket::{MessageFlags, SocketKind};
pub use tar::TarError;
pub use types::{
    Clock, Cred, Ctx, Fd, FsContextId, Outcome, Progress, Stat, StatFs, TableId, Time, Try, major, makedev, minor,
};
pub use vfs::Vfs;
pub use wait::{Events, QueueId, TaskId, WaitOn, WaitQueue};
