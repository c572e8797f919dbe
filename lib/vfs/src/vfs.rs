//! The state of all files, and the life of tables and contexts.

use crate::contents::{Contents, Dest, in_pieces};
use crate::errno::Errno;
use crate::fd::{FdTable, FsContext};
use crate::file::Description;
use crate::locks::Locks;
use crate::mount::{Mount, MountId, MountKind, RemoteNode, Super, SuperId};
use crate::node::{Inode, Node, Place};
use crate::ops::open::Opening;
use crate::pipe::Pipe;
use crate::remote::RemoteOp;
use crate::room::Room;
use crate::socket::Pair;
use crate::types::{Cred, Fd, FsContextId, TableId, Time};
use crate::wait::{QueueId, TaskId, WaitOn, Waits};
use alloc::vec::Vec;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sal_arena::{Arena, TallArena};

/// All files of the system.
#[derive(Debug)]
pub struct Vfs<C> {
    pub(crate) contents: C,
    pub(crate) inodes: TallArena<Inode>,
    pub(crate) supers: Arena<Super>,
    pub(crate) mounts: Arena<Mount>,
    /// In the order in which they were made: what /proc/mounts lists.
    pub(crate) mount_order: Vec<MountId>,
    pub(crate) remotes: Arena<RemoteNode>,
    pub(crate) descs: Arena<Description>,
    pub(crate) tables: Arena<FdTable>,
    pub(crate) contexts: Arena<FsContext>,
    pub(crate) pipes: Arena<Pipe>,
    pub(crate) pairs: Arena<Pair>,
    pub(crate) waits: Waits,
    pub(crate) locks: Locks,
    /// Opens of FIFOs that wait for the other side.
    pub(crate) opening: Vec<Opening>,
    /// Wait queues of terminals, by device number, and of servers' files.
    pub(crate) remote_queues: Vec<(crate::remote::Target, QueueId)>,
    /// Servers to be told of a last close.
    pub(crate) closes: Vec<RemoteOp>,
    pub(crate) root: Place,
    /// The hidden file system of pipes and sockets.
    pub(crate) pipe_mount: MountId,
    pub(crate) pipe_super: SuperId,
    pub(crate) next_minor: u32,
    pub(crate) room: Room,
    /// The clock at the last open or write of any file: the day after which a read renews an access time needs no better one, so that
    /// reads don't ask the clock.
    pub(crate) lately: Time,
    pub(crate) random: ChaCha8Rng,
}

impl<C: Contents> Vfs<C> {
    /// An empty tmpfs as the root, owned by root, mode 0755.
    pub fn new(contents: C, now: Time) -> Result<Self, Errno> {
        let mut supers = Arena::default();
        let mut mounts = Arena::default();
        let pipe_super = supers.insert(Super::new(MountKind::Tmpfs, 1));
        let nowhere = Node::Inode(sal_arena::Id::from_raw(0));
        let pipe_mount =
            mounts.insert(Mount { sb: pipe_super, root: nowhere, point: None, source: b"pipefs".to_vec() });
        let mut vfs = Vfs {
            contents,
            inodes: TallArena::default(),
            supers,
            mounts,
            mount_order: Vec::new(),
            remotes: Arena::default(),
            descs: Arena::default(),
            tables: Arena::default(),
            contexts: Arena::default(),
            pipes: Arena::default(),
            pairs: Arena::default(),
            waits: Waits::default(),
            locks: Locks::default(),
            opening: Vec::new(),
            remote_queues: Vec::new(),
            closes: Vec::new(),
            root: Place { mount: pipe_mount, node: nowhere },
            pipe_mount,
            pipe_super,
            next_minor: 2,
            room: Room::default(),
            lately: now,
            random: ChaCha8Rng::seed_from_u64(0),
        };
        let mount = vfs.new_mount(b"tmpfs", MountKind::Tmpfs, None, &Cred::root(), now)?;
        vfs.root = vfs.mount_root(mount).ok_or(Errno::EIO)?;
        Ok(vfs)
    }

    /// Inodes and names may take so many bytes of the heap; a program that wants more gets `ENOSPC`.
    pub fn limit_room(&mut self, bytes: u64) {
        self.room.limit(bytes);
    }

    /// Seeds /dev/random, /dev/urandom and [`Vfs::random`]. Before it is called they are predictable.
    pub fn seed(&mut self, seed: [u8; 32]) {
        self.random = ChaCha8Rng::from_seed(seed);
    }

    /// Random bytes into all of `to`'s room: getrandom(2).
    pub fn random(&mut self, to: &mut dyn Dest) -> Result<usize, Errno> {
        in_pieces(to.room(), |_| {
            let mut bytes = [0; 64];
            self.random.fill_bytes(&mut bytes);
            let n = to.room().min(bytes.len());
            (n, to.put(bytes.get(..n).unwrap_or(&[])))
        })
    }

