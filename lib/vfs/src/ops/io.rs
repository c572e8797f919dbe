//! read, write and their kin.

use crate::contents::{Contents, Dest, Extent, SliceDest, SliceSource, Source};
use crate::errno::Errno;
use crate::file::{DescId, What};
use crate::node::{Body, InodeId, Node, Place};
use crate::ops::remote::Then;
use crate::ops::socket::waiting;
use crate::pipe::{PIPE_BUF, PipeId};
use crate::remote::{RemoteFile, RemoteOp, Request, Target};
use crate::types::{Ctx, Fd, Outcome, Progress, Try};
use crate::vfs::Vfs;
use crate::wait::{Events, WaitOn};
use alloc::boxed::Box;
use linux_raw_sys::general as sys;

/// Where in the file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// At the description's offset, which moves.
    Offset,
    /// Here; the offset stays.
    Here(u64),
}

/// What fallocate does with its range.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Allocate {
    Reserve,
    Punch,
    Zero,
}

impl Allocate {
    fn of(mode: u32) -> Result<Allocate, Errno> {
        let keep = mode & sys::FALLOC_FL_KEEP_SIZE != 0;
        match mode & !sys::FALLOC_FL_KEEP_SIZE {
            0 => Ok(Allocate::Reserve),
            sys::FALLOC_FL_ZERO_RANGE => Ok(Allocate::Zero),
            sys::FALLOC_FL_PUNCH_HOLE if keep => Ok(Allocate::Punch),
            _ => Err(Errno::EOPNOTSUPP),
        }
    }
}

fn position(offset: i64) -> Result<u64, Errno> {
    u64::try_from(offset).map_err(|_| Errno::EINVAL)
}

fn readable(flags: u32) -> bool {
    matches!(flags & sys::O_ACCMODE, sys::O_RDONLY | sys::O_RDWR)
}

fn writable(flags: u32) -> bool {
    matches!(flags & sys::O_ACCMODE, sys::O_WRONLY | sys::O_RDWR)
}

impl<C: Contents> Vfs<C> {
    /// read(2), readv(2): at the description's offset.
    pub fn read(&mut self, ctx: &Ctx, fd: Fd, to: &mut dyn Dest) -> Try {
        let (id, desc) = self.file(ctx, fd)?;
        if !readable(desc.flags) {
            return Err(Errno::EBADF);
        }
        self.read_desc(ctx, id, to, At::Offset)
    }

    /// pread64(2), preadv(2). A negative offset is `EINVAL`; pipes and terminals `ESPIPE`.
    pub fn pread(&mut self, ctx: &Ctx, fd: Fd, to: &mut dyn Dest, offset: i64) -> Try {
        let offset = position(offset)?;
        let (id, desc) = self.file(ctx, fd)?;
        if matches!(desc.what, What::Pipe(_) | What::Socket { .. } | What::Terminal { .. }) {
            return Err(Errno::ESPIPE);
        }
        if !readable(desc.flags) {
            return Err(Errno::EBADF);
        }
        self.read_desc(ctx, id, to, At::Here(offset))
    }

    fn read_desc(&mut self, ctx: &Ctx, id: DescId, to: &mut dyn Dest, at: At) -> Try {
        let desc = self.descs.get_mut(id).ok_or(Errno::EBADF)?;
        let offset = if let At::Here(offset) = at { offset } else { desc.offset };
        let (flags, place) = (desc.flags, desc.place);
        let done = match &desc.what {
            What::File => {
                let inode = place.inode().ok_or(Errno::EIO)?;
                self.read_file(ctx, inode, offset, flags, to)?
            }
            What::Pipe(pipe) => {
                let pipe = *pipe;
                return self.read_pipe(pipe, flags, to);
            }
            What::Socket { pair, side } => {
                let end = (*pair, *side);
                return self.read_socket(end, flags, to);
            }
            What::Device(device) => {
                let device = *device;
                self.read_device(device, to)?
            }
            What::Dir => return Err(Errno::EISDIR),
            What::Proc { .. } => self.read_proc(ctx, id, offset, to)?,
            What::Remote { .. } | What::Terminal { .. } => {
                return self.read_remote(id, offset, at, to.room());
            }
            What::Path => return Err(Errno::EBADF),
        };
        self.advance(id, at, done);
        Ok(Outcome::Done(done))
    }

