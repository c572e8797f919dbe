//! open, close, dup, descriptor flags, pipes.

use crate::contents::Contents;
use crate::devfs::device;
use crate::errno::Errno;
use crate::fd::FdEntry;
use crate::file::{DescId, Description, What};
use crate::node::{Body, FileType, InodeId, Node, Place};
use crate::ops::remote::Then;
use crate::pipe::{MAX_CAPACITY, Pipe, PipeId};
use crate::remote::{RemoteOp, Request, Target};
use crate::tmpfs::{EXEC, NewBody, READ, WRITE};
use crate::types::{Ctx, Fd, Outcome, TableId, Try};
use crate::vfs::Vfs;
use crate::wait::{Events, WaitOn};
use crate::walk::{Follow, Last, Spot, Walked};
use alloc::boxed::Box;
use alloc::vec::Vec;
use linux_raw_sys::general as sys;

/// Flags that say how to open, and aren't kept.
const ONLY_AT_OPEN: u32 = sys::O_CREAT | sys::O_EXCL | sys::O_NOCTTY | sys::O_TRUNC | sys::O_CLOEXEC;
/// Flags that `F_SETFL` changes.
const CHANGEABLE: u32 = sys::O_APPEND | sys::O_NONBLOCK | sys::O_NOATIME | sys::O_DIRECT | sys::FASYNC;
/// Flags that matter beside `O_PATH`.
const WITH_PATH: u32 = sys::O_PATH | sys::O_DIRECTORY | sys::O_NOFOLLOW | sys::O_CLOEXEC;
/// From linux/close_range.h, which linux-raw-sys does not carry.
const CLOSE_RANGE_CLOEXEC: u32 = 1 << 2;
/// `O_TMPFILE` without the `O_DIRECTORY` that it contains.
const TMPFILE: u32 = sys::O_TMPFILE & !sys::O_DIRECTORY;

/// The open of a FIFO by a thread that waits for the other side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening {
    tid: u32,
    desc: DescId,
    pipe: PipeId,
    /// Opens of the other side when it began.
    seen: u32,
}

/// What rights an open needs.
fn access_mask(flags: u32) -> u32 {
    let mode = match flags & sys::O_ACCMODE {
        sys::O_RDONLY => READ,
        sys::O_WRONLY => WRITE,
        _ => READ | WRITE,
    };
    if flags & sys::O_TRUNC != 0 { mode | WRITE } else { mode }
}

fn writes(flags: u32) -> bool {
    flags & sys::O_ACCMODE != sys::O_RDONLY
}

impl<C: Contents> Vfs<C> {
    /// What `fd` is open on.
    #[inline]
    pub(crate) fn desc(&self, ctx: &Ctx, fd: Fd) -> Result<(DescId, &Description), Errno> {
        let id = self.tables.get(ctx.files).ok_or(Errno::EBADF)?.get(fd)?.desc;
        Ok((id, self.descs.get(id).ok_or(Errno::EBADF)?))
    }

    /// As `desc`, but `O_PATH` descriptors are `EBADF`, as for all that needs the file itself.
    #[inline]
    pub(crate) fn file(&self, ctx: &Ctx, fd: Fd) -> Result<(DescId, &Description), Errno> {
        match self.desc(ctx, fd)? {
            (_, Description { what: What::Path, .. }) => Err(Errno::EBADF),
            found => Ok(found),
        }
    }

    /// A description that nothing refers to yet but the caller; pins the place.
    pub(crate) fn new_desc(
        &mut self,
        place: Place,
        dir: Option<InodeId>,
        flags: u32,
        what: What,
    ) -> Result<DescId, Errno> {
        self.pin(place)?;
        let flags = flags & !ONLY_AT_OPEN;
        Ok(self.descs.insert(Description { place, dir, flags, offset: 0, refs: 1, what }))
    }

    /// Gives a description its number. On `EMFILE` the description is dropped.
    pub(crate) fn install(&mut self, ctx: &Ctx, desc: DescId, cloexec: bool) -> Result<Fd, Errno> {
        let table = self.tables.get_mut(ctx.files).ok_or(Errno::EBADF);
        match table.and_then(|t| Ok((t.lowest_free(0, ctx.nofile)?, t))) {
            Ok((fd, table)) => {
                table.set(fd, FdEntry { desc, cloexec });
                Ok(fd)
            }
            Err(e) => {
                self.drop_ref(desc);
                Err(e)
            }
        }
    }

