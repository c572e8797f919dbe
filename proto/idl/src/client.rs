//! The client's side: what a stub hands to a transport, and what can go wrong.

use crate::header::{Header, Status};
use crate::server::Give;
use sal_abi::message::CAPS;
use sal_abi::{Error, Handle, Words};

/// A buffer for the server to read.
#[derive(Clone, Copy, Debug)]
pub enum ReadLend<'a> {
    /// The caller's own bytes.
    Own(&'a [u8]),
    /// Bytes of the guest that the calling thread has attached (address, length).
    Guest(u64, u64),
}

/// A buffer for the server to write.
#[derive(Debug)]
pub enum WriteLend<'a> {
    /// The caller's own bytes.
    Own(&'a mut [u8]),
    /// Bytes of the guest that the calling thread has attached (address, length).
    Guest(u64, u64),
}

impl<'a> From<&'a [u8]> for ReadLend<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        ReadLend::Own(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for ReadLend<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        ReadLend::Own(bytes)
    }
}

impl<'a> From<&'a str> for ReadLend<'a> {
    fn from(text: &'a str) -> Self {
        ReadLend::Own(text.as_bytes())
    }
}

impl<'a> From<&'a mut [u8]> for WriteLend<'a> {
    fn from(bytes: &'a mut [u8]) -> Self {
        WriteLend::Own(bytes)
    }
}

impl<'a, const N: usize> From<&'a mut [u8; N]> for WriteLend<'a> {
    fn from(bytes: &'a mut [u8; N]) -> Self {
        WriteLend::Own(bytes)
    }
}

/// A buffer lent with a request.
#[derive(Debug)]
pub enum Lend<'a> {
    /// For the server to read.
    Read(ReadLend<'a>),
    /// For the server to write.
    Write(WriteLend<'a>),
}

impl Lend<'_> {
    /// Bytes.
    pub fn length(&self) -> u64 {
        match self {
            Lend::Read(ReadLend::Own(bytes)) => bytes.len() as u64,
            Lend::Write(WriteLend::Own(bytes)) => bytes.len() as u64,
            Lend::Read(ReadLend::Guest(_, length)) | Lend::Write(WriteLend::Guest(_, length)) => *length,
        }
    }
}

/// What a stub asks a transport to send. The transport fills in slot and sequence number of word 0.
#[derive(Debug)]
pub struct Request<'r, 'a> {
    /// The message.
    pub words: Words,
    /// Buffers, in order.
    pub lends: &'r mut [Lend<'a>],
    /// Capabilities, in order; always copies, so that the request can be repeated.
    pub gives: &'r [Give],
    /// Capabilities taken with the reply.
    pub accept: usize,
}

/// What came back: word 0 is the status.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// The reply.
    pub words: Words,
    /// Handles that came with it.
    pub handles: [Handle; CAPS],
    /// How many.
    pub count: usize,
}

/// The message could not be delivered or answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TransportError {
    /// The kernel's error.
    pub error: Error,
    /// With `EndpointFailed`: the code that its keeper gave.
    pub code: u64,
}

/// Carries requests to a server.
pub trait Transport {
    /// Sends and waits for the answer. Repeats by itself what is to be repeated: `ServerDied`, absent pages, `Later`.
    ///
    /// # Errors
    /// What repeating can't mend.
    fn exchange(&mut self, request: &mut Request<'_, '_>) -> Result<Received, TransportError>;
}

impl<T: Transport + ?Sized> Transport for &mut T {
    fn exchange(&mut self, request: &mut Request<'_, '_>) -> Result<Received, TransportError> {
        (**self).exchange(request)
    }
}

/// Why a request did not do what was asked. `E` is the protocol's error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure<E> {
    /// The server says no.
    Refused(E),
    /// The kernel says no.
    Transport(TransportError),
    /// The server found the message malformed: client and server disagree on the protocol.
    Malformed,
    /// The server does not know the operation.
    UnknownOperation,
    /// The request killed the server twice and is not served any more.
    Poisoned,
    /// The reply is not one of this protocol's.
    BadReply,
}

impl<E> From<TransportError> for Failure<E> {
    fn from(error: TransportError) -> Self {
        Failure::Transport(error)
    }
}

/// The words of a request: operation and arguments (at most seven). Used by generated code.
pub fn request_words(operation: u16, arguments: &[u64]) -> Words {
    let mut words = [0; sal_abi::WORDS];
    let header = Header { operation, ..Header::default() }.word();
    words.iter_mut().zip(core::iter::once(&header).chain(arguments)).for_each(|(to, from)| *to = *from);
    words
}

/// Does the reply carry results? Used by generated code.
///
/// # Errors
/// What its status says.
pub fn done<E>(received: &Received, takes: usize, error: impl Fn(u16) -> Option<E>) -> Result<(), Failure<E>> {
    let [status, ..] = received.words;
    match Status::from_word(status) {
        Some(Status::Done) if received.count == takes => Ok(()),
        Some(Status::Error(number)) => Err(error(number).map_or(Failure::BadReply, Failure::Refused)),
        Some(Status::Malformed) => Err(Failure::Malformed),
        Some(Status::UnknownOperation) => Err(Failure::UnknownOperation),
        Some(Status::Poisoned) => Err(Failure::Poisoned),
        Some(Status::Done | Status::Absent | Status::Later) | None => Err(Failure::BadReply),
    }
}
