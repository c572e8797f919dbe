//! Errors of kernel calls. Negative in the status register.

macro_rules! errors {
    ($($(#[doc = $doc:literal])* $name:ident = $n:literal,)*) => {
        /// Why a call did not do what was asked. Each has changed nothing.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[repr(i64)]
        pub enum Error { $($(#[doc = $doc])* $name = $n,)* }

        impl Error {
            /// Every error there is.
            pub const ALL: &'static [Error] = &[$(Error::$name),*];

            /// From the number (positive), or `None` if no error has it.
            pub const fn from_number(n: i64) -> Option<Error> {
                match n { $($n => Some(Error::$name),)* _ => None }
            }

            /// Its name, as in the documents.
            pub const fn name(self) -> &'static str {
                match self { $(Error::$name => stringify!($name),)* }
            }
        }
    };
}

errors! {
    /// No operation has this number, or a reserved flag is set.
    BadCall = 1,
    /// The handle is stale, was never given, or is 0.
    BadHandle = 2,
    /// The handle names an object of another kind.
    WrongKind = 3,
    /// The capability lacks a right that the call needs.
    NoRight = 4,
    /// An argument is out of range, unaligned, or not one that the call takes.
    BadArgument = 5,
    /// The budget that pays is spent.
    NoBudget = 6,
    /// The capability table is full.
    TableFull = 7,
    /// The server died (or dropped the reply) while it served this call. Whether it had effect is for the protocol's request ids to settle.
    ServerDied = 8,
    /// The deadline passed.
    DeadlinePassed = 9,
    /// Somebody interrupted this thread.
    Interrupted = 10,
    /// The endpoint was failed by its keeper; the code is in `rdi`.
    EndpointFailed = 11,
    /// The sender gave more capabilities than the receiver accepts.
    NotAccepted = 12,
    /// A page is missing; what the status says was moved before it was.
    Absent = 13,
    /// The call that lent the buffer is over.
    LoanEnded = 14,
    /// The copy would leave the loan, or the loan lacks the right.
    OutOfLoan = 15,
    /// There is already something there (mapping, binding, message in a Reply).
    Occupied = 16,
    /// There is nothing there (mapping, caller to answer).
    Vacant = 17,
    /// The process is dead.
    Dead = 18,
    /// The address is not one that the caller may use so.
    BadAddress = 19,
    /// This kernel or this processor can't.
    NotSupported = 20,
    /// The pager refused the page.
    Refused = 21,
}

impl Error {
    /// The value of the status register.
    #[inline(always)]
    pub const fn status(self) -> i64 {
        -(self as i64)
    }
}

/// What the status register says.
///
/// # Errors
/// The `Error` that a negative status stands for; a number that no error has is `BadCall`.
#[inline(always)]
pub const fn from_status(status: i64) -> Result<u64, Error> {
    if status >= 0 {
        return Ok(status as u64);
    }
    match Error::from_number(-status) {
        Some(e) => Err(e),
        None => Err(Error::BadCall),
    }
}