    pub(crate) fn check_free_fd(&self, ctx: &Ctx, count: usize) -> Result<(), Errno> {
        let table = self.tables.get(ctx.files).ok_or(Errno::EBADF)?;
        let first = table.lowest_free(0, ctx.nofile)?;
        if count > 1 {
            table.lowest_free(first as usize + 1, ctx.nofile)?;
        }
        Ok(())
    }

    /// A descriptor is gone: the process's record locks on the file go with it, and perhaps the description.
    pub(crate) fn drop_entry(&mut self, entry: FdEntry, pid: u32) {
        let inode = self.descs.get(entry.desc).and_then(|d| d.place.inode());
        if let Some(id) = inode
            && self.inodes.get(id).is_some_and(|i| i.locked)
        {
            self.locks.drop_process(id, pid, &mut self.waits);
        }
        self.drop_ref(entry.desc);
    }

    /// One reference less to a description; the last one ends it.
    pub(crate) fn drop_ref(&mut self, id: DescId) {
        let Some(desc) = self.descs.get_mut(id) else {
            return;
        };
        desc.refs = desc.refs.saturating_sub(1);
        if desc.refs > 0 {
            return;
        }
        let Some(gone) = self.descs.remove(id) else { return };
        match gone.what {
            What::Pipe(pipe) => self.leave_pipe(pipe, gone.flags, gone.place),
            What::Socket { pair, side } => self.leave_socket(pair, side),
            What::Remote { server, file } => self.closes.push(RemoteOp {
                target: Target::Server(server),
                request: Request::Close { file },
                then: Then::Nothing,
            }),
            _ => {}
        }
        if let Some(inode) = gone.place.inode()
            && self.inodes.get(inode).is_some_and(|i| i.locked)
        {
            self.locks.set_flock(inode, id, None, &mut self.waits);
        }
        self.unpin(gone.place);
    }

    fn leave_pipe(&mut self, id: PipeId, flags: u32, place: Place) {
        let Some(pipe) = self.pipes.get_mut(id) else {
            return;
        };
        if flags & sys::O_ACCMODE != sys::O_WRONLY {
            pipe.readers = pipe.readers.saturating_sub(1);
        }
        if writes(flags) {
            pipe.writers = pipe.writers.saturating_sub(1);
        }
        let queue = pipe.queue;
        if pipe.readers > 0 || pipe.writers > 0 {
            self.waits.wake(queue, Events::HUP | Events::ERR);
            return;
        }
        self.pipes.remove(id);
        self.waits.destroy(queue);
        if let Some(inode) = place.inode().and_then(|i| self.inodes.get_mut(i)) {
            inode.body = Body::Fifo(None);
        }
    }