    #[inline]
    fn advance(&mut self, id: DescId, at: At, done: usize) {
        if at == At::Offset
            && let Some(desc) = self.descs.get_mut(id)
        {
            desc.offset += done as u64;
        }
    }

    /// Reads a regular file; nothing behind its end.
    #[inline]
    pub(crate) fn read_file(
        &mut self,
        ctx: &Ctx,
        id: InodeId,
        offset: u64,
        flags: u32,
        to: &mut dyn Dest,
    ) -> Result<usize, Errno> {
        let inode = self.inodes.get_mut(id).ok_or(Errno::EIO)?;
        let Body::File(content) = inode.body else {
            return Err(Errno::EINVAL);
        };
        let want = (inode.size.saturating_sub(offset)).min(to.room() as u64) as usize;
        if flags & sys::O_NOATIME == 0 {
            inode.accessed(ctx, self.lately);
        }
        if want == 0 {
            return Ok(0);
        }
        self.contents.read(content, offset, want, to)
    }

    fn read_pipe(&mut self, id: PipeId, flags: u32, to: &mut dyn Dest) -> Try {
        let pipe = self.pipes.get_mut(id).ok_or(Errno::EBADF)?;
        if to.room() == 0 {
            return Ok(Outcome::Done(0));
        }
        let queue = pipe.queue;
        if pipe.len() == 0 {
            if pipe.writers == 0 {
                return Ok(Outcome::Done(0));
            }
            if flags & sys::O_NONBLOCK != 0 {
                return Err(Errno::EAGAIN);
            }
            return Ok(Outcome::Block(WaitOn { queue, events: Events::IN }));
        }
        let done = pipe.read(to, usize::MAX)?;
        self.waits.wake(queue, Events::OUT);
        Ok(Outcome::Done(done))
    }

    /// A file of /proc is rendered when it is read from its start; reads further on see the same text.
    fn read_proc(&mut self, ctx: &Ctx, id: DescId, offset: u64, to: &mut dyn Dest) -> Result<usize, Errno> {
        let Some(What::Proc { file, text }) = self.descs.get_mut(id).map(|d| &mut d.what) else {
            return Err(Errno::EBADF);
        };
        let (file, mut text) = (*file, core::mem::take(text));
        let rendered = if offset == 0 || text.is_empty() {
            text.clear();
            self.proc_render(ctx, file, &mut text)
        } else {
            Ok(())
        };
        let got = rendered.and_then(|()| {
            let rest = usize::try_from(offset).ok().and_then(|o| text.get(o..)).unwrap_or(&[]);
            let n = rest.len().min(to.room());
            to.put(rest.get(..n).unwrap_or(&[]))
        });
        if let Some(What::Proc { text: place, .. }) = self.descs.get_mut(id).map(|d| &mut d.what) {
            *place = text;
        }
        got
    }

