//! socketpair, send, recv, shutdown. The order in which errors are looked at is that of Linux's `net/unix/af_unix.c`.

use crate::contents::{Contents, Dest, Source};
use crate::errno::Errno;
use crate::file::What;
use crate::node::{Body, Node, Place};
use crate::socket::{CAPACITY, Inbox, MessageFlags, PACKET_MOST, Pair, PairId, Side, SocketKind};
use crate::types::{Ctx, Fd, Outcome, Progress, Try};
use crate::vfs::Vfs;
use crate::wait::{Events, QueueId, WaitOn};
use alloc::vec;
use linux_raw_sys::general as sys;

/// Which directions shutdown(2) ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ends {
    /// `SHUT_RD`.
    Read,
    /// `SHUT_WR`.
    Write,
    /// `SHUT_RDWR`.
    Both,
}

/// What a receive brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Received {
    /// Bytes that are in the buffer.
    pub count: usize,
    /// Bytes that the packet had; what did not fit is lost. For a stream, as `count`.
    pub length: usize,
}

/// What `SO_ERROR` says, and forgets.
pub type SocketError = Option<Errno>;

/// A socket that a description is.
type EndOf = (PairId, Side);

/// How a descriptor's own flags make its reads and writes wait.
pub(crate) fn waiting(flags: u32) -> MessageFlags {
    if flags & sys::O_NONBLOCK != 0 { MessageFlags::DONTWAIT } else { MessageFlags::empty() }
}

impl<C: Contents> Vfs<C> {
    /// socketpair(2) of local sockets; `flags`: `O_CLOEXEC`, `O_NONBLOCK`.
    pub fn socket_pair(&mut self, ctx: &Ctx, kind: SocketKind, flags: u32) -> Result<(Fd, Fd), Errno> {
        if flags & !(sys::O_CLOEXEC | sys::O_NONBLOCK) != 0 {
            return Err(Errno::EINVAL);
        }
        self.check_free_fd(ctx, 2)?;
        let pair = Pair::new(kind, self.waits.create(), self.waits.create());
        let pair = self.pairs.insert(pair);
        let left = self.new_socket(ctx, (pair, Side::Left), flags)?;
        Ok((left, self.new_socket(ctx, (pair, Side::Right), flags)?))
    }

    fn new_socket(&mut self, ctx: &Ctx, (pair, side): EndOf, flags: u32) -> Result<Fd, Errno> {
        let owner = (ctx.cred.uid, ctx.cred.gid);
        let inode = self.new_inode(self.pipe_super, Body::Socket, 0o777, owner, ctx.now())?;
        let place = Place { mount: self.pipe_mount, node: Node::Inode(inode) };
        let open = sys::O_RDWR | flags & sys::O_NONBLOCK;
        let desc = self.new_desc(place, None, open, What::Socket { pair, side })?;
        self.install(ctx, desc, flags & sys::O_CLOEXEC != 0)
    }

    /// The socket that `fd` is, and its status flags; `ENOTSOCK` for anything else.
    fn socket(&self, ctx: &Ctx, fd: Fd) -> Result<(EndOf, u32), Errno> {
        let (_, desc) = self.file(ctx, fd)?;
        match desc.what {
            What::Socket { pair, side } => Ok(((pair, side), desc.flags)),
            _ => Err(Errno::ENOTSOCK),
        }
    }

    /// How the socket `fd` carries bytes.
    pub fn socket_kind(&self, ctx: &Ctx, fd: Fd) -> Result<SocketKind, Errno> {
        let ((pair, _), _) = self.socket(ctx, fd)?;
        Ok(self.pairs.get(pair).ok_or(Errno::EBADF)?.kind)
    }

    /// Does an `EPIPE` of `fd` come with SIGPIPE? Not that of a socket with packets.
    pub fn broken_pipe_signals(&self, ctx: &Ctx, fd: Fd) -> bool {
        self.socket_kind(ctx, fd).is_err_and(|e| e == Errno::ENOTSOCK)
            || self.socket_kind(ctx, fd) == Ok(SocketKind::Stream)
    }

    /// `SO_ERROR`.
    pub fn take_socket_error(&mut self, ctx: &Ctx, fd: Fd) -> Result<SocketError, Errno> {
        let ((pair, side), _) = self.socket(ctx, fd)?;
        Ok(self.pairs.get_mut(pair).ok_or(Errno::EBADF)?.ends(side).0.error.take())
    }

    /// recv(2) and its kin. `progress`: of a `MSG_WAITALL`, kept over a `Block` as a write's.
    pub fn receive(
        &mut self,
        ctx: &Ctx,
        fd: Fd,
        to: &mut dyn Dest,
        how: MessageFlags,
        progress: &mut Progress,
    ) -> Try<Received> {
        let (end, flags) = self.socket(ctx, fd)?;
        self.receive_at(end, how | waiting(flags), to, progress)
    }

