//! Sockets: pairs of local ones, and what is done with them. There are no others yet: `socket` itself is not there.

use super::file::{at_once, kept_progress, moved_later, one, vectors, with_signals};
use super::{Answer, Args};
use crate::ctx::Ctx;
use crate::errno::Errno;
use crate::files::GuestBuffer;
use crate::step::{DONE, Outcome};
use alloc::vec::Vec;
use linux_raw_sys::general as g;
use sal_vfs::{Ends, MessageFlags, Outcome as FileOutcome, Received, SocketKind};

/// linux/socket.h, linux/net.h
mod number {
    pub(super) const AF_UNIX: u32 = 1;
    pub(super) const SOCK_STREAM: u32 = 1;
    pub(super) const SOCK_DGRAM: u32 = 2;
    pub(super) const SOCK_RAW: u32 = 3;
    pub(super) const SOCK_SEQPACKET: u32 = 5;
    pub(super) const SOCK_TYPE: u32 = 0xf;
    pub(super) const MSG_OOB: u32 = 0x1;
    pub(super) const MSG_TRUNC: u32 = 0x20;
    pub(super) const MSG_EOR: u32 = 0x80;
    pub(super) const MSG_NOSIGNAL: u32 = 0x4000;
    pub(super) const MSG_CMSG_CLOEXEC: u32 = 0x4000_0000;
    pub(super) const SOL_SOCKET: u32 = 1;
    pub(super) const SO_TYPE: u32 = 3;
    pub(super) const SO_ERROR: u32 = 4;
    pub(super) const SO_ACCEPTCONN: u32 = 30;
    pub(super) const SO_PROTOCOL: u32 = 38;
    pub(super) const SO_DOMAIN: u32 = 39;
}
use number as n;

/// Closes both of a pair that the program never learns of.
fn take_back(ctx: &mut Ctx, (left, right): (i32, i32), error: Errno) -> Answer {
    at_once(ctx, |vfs, c| vfs.close(c, left).and(vfs.close(c, right)))?;
    Err(error)
}