    /// openat(2). `flags` as given, `mode` before the umask. Done: the descriptor.
    ///
    /// Opening a FIFO may block, half opened: the thread then makes the same call again when woken, or gives up with
    /// [`Vfs::abandon_open`].
    pub fn open(&mut self, ctx: &Ctx, dirfd: Fd, path: &[u8], flags: u32, mode: u32) -> Try<Fd> {
        if !self.opening.is_empty()
            && let Some(position) = self.opening.iter().position(|o| o.tid == ctx.tid)
        {
            return self.resume_open(ctx, position, flags);
        }
        let flags = if flags & sys::O_PATH != 0 { flags & WITH_PATH } else { flags | sys::O_LARGEFILE };
        if flags & TMPFILE == 0 && flags & sys::O_CREAT != 0 && flags & sys::O_DIRECTORY != 0 {
            return Err(Errno::EINVAL);
        }
        self.check_free_fd(ctx, 1)?;
        let create = flags & sys::O_CREAT != 0;
        let nofollow = flags & sys::O_NOFOLLOW != 0 || (create && flags & sys::O_EXCL != 0);
        let follow = match (nofollow, create) {
            (true, true) => Follow::Name,
            (true, false) => Follow::No,
            (false, true) => Follow::Create,
            (false, false) => Follow::Yes,
        };
        if flags & TMPFILE != 0 {
            return self.open_tmpfile(ctx, dirfd, path, flags, mode);
        }
        match self.walk(ctx, dirfd, path, follow)? {
            Walked::Local(Spot { slash: true, last: Last::Name(_), .. }) if create => Err(Errno::EISDIR),
            Walked::Local(spot) if spot.place.is_some() || !create => {
                self.open_existing(ctx, &spot, spot.existing()?, flags)
            }
            Walked::Local(spot) => self.open_new(ctx, spot, flags, mode),
            Walked::Remote(spot) => {
                let server = self.server_of(spot.mount)?;
                let request = match flags & sys::O_PATH {
                    0 => Request::Open { path: spot.path.clone(), flags, mode: mode & 0o7777 & !self.umask_of(ctx) },
                    _ => Request::StatPath { path: spot.path.clone(), follow: !nofollow },
                };
                let then = Then::Open { mount: spot.mount, path: spot.path, flags };
                Ok(Outcome::Remote(Box::new(RemoteOp { target: Target::Server(server), request, then })))
            }
        }
    }

    pub(crate) fn umask_of(&self, ctx: &Ctx) -> u32 {
        self.contexts.get(ctx.fs).map_or(0, |f| f.umask)
    }

    fn open_existing(&mut self, ctx: &Ctx, spot: &Spot, place: Place, flags: u32) -> Try<Fd> {
        let both = sys::O_CREAT | sys::O_EXCL;
        if flags & both == both {
            return Err(Errno::EEXIST);
        }
        let dir = spot.dir.inode();
        match place.node {
            Node::Inode(id) => self.open_inode(ctx, place, id, dir, flags),
            Node::Proc(_) => self.open_proc(ctx, place, flags),
            Node::Remote(node) => {
                let path = self.remotes.get(node).ok_or(Errno::ENOENT)?.path.clone();
                let target = Target::Server(self.server_of(place.mount)?);
                let request = Request::Open { path: path.clone(), flags, mode: 0 };
                let then = Then::Open { mount: place.mount, path, flags };
                Ok(Outcome::Remote(Box::new(RemoteOp { target, request, then })))
            }
        }
    }

    fn open_inode(&mut self, ctx: &Ctx, place: Place, id: InodeId, dir: Option<InodeId>, flags: u32) -> Try<Fd> {
        self.lately = ctx.now();
        let inode = self.inode(id)?;
        let kind = inode.kind();
        check_kind(kind, flags)?;
        if flags & sys::O_PATH != 0 {
            let desc = self.new_desc(place, dir, flags, What::Path)?;
            return self.install(ctx, desc, flags & sys::O_CLOEXEC != 0).map(Outcome::Done);
        }
        if !inode.permits(ctx.cred, access_mask(flags)) {
            return Err(Errno::EACCES);
        }
        if flags & sys::O_NOATIME != 0 && !inode.owned_by(ctx.cred) {
            return Err(Errno::EPERM);
        }
        let what = match &inode.body {
            Body::File(_) => What::File,
            Body::Dir { .. } => What::Dir,
            Body::Device { kind, rdev } => device(*kind, *rdev)?,
            Body::Fifo(_) => return self.open_fifo(ctx, place, id, dir, flags),
            Body::Symlink(_) => return Err(Errno::ELOOP),
            Body::Socket => return Err(Errno::ENXIO),
        };
        if flags & sys::O_TRUNC != 0 && kind == FileType::Regular {
            self.set_size(id, 0, ctx.cred, ctx.now())?;
        }
        let desc = self.new_desc(place, dir, flags, what)?;
        self.install(ctx, desc, flags & sys::O_CLOEXEC != 0).map(Outcome::Done)
    }

