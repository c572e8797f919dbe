//! A transport that hands requests straight to a dispatcher: for tests of clients and servers on the host.

use crate::client::{Lend, ReadLend, Received, Request, Transport, TransportError, WriteLend};
use crate::header::Header;
use crate::server::{Attachments, Outcome};
use sal_abi::message::{Arrival, CAPS, Kind};
use sal_abi::{Error, Handle, Words};

/// What a loop-back request carries, seen by the server.
pub struct Carried<'r, 'a> {
    lends: &'r mut [Lend<'a>],
    handles: [Handle; CAPS],
    /// Handles that the server's side closed.
    pub closed: usize,
    /// Where the caller was kept.
    pub kept: Option<Handle>,
}

impl<'r, 'a> Carried<'r, 'a> {
    /// Buffers and handles, as a request would carry them.
    pub fn new(lends: &'r mut [Lend<'a>], handles: [Handle; CAPS]) -> Carried<'r, 'a> {
        Carried { lends, handles, closed: 0, kept: None }
    }
}

/// The part of a buffer that starts at `offset` and has `length` bytes.
fn range(offset: u64, length: usize) -> Result<core::ops::Range<usize>, Error> {
    let start = usize::try_from(offset).map_err(|_| Error::OutOfLoan)?;
    Ok(start..start.checked_add(length).ok_or(Error::OutOfLoan)?)
}

impl Attachments for Carried<'_, '_> {
    fn lent(&self, loan: usize) -> u64 {
        self.lends.get(loan).map_or(0, Lend::length)
    }

    fn read(&mut self, loan: usize, offset: u64, to: &mut [u8]) -> Result<usize, Error> {
        let Some(Lend::Read(ReadLend::Own(bytes))) = self.lends.get(loan) else {
            return Err(Error::OutOfLoan);
        };
        let part = bytes.get(range(offset, to.len())?).ok_or(Error::OutOfLoan)?;
        to.copy_from_slice(part);
        Ok(part.len())
    }

    fn write(&mut self, loan: usize, offset: u64, from: &[u8]) -> Result<usize, Error> {
        let Some(Lend::Write(WriteLend::Own(bytes))) = self.lends.get_mut(loan) else {
            return Err(Error::OutOfLoan);
        };
        let part = bytes.get_mut(range(offset, from.len())?).ok_or(Error::OutOfLoan)?;
        part.copy_from_slice(from);
        Ok(from.len())
    }

    fn received(&self, i: usize) -> Handle {
        self.handles.get(i).copied().unwrap_or(Handle::NONE)
    }

    fn close(&mut self, _handle: Handle) {
        self.closed += 1;
    }

    fn keep(&mut self, place: Handle) -> Result<(), Error> {
        self.kept = Some(place);
        Ok(())
    }
}

/// A transport over a function that dispatches one message. A kept caller gets `ServerDied`: nobody would answer it.
pub struct Loopback<F> {
    dispatch: F,
    badge: u64,
    slot: u16,
    sequence: u32,
}

impl<F: FnMut(Arrival, u64, &Words, &mut dyn Attachments) -> Outcome> Loopback<F> {
    /// `dispatch` gets arrival, badge, words, attachments; as in `|a, b, w, x| names::dispatch(&mut server, a, b, w, x)`.
    pub fn new(badge: u64, slot: u16, dispatch: F) -> Loopback<F> {
        Loopback { dispatch, badge, slot, sequence: 0 }
    }
}

impl<F: FnMut(Arrival, u64, &Words, &mut dyn Attachments) -> Outcome> Transport for Loopback<F> {
    fn exchange(&mut self, request: &mut Request<'_, '_>) -> Result<Received, TransportError> {
        self.sequence = crate::header::next_sequence(self.sequence);
        let [first, ..] = request.words;
        let header = Header { slot: self.slot, sequence: self.sequence, ..Header::from_word(first) };
        let mut words = request.words;
        let [word0, ..] = &mut words;
        *word0 = header.word();
        let mut handles = [Handle::NONE; CAPS];
        handles.iter_mut().zip(request.gives).for_each(|(to, give)| *to = give.handle);
        let arrival = Arrival::new(Kind::Message, request.lends.len(), request.gives.len());
        let mut carried = Carried::new(request.lends, handles);
        match (self.dispatch)(arrival, self.badge, &words, &mut carried) {
            Outcome::Kept => Err(TransportError { error: Error::ServerDied, code: 0 }),
            Outcome::Reply(response) if response.count > request.accept => {
                Err(TransportError { error: Error::NotAccepted, code: 0 })
            }
            Outcome::Reply(response) => {
                let handles = response.gives.map(|give| give.handle);
                Ok(Received { words: response.words, handles, count: response.count })
            }
        }
    }
}