    /// The server's number for a description, and whom to ask.
    pub(crate) fn remote_of(&self, id: DescId) -> Result<(Target, RemoteFile), Errno> {
        match self.descs.get(id).ok_or(Errno::EBADF)?.what {
            What::Remote { server, file } => Ok((Target::Server(server), file)),
            What::Terminal { rdev } => Ok((Target::Terminal { rdev }, RemoteFile(rdev))),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Makes a call for a description, which lives until the answer is in.
    pub(crate) fn ask<T>(&mut self, id: DescId, request: Request, then: Then) -> Try<T> {
        let (target, _) = self.remote_of(id)?;
        self.descs.get_mut(id).ok_or(Errno::EBADF)?.refs += 1;
        Ok(Outcome::Remote(Box::new(RemoteOp { target, request, then })))
    }

    fn read_remote(&mut self, id: DescId, offset: u64, at: At, len: usize) -> Try {
        let (target, file) = self.remote_of(id)?;
        let nonblock = self.descs.get(id).is_some_and(|d| d.flags & sys::O_NONBLOCK != 0);
        let offset = matches!(target, Target::Server(_)).then_some(offset);
        let request = Request::Read { file, offset, len, nonblock };
        self.ask(id, request, Then::Moved { desc: id, offset: at == At::Offset })
    }

    /// write(2), writev(2). `EPIPE`: the caller also raises SIGPIPE; `EFBIG`: SIGXFSZ. See [`Progress`].
    pub fn write(&mut self, ctx: &Ctx, fd: Fd, from: &mut dyn Source, progress: &mut Progress) -> Try {
        let (id, desc) = self.file(ctx, fd)?;
        if !writable(desc.flags) {
            return Err(Errno::EBADF);
        }
        self.write_desc(ctx, id, from, At::Offset, progress)
    }

    /// pwrite64(2), pwritev(2). With `O_APPEND` it appends all the same, as on Linux.
    pub fn pwrite(&mut self, ctx: &Ctx, fd: Fd, from: &mut dyn Source, offset: i64) -> Try {
        let offset = position(offset)?;
        let (id, desc) = self.file(ctx, fd)?;
        if matches!(desc.what, What::Pipe(_) | What::Socket { .. } | What::Terminal { .. }) {
            return Err(Errno::ESPIPE);
        }
        if !writable(desc.flags) {
            return Err(Errno::EBADF);
        }
        self.write_desc(ctx, id, from, At::Here(offset), &mut Progress::default())
    }

    fn write_desc(&mut self, ctx: &Ctx, id: DescId, from: &mut dyn Source, at: At, progress: &mut Progress) -> Try {
        let desc = self.descs.get(id).ok_or(Errno::EBADF)?;
        let offset = if let At::Here(offset) = at { offset } else { desc.offset };
        let (flags, place) = (desc.flags, desc.place);
        match &desc.what {
            What::File => {
                let inode = place.inode().ok_or(Errno::EIO)?;
                let (start, done) = self.write_file(ctx, inode, offset, flags, from)?;
                if at == At::Offset && done > 0 {
                    self.descs.get_mut(id).ok_or(Errno::EBADF)?.offset = start + done as u64;
                }
                Ok(Outcome::Done(done))
            }
            What::Pipe(pipe) => {
                let pipe = *pipe;
                self.write_pipe(pipe, flags, from, progress)
            }
            What::Socket { pair, side } => {
                let end = (*pair, *side);
                self.write_socket(end, waiting(flags), from, progress)
            }
            What::Device(device) => {
                let device = *device;
                self.write_device(device, from).map(Outcome::Done)
            }
            What::Remote { .. } | What::Terminal { .. } => self.write_remote(id, offset, at, from.left()),
            What::Dir | What::Path | What::Proc { .. } => Err(Errno::EBADF),
        }
    }

    /// Writes a regular file, at its end with `O_APPEND`. Gives where, and how many bytes.
    pub(crate) fn write_file(
        &mut self,
        ctx: &Ctx,
        id: InodeId,
        offset: u64,
        flags: u32,
        from: &mut dyn Source,
    ) -> Result<(u64, usize), Errno> {
        let inode = self.inodes.get_mut(id).ok_or(Errno::EIO)?;
        let Body::File(content) = inode.body else {
            return Err(Errno::EINVAL);
        };
        let offset = if flags & sys::O_APPEND != 0 { inode.size } else { offset };
        let want = from.left();
        if want == 0 {
            return Ok((offset, 0));
        }
        let limit = ctx.fsize.min(i64::MAX as u64);
        let room = limit.checked_sub(offset).filter(|r| *r > 0).ok_or(Errno::EFBIG)?;
        let want = (want as u64).min(room) as usize;
        let done = self.contents.write(content, offset, want, from)?;
        inode.size = inode.size.max(offset + done as u64);
        self.lately = ctx.now();
        inode.written(ctx.cred, self.lately);
        Ok((offset, done))
    }

    /// pipe(7): up to `PIPE_BUF` bytes all at once or not yet; more as they fit, and the rest when there is room.
    fn write_pipe(&mut self, id: PipeId, flags: u32, from: &mut dyn Source, progress: &mut Progress) -> Try {
        let pipe = self.pipes.get_mut(id).ok_or(Errno::EBADF)?;
        let left = from.left();
        if left == 0 {
            return Ok(Outcome::Done(progress.done));
        }
        if pipe.readers == 0 {
            return if progress.done > 0 { Ok(Outcome::Done(progress.done)) } else { Err(Errno::EPIPE) };
        }
        let queue = pipe.queue;
        let whole = progress.done + left <= PIPE_BUF;
        let fits = if whole && pipe.free() < left { 0 } else { pipe.free().min(left) };
        if fits > 0 {
            match pipe.write(from, fits) {
                Ok(n) => {
                    progress.done += n;
                    self.waits.wake(queue, Events::IN);
                    if n < fits || n == left {
                        return Ok(Outcome::Done(progress.done));
                    }
                }
                Err(_) if progress.done > 0 => return Ok(Outcome::Done(progress.done)),
                Err(e) => return Err(e),
            }
        }
        match (flags & sys::O_NONBLOCK != 0, progress.done) {
            (true, 0) => Err(Errno::EAGAIN),
            (true, done) => Ok(Outcome::Done(done)),
            (false, _) => Ok(Outcome::Block(WaitOn { queue, events: Events::OUT })),
        }
    }

    fn write_remote(&mut self, id: DescId, offset: u64, at: At, len: usize) -> Try {
        let (target, file) = self.remote_of(id)?;
        let flags = self.descs.get(id).map_or(0, |d| d.flags);
        let request = Request::Write {
            file,
            offset: matches!(target, Target::Server(_)).then_some(offset),
            len,
            nonblock: flags & sys::O_NONBLOCK != 0,
            append: flags & sys::O_APPEND != 0,
        };
        self.ask(id, request, Then::Moved { desc: id, offset: at == At::Offset })
    }

    /// lseek(2): the new offset; `whence`: `SEEK_SET`, `SEEK_CUR`, `SEEK_END`, `SEEK_DATA`, `SEEK_HOLE`.
    pub fn lseek(&mut self, ctx: &Ctx, fd: Fd, offset: i64, whence: u32) -> Try<u64> {
        let (id, desc) = self.file(ctx, fd)?;
        let (current, place) = (desc.offset, desc.place);
        match desc.what {
            What::Pipe(_) | What::Socket { .. } | What::Terminal { .. } => return Err(Errno::ESPIPE),
            What::Device(_) => return Ok(Outcome::Done(0)),
            What::Remote { file, .. } if whence == sys::SEEK_END => {
                return self.ask(id, Request::StatFile { file }, Then::SeekEnd { desc: id, delta: offset });
            }
            _ => {}
        }
        let new = match whence {
            sys::SEEK_SET => position(offset)?,
            sys::SEEK_CUR => moved(current, offset)?,
            sys::SEEK_END => moved(self.size_of(place)?, offset)?,
            sys::SEEK_DATA => self.seek_extent(place, offset, Extent::Data)?,
            sys::SEEK_HOLE => self.seek_extent(place, offset, Extent::Hole)?,
            _ => return Err(Errno::EINVAL),
        };
        self.descs.get_mut(id).ok_or(Errno::EBADF)?.offset = new;
        Ok(Outcome::Done(new))
    }

    fn size_of(&self, place: Place) -> Result<u64, Errno> {
        match place.node {
            Node::Inode(id) if !self.inode(id)?.is_dir() => Ok(self.inode(id)?.size),
            _ => Err(Errno::EINVAL),
        }
    }

    fn seek_extent(&self, place: Place, offset: i64, what: Extent) -> Result<u64, Errno> {
        let size = self.size_of(place)?;
        let start = u64::try_from(offset).map_err(|_| Errno::ENXIO)?;
        let Body::File(content) = self.inode(place.inode().ok_or(Errno::EINVAL)?)?.body else {
            return Err(Errno::EINVAL);
        };
        if start >= size {
            return Err(Errno::ENXIO);
        }
        match (self.contents.seek(content, start, what), what) {
            (Some(found), _) if found < size => Ok(found),
            (_, Extent::Hole) => Ok(size),
            (_, Extent::Data) => Err(Errno::ENXIO),
        }
    }

    /// ftruncate(2).
    pub fn ftruncate(&mut self, ctx: &Ctx, fd: Fd, size: i64) -> Try<()> {
        let size = position(size)?;
        let (id, desc) = self.file(ctx, fd)?;
        let (place, may) = (desc.place, writable(desc.flags));
        match desc.what {
            What::File if may => self.truncate_inode(ctx, place.inode().ok_or(Errno::EIO)?, size).map(Outcome::Done),
            What::Remote { file, .. } if may => self.ask(id, Request::Truncate { file, size }, Then::Plain(Some(id))),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Another size, within the process's limit.
    pub(crate) fn truncate_inode(&mut self, ctx: &Ctx, inode: InodeId, size: u64) -> Result<(), Errno> {
        if size > ctx.fsize.min(i64::MAX as u64) && size > self.inode(inode)?.size {
            return Err(Errno::EFBIG);
        }
        self.set_size(inode, size, ctx.cred, ctx.now())
    }

    /// fallocate(2): mode 0, `FALLOC_FL_KEEP_SIZE`, `FALLOC_FL_PUNCH_HOLE`, `FALLOC_FL_ZERO_RANGE`.
    pub fn fallocate(&mut self, ctx: &Ctx, fd: Fd, mode: u32, offset: i64, len: i64) -> Try<()> {
        let (_, desc) = self.file(ctx, fd)?;
        if offset < 0 || len <= 0 {
            return Err(Errno::EINVAL);
        }
        let how = Allocate::of(mode)?;
        if !writable(desc.flags) {
            return Err(Errno::EBADF);
        }
        let id = match desc.what {
            What::File => desc.place.inode().ok_or(Errno::EIO)?,
            What::Pipe(_) => return Err(Errno::ESPIPE),
            What::Remote { .. } => return Err(Errno::EOPNOTSUPP),
            _ => return Err(Errno::ENODEV),
        };
        let (offset, len) = (offset as u64, len as u64);
        let end = offset.checked_add(len).filter(|e| *e <= ctx.fsize.min(i64::MAX as u64)).ok_or(Errno::EFBIG)?;
        let inode = self.inodes.get_mut(id).ok_or(Errno::EIO)?;
        let Body::File(content) = inode.body else {
            return Err(Errno::ENODEV);
        };
        if how != Allocate::Reserve {
            self.contents.punch(content, offset, len)?;
        }
        if how != Allocate::Punch {
            self.contents.reserve(content, offset, len)?;
        }
        if mode & sys::FALLOC_FL_KEEP_SIZE == 0 {
            inode.size = inode.size.max(end);
        }
        inode.written(ctx.cred, ctx.now());
        Ok(Outcome::Done(()))
    }

    /// fsync(2), fdatasync(2): nothing to do in memory.
    pub fn fsync(&mut self, ctx: &Ctx, fd: Fd) -> Try<()> {
        let (id, desc) = self.file(ctx, fd)?;
        match desc.what {
            What::File | What::Dir => Ok(Outcome::Done(())),
            What::Remote { file, .. } => self.ask(id, Request::Sync { file }, Then::Plain(Some(id))),
            _ => Err(Errno::EINVAL),
        }
    }

    /// ioctl(2) on what isn't decided by number of descriptor: `FIONBIO` and `FIOCLEX` the caller makes of
    /// `set_status_flags` and `set_fd_flags`, `FIONREAD` of `bytes_available`. Terminals and servers answer the rest
    /// (`Remote`); others `ENOTTY`.
    pub fn ioctl(&mut self, ctx: &Ctx, fd: Fd, command: u32, argument: u64) -> Try<i64> {
        let (id, desc) = self.file(ctx, fd)?;
        match desc.what {
            What::Remote { .. } | What::Terminal { .. } => {
                let (_, file) = self.remote_of(id)?;
                self.ask(id, Request::Ioctl { file, command, argument }, Then::Plain(Some(id)))
            }
            _ => Err(Errno::ENOTTY),
        }
    }

    /// ioctl `FIONREAD`: bytes that can be read at once. `ENOTTY` where it means nothing; terminals answer themselves.
    pub fn bytes_available(&mut self, ctx: &Ctx, fd: Fd) -> Result<usize, Errno> {
        let (_, desc) = self.file(ctx, fd)?;
        match desc.what {
            What::Pipe(pipe) => Ok(self.pipes.get(pipe).ok_or(Errno::EBADF)?.len()),
            What::Socket { pair, side } => self.socket_available(pair, side),
            What::File => Ok(self.size_of(desc.place)?.saturating_sub(desc.offset) as usize),
            _ => Err(Errno::ENOTTY),
        }
    }

    /// sendfile(2): `offset` is read and moved if given, else the input's own. Returns early, with what was moved, when the
    /// output is full. Input and output must be ours (`EINVAL` else: programs fall back to read and write).
    pub fn sendfile(&mut self, ctx: &Ctx, output: Fd, input: Fd, offset: Option<&mut i64>, count: usize) -> Try {
        let (in_id, from) = self.file(ctx, input)?;
        let (out_id, to) = self.file(ctx, output)?;
        if !readable(from.flags) || !writable(to.flags) {
            return Err(Errno::EBADF);
        }
        let remote = matches!(to.what, What::Remote { .. } | What::Terminal { .. });
        if !matches!(from.what, What::File) || remote || to.flags & sys::O_APPEND != 0 {
            return Err(Errno::EINVAL);
        }
        let start = match &offset {
            Some(o) => position(**o)?,
            None => from.offset,
        };
        let outcome = self.pump(ctx, in_id, start, (out_id, At::Offset), count)?;
        if let Outcome::Done(done) = outcome {
            self.moved_input(in_id, offset, start, done)?;
        }
        Ok(outcome)
    }

    fn moved_input(&mut self, id: DescId, offset: Option<&mut i64>, start: u64, done: usize) -> Result<(), Errno> {
        let end = start + done as u64;
        match offset {
            Some(offset) => *offset = end as i64,
            None => self.descs.get_mut(id).ok_or(Errno::EBADF)?.offset = end,
        }
        Ok(())
    }

    /// Moves up to `count` bytes of a file to another description, a page at a time.
    fn pump(&mut self, ctx: &Ctx, input: DescId, start: u64, output: (DescId, At), count: usize) -> Try {
        let desc = self.descs.get(input).ok_or(Errno::EBADF)?;
        let (flags, inode) = (desc.flags, desc.place.inode().ok_or(Errno::EINVAL)?);
        let (out_id, out_at) = output;
        let mut page = [0; PIPE_BUF];
        let mut done = 0;
        while done < count {
            let want = (count - done).min(page.len());
            let mut buffer = SliceDest::new(page.get_mut(..want).unwrap_or(&mut []));
            let n = self.read_file(ctx, inode, start + done as u64, flags, &mut buffer)?;
            if n == 0 {
                break;
            }
            let mut source = SliceSource(page.get(..n).unwrap_or(&[]));
            let at = match out_at {
                At::Here(offset) => At::Here(offset + done as u64),
                At::Offset => At::Offset,
            };
            match self.write_desc(ctx, out_id, &mut source, at, &mut Progress::default()) {
                Ok(Outcome::Done(m)) => {
                    done += m;
                    if m < n {
                        break;
                    }
                }
                Ok(_) | Err(_) if done > 0 => break,
                other => return other,
            }
        }
        Ok(Outcome::Done(done))
    }

    /// copy_file_range(2); both files in memory (`EXDEV` if one is not, as between file systems: programs fall back).
    pub fn copy_file_range(
        &mut self,
        ctx: &Ctx,
        input: Fd,
        from: Option<&mut i64>,
        output: Fd,
        to: Option<&mut i64>,
        len: usize,
    ) -> Try {
        let (in_id, source) = self.file(ctx, input)?;
        let (out_id, sink) = self.file(ctx, output)?;
        if !readable(source.flags) || !writable(sink.flags) || sink.flags & sys::O_APPEND != 0 {
            return Err(Errno::EBADF);
        }
        match (&source.what, &sink.what) {
            (What::File, What::File) => {}
            (What::Dir, _) | (_, What::Dir) => return Err(Errno::EISDIR),
            (What::Remote { .. }, _) | (_, What::Remote { .. }) => return Err(Errno::EXDEV),
            _ => return Err(Errno::EINVAL),
        }
        let start = from.as_deref().map_or(Ok(source.offset), |o| position(*o))?;
        let at = to.as_deref().map_or(Ok(sink.offset), |o| position(*o))?;
        let end = start.checked_add(len as u64).ok_or(Errno::EOVERFLOW)?;
        let out_end = at.checked_add(len as u64).ok_or(Errno::EOVERFLOW)?;
        if source.place == sink.place && start < out_end && at < end {
            return Err(Errno::EINVAL);
        }
        let outcome = self.pump(ctx, in_id, start, (out_id, At::Here(at)), len)?;
        if let Outcome::Done(done) = outcome {
            self.moved_input(in_id, from, start, done)?;
            self.moved_input(out_id, to, at, done)?;
        }
        Ok(outcome)
    }
}

/// `base + delta`, not below zero and not past the largest offset.
pub(crate) fn moved(base: u64, delta: i64) -> Result<u64, Errno> {
    let sum = base.checked_add_signed(delta).ok_or(if delta < 0 { Errno::EINVAL } else { Errno::EOVERFLOW })?;
    if sum > i64::MAX as u64 { Err(Errno::EOVERFLOW) } else { Ok(sum) }
}
