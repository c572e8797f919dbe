//! The server's side: what a method sees of its request, and what it answers.

use crate::header::{Header, Status};
use sal_abi::message::{Arrival, CAPS, Kind};
use sal_abi::{Error, Handle, Rights, Words};

/// What came with the request beside the words, and the caller's buffers. The kernel's in a server, a stand-in's in tests.
pub trait Attachments {
    /// Bytes of loan number `loan`; 0 if there is none.
    fn lent(&self, loan: usize) -> u64;
    /// Copies from a loan, possibly fewer bytes than asked for.
    ///
    /// # Errors
    /// `Absent` if not one byte could be copied for a missing page, `LoanEnded`, `OutOfLoan`.
    fn read(&mut self, loan: usize, offset: u64, to: &mut [u8]) -> Result<usize, Error>;
    /// Copies into a loan, otherwise as `read`.
    ///
    /// # Errors
    /// As `read`.
    fn write(&mut self, loan: usize, offset: u64, from: &[u8]) -> Result<usize, Error>;
    /// Handle number `i` that came; `NONE` if there is none.
    fn received(&self, i: usize) -> Handle;
    /// Closes a handle that came.
    fn close(&mut self, handle: Handle);
    /// Moves the caller into an empty Reply, to be answered later; its loans are reached through that Reply from now on.
    ///
    /// # Errors
    /// `Occupied`, `Vacant`.
    fn keep(&mut self, place: Handle) -> Result<(), Error>;
}

/// A buffer that the server may read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadLoan {
    /// Which of the request's loans.
    pub index: usize,
    /// Bytes.
    pub length: u64,
}

/// A buffer that the server may write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WriteLoan {
    /// Which of the request's loans.
    pub index: usize,
    /// Bytes.
    pub length: u64,
}

/// Does the giver keep its handle?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// The giver keeps it.
    Copy,
    /// The handle goes (replies only).
    Move,
}

/// A capability that goes along.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Give {
    /// The giver's handle.
    pub handle: Handle,
    /// At most these rights arrive.
    pub rights: Rights,
    /// Whether the giver's handle stays.
    pub mode: Mode,
}

impl Give {
    /// A copy with at most these rights.
    pub const fn copy(handle: Handle, rights: Rights) -> Give {
        Give { handle, rights, mode: Mode::Copy }
    }

    /// The handle itself, with all its rights.
    pub const fn moved(handle: Handle) -> Give {
        Give { handle, rights: Rights::ALL, mode: Mode::Move }
    }
}

/// Why a copy from or to a lent buffer stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LoanError {
    /// A page of the client's is missing.
    Absent {
        /// Which loan.
        loan: usize,
        /// First byte that could not be copied.
        offset: u64,
    },
    /// The client is gone or has given up; nobody waits for an answer.
    Ended,
    /// Beyond the loan's end, or it was not lent for this.
    Outside,
}

/// Why a method does not answer with results.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop<E> {
    /// The protocol's error.
    Error(E),
    /// A lent buffer could not be used; for `Absent` the client repeats.
    Loan(LoanError),
    /// The caller was kept; the answer comes later.
    Kept,
}

impl<E> From<LoanError> for Stop<E> {
    fn from(error: LoanError) -> Self {
        Stop::Loan(error)
    }
}

/// A reply to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Response {
    /// Word 0 is the status.
    pub words: Words,
    /// Capabilities that go along, first `count`.
    pub gives: [Give; CAPS],
    /// How many.
    pub count: usize,
}

impl Response {
    /// Words alone.
    pub const fn words(words: Words) -> Response {
        Response { words, gives: [Give::copy(Handle::NONE, Rights::NONE); CAPS], count: 0 }
    }

    /// A status alone.
    pub const fn status(status: Status) -> Response {
        Response::words([status.word(), 0, 0, 0, 0, 0, 0, 0])
    }

    /// Results: at most seven words and [`CAPS`] capabilities, the rest is cut off.
    pub fn results(results: &[u64], gives: &[Give]) -> Response {
        let mut response = Response::status(Status::Done);
        response.words.iter_mut().skip(1).zip(results).for_each(|(to, from)| *to = *from);
        response.gives.iter_mut().zip(gives).for_each(|(to, from)| *to = *from);
        response.count = gives.len().min(CAPS);
        response
    }

    /// Asks the client to touch a page and repeat.
    pub const fn absent(loan: usize, offset: u64) -> Response {
        Response::words([Status::Absent.word(), loan as u64, offset, 0, 0, 0, 0, 0])
    }
}

/// What the server's loop does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Answers.
    Reply(Response),
    /// Nothing: the caller was kept.
    Kept,
}

/// A request being served.
pub struct Call<'a> {
    /// Word 0.
    pub header: Header,
    /// Badge of the capability that the client used.
    pub badge: u64,
    attachments: &'a mut dyn Attachments,
}

impl<'a> Call<'a> {
    /// Of a message.
    pub fn new(header: Header, badge: u64, attachments: &'a mut dyn Attachments) -> Call<'a> {
        Call { header, badge, attachments }
    }

    /// Fills `to` from `offset` of a lent buffer.
    ///
    /// # Errors
    /// [`LoanError`]; `to` holds nothing useful then.
    pub fn read(&mut self, loan: ReadLoan, offset: u64, to: &mut [u8]) -> Result<(), LoanError> {
        let mut done = 0;
        while let Some(rest) = to.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let at = offset.saturating_add(done as u64);
            done += progress(loan.index, at, self.attachments.read(loan.index, at, rest))?;
        }
        Ok(())
    }

