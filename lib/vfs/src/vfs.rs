//! The state of all files, and its birth.

use crate::arena::Arena;
use crate::contents::Contents;
use crate::errno::Errno;
use crate::fd::{FdTable, FsContext};
use crate::file::Description;
use crate::mount::{Mount, Super};
use crate::node::Inode;
use crate::pipe::Pipe;
use crate::types::{FsContextId, TableId, Time};
use crate::wait::{QueueId, TaskId, WaitOn, Waits};

/// All files of the system.
#[derive(Debug)]
pub struct Vfs<C> {
    pub(crate) contents: C,
    pub(crate) inodes: Arena<Inode>,
    pub(crate) supers: Arena<Super>,
    pub(crate) mounts: Arena<Mount>,
    pub(crate) descs: Arena<Description>,
    pub(crate) tables: Arena<FdTable>,
    pub(crate) contexts: Arena<FsContext>,
    pub(crate) pipes: Arena<Pipe>,
    pub(crate) waits: Waits,
}

impl<C: Contents> Vfs<C> {
    /// An empty tmpfs as the root, owned by root, mode 0755.
    pub fn new(_contents: C, _now: Time) -> Result<Self, Errno> {
        Err(Errno::ENOSYS)
    }

    /// A new, empty descriptor table with one user.
    pub fn table_new(&mut self) -> TableId {
        self.tables.insert(FdTable {
            users: 1,
            ..FdTable::default()
        })
    }

    /// One more user of the same table (`CLONE_FILES`).
    pub fn table_share(&mut self, _table: TableId) {}

    /// A copy for fork: the same descriptions under the same numbers.
    pub fn table_fork(&mut self, _table: TableId) -> Result<TableId, Errno> {
        Err(Errno::ENOSYS)
    }

    /// One user less; the last one closes everything. `pid`: whose record locks go with it.
    pub fn table_release(&mut self, _table: TableId, _pid: u32) {}

    /// exec: closes what is marked close-on-exec. The caller makes the table his own first (`table_fork` if shared).
    pub fn table_exec(&mut self, _table: TableId, _pid: u32) {}

    /// A context at the root directory, umask 022, one user.
    pub fn fs_new(&mut self) -> Result<FsContextId, Errno> {
        Err(Errno::ENOSYS)
    }

    /// One more user (`CLONE_FS`).
    pub fn fs_share(&mut self, _fs: FsContextId) {}

    /// A copy for fork.
    pub fn fs_fork(&mut self, _fs: FsContextId) -> Result<FsContextId, Errno> {
        Err(Errno::ENOSYS)
    }

    /// One user less.
    pub fn fs_release(&mut self, _fs: FsContextId) {}

    /// umask(2): sets it, gives the old one.
    pub fn umask(&mut self, fs: FsContextId, mask: u32) -> u32 {
        self.contexts
            .get_mut(fs)
            .map_or(0, |c| core::mem::replace(&mut c.umask, mask & 0o777))
    }

    /// The store of file bytes.
    pub fn contents(&mut self) -> &mut C {
        &mut self.contents
    }

    /// Queues `task` for what a blocked operation or [`crate::Readiness`] named. False: make the call again at once.
    pub fn wait(&mut self, on: WaitOn, task: TaskId) -> bool {
        self.waits.wait(on, task)
    }

    /// Takes `task` out of a queue: after a signal, a deadline, or a wake from another queue.
    pub fn unwait(&mut self, queue: QueueId, task: TaskId) {
        self.waits.unwait(queue, task);
    }

    /// Whether somebody was woken since the last drain.
    pub fn any_woken(&self) -> bool {
        self.waits.any_woken()
    }

    /// The tasks that were woken since the last drain: each makes its call again. A task may come more than once.
    pub fn drain_woken(&mut self) -> impl Iterator<Item = TaskId> + '_ {
        self.waits.drain()
    }
}