    /// A new, empty descriptor table with one user.
    pub fn table_new(&mut self) -> TableId {
        self.tables.insert(FdTable { users: 1, ..FdTable::default() })
    }

    /// One more user of the same table (`CLONE_FILES`).
    pub fn table_share(&mut self, table: TableId) {
        if let Some(table) = self.tables.get_mut(table) {
            table.users += 1;
        }
    }

    /// A copy for fork: the same descriptions under the same numbers.
    pub fn table_fork(&mut self, table: TableId) -> Result<TableId, Errno> {
        let mut copy = self.tables.get(table).ok_or(Errno::EBADF)?.clone();
        copy.users = 1;
        for (_, entry) in copy.iter_from(0) {
            if let Some(desc) = self.descs.get_mut(entry.desc) {
                desc.refs += 1;
            }
        }
        Ok(self.tables.insert(copy))
    }

    /// One user less; the last one closes everything. `pid`: whose record locks go with it.
    pub fn table_release(&mut self, table: TableId, pid: u32) {
        let Some(t) = self.tables.get_mut(table) else {
            return;
        };
        t.users = t.users.saturating_sub(1);
        if t.users > 0 {
            return;
        }
        if let Some(gone) = self.tables.remove(table) {
            for (_, entry) in gone.iter_from(0) {
                self.drop_entry(entry, pid);
            }
        }
    }

    /// exec: closes what is marked close-on-exec. The caller makes the table his own first (`table_fork` if shared).
    pub fn table_exec(&mut self, table: TableId, pid: u32) {
        let mut next = 0;
        loop {
            let Some(t) = self.tables.get_mut(table) else {
                return;
            };
            let Some((fd, _)) = t.iter_from(next).find(|(_, e)| e.cloexec) else {
                return;
            };
            next = fd as usize + 1;
            if let Some(entry) = t.take(fd) {
                self.drop_entry(entry, pid);
            }
        }
    }

    /// The open descriptors of a table, ascending.
    pub fn table_fds(&self, table: TableId) -> impl Iterator<Item = Fd> + '_ {
        self.tables.get(table).into_iter().flat_map(|t| t.iter_from(0).map(|(fd, _)| fd))
    }

    /// A context at the root directory, umask 022, one user.
    pub fn fs_new(&mut self) -> Result<FsContextId, Errno> {
        let root = self.root;
        self.pin(root)?;
        self.pin(root)?;
        Ok(self.contexts.insert(FsContext { root, cwd: root, umask: 0o022, users: 1 }))
    }

    /// One more user (`CLONE_FS`).
    pub fn fs_share(&mut self, fs: FsContextId) {
        if let Some(fs) = self.contexts.get_mut(fs) {
            fs.users += 1;
        }
    }

    /// A copy for fork.
    pub fn fs_fork(&mut self, fs: FsContextId) -> Result<FsContextId, Errno> {
        let mut copy = self.contexts.get(fs).ok_or(Errno::ENOENT)?.clone();
        copy.users = 1;
        self.pin(copy.root)?;
        self.pin(copy.cwd)?;
        Ok(self.contexts.insert(copy))
    }

    /// One user less.
    pub fn fs_release(&mut self, fs: FsContextId) {
        let Some(f) = self.contexts.get_mut(fs) else {
            return;
        };
        f.users = f.users.saturating_sub(1);
        if f.users == 0
            && let Some(gone) = self.contexts.remove(fs)
        {
            self.unpin(gone.root);
            self.unpin(gone.cwd);
        }
    }

    /// umask(2): sets it, gives the old one.
    pub fn umask(&mut self, fs: FsContextId, mask: u32) -> u32 {
        self.contexts.get_mut(fs).map_or(0, |c| core::mem::replace(&mut c.umask, mask & 0o777))
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
    #[inline]
    pub fn any_woken(&self) -> bool {
        self.waits.any_woken()
    }

    /// The tasks that were woken since the last drain: each makes its call again. A task may come more than once.
    pub fn drain_woken(&mut self) -> impl Iterator<Item = TaskId> + '_ {
        self.waits.drain()
    }

    /// Is there something to drain of [`Vfs::drain_closes`]?
    #[inline]
    pub fn has_closes(&self) -> bool {
        !self.closes.is_empty()
    }

    /// Servers that must be told that a file was closed for the last time (`Request::Close`); nobody waits for the
    /// answer, and it isn't given to [`Vfs::complete`].
    pub fn drain_closes(&mut self) -> impl Iterator<Item = RemoteOp> + '_ {
        self.closes.drain(..)
    }
}
