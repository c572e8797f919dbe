//! Messages, replies, loans, notifications. The hot ones are inlined whole, so that their words stay in registers.

use crate::raw::{Raw, syscall1, syscall4, syscall8};
use sal_abi::error;
use sal_abi::message::Arrival;
use sal_abi::op::flags;
use sal_abi::{Error, Handle, Op, Words};

/// What a successful call or receive gives.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// Kind, number of loans and of capabilities.
    pub arrival: Arrival,
    /// Badge of the capability it came through.
    pub badge: u64,
    /// The message.
    pub words: Words,
}

/// A call or receive that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Why.
    pub error: Error,
    /// With [`Error::EndpointFailed`]: the keeper's code. Else 0.
    pub code: u64,
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Error {
        failed.error
    }
}

/// What travels with the message, and what is taken in exchange. The items themselves stand in the message page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extras(u64);

impl Extras {
    /// Nothing: the fast path.
    pub const NONE: Extras = Extras(0);

    /// The first `loans` buffers and `caps` capabilities of the message page go along; up to `accept` capabilities are taken.
    #[inline(always)]
    pub const fn new(loans: usize, caps: usize, accept: usize) -> Extras {
        Extras(
            (loans as u64 & flags::COUNT_MASK) << flags::LOANS_SHIFT
                | (caps as u64 & flags::COUNT_MASK) << flags::CAPS_SHIFT
                | (accept as u64 & flags::COUNT_MASK) << flags::ACCEPT_SHIFT,
        )
    }

    /// Up to `accept` capabilities are taken.
    #[inline(always)]
    pub const fn accept(accept: usize) -> Extras {
        Extras::new(0, 0, accept)
    }

    /// The message page's deadline counts.
    #[inline(always)]
    pub const fn with_deadline(self) -> Extras {
        Extras(self.0 | flags::DEADLINE)
    }
}

#[inline(always)]
fn received(raw: &Raw) -> Result<Received, Failed> {
    if raw.status >= 0 {
        return Ok(Received { arrival: Arrival(raw.status as u64), badge: raw.second, words: raw.words });
    }
    Err(failed(raw))
}

#[cold]
fn failed(raw: &Raw) -> Failed {
    let error = match error::from_status(raw.status) {
        Err(error) => error,
        Ok(_) => Error::BadCall,
    };
    Failed { error, code: if error == Error::EndpointFailed { raw.second } else { 0 } }
}

/// Sends `words` and waits for the reply.
///
/// # Errors
/// The kernel's. Words that came with an error are gone.
///
/// # Safety
/// Loans that `extras` counts were promised by `page::set_loans`; without loans this is always sound (see [`call`]).
#[inline(always)]
pub unsafe fn call_lending(endpoint: Handle, words: &Words, extras: Extras) -> Result<Received, Failed> {
    // SAFETY: the kernel touches this program's memory only through the loans, for which the caller answers.
    received(&unsafe { syscall8(Op::Call as u64 | extras.0, endpoint.0, words) })
}

/// Sends `words`, lends nothing, and waits for the reply. Loans counted in `extras` are left out.
///
/// # Errors
/// The kernel's.
#[inline(always)]
pub fn call(endpoint: Handle, words: &Words, extras: Extras) -> Result<Received, Failed> {
    let extras = Extras(extras.0 & !(flags::COUNT_MASK << flags::LOANS_SHIFT));
    // SAFETY: no loans.
    unsafe { call_lending(endpoint, words, extras) }
}

/// Answers the caller in service, if it still waits, then receives.
///
/// # Errors
/// The kernel's.
#[inline(always)]
pub fn reply_receive(endpoint: Handle, words: &Words, extras: Extras) -> Result<Received, Failed> {
    // SAFETY: a receiver lends nothing; the kernel writes its message page only.
    received(&unsafe { syscall8(Op::ReplyReceive as u64 | extras.0, endpoint.0, words) })
}

/// Waits for a message or notification.
///
/// # Errors
/// The kernel's; `DeadlinePassed`, `Interrupted`.
#[inline(always)]
pub fn receive(endpoint: Handle, extras: Extras) -> Result<Received, Failed> {
    // SAFETY: as `reply_receive`.
    received(&unsafe { syscall8(Op::Receive as u64 | extras.0, endpoint.0, &[0; 8]) })
}

/// Answers whoever waits at `reply`, or with `Handle::NONE` the caller in service.
///
/// # Errors
/// `Vacant` if nobody waits there any more; `NotAccepted`.
#[inline(always)]
pub fn reply(reply: Handle, words: &Words, extras: Extras) -> Result<(), Error> {
    // SAFETY: sends words and capabilities only.
    unsafe { syscall8(Op::Reply as u64 | extras.0, reply.0, words) }.status().map(drop)
}

/// Moves the caller in service into the empty `reply`.
///
/// # Errors
/// `Occupied`, `Vacant`.
#[inline(always)]
pub fn keep(reply: Handle) -> Result<(), Error> {
    // SAFETY: no memory of this program is touched.
    unsafe { syscall1(Op::Keep, reply.0) }.status().map(drop)
}

