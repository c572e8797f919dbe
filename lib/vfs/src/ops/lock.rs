//! Advisory locks: flock(2), and record locks of fcntl(2).

use crate::contents::Contents;
use crate::errno::Errno;
use crate::file::What;
use crate::locks::{Flock, LockKind, Record};
use crate::node::InodeId;
use crate::ops::io::moved;
use crate::types::{Ctx, Fd, Outcome, Try};
use crate::vfs::Vfs;
use crate::wait::{Events, WaitOn};
use linux_raw_sys::general as sys;

impl<C: Contents> Vfs<C> {
    /// The inode whose locks are meant; files of servers and of /proc have none here (`ENOLCK`).
    fn lockable(&self, ctx: &Ctx, fd: Fd) -> Result<InodeId, Errno> {
        let (_, desc) = self.file(ctx, fd)?;
        match desc.what {
            What::Remote { .. } => Err(Errno::ENOLCK),
            _ => desc.place.inode().ok_or(Errno::ENOLCK),
        }
    }

    fn wait_for_lock<T>(&mut self, inode: InodeId) -> Try<T> {
        let queue = self.locks.queue(inode, &mut self.waits);
        self.inode_mut(inode)?.locked = true;
        Ok(Outcome::Block(WaitOn { queue, events: Events::LOCK }))
    }

    /// flock(2): `None` unlocks; with `wait` it blocks, else `EAGAIN`. A lock that the description has is changed: it is
    /// let go first, as on Linux.
    pub fn flock(&mut self, ctx: &Ctx, fd: Fd, kind: Option<LockKind>, wait: bool) -> Try<()> {
        let inode = self.lockable(ctx, fd)?;
        let (desc, _) = self.file(ctx, fd)?;
        if let Some(kind) = kind
            && self.locks.flock_conflict(inode, desc, kind)
        {
            self.locks.set_flock(inode, desc, None, &mut self.waits);
            return if wait { self.wait_for_lock(inode) } else { Err(Errno::EAGAIN) };
        }
        self.locks.set_flock(inode, desc, kind, &mut self.waits);
        self.inode_mut(inode)?.locked = true;
        Ok(Outcome::Done(()))
    }

    /// The bytes that a `struct flock` means, from the start of the file.
    fn lock_range(&self, ctx: &Ctx, fd: Fd, lock: &Flock) -> Result<(u64, u64), Errno> {
        let (_, desc) = self.file(ctx, fd)?;
        let base = match lock.whence {
            sys::SEEK_SET => 0,
            sys::SEEK_CUR => desc.offset,
            sys::SEEK_END => self.inode(desc.place.inode().ok_or(Errno::EINVAL)?)?.size,
            _ => return Err(Errno::EINVAL),
        };
        let start = moved(base, lock.start)?;
        match lock.len {
            0 => Ok((start, u64::MAX)),
            len if len > 0 => Ok((start, moved(start, len)?)),
            len => Ok((moved(start, len)?, start)),
        }
    }

    /// fcntl `F_SETLK`, and with `wait` `F_SETLKW`: `kind` `None` unlocks. `EDEADLK` if waiting closed a circle. A thread
    /// that stops waiting for another reason (signal) calls [`Vfs::abandon_lock`].
    pub fn set_lock(&mut self, ctx: &Ctx, fd: Fd, lock: &Flock, wait: bool) -> Try<()> {
        let inode = self.lockable(ctx, fd)?;
        let (start, end) = self.lock_range(ctx, fd, lock)?;
        let access = self.file(ctx, fd)?.1.flags & sys::O_ACCMODE;
        match lock.kind {
            Some(LockKind::Read) if access == sys::O_WRONLY => return Err(Errno::EBADF),
            Some(LockKind::Write) if access == sys::O_RDONLY => return Err(Errno::EBADF),
            _ => {}
        }
        self.locks.stopped_waiting(ctx.pid);
        if let Some(kind) = lock.kind
            && let Some(holder) = self.locks.conflict(inode, &Record { pid: ctx.pid, kind, start, end })
        {
            if !wait {
                return Err(Errno::EAGAIN);
            }
            if !self.locks.may_wait(ctx.pid, holder.pid) {
                return Err(Errno::EDEADLK);
            }
            return self.wait_for_lock(inode);
        }
        self.locks.set(inode, (ctx.pid, start, end), lock.kind, &mut self.waits);
        self.inode_mut(inode)?.locked = true;
        Ok(Outcome::Done(()))
    }

    /// A process that waited for a record lock gave up.
    pub fn abandon_lock(&mut self, pid: u32) {
        self.locks.stopped_waiting(pid);
    }

    /// fcntl `F_GETLK`: the first lock that stands in the way, offsets from the start; `kind` `None` if there is none.
    pub fn get_lock(&mut self, ctx: &Ctx, fd: Fd, lock: &Flock) -> Result<Flock, Errno> {
        let inode = self.lockable(ctx, fd)?;
        let (start, end) = self.lock_range(ctx, fd, lock)?;
        let kind = lock.kind.ok_or(Errno::EINVAL)?;
        Ok(match self.locks.conflict(inode, &Record { pid: ctx.pid, kind, start, end }) {
            Some(found) => Flock {
                kind: Some(found.kind),
                whence: sys::SEEK_SET,
                start: found.start as i64,
                len: if found.end == u64::MAX { 0 } else { (found.end - found.start) as i64 },
                pid: found.pid,
            },
            None => Flock { kind: None, ..*lock },
        })
    }
}
