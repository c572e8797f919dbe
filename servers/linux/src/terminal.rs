//! The console as the programs' terminal, or as their three streams (tty 1 input, 2 output, 3 error output).

use crate::pool::{self, Pool};
use alloc::vec;
use linux_raw_sys::general as g;
use sal_idl::{Failure, ReadLend, WriteLend};
use sal_linux_core::{Errno, GuestBuffer, RemoteRequest, RemoteResult};
use sal_proto::console::{Client, Error, Stream, event, flags};
use sal_rt::Connection;
use sal_vfs::{Reply, Request};

/// Makes the call.
pub(crate) fn call(console: &Pool, tty: u32, request: &RemoteRequest, buffers: &[GuestBuffer]) -> RemoteResult {
    let result = console.with(|connection| match request {
        RemoteRequest::File(request) => file(connection, tty, request, buffers),
        RemoteRequest::Ioctl { request, argument, data, answer } => {
            ioctl(connection, (*request, *argument), data, *answer)
        }
        RemoteRequest::Poll { .. } => poll(connection, tty),
    });
    result.unwrap_or_else(|failure| failed(&failure))
}

type Answer = Result<RemoteResult, Failure<Error>>;

fn failed(failure: &Failure<Error>) -> RemoteResult {
    if pool::interrupted(failure) {
        return RemoteResult::Interrupted;
    }
    RemoteResult::Failed(match failure {
        Failure::Refused(Error::WouldBlock) => Errno::EAGAIN,
        Failure::Refused(Error::NotATerminal) => Errno::ENOTTY,
        Failure::Refused(Error::BadArgument) => Errno::EINVAL,
        failure if pool::bad_buffer(failure) => Errno::EFAULT,
        _ => Errno::EIO,
    })
}

fn stream(tty: u32) -> Stream {
    match tty {
        0 | 1 => Stream::Input,
        2 => Stream::Output,
        _ => Stream::Error,
    }
}

fn count(bytes: u64) -> RemoteResult {
    RemoteResult::File(Reply::Count(bytes as usize))
}

fn waiting(nonblock: bool) -> u32 {
    if nonblock { flags::NONBLOCK } else { 0 }
}

fn file(connection: &mut Connection, tty: u32, request: &Request, buffers: &[GuestBuffer]) -> Answer {
    match *request {
        Request::Read { nonblock, .. } => match buffers.first() {
            Some(buffer) => read(connection, tty, *buffer, nonblock),
            None => Ok(count(0)),
        },
        Request::Write { nonblock, .. } => write(connection, tty, buffers, nonblock),
        Request::Sync { .. } => Ok(RemoteResult::Failed(Errno::EINVAL)),
        Request::Ioctl { .. } => Ok(RemoteResult::Failed(Errno::ENOTTY)),
        _ => Ok(RemoteResult::Failed(Errno::EINVAL)),
    }
}

/// An interrupted request is repeated under its number without waiting: what was done for it already is not lost.
fn read(connection: &mut Connection, tty: u32, buffer: GuestBuffer, nonblock: bool) -> Answer {
    let mut how = waiting(nonblock);
    let mut repeated = false;
    loop {
        let lend = WriteLend::Guest(buffer.address, buffer.length);
        match Client(&mut *connection).read(stream(tty), how, lend) {
            Ok(reply) => return Ok(count(u64::from(reply.count))),
            Err(failure) if pool::interrupted(&failure) => {
                pool::repeat(connection);
                (how, repeated) = (flags::NONBLOCK, true);
            }
            Err(Failure::Refused(Error::WouldBlock)) if repeated && !nonblock => {
                return Ok(RemoteResult::Interrupted);
            }
            Err(Failure::Refused(Error::HangUp)) => return Ok(count(0)),
            Err(failure) => return Err(failure),
        }
    }
}

/// Writes all of the buffers, as a program that waits expects.
fn write(connection: &mut Connection, tty: u32, buffers: &[GuestBuffer], nonblock: bool) -> Answer {
    let mut total = 0;
    for buffer in buffers {
        let mut done = 0;
        while done < buffer.length {
            let rest = GuestBuffer { address: buffer.address + done, length: buffer.length - done };
            match piece(connection, tty, rest, nonblock) {
                Ok(Piece::Written(n)) => done += n,
                Ok(Piece::Interrupted(n)) => match total + done + n {
                    0 => return Ok(RemoteResult::Interrupted),
                    some => return Ok(count(some)),
                },
                Err(_) if total + done > 0 => return Ok(count(total + done)),
                Err(failure) => return Err(failure),
            }
        }
        total += done;
    }
    Ok(count(total))
}

/// How one request of a write went.
enum Piece {
    Written(u64),
    /// What was written before that.
    Interrupted(u64),
}

fn piece(connection: &mut Connection, tty: u32, buffer: GuestBuffer, nonblock: bool) -> Result<Piece, Failure<Error>> {
    let mut how = waiting(nonblock);
    let mut repeated = false;
    loop {
        let lend = ReadLend::Guest(buffer.address, buffer.length);
        match Client(&mut *connection).write(stream(tty), how, lend) {
            Ok(reply) if repeated => return Ok(Piece::Interrupted(u64::from(reply.count))),
            Ok(reply) => return Ok(Piece::Written(u64::from(reply.count))),
            Err(failure) if pool::interrupted(&failure) => {
                pool::repeat(connection);
                (how, repeated) = (flags::NONBLOCK, true);
            }
            Err(Failure::Refused(Error::WouldBlock)) if repeated && !nonblock => {
                return Ok(Piece::Interrupted(0));
            }
            Err(failure) => return Err(failure),
        }
    }
}

fn ioctl(connection: &mut Connection, (request, argument): (u32, u64), data: &[u8], answer: usize) -> Answer {
    let mut output = vec![0; answer];
    let reply = Client(connection).ioctl(request, argument, data, output.as_mut_slice())?;
    // What comes in a structure is not the call's result as well (FIONREAD).
    let value = if answer == 0 { reply.value as u64 } else { 0 };
    Ok(RemoteResult::Bytes(value, output))
}

fn poll(connection: &mut Connection, tty: u32) -> Answer {
    let ready = Client(connection).poll()?.ready;
    let bits = [
        (event::READABLE, g::POLLIN | g::POLLRDNORM),
        (event::WRITABLE, g::POLLOUT | g::POLLWRNORM),
        (event::HANGUP, g::POLLHUP),
    ];
    let of_stream = match stream(tty) {
        _ if tty == 0 => event::READABLE | event::WRITABLE | event::HANGUP,
        Stream::Input => event::READABLE | event::HANGUP,
        _ => event::WRITABLE | event::HANGUP,
    };
    let ready = ready & of_stream;
    let holds = bits.iter().filter(|(bit, _)| ready & bit != 0).fold(0, |all, (_, poll)| all | poll);
    Ok(RemoteResult::File(Reply::Number(i64::from(holds))))
}