    /// send(2) and its kin. `EPIPE`: see [`Vfs::broken_pipe_signals`].
    pub fn send(
        &mut self,
        ctx: &Ctx,
        fd: Fd,
        from: &mut dyn Source,
        how: MessageFlags,
        progress: &mut Progress,
    ) -> Try {
        let (end, flags) = self.socket(ctx, fd)?;
        self.write_socket(end, how | waiting(flags), from, progress)
    }

    pub(crate) fn read_socket(&mut self, end: EndOf, flags: u32, to: &mut dyn Dest) -> Try {
        if to.room() == 0 {
            return Ok(Outcome::Done(0));
        }
        Ok(match self.receive_at(end, waiting(flags), to, &mut Progress::default())? {
            Outcome::Done(received) => Outcome::Done(received.count),
            Outcome::Block(on) => Outcome::Block(on),
            Outcome::Remote(op) => Outcome::Remote(op),
        })
    }

    fn receive_at(
        &mut self,
        end: EndOf,
        how: MessageFlags,
        to: &mut dyn Dest,
        progress: &mut Progress,
    ) -> Try<Received> {
        match self.pairs.get(end.0).ok_or(Errno::EBADF)?.kind {
            SocketKind::Stream => self.receive_bytes(end, how, to, progress),
            _ => self.receive_packet(end, how, to),
        }
    }

    /// What is there comes first, then the error, then the end of file.
    fn receive_bytes(
        &mut self,
        (pair, side): EndOf,
        how: MessageFlags,
        to: &mut dyn Dest,
        progress: &mut Progress,
    ) -> Try<Received> {
        let (own, other) = self.pairs.get_mut(pair).ok_or(Errno::EBADF)?.ends(side);
        let Inbox::Bytes(ring) = &mut own.inbox else { return Err(Errno::EIO) };
        let got = if how.contains(MessageFlags::PEEK) { ring.peek(to, usize::MAX) } else { ring.read(to, usize::MAX) };
        match got {
            Ok(0) => {}
            Ok(n) => {
                progress.done += n;
                self.waits.wake(other.queue, Events::OUT);
            }
            Err(_) if progress.done > 0 => {}
            Err(e) => return Err(e),
        }
        let done = Ok(Outcome::Done(Received { count: progress.done, length: progress.done }));
        let all = how.contains(MessageFlags::WAITALL) && !how.contains(MessageFlags::PEEK);
        // Bytes that stayed behind did not fit, or the buffer faulted.
        if to.room() == 0 || !own.inbox.is_empty() || progress.done > 0 && !all {
            return done;
        }
        match own.error.take_if(|_| progress.done == 0) {
            Some(error) => Err(error),
            None if own.no_read => done,
            None if how.contains(MessageFlags::DONTWAIT) && progress.done > 0 => done,
            None if how.contains(MessageFlags::DONTWAIT) => Err(Errno::EAGAIN),
            None => Ok(Outcome::Block(WaitOn { queue: own.queue, events: Events::IN })),
        }
    }

    /// The error comes first. A packet is gone when it was read, however much of it fitted; after a fault it is still there.
    fn receive_packet(&mut self, (pair, side): EndOf, how: MessageFlags, to: &mut dyn Dest) -> Try<Received> {
        let pair = self.pairs.get_mut(pair).ok_or(Errno::EBADF)?;
        let kind = pair.kind;
        let (own, other) = pair.ends(side);
        if let Some(error) = own.error.take() {
            return Err(error);
        }
        let Inbox::Packets { queue, .. } = &own.inbox else { return Err(Errno::EIO) };
        if let Some(packet) = queue.front() {
            let count = packet.len().min(to.room());
            let length = packet.len();
            if count > 0 && to.put(packet.get(..count).unwrap_or(&[]))? < count {
                return Err(Errno::EFAULT);
            }
            if !how.contains(MessageFlags::PEEK) {
                own.inbox.pop();
                self.waits.wake(other.queue, Events::OUT);
            }
            return Ok(Outcome::Done(Received { count, length }));
        }
        let patient = !how.contains(MessageFlags::DONTWAIT);
        if own.no_read && (patient || kind == SocketKind::Packet) {
            return Ok(Outcome::Done(Received { count: 0, length: 0 }));
        }
        if !patient {
            return Err(Errno::EAGAIN);
        }
        Ok(Outcome::Block(WaitOn { queue: own.queue, events: Events::IN }))
    }

    pub(crate) fn write_socket(
        &mut self,
        end: EndOf,
        how: MessageFlags,
        from: &mut dyn Source,
        progress: &mut Progress,
    ) -> Try {
        match self.pairs.get(end.0).ok_or(Errno::EBADF)?.kind {
            SocketKind::Stream => self.send_bytes(end, how, from, progress),
            _ => self.send_packet(end, how, from),
        }
    }