    /// Copies all of `from` to `offset` of a lent buffer.
    ///
    /// # Errors
    /// [`LoanError`]; some of the buffer may have been written.
    pub fn write(&mut self, loan: WriteLoan, offset: u64, from: &[u8]) -> Result<(), LoanError> {
        let mut done = 0;
        while let Some(rest) = from.get(done..).filter(|rest| !rest.is_empty()) {
            let at = offset.saturating_add(done as u64);
            done += progress(loan.index, at, self.attachments.write(loan.index, at, rest))?;
        }
        Ok(())
    }

    /// Reads a whole lent buffer into the start of `to`; `None` if it is longer than that.
    ///
    /// # Errors
    /// [`LoanError`].
    pub fn read_all<'t>(&mut self, loan: ReadLoan, to: &'t mut [u8]) -> Result<Option<&'t [u8]>, LoanError> {
        let Some(part) = usize::try_from(loan.length).ok().and_then(|length| to.get_mut(..length)) else {
            return Ok(None);
        };
        self.read(loan, 0, part)?;
        Ok(Some(part))
    }

    /// Keeps the caller in an empty Reply; the method then returns [`Stop::Kept`].
    ///
    /// # Errors
    /// `Occupied`; `Vacant` if nobody waits any more.
    pub fn keep(&mut self, place: Handle) -> Result<(), Error> {
        self.attachments.keep(place)
    }

    /// What came with the request.
    pub fn attachments(&mut self) -> &mut dyn Attachments {
        self.attachments
    }
}

/// How far one copy came; none at all is an error, so that a loop over it ends.
fn progress(loan: usize, offset: u64, copied: Result<usize, Error>) -> Result<usize, LoanError> {
    match copied {
        Ok(0) | Err(Error::Absent) => Err(LoanError::Absent { loan, offset }),
        Ok(bytes) => Ok(bytes),
        Err(Error::LoanEnded | Error::Vacant) => Err(LoanError::Ended),
        Err(_) => Err(LoanError::Outside),
    }
}

/// A request as far as it is checked without knowing the operation: used by generated code.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    /// Loans that the operation has.
    pub loans: usize,
    /// Capabilities that it is given.
    pub gives: usize,
}

/// Do kind, counts and flags fit? Used by generated code.
pub fn well_formed(arrival: Arrival, header: Header, counts: Counts) -> bool {
    arrival.kind() == Kind::Message
        && arrival.loans() == counts.loans
        && arrival.caps() == counts.gives
        && header.flags & !crate::header::REPEATED == 0
}

/// Closes what came with a request and answers with a status. Used by generated code.
pub fn refuse(arrival: Arrival, attachments: &mut dyn Attachments, status: Status) -> Outcome {
    close_received(arrival.caps(), attachments);
    Outcome::Reply(Response::status(status))
}

/// Closes the first `count` handles that came.
pub fn close_received(count: usize, attachments: &mut dyn Attachments) {
    for i in 0..count.min(CAPS) {
        let handle = attachments.received(i);
        if !handle.is_none() {
            attachments.close(handle);
        }
    }
}

/// Turns a method's answer into what the loop does. Used by generated code.
pub fn conclude<E: Into<u16>>(
    arrival: Arrival,
    answer: Result<Response, Stop<E>>,
    attachments: &mut dyn Attachments,
) -> Outcome {
    let response = match answer {
        Ok(response) => return Outcome::Reply(response),
        Err(Stop::Kept) => return Outcome::Kept,
        Err(Stop::Error(error)) => Response::status(Status::Error(error.into())),
        Err(Stop::Loan(LoanError::Absent { loan, offset })) => Response::absent(loan, offset),
        Err(Stop::Loan(LoanError::Ended | LoanError::Outside)) => Response::status(Status::Malformed),
    };
    close_received(arrival.caps(), attachments);
    Outcome::Reply(response)
}

/// Loan number `index` as one to read. Used by generated code.
pub fn read_loan(index: usize, attachments: &dyn Attachments) -> ReadLoan {
    ReadLoan { index, length: attachments.lent(index) }
}

/// Loan number `index` as one to write. Used by generated code.
pub fn write_loan(index: usize, attachments: &dyn Attachments) -> WriteLoan {
    WriteLoan { index, length: attachments.lent(index) }
}

/// Operation 0: opens a slot. Used by generated code.
pub fn open(
    arrival: Arrival,
    badge: u64,
    words: &Words,
    attachments: &mut dyn Attachments,
    slot: impl FnOnce(u64) -> Option<u16>,
) -> Outcome {
    let [word0, key, rest @ ..] = *words;
    let fits = well_formed(arrival, Header::from_word(word0), Counts { loans: 0, gives: 0 });
    let key = u32::try_from(key).ok().filter(|key| fits && *key != 0 && rest.iter().all(|word| *word == 0));
    let Some(key) = key else {
        return refuse(arrival, attachments, Status::Malformed);
    };
    match slot(crate::header::client_key(badge, key)) {
        Some(slot) => Outcome::Reply(Response::results(&[u64::from(slot)], &[])),
        None => Outcome::Reply(Response::status(Status::UnknownOperation)),
    }
}
