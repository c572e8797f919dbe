//! Advisory locks as lists per inode: record locks (fcntl) by process, flock locks by open file description.
//!
//! The two kinds don't see each other, as on Linux. A process's record locks never overlap one another: setting one cuts
//! what it covers out of the older ones, and neighbours of the same kind join.

use crate::file::DescId;
use crate::node::InodeId;
use crate::wait::{Events, QueueId, Waits};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

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

/// One lock: bytes `start..end` (`end` `u64::MAX`: to the end of the file, however long).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Record {
    pub(crate) pid: u32,
    pub(crate) kind: LockKind,
    pub(crate) start: u64,
    pub(crate) end: u64,
}

#[derive(Clone, Debug)]
struct OfInode {
    records: Vec<Record>,
    flocks: Vec<(DescId, LockKind)>,
    queue: QueueId,
}

/// All locks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Locks {
    inodes: BTreeMap<InodeId, OfInode>,
    /// Processes that wait for a record lock, and for whom: what the deadlock check follows.
    waiting: BTreeMap<u32, u32>,
}

fn clash(a: LockKind, b: LockKind) -> bool {
    a == LockKind::Write || b == LockKind::Write
}

impl Locks {
    fn of(&mut self, inode: InodeId, waits: &mut Waits) -> &mut OfInode {
        self.inodes.entry(inode).or_insert_with(|| OfInode {
            records: Vec::new(),
            flocks: Vec::new(),
            queue: waits.create(),
        })
    }

    /// Where to wait for locks of this inode.
    pub(crate) fn queue(&mut self, inode: InodeId, waits: &mut Waits) -> QueueId {
        self.of(inode, waits).queue
    }

    /// The first record lock of another process that clashes with `want`.
    pub(crate) fn conflict(&self, inode: InodeId, want: &Record) -> Option<Record> {
        let of = self.inodes.get(&inode)?;
        let clashes =
            |r: &&Record| r.pid != want.pid && clash(r.kind, want.kind) && r.start < want.end && want.start < r.end;
        of.records.iter().filter(clashes).min_by_key(|r| r.start).copied()
    }

    /// Takes the range from the process's other locks, then locks it if there is a kind. Wakes those who wait.
    pub(crate) fn set(&mut self, inode: InodeId, range: (u32, u64, u64), kind: Option<LockKind>, waits: &mut Waits) {
        let (pid, start, end) = range;
        let of = self.of(inode, waits);
        let mut kept = Vec::with_capacity(of.records.len() + 2);
        let mut new = kind.map(|kind| Record { pid, kind, start, end });
        for old in of.records.drain(..) {
            let touches = old.pid == pid && old.start <= end && start <= old.end;
            match &mut new {
                _ if !touches => kept.push(old),
                Some(new) if new.kind == old.kind => {
                    new.start = new.start.min(old.start);
                    new.end = new.end.max(old.end);
                }
                _ => {
                    if old.start < start {
                        kept.push(Record { end: start, ..old });
                    }
                    if old.end > end {
                        kept.push(Record { start: end, ..old });
                    }
                }
            }
        }
        kept.extend(new);
        of.records = kept;
        waits.wake(of.queue, Events::LOCK);
    }

    /// A process closed a descriptor of the file, or ended: its record locks there are gone.
    pub(crate) fn drop_process(&mut self, inode: InodeId, pid: u32, waits: &mut Waits) {
        if let Some(of) = self.inodes.get_mut(&inode) {
            let before = of.records.len();
            of.records.retain(|r| r.pid != pid);
            if of.records.len() != before {
                waits.wake(of.queue, Events::LOCK);
            }
        }
    }

    /// Whether another description's flock clashes.
    pub(crate) fn flock_conflict(&self, inode: InodeId, desc: DescId, kind: LockKind) -> bool {
        let of = self.inodes.get(&inode);
        of.is_some_and(|of| of.flocks.iter().any(|(d, k)| *d != desc && clash(*k, kind)))
    }

    /// Sets, changes or removes the description's flock.
    pub(crate) fn set_flock(&mut self, inode: InodeId, desc: DescId, kind: Option<LockKind>, waits: &mut Waits) {
        let of = self.of(inode, waits);
        of.flocks.retain(|(d, _)| *d != desc);
        of.flocks.extend(kind.map(|k| (desc, k)));
        waits.wake(of.queue, Events::LOCK);
    }

    /// The inode is gone.
    pub(crate) fn forget(&mut self, inode: InodeId, waits: &mut Waits) {
        if let Some(of) = self.inodes.remove(&inode) {
            waits.destroy(of.queue);
        }
    }

    /// `pid` is about to wait for `holder`. False: that would close a circle of waiting processes.
    pub(crate) fn may_wait(&mut self, pid: u32, holder: u32) -> bool {
        let mut at = holder;
        for _ in 0..=self.waiting.len() {
            if at == pid {
                return false;
            }
            match self.waiting.get(&at) {
                Some(next) => at = *next,
                None => break,
            }
        }
        self.waiting.insert(pid, holder);
        true
    }

    /// `pid` doesn't wait any more.
    pub(crate) fn stopped_waiting(&mut self, pid: u32) {
        self.waiting.remove(&pid);
    }
}