    fn open_proc(&mut self, ctx: &Ctx, place: Place, flags: u32) -> Try<Fd> {
        let Node::Proc(node) = place.node else {
            return Err(Errno::EIO);
        };
        check_kind(node.kind(), flags)?;
        let what = match node.file() {
            _ if flags & sys::O_PATH != 0 => What::Path,
            _ if !self.proc_permits(ctx, node, access_mask(flags))? => return Err(Errno::EACCES),
            // No file here can be written: not even by root, who passes the permission bits.
            Some(_) if access_mask(flags) & WRITE != 0 => return Err(Errno::EACCES),
            Some(file) if !node.is_dir() => What::Proc { file, text: Vec::new() },
            _ => What::Dir,
        };
        let desc = self.new_desc(place, None, flags, what)?;
        self.install(ctx, desc, flags & sys::O_CLOEXEC != 0).map(Outcome::Done)
    }

    /// `O_CREAT` of a name that isn't there.
    fn open_new(&mut self, ctx: &Ctx, spot: Spot, flags: u32, mode: u32) -> Try<Fd> {
        let Last::Name(name) = spot.last.clone() else {
            return Err(Errno::EISDIR);
        };
        let dir = spot.dir_inode()?;
        self.check_dir_write(ctx, dir)?;
        let perm = mode & 0o7777 & !self.umask_of(ctx);
        let id = self.create_in(ctx, dir, name, NewBody::File, perm)?;
        let place = Place { mount: spot.dir.mount, node: Node::Inode(id) };
        let desc = self.new_desc(place, Some(dir), flags, What::File)?;
        self.install(ctx, desc, flags & sys::O_CLOEXEC != 0).map(Outcome::Done)
    }

    fn open_tmpfile(&mut self, ctx: &Ctx, dirfd: Fd, path: &[u8], flags: u32, mode: u32) -> Try<Fd> {
        if !writes(flags) || flags & sys::O_DIRECTORY == 0 || flags & sys::O_CREAT != 0 {
            return Err(Errno::EINVAL);
        }
        let Walked::Local(spot) = self.walk(ctx, dirfd, path, Follow::Yes)? else {
            return Err(Errno::EOPNOTSUPP);
        };
        let place = spot.existing()?;
        let dir = place.inode().ok_or(if self.is_dir(place) { Errno::EOPNOTSUPP } else { Errno::ENOTDIR })?;
        self.check_dir_write(ctx, dir)?;
        let perm = mode & 0o7777 & !self.umask_of(ctx);
        let id = self.create_unnamed(ctx, dir, perm)?;
        self.inode_mut(id)?.linkable = flags & sys::O_EXCL == 0;
        let place = Place { mount: place.mount, node: Node::Inode(id) };
        let desc = self.new_desc(place, None, flags, What::File)?;
        self.install(ctx, desc, flags & sys::O_CLOEXEC != 0).map(Outcome::Done)
    }

    fn pipe_of(&mut self, id: InodeId) -> Result<PipeId, Errno> {
        let Body::Fifo(pipe) = self.inode(id)?.body else {
            return Err(Errno::EIO);
        };
        if let Some(pipe) = pipe {
            return Ok(pipe);
        }
        let pipe = self.pipes.insert(Pipe::new(self.waits.create()));
        self.inode_mut(id)?.body = Body::Fifo(Some(pipe));
        Ok(pipe)
    }

