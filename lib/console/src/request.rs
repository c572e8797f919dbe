//! What clients ask, and what they get.

use sal_tty::{Queue, Termios, Wait, WindowSize};
use sal_vault::Answer;

/// Who asks: one thread of a client has one slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Client {
    /// Names the client (its badge); the slot was opened with it.
    pub key: u64,
    /// From [`crate::Console::open`].
    pub slot: u16,
    /// The request's number (24 bits, not 0), the same when the request is repeated.
    pub sequence: u32,
}

/// Where output goes. On a tty all but the log goes to the tty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Error,
    /// The services' log.
    Log,
}

/// When new modes begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// At once (`TCSETS`).
    Now,
    /// When all output is out (`TCSETSW`).
    Drained,
    /// Then too, and what was typed is dropped (`TCSETSF`).
    Flushed,
}

/// An operation. Word 0 of its answer is its result (a count, or 0), or a negative [`Refusal`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request<'a> {
    /// Accepts bytes; the result is how many. Waits if there is room for none.
    Write {
        /// Where to.
        stream: Stream,
        /// What.
        bytes: &'a [u8],
    },
    /// Takes input, at most [`crate::READ_MOST`] bytes at a time; the result is how many, 0 at the end.
    Read {
        /// How many bytes the reader has room for.
        most: usize,
        /// Whether it waits.
        wait: Wait,
    },
    /// What stands at the host's end: result 0 for pipes, 1 for a tty. Waits until that is known.
    Mode,
    /// The modes, in words 1 to 5 (36 bytes, little-endian).
    GetTermios,
    /// Sets the modes.
    SetTermios {
        /// The new ones.
        termios: Termios,
        /// From when on.
        when: When,
    },
    /// The window's size, in word 1.
    GetWindow,
    /// Sets the window's size; if it changes, [`event::WINDOW`].
    SetWindow(WindowSize),
    /// Drops queued bytes (`TCFLSH`).
    Flush(Queue),
    /// Waits until all output is with the driver.
    Drain,
    /// Stops output to the terminal (`TCOOFF`).
    Stop,
    /// Lets it go on (`TCOON`).
    Start,
    /// How many bytes a reader could take (`FIONREAD`).
    Available,
    /// What is ready now: [`poll`] bits.
    Poll,
    /// Takes the [`event`] bits that came since the last time, once.
    TakeEvents,
    /// Tells the host tool what to exit with, behind all output so far.
    Exit(u8),
    /// Tells the host tool that the machine goes down.
    PowerOff,
}

/// Why an operation was refused. The numbers are Linux's, so that a personality passes them on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i64)]
pub enum Refusal {
    /// The sequence number is old, or the slot is not this client's.
    Stale = -116,
    /// A terminal's operation, but the host's end is pipes.
    NotTerminal = -25,
    /// Nothing to read, and the reader doesn't wait.
    Again = -11,
}

/// What becomes of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome<'a> {
    /// It is answered. The answer is in the vault where it has to be.
    Done {
        /// The reply's words.
        answer: Answer,
        /// What a read has taken.
        data: &'a [u8],
    },
    /// Keep it, and serve it again after the next change, or at the deadline (nanoseconds).
    Pending {
        /// When it is due anyway.
        deadline: Option<u64>,
    },
}

/// What happened: raised as a notification's bits upwards, taken once by [`Request::TakeEvents`]. The numbers are those of
/// the interface `console`.
pub mod event {
    /// There may be something to read. Not kept: look with [`super::Request::Poll`].
    pub const READABLE: u64 = 1;
    /// There may be room to write. Not kept.
    pub const WRITABLE: u64 = 2;
    /// ^C: the foreground gets `SIGINT`.
    pub const INTERRUPT: u64 = 4;
    /// ^\: the foreground gets `SIGQUIT`.
    pub const QUIT: u64 = 8;
    /// ^Z: the foreground gets `SIGTSTP`.
    pub const SUSPEND: u64 = 16;
    /// The window has a new size.
    pub const WINDOW: u64 = 32;
    /// The host's end of the terminal is gone.
    pub const HANGUP: u64 = 64;
    /// The host wants the machine to end.
    pub const STOP: u64 = 128;
}

/// Readiness.
pub mod poll {
    /// A read would return at once.
    pub const IN: u64 = 1;
    /// A write to [`super::Stream::Out`] would accept something.
    pub const OUT: u64 = 2;
    /// A write to [`super::Stream::Error`] would.
    pub const ERROR: u64 = 4;
    /// Input is at its end.
    pub const HANGUP: u64 = 8;
}