    fn send_bytes(
        &mut self,
        (pair, side): EndOf,
        how: MessageFlags,
        from: &mut dyn Source,
        progress: &mut Progress,
    ) -> Try {
        let (own, other) = self.pairs.get_mut(pair).ok_or(Errno::EBADF)?.ends(side);
        if own.no_write {
            return if progress.done > 0 { Ok(Outcome::Done(progress.done)) } else { Err(Errno::EPIPE) };
        }
        let Inbox::Bytes(ring) = &mut other.inbox else { return Err(Errno::EIO) };
        let (left, fits) = (from.left(), ring.free().min(from.left()));
        match ring.write(from, fits) {
            Ok(n) => {
                progress.done += n;
                if n > 0 {
                    self.waits.wake(other.queue, Events::IN);
                }
                if n < fits || n == left {
                    return Ok(Outcome::Done(progress.done));
                }
            }
            Err(_) if progress.done > 0 => return Ok(Outcome::Done(progress.done)),
            Err(e) => return Err(e),
        }
        match (how.contains(MessageFlags::DONTWAIT), progress.done) {
            (true, 0) => Err(Errno::EAGAIN),
            (true, done) => Ok(Outcome::Done(done)),
            (false, _) => Ok(Outcome::Block(WaitOn { queue: own.queue, events: Events::OUT })),
        }
    }

    /// A packet goes whole or not at all: as soon as what is on its way is less than the capacity.
    fn send_packet(&mut self, (pair, side): EndOf, how: MessageFlags, from: &mut dyn Source) -> Try {
        let pair = self.pairs.get_mut(pair).ok_or(Errno::EBADF)?;
        let kind = pair.kind;
        let (own, other) = pair.ends(side);
        let length = from.left();
        if length > PACKET_MOST {
            return Err(Errno::EMSGSIZE);
        }
        if let Some(error) = own.error.take() {
            return Err(error);
        }
        if own.no_write {
            return Err(Errno::EPIPE);
        }
        if kind == SocketKind::Datagram && !other.open {
            if own.alone {
                return Err(Errno::ENOTCONN);
            }
            // The association ends, and what came through it goes with it.
            own.alone = true;
            own.inbox = Inbox::new(kind);
            return Err(Errno::ECONNREFUSED);
        }
        if other.no_read {
            return Err(Errno::EPIPE);
        }
        if other.inbox.used() >= CAPACITY {
            return match how.contains(MessageFlags::DONTWAIT) {
                true => Err(Errno::EAGAIN),
                false => Ok(Outcome::Block(WaitOn { queue: own.queue, events: Events::OUT })),
            };
        }
        let mut packet = vec![0; length];
        if length > 0 && from.take(&mut packet)? < length {
            return Err(Errno::EFAULT);
        }
        other.inbox.push(packet.into());
        self.waits.wake(other.queue, Events::IN);
        Ok(Outcome::Done(length))
    }

    /// shutdown(2). The other end of a connection feels it; of datagram sockets only this end does.
    pub fn shutdown(&mut self, ctx: &Ctx, fd: Fd, which: Ends) -> Result<(), Errno> {
        let ((pair, side), _) = self.socket(ctx, fd)?;
        let pair = self.pairs.get_mut(pair).ok_or(Errno::EBADF)?;
        let connected = pair.kind != SocketKind::Datagram;
        let (own, other) = pair.ends(side);
        if which != Ends::Write {
            own.no_read = true;
            other.no_write |= connected;
        }
        if which != Ends::Read {
            own.no_write = true;
            other.no_read |= connected;
        }
        for queue in [own.queue, other.queue] {
            self.waits.wake(queue, Events::HUP);
        }
        Ok(())
    }

    /// The end's description is gone. What it had not read is a reset for the other end of a connection.
    pub(crate) fn leave_socket(&mut self, id: PairId, side: Side) {
        let Some(pair) = self.pairs.get_mut(id) else { return };
        let connected = pair.kind != SocketKind::Datagram;
        let kind = pair.kind;
        let (own, other) = pair.ends(side);
        own.open = false;
        if connected {
            (other.no_read, other.no_write) = (true, true);
            if !own.inbox.is_empty() {
                other.error = Some(Errno::ECONNRESET);
            }
        }
        own.inbox = Inbox::new(kind);
        let (queue, others, last) = (own.queue, other.queue, !other.open);
        self.waits.destroy(queue);
        self.waits.wake(others, Events::HUP);
        if last {
            self.pairs.remove(id);
        }
    }

    pub(crate) fn socket_ready(&mut self, pair: PairId, side: Side) -> Result<(Events, QueueId), Errno> {
        let pair = self.pairs.get_mut(pair).ok_or(Errno::EBADF)?;
        Ok((pair.ready(side), pair.ends(side).0.queue))
    }

    pub(crate) fn socket_available(&mut self, pair: PairId, side: Side) -> Result<usize, Errno> {
        Ok(self.pairs.get_mut(pair).ok_or(Errno::EBADF)?.available(side))
    }
}