    /// fifo(7): a reader waits for a writer and a writer for a reader, unless told otherwise. A pipe without a name, reached through /proc,
    /// has had both sides: nobody waits.
    fn open_fifo(&mut self, ctx: &Ctx, place: Place, id: InodeId, dir: Option<InodeId>, flags: u32) -> Try<Fd> {
        let access = flags & sys::O_ACCMODE;
        let nonblock = flags & sys::O_NONBLOCK != 0;
        let nameless = place.mount == self.pipe_mount;
        let existing = match self.inode(id)?.body {
            Body::Fifo(Some(pipe)) => self.pipes.get(pipe).map_or((0, 0), |p| (p.readers, p.writers)),
            _ => (0, 0),
        };
        if access == sys::O_WRONLY && nonblock && existing.0 == 0 && !nameless {
            return Err(Errno::ENXIO);
        }
        let pipe_id = self.pipe_of(id)?;
        let desc = self.new_desc(place, dir, flags, What::Pipe(pipe_id))?;
        let pipe = self.pipes.get_mut(pipe_id).ok_or(Errno::EIO)?;
        if access != sys::O_WRONLY {
            pipe.readers += 1;
            pipe.reader_opens = pipe.reader_opens.wrapping_add(1);
        }
        if writes(flags) {
            pipe.writers += 1;
            pipe.writer_opens = pipe.writer_opens.wrapping_add(1);
        }
        let (queue, seen) = match access {
            _ if nameless => (pipe.queue, None),
            sys::O_RDONLY if existing.1 == 0 && !nonblock => (pipe.queue, Some(pipe.writer_opens)),
            sys::O_WRONLY if existing.0 == 0 => (pipe.queue, Some(pipe.reader_opens)),
            _ => (pipe.queue, None),
        };
        self.waits.wake(queue, Events::IN | Events::OUT | Events::LOCK);
        match seen {
            Some(seen) => {
                self.opening.push(Opening { tid: ctx.tid, desc, pipe: pipe_id, seen });
                Ok(Outcome::Block(WaitOn { queue, events: Events::LOCK }))
            }
            None => self.install(ctx, desc, flags & sys::O_CLOEXEC != 0).map(Outcome::Done),
        }
    }

    fn resume_open(&mut self, ctx: &Ctx, position: usize, flags: u32) -> Try<Fd> {
        let opening = *self.opening.get(position).ok_or(Errno::EIO)?;
        let pipe = self.pipes.get(opening.pipe).ok_or(Errno::EIO)?;
        let reads = flags & sys::O_ACCMODE == sys::O_RDONLY;
        let now = if reads { pipe.writer_opens } else { pipe.reader_opens };
        if now == opening.seen {
            return Ok(Outcome::Block(WaitOn { queue: pipe.queue, events: Events::LOCK }));
        }
        self.opening.swap_remove(position);
        self.install(ctx, opening.desc, flags & sys::O_CLOEXEC != 0).map(Outcome::Done)
    }

    /// A thread whose `open` blocked gives up (signal, death). Without a blocked open nothing happens.
    pub fn abandon_open(&mut self, tid: u32) {
        while let Some(position) = self.opening.iter().position(|o| o.tid == tid) {
            let gone = self.opening.swap_remove(position);
            self.drop_ref(gone.desc);
        }
    }

    /// close(2). The number is free even if an error comes.
    pub fn close(&mut self, ctx: &Ctx, fd: Fd) -> Result<(), Errno> {
        let entry = self.tables.get_mut(ctx.files).and_then(|t| t.take(fd)).ok_or(Errno::EBADF)?;
        self.drop_entry(entry, ctx.pid);
        Ok(())
    }

    /// close_range(2): `first..=last`; `flags`: `CLOSE_RANGE_CLOEXEC`. (`CLOSE_RANGE_UNSHARE`: the caller forks the table
    /// first and doesn't pass it on.)
    pub fn close_range(&mut self, ctx: &Ctx, first: u32, last: u32, flags: u32) -> Result<(), Errno> {
        if first > last || flags & !CLOSE_RANGE_CLOEXEC != 0 {
            return Err(Errno::EINVAL);
        }
        let table = self.tables.get(ctx.files).ok_or(Errno::EBADF)?;
        let fds: Vec<Fd> =
            table.iter_from(first as usize).map(|(fd, _)| fd).take_while(|fd| *fd as u32 <= last).collect();
        for fd in fds {
            if flags & CLOSE_RANGE_CLOEXEC != 0 {
                self.set_fd_flags(ctx, fd, sys::FD_CLOEXEC)?;
            } else {
                self.close(ctx, fd)?;
            }
        }
        Ok(())
    }

    /// dup(2), and fcntl `F_DUPFD`, `F_DUPFD_CLOEXEC`: the lowest free number not below `min`.
    pub fn dup(&mut self, ctx: &Ctx, fd: Fd, min: u32, cloexec: bool) -> Result<Fd, Errno> {
        let (desc, _) = self.desc(ctx, fd)?;
        if min >= ctx.nofile {
            return Err(Errno::EINVAL);
        }
        let table = self.tables.get_mut(ctx.files).ok_or(Errno::EBADF)?;
        let new = table.lowest_free(min as usize, ctx.nofile)?;
        table.set(new, FdEntry { desc, cloexec });
        if let Some(d) = self.descs.get_mut(desc) {
            d.refs += 1;
        }
        Ok(new)
    }