pub(super) fn socketpair(ctx: &mut Ctx, [family, kind, protocol, at, ..]: Args) -> Answer {
    let (kind, flags) = (kind as u32 & n::SOCK_TYPE, kind as u32 & !n::SOCK_TYPE);
    if flags & !(g::O_CLOEXEC | g::O_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    if family as u32 != n::AF_UNIX {
        return Err(Errno::EAFNOSUPPORT);
    }
    // Zero, or the family once more.
    if protocol as u32 != 0 && protocol as u32 != n::AF_UNIX {
        return Err(Errno::EPROTONOSUPPORT);
    }
    let kind = match kind {
        n::SOCK_STREAM => SocketKind::Stream,
        n::SOCK_SEQPACKET => SocketKind::Packet,
        // As on Linux: for local sockets raw ones are datagrams.
        n::SOCK_DGRAM | n::SOCK_RAW => SocketKind::Datagram,
        _ => return Err(Errno::ESOCKTNOSUPPORT),
    };
    let pair = at_once(ctx, |vfs, c| vfs.socket_pair(c, kind, flags))?;
    let both = pair.0 as u32 as u64 | (pair.1 as u32 as u64) << 32;
    match ctx.mem.put_u64(at, both) {
        Ok(()) => DONE,
        Err(error) => take_back(ctx, pair, error),
    }
}

/// What the file system looks at. Urgent bytes are not carried.
fn how(flags: u32) -> Result<MessageFlags, Errno> {
    if flags & n::MSG_OOB != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    Ok(MessageFlags::from_bits_truncate(flags))
}

fn send(ctx: &mut Ctx, fd: i32, buffers: &[GuestBuffer], flags: u32) -> Answer {
    let how = how(flags)?;
    let mut progress = kept_progress(ctx)?;
    let outcome = ctx.files(buffers, progress.done as u64, |vfs, c, user| vfs.send(c, fd, user, how, &mut progress))?;
    let answer = match outcome {
        Ok(FileOutcome::Done(n)) => Ok(Outcome::Value(n as u64)),
        Ok(FileOutcome::Block(on)) => moved_later(ctx, on, progress),
        Ok(FileOutcome::Remote(_)) => Err(Errno::EIO),
        Err(error) => Err(error.into()),
    };
    if flags & n::MSG_NOSIGNAL != 0 { answer } else { with_signals(ctx, fd, answer) }
}

/// An address is for sockets that are not connected: a stream says so, and nobody has a name here.
fn check_address(ctx: &mut Ctx, fd: i32, length: u64) -> Result<(), Errno> {
    if length == 0 {
        return Ok(());
    }
    match at_once(ctx, |vfs, c| vfs.socket_kind(c, fd))? {
        SocketKind::Stream => Err(Errno::EISCONN),
        SocketKind::Packet => Ok(()),
        SocketKind::Datagram => Err(Errno::ECONNREFUSED),
    }
}

pub(super) fn sendto(ctx: &mut Ctx, [fd, at, length, flags, address, address_length]: Args) -> Answer {
    let buffers = one(at, length)?;
    check_address(ctx, fd as i32, if address == 0 { 0 } else { address_length as u32 as u64 })?;
    send(ctx, fd as i32, &buffers, flags as u32)
}

/// What came, or the wait for it.
fn receive(ctx: &mut Ctx, fd: i32, buffers: &[GuestBuffer], flags: u32) -> Result<Result<Received, Outcome>, Errno> {
    let how = how(flags)?;
    let mut progress = kept_progress(ctx)?;
    let outcome =
        ctx.files(buffers, progress.done as u64, |vfs, c, user| vfs.receive(c, fd, user, how, &mut progress))?;
    let done = Received { count: progress.done, length: progress.done };
    match outcome? {
        FileOutcome::Done(received) => Ok(Ok(received)),
        FileOutcome::Block(on) => match moved_later(ctx, on, progress)? {
            Outcome::Value(_) => Ok(Ok(done)),
            later => Ok(Err(later)),
        },
        FileOutcome::Remote(_) => Err(Errno::EIO),
    }
}

/// `MSG_TRUNC` asks for the packet's whole length.
fn value(received: Received, flags: u32) -> u64 {
    if flags & n::MSG_TRUNC != 0 { received.length as u64 } else { received.count as u64 }
}

pub(super) fn recvfrom(ctx: &mut Ctx, [fd, at, length, flags, address, address_length]: Args) -> Answer {
    let buffers = one(at, length)?;
    let flags = flags as u32;
    let received = match receive(ctx, fd as i32, &buffers, flags)? {
        Ok(received) => received,
        Err(later) => return Ok(later),
    };
    if address != 0 {
        // Who sent it has no name.
        ctx.mem.put_u32(address_length, 0)?;
    }
    Ok(Outcome::Value(value(received, flags)))
}

/// `struct msghdr`: words of name, its length, the vectors, their number, ancillary data, its length.
fn message(ctx: &mut Ctx, at: u64) -> Result<([u64; 6], Vec<GuestBuffer>), Errno> {
    let words: [u64; 6] = ctx.mem.get_words(at)?;
    let [_, _, list, count, ..] = words;
    let buffers = vectors(ctx, list, count)?;
    Ok((words, buffers))
}

/// Where `struct msghdr` has what a receive sets: the name's length, the ancillary data's, the flags.
const NAME_LENGTH: u64 = 8;
const CONTROL_LENGTH: u64 = 40;
const FLAGS: u64 = 48;

/// Descriptors and credentials can't be passed yet.
pub(super) fn sendmsg(ctx: &mut Ctx, [fd, at, flags, ..]: Args) -> Answer {
    let ([name, name_length, _, _, _, control], buffers) = message(ctx, at)?;
    if control != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    check_address(ctx, fd as i32, if name == 0 { 0 } else { name_length as u32 as u64 })?;
    send(ctx, fd as i32, &buffers, flags as u32)
}

pub(super) fn recvmsg(ctx: &mut Ctx, [fd, at, flags, ..]: Args) -> Answer {
    let (fd, flags) = (fd as i32, flags as u32);
    let ([name, ..], buffers) = message(ctx, at)?;
    let received = match receive(ctx, fd, &buffers, flags)? {
        Ok(received) => received,
        Err(later) => return Ok(later),
    };
    let kind = at_once(ctx, |vfs, c| vfs.socket_kind(c, fd))?;
    let mut told = flags & n::MSG_CMSG_CLOEXEC;
    if received.length > received.count {
        told |= n::MSG_TRUNC;
    }
    if kind == SocketKind::Packet && received.length > 0 {
        told |= n::MSG_EOR;
    }
    if name != 0 {
        ctx.mem.put_u32(at.wrapping_add(NAME_LENGTH), 0)?;
    }
    ctx.mem.put_u32(at.wrapping_add(FLAGS), told)?;
    ctx.mem.put_u64(at.wrapping_add(CONTROL_LENGTH), 0)?;
    Ok(Outcome::Value(value(received, flags)))
}

pub(super) fn shutdown(ctx: &mut Ctx, [fd, which, ..]: Args) -> Answer {
    let which = match which as u32 {
        0 => Ends::Read,
        1 => Ends::Write,
        2 => Ends::Both,
        _ => return Err(Errno::EINVAL),
    };
    at_once(ctx, |vfs, c| vfs.shutdown(c, fd as i32, which))?;
    DONE
}

/// `struct sockaddr_un` of a socket without a name: the family alone.
pub(super) fn getsockname(ctx: &mut Ctx, [fd, at, length, ..]: Args) -> Answer {
    at_once(ctx, |vfs, c| vfs.socket_kind(c, fd as i32))?;
    put_sized(ctx, at, length, &(n::AF_UNIX as u16).to_le_bytes())?;
    ctx.mem.put_u32(length, 2)?;
    DONE
}

pub(super) fn getpeername(ctx: &mut Ctx, args: Args) -> Answer {
    getsockname(ctx, args)
}

/// As much of `bytes` as the program has room for, which its length says. How much that was.
fn put_sized(ctx: &mut Ctx, at: u64, length: u64, bytes: &[u8]) -> Result<u32, Errno> {
    let room = ctx.mem.get_u32(length)?;
    if (room as i32) < 0 {
        return Err(Errno::EINVAL);
    }
    let bytes = bytes.get(..room as usize).unwrap_or(bytes);
    ctx.mem.write(at, bytes)?;
    Ok(bytes.len() as u32)
}

pub(super) fn getsockopt(ctx: &mut Ctx, [fd, level, option, at, length, _]: Args) -> Answer {
    let fd = fd as i32;
    let kind = at_once(ctx, |vfs, c| vfs.socket_kind(c, fd))?;
    if level as u32 != n::SOL_SOCKET {
        return Err(Errno::EOPNOTSUPP);
    }
    let value = match option as u32 {
        n::SO_TYPE => match kind {
            SocketKind::Stream => n::SOCK_STREAM,
            SocketKind::Packet => n::SOCK_SEQPACKET,
            SocketKind::Datagram => n::SOCK_DGRAM,
        },
        n::SO_ERROR => at_once(ctx, |vfs, c| vfs.take_socket_error(c, fd))?.map_or(0, |e| e.raw()),
        n::SO_ACCEPTCONN | n::SO_PROTOCOL => 0,
        n::SO_DOMAIN => n::AF_UNIX,
        _ => return Err(Errno::ENOPROTOOPT),
    };
    let told = put_sized(ctx, at, length, &value.to_le_bytes())?;
    ctx.mem.put_u32(length, told)?;
    DONE
}
