//! What /proc holds, and the trait through which the personality fills it.
//!
//! The tree is a fixed table: the file system resolves names, checks rights and counts descriptors; the bytes come from
//! [`ProcSource`], except those that only the file system knows (mounts, descriptors, working directory).

use crate::errno::Errno;
use crate::node::Place;
use crate::types::{FsContextId, TableId};
use alloc::vec::Vec;

/// A file of /proc to be rendered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ProcFile {
    /// `/proc/NAME` (`uptime`, `meminfo`, `sys/kernel/hostname`): the path below /proc.
    System(&'static str),
    /// `/proc/PID/NAME` and `/proc/PID/task/TID/NAME` (then `tid` is not `pid`).
    Task {
        /// Process.
        pid: u32,
        /// Thread; the process's id if the file was reached without `task`.
        tid: u32,
        /// `stat`, `status`, `cmdline`, ...
        name: &'static str,
    },
}

/// Who a process is, as far as /proc needs it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProcOwner {
    /// Owner of its files.
    pub uid: u32,
    /// Group of its files.
    pub gid: u32,
    /// Its descriptors; `None` for a zombie.
    pub files: Option<TableId>,
    /// Its directories; `None` for a zombie.
    pub fs: Option<FsContextId>,
    /// The program that it runs (pinned by the process).
    pub exe: Option<Place>,
}

/// The personality's side of /proc.
pub trait ProcSource {
    /// The smallest process id above `after`.
    fn next_pid(&self, after: u32) -> Option<u32>;

    /// The smallest thread id above `after` in process `pid`.
    fn next_tid(&self, pid: u32, after: u32) -> Option<u32>;

    /// The process, if it exists.
    fn owner(&self, pid: u32) -> Option<ProcOwner>;

    /// Appends the file's bytes. `ESRCH` if the process is gone.
    fn render(&self, file: ProcFile, out: &mut Vec<u8>) -> Result<(), Errno>;
}

/// A /proc without processes, for tests and early start.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProcesses;

impl ProcSource for NoProcesses {
    fn next_pid(&self, _after: u32) -> Option<u32> {
        None
    }
    fn next_tid(&self, _pid: u32, _after: u32) -> Option<u32> {
        None
    }
    fn owner(&self, _pid: u32) -> Option<ProcOwner> {
        None
    }
    fn render(&self, _file: ProcFile, _out: &mut Vec<u8>) -> Result<(), Errno> {
        Ok(())
    }
}
