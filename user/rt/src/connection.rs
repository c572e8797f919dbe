//! The client's side of a service: repeats what must be repeated, so that a restart of the server is a pause and nothing else.
//!
//! A request carries its slot and sequence number at each repetition. The loop ends with an answer or with an error that repeating can't mend
//! (`EndpointFailed`: the supervisor has given the service up; `Interrupted`; `DeadlinePassed`; a bad handle). After `Interrupted` the request may
//! have been served or not; the next request's number tells the server that nobody waits for the answer.

use crate::clock;
use crate::guest::{self, Access};
use core::sync::atomic::{AtomicU32, Ordering};
use sal_abi::message::{CAPS, LOANS};
use sal_abi::{CapArg, Error, Handle, Loan, Rights, Words};
use sal_idl::client::Received;
use sal_idl::header::{self, Header, OPEN, REPEATED, next_sequence};
use sal_idl::{Failure, Give, Lend, ReadLend, Request, Status, Transport, TransportError, WriteLend};
use sal_sys::ipc::{self, Extras, Failed};
use sal_sys::page;

/// How long a client waits before it asks a paused server again.
const LATER_NS: u64 = 10_000_000;

/// A client thread's connection to one server. Not shared between threads: each opens its own.
#[derive(Debug)]
pub struct Connection {
    endpoint: Handle,
    slot: u16,
    sequence: u32,
}

impl Connection {
    /// Without a slot: for requests that need no memory of their answers.
    pub const fn plain(endpoint: Handle) -> Connection {
        Connection { endpoint, slot: 0, sequence: 0 }
    }

    /// Opens the slot of the client thread `key` (not 0; see [`fresh_key`]).
    ///
    /// # Errors
    /// `UnknownOperation`: the server keeps no slots, or has none free. The transport's.
    pub fn open(endpoint: Handle, key: u32) -> Result<Connection, Failure<u16>> {
        let mut connection = Connection::plain(endpoint);
        let mut request = Request {
            words: sal_idl::client::request_words(OPEN, &[u64::from(key)]),
            lends: &mut [],
            gives: &[],
            accept: 0,
        };
        let received = connection.exchange(&mut request)?;
        sal_idl::client::done(&received, 0, Some)?;
        let [_, slot, ..] = received.words;
        connection.slot = u16::try_from(slot).map_err(|_| Failure::BadReply)?;
        connection.sequence = header::SEQUENCES - 1;
        Ok(connection)
    }

    /// Continues a slot that a predecessor of this program opened: the next request has the number after `sequence`. To repeat number n,
    /// resume at n - 1.
    pub const fn resume(endpoint: Handle, slot: u16, sequence: u32) -> Connection {
        Connection { endpoint, slot, sequence }
    }

    /// The server's endpoint.
    pub const fn endpoint(&self) -> Handle {
        self.endpoint
    }

    /// Slot, and the number of the last request.
    pub const fn position(&self) -> (u16, u32) {
        (self.slot, self.sequence)
    }
}

/// A key that no other thread of this incarnation has, and none of another but by chance.
pub fn fresh_key() -> u32 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let seed = crate::start::own::startup().map_or(0, |startup| startup.entropy[0] as u32);
    let key = seed.wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed));
    if key == 0 { fresh_key() } else { key }
}

impl Transport for Connection {
    fn exchange(&mut self, request: &mut Request<'_, '_>) -> Result<Received, TransportError> {
        let [word0, ..] = request.words;
        let mut head = Header { slot: self.slot, ..Header::from_word(word0) };
        if self.sequence != 0 {
            self.sequence = next_sequence(self.sequence);
            head.sequence = self.sequence;
        }
        loop {
            let [word0, ..] = &mut request.words;
            *word0 = head.word();
            match send(self.endpoint, request) {
                Ok(received) => match Status::from_word(received.words[0]) {
                    Some(Status::Absent) => bring(request, &received.words)?,
                    Some(Status::Later) => clock::sleep_until(clock::now() + LATER_NS)?,
                    _ => return Ok(received),
                },
                Err(failed) if failed.error == Error::ServerDied => head.flags |= REPEATED,
                Err(Failed { error, code }) => return Err(TransportError { error, code }),
            }
        }
    }
}

/// One message and its answer.
fn send(endpoint: Handle, request: &mut Request<'_, '_>) -> Result<Received, Failed> {
    let mut loans = [Loan::default(); LOANS];
    let lent = request.lends.len().min(LOANS);
    loans.iter_mut().zip(request.lends.iter_mut()).for_each(|(to, lend)| *to = loan(lend));
    let mut caps = [CapArg::default(); CAPS];
    caps.iter_mut().zip(request.gives).for_each(|(to, give)| *to = cap(give));
    let given = page::set_send(caps.get(..request.gives.len()).unwrap_or(&caps));
    let extras = Extras::new(lent, given, request.accept);
    // SAFETY: every loan is a buffer that `request` borrows, for writing if it is lent for writing, or lies in the guest half.
    let answer = unsafe {
        page::set_loans(loans.get(..lent).unwrap_or(&loans));
        ipc::call_lending(endpoint, &request.words, extras)
    }?;
    let count = answer.arrival.caps().min(CAPS);
    let mut handles = [Handle::NONE; CAPS];
    handles.iter_mut().take(count).enumerate().for_each(|(i, handle)| *handle = page::received(i));
    Ok(Received { words: answer.words, handles, count })
}

/// A lent buffer as the kernel wants it.
fn loan(lend: &mut Lend<'_>) -> Loan {
    let (address, rights) = match lend {
        Lend::Read(ReadLend::Own(bytes)) => (bytes.as_ptr() as u64, Rights::READ),
        Lend::Write(WriteLend::Own(bytes)) => (bytes.as_mut_ptr() as u64, Rights::WRITE),
        Lend::Read(ReadLend::Guest(address, _)) => (*address, Rights::READ),
        Lend::Write(WriteLend::Guest(address, _)) => (*address, Rights::WRITE),
    };
    Loan { address, length: lend.length(), rights: rights.0, reserved: 0 }
}

/// A capability to send; requests give copies only.
pub(crate) fn cap(give: &Give) -> CapArg {
    CapArg { handle: give.handle, rights: give.rights.0, moved: u32::from(give.mode == sal_idl::Mode::Move) }
}

/// Touches the page that the server missed.
fn bring(request: &mut Request<'_, '_>, words: &Words) -> Result<(), TransportError> {
    const REFUSED: TransportError = TransportError { error: Error::BadAddress, code: 0 };
    let [_, index, offset, ..] = *words;
    let lend = usize::try_from(index).ok().and_then(|index| request.lends.get_mut(index)).ok_or(REFUSED)?;
    if offset >= lend.length() {
        return Err(REFUSED);
    }
    let touched = match lend {
        Lend::Read(ReadLend::Own(bytes)) => {
            // SAFETY: inside the slice.
            unsafe { bytes.as_ptr().add(offset as usize).read_volatile() };
            true
        }
        Lend::Write(WriteLend::Own(bytes)) => {
            // A real store: the compiler may turn an atomic operation that changes nothing into a load, which brings no writable page.
            guest::touch_write((bytes.as_mut_ptr() as u64).saturating_add(offset))
        }
        Lend::Read(ReadLend::Guest(address, _)) => guest::touch(address.saturating_add(offset), Access::Read),
        Lend::Write(WriteLend::Guest(address, _)) => guest::touch(address.saturating_add(offset), Access::Write),
    };
    if touched { Ok(()) } else { Err(REFUSED) }
}