    /// dup2(2): `to` is closed first; the same number is only checked.
    pub fn dup2(&mut self, ctx: &Ctx, fd: Fd, to: Fd) -> Result<Fd, Errno> {
        if fd == to { self.desc(ctx, fd).map(|_| to) } else { self.dup3(ctx, fd, to, 0) }
    }

    /// dup3(2): as dup2, but the same number is `EINVAL`; `flags`: `O_CLOEXEC`.
    pub fn dup3(&mut self, ctx: &Ctx, fd: Fd, to: Fd, flags: u32) -> Result<Fd, Errno> {
        if flags & !sys::O_CLOEXEC != 0 || fd == to {
            return Err(Errno::EINVAL);
        }
        if u32::try_from(to).map_or(true, |t| t >= ctx.nofile) {
            return Err(Errno::EBADF);
        }
        let (desc, _) = self.desc(ctx, fd)?;
        if let Some(d) = self.descs.get_mut(desc) {
            d.refs += 1;
        }
        let table = self.tables.get_mut(ctx.files).ok_or(Errno::EBADF)?;
        if let Some(old) = table.set(to, FdEntry { desc, cloexec: flags & sys::O_CLOEXEC != 0 }) {
            self.drop_entry(old, ctx.pid);
        }
        Ok(to)
    }

    /// fcntl `F_GETFD`: 1 if close-on-exec.
    pub fn get_fd_flags(&self, ctx: &Ctx, fd: Fd) -> Result<u32, Errno> {
        Ok(u32::from(self.tables.get(ctx.files).ok_or(Errno::EBADF)?.get(fd)?.cloexec))
    }

    /// fcntl `F_SETFD`.
    pub fn set_fd_flags(&mut self, ctx: &Ctx, fd: Fd, flags: u32) -> Result<(), Errno> {
        let table = self.tables.get_mut(ctx.files).ok_or(Errno::EBADF)?;
        table.get_mut(fd)?.cloexec = flags & sys::FD_CLOEXEC != 0;
        Ok(())
    }

    /// fcntl `F_GETFL`: access mode and status flags.
    pub fn get_status_flags(&self, ctx: &Ctx, fd: Fd) -> Result<u32, Errno> {
        Ok(self.desc(ctx, fd)?.1.flags)
    }

    /// fcntl `F_SETFL`: `O_APPEND`, `O_NONBLOCK`, `O_NOATIME`, `O_DIRECT`; the others are ignored.
    pub fn set_status_flags(&mut self, ctx: &Ctx, fd: Fd, flags: u32) -> Result<(), Errno> {
        let (id, desc) = self.file(ctx, fd)?;
        if flags & !desc.flags & sys::O_NOATIME != 0
            && let Some(inode) = desc.place.inode()
            && !self.inode(inode)?.owned_by(ctx.cred)
        {
            return Err(Errno::EPERM);
        }
        let desc = self.descs.get_mut(id).ok_or(Errno::EBADF)?;
        desc.flags = (desc.flags & !CHANGEABLE) | (flags & CHANGEABLE);
        Ok(())
    }

    /// pipe2(2): (read end, write end); `flags`: `O_CLOEXEC`, `O_NONBLOCK`. (`O_DIRECT`'s packets: `EINVAL`.)
    pub fn pipe(&mut self, ctx: &Ctx, flags: u32) -> Result<(Fd, Fd), Errno> {
        if flags & !(sys::O_CLOEXEC | sys::O_NONBLOCK) != 0 {
            return Err(Errno::EINVAL);
        }
        self.check_free_fd(ctx, 2)?;
        let mut pipe = Pipe::new(self.waits.create());
        (pipe.readers, pipe.writers, pipe.reader_opens, pipe.writer_opens) = (1, 1, 1, 1);
        let pipe = self.pipes.insert(pipe);
        let owner = (ctx.cred.uid, ctx.cred.gid);
        let inode = self.new_inode(self.pipe_super, Body::Fifo(Some(pipe)), 0o600, owner, ctx.now())?;
        let place = Place { mount: self.pipe_mount, node: Node::Inode(inode) };
        let nonblock = flags & sys::O_NONBLOCK;
        let reader = self.new_desc(place, None, sys::O_RDONLY | nonblock, What::Pipe(pipe))?;
        let writer = self.new_desc(place, None, sys::O_WRONLY | nonblock, What::Pipe(pipe))?;
        let cloexec = flags & sys::O_CLOEXEC != 0;
        Ok((self.install(ctx, reader, cloexec)?, self.install(ctx, writer, cloexec)?))
    }