/// Raises `bits`.
///
/// # Errors
/// `BadHandle`, `WrongKind`, `NoRight`.
#[inline(always)]
pub fn notify(notification: Handle, bits: u64) -> Result<(), Error> {
    // SAFETY: no memory of this program is touched.
    unsafe { syscall4(Op::Notify, notification.0, [bits, 0, 0, 0]) }.status().map(drop)
}

/// Copies from loan number `loan` of the caller waiting at `reply` (`NONE`: in service). Bytes copied; fewer than asked for when a page
/// of the client's is missing.
///
/// # Errors
/// `Absent` if not one byte could be copied for a missing page, `LoanEnded`, `OutOfLoan`.
#[inline(always)]
pub fn loan_read(reply: Handle, loan: usize, offset: u64, to: &mut [u8]) -> Result<usize, Error> {
    let words = [loan as u64, offset, to.as_mut_ptr() as u64, to.len() as u64];
    // SAFETY: the kernel writes at most `to.len()` bytes at `to`, which is borrowed for writing.
    unsafe { syscall4(Op::LoanRead, reply.0, words) }.status().map(|n| n as usize)
}

/// Copies into loan number `loan`; otherwise as [`loan_read`].
///
/// # Errors
/// As [`loan_read`].
#[inline(always)]
pub fn loan_write(reply: Handle, loan: usize, offset: u64, from: &[u8]) -> Result<usize, Error> {
    let words = [loan as u64, offset, from.as_ptr() as u64, from.len() as u64];
    // SAFETY: the kernel reads at most `from.len()` bytes at `from`.
    unsafe { syscall4(Op::LoanWrite, reply.0, words) }.status().map(|n| n as usize)
}

/// As [`loan_read`], to raw memory: for servers that copy into mapped objects.
///
/// # Errors
/// As [`loan_read`]; `BadAddress`.
///
/// # Safety
/// `to` is valid for writing `length` bytes, or lies in the guest half, and no reference to it is alive.
#[inline(always)]
pub unsafe fn loan_read_raw(
    reply: Handle,
    loan: usize,
    offset: u64,
    to: *mut u8,
    length: usize,
) -> Result<usize, Error> {
    // SAFETY: promised by the caller.
    unsafe { syscall4(Op::LoanRead, reply.0, [loan as u64, offset, to as u64, length as u64]) }
        .status()
        .map(|n| n as usize)
}

/// As [`loan_write`], from raw memory.
///
/// # Errors
/// As [`loan_read_raw`].
///
/// # Safety
/// `from` is valid for reading `length` bytes, or lies in the guest half.
#[inline(always)]
pub unsafe fn loan_write_raw(
    reply: Handle,
    loan: usize,
    offset: u64,
    from: *const u8,
    length: usize,
) -> Result<usize, Error> {
    // SAFETY: promised by the caller.
    unsafe { syscall4(Op::LoanWrite, reply.0, [loan as u64, offset, from as u64, length as u64]) }
        .status()
        .map(|n| n as usize)
}

/// A new endpoint, charged to `budget`.
///
/// # Errors
/// `NoBudget`, `TableFull`.
pub fn endpoint_create(budget: Handle) -> Result<Handle, Error> {
    // SAFETY: no memory of this program is touched.
    let raw = unsafe { syscall1(Op::EndpointCreate, budget.0) };
    raw.status().map(|_| Handle(raw.second))
}

/// A new notification, bound to `endpoint`, whose receiver sees `badge`.
///
/// # Errors
/// `NoBudget`, `TableFull`, `NoRight`.
pub fn notification_create(budget: Handle, endpoint: Handle, badge: u64) -> Result<Handle, Error> {
    // SAFETY: no memory of this program is touched.
    let raw = unsafe { syscall4(Op::NotificationCreate, budget.0, [endpoint.0, badge, 0, 0]) };
    raw.status().map(|_| Handle(raw.second))
}

/// A new empty place for a kept caller.
///
/// # Errors
/// `NoBudget`, `TableFull`.
pub fn reply_create(budget: Handle) -> Result<Handle, Error> {
    // SAFETY: no memory of this program is touched.
    let raw = unsafe { syscall1(Op::ReplyCreate, budget.0) };
    raw.status().map(|_| Handle(raw.second))
}

/// Fails the endpoint with `code` (not 0), or mends it with 0.
///
/// # Errors
/// `NoRight`.
pub fn fail(endpoint: Handle, code: u64) -> Result<(), Error> {
    // SAFETY: no memory of this program is touched.
    unsafe { syscall4(Op::Fail, endpoint.0, [code, 0, 0, 0]) }.status().map(drop)
}

/// State of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointInfo {
    /// Callers not yet received.
    pub queued: u64,
    /// Callers whose answer is being made.
    pub in_service: u64,
    /// Nanoseconds since the oldest of both called.
    pub oldest: u64,
    /// Server threads that wait for work.
    pub receiving: u64,
}

/// Reads the state of an endpoint.
///
/// # Errors
/// `BadHandle`, `WrongKind`.
pub fn endpoint_info(endpoint: Handle) -> Result<EndpointInfo, Error> {
    // SAFETY: no memory of this program is touched.
    let raw = unsafe { syscall4(Op::EndpointInfo, endpoint.0, [0; 4]) };
    let [queued, in_service, oldest, receiving, ..] = raw.words;
    raw.status().map(|_| EndpointInfo { queued, in_service, oldest, receiving })
}