    fn pipe_at(&mut self, ctx: &Ctx, fd: Fd) -> Result<&mut Pipe, Errno> {
        let (_, desc) = self.file(ctx, fd)?;
        let What::Pipe(id) = desc.what else {
            return Err(Errno::EBADF);
        };
        self.pipes.get_mut(id).ok_or(Errno::EBADF)
    }

    /// fcntl `F_GETPIPE_SZ`.
    pub fn get_pipe_size(&mut self, ctx: &Ctx, fd: Fd) -> Result<u32, Errno> {
        Ok(self.pipe_at(ctx, fd)?.capacity() as u32)
    }

    /// fcntl `F_SETPIPE_SZ`: gives the size set, a power of two of pages. `EPERM` over 1 MiB.
    pub fn set_pipe_size(&mut self, ctx: &Ctx, fd: Fd, size: u32) -> Result<u32, Errno> {
        let pipe = self.pipe_at(ctx, fd)?;
        let size = (size as usize).max(crate::contents::PAGE).checked_next_power_of_two().ok_or(Errno::EINVAL)?;
        if size > MAX_CAPACITY {
            return Err(Errno::EPERM);
        }
        pipe.set_capacity(size)?;
        let queue = pipe.queue;
        self.waits.wake(queue, Events::OUT);
        Ok(size as u32)
    }

    /// The device number of the terminal that `fd` is; `None` if it is none.
    pub fn terminal_of(&self, ctx: &Ctx, fd: Fd) -> Result<Option<u64>, Errno> {
        Ok(match self.file(ctx, fd)?.1.what {
            What::Terminal { rdev } => Some(rdev),
            _ => None,
        })
    }

    /// The name of an open descriptor, as /proc/PID/fd shows it.
    pub(crate) fn fd_path(&self, ctx: &Ctx, files: TableId, fd: Fd) -> Result<Vec<u8>, Errno> {
        let table = self.tables.get(files).ok_or(Errno::ENOENT)?;
        let entry = table.get(fd).map_err(|_| Errno::ENOENT)?;
        let desc = self.descs.get(entry.desc).ok_or(Errno::ENOENT)?;
        self.path_from(ctx, desc.place, desc.dir)
    }

    /// Whether the caller may search a directory: chdir and its kin.
    pub(crate) fn check_search(&self, ctx: &Ctx, place: Place) -> Result<(), Errno> {
        if !self.is_dir(place) {
            return Err(Errno::ENOTDIR);
        }
        let may = match place.node {
            Node::Inode(id) => self.inode(id)?.permits(ctx.cred, EXEC),
            Node::Proc(node) => self.proc_permits(ctx, node, EXEC)?,
            Node::Remote(_) => true,
        };
        if may { Ok(()) } else { Err(Errno::EACCES) }
    }
}

/// Whether a file of this type can be opened so.
fn check_kind(kind: FileType, flags: u32) -> Result<(), Errno> {
    match kind {
        FileType::Directory if flags & sys::O_PATH != 0 => Ok(()),
        FileType::Directory if writes(flags) || flags & (sys::O_CREAT | sys::O_TRUNC) != 0 => Err(Errno::EISDIR),
        FileType::Directory => Ok(()),
        _ if flags & sys::O_DIRECTORY != 0 => Err(Errno::ENOTDIR),
        FileType::Symlink if flags & sys::O_PATH == 0 => Err(Errno::ELOOP),
        _ => Ok(()),
    }
}
