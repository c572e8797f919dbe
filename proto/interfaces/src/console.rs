//! The terminal, or the three streams, of the first program and its children.
//!
//! What the host has decides: a tty there makes one terminal (line discipline in `lib/tty`, all output on one stream); pipes make three streams.

use sal_idl::word_enum;

word_enum! {
    /// Where bytes go to.
    pub enum Stream {
        /// Standard input: read only; with a terminal, the terminal.
        Input = 0,
        /// Standard output; with a terminal, the terminal.
        Output = 1,
        /// Standard error; with a terminal, the terminal.
        Error = 2,
    }
}

word_enum! {
    /// What stands at the host's end.
    pub enum Kind {
        /// The host's end is not known yet.
        Unknown = 0,
        /// Three streams.
        Streams = 1,
        /// One terminal.
        Terminal = 2,
    }
}

/// Flags of `read` and `write`.
pub mod flags {
    /// Answer `WouldBlock` instead of waiting.
    pub const NONBLOCK: u32 = 1;
}

/// Bits of `poll`, of a watcher's notification, and of `events`. Of a notification, all but the first two say: call `events`, which takes them
/// once, whoever dies; so no signal is lost or sent twice.
pub mod event {
    /// `read` would not wait.
    pub const READABLE: u64 = 1;
    /// `write` would not wait.
    pub const WRITABLE: u64 = 2;
    /// ^C: SIGINT for the foreground process group.
    pub const INTERRUPT: u64 = 4;
    /// ^\: SIGQUIT.
    pub const QUIT: u64 = 8;
    /// ^Z: SIGTSTP.
    pub const SUSPEND: u64 = 16;
    /// The window has another size: SIGWINCH.
    pub const WINDOW: u64 = 32;
    /// The host's end is gone: SIGHUP.
    pub const HANGUP: u64 = 64;
    /// The host asks the machine to end.
    pub const STOP: u64 = 128;
}

sal_idl::interface! {
    /// The console.
    interface "console" version 1;
    /// What can go wrong.
    errors {
        /// It would have to wait, and was told not to.
        WouldBlock = 1,
        /// The stream can't be read, or can't be written.
        WrongStream = 2,
        /// The terminal does not know this ioctl, or there is no terminal.
        NotATerminal = 3,
        /// A buffer is too short for the ioctl, or a value is out of range.
        BadArgument = 4,
        /// The host's end is gone.
        HangUp = 5,
        /// This client has no slot here, or all are taken.
        NoSlot = 6,
    }
    /// Reads up to the buffer's length; waits until there is at least a byte, a line, or the end (`count` 0); *remembered*. A caller that was
    /// interrupted repeats it under the same number with `NONBLOCK`: bytes that were taken for it already come then.
    1 read(stream: Stream, flags: u32) writes(buffer) returns(count: u32);
    /// Writes from the buffer; waits until at least a byte is taken; *remembered*.
    2 write(stream: Stream, flags: u32) reads(bytes) returns(count: u32);
    /// What would not wait now ([`event`]).
    3 poll() returns(ready: u64);
    /// Raises [`event`] bits at `notification` when they come about, instead of where they were raised before.
    4 watch() gives(notification) returns(ready: u64);
    /// A terminal ioctl by its Linux number; its structure as asm-generic has it goes in with `input` and comes out in `output` (either may be
    /// empty); `argument` for those that pass a number. Setting the same again changes nothing, TCFLSH and TCSBRK are *remembered*.
    5 ioctl(command: u32, argument: u64) reads(input) writes(output) returns(value: i64);
    /// What the host's end is, and its size.
    6 info() returns(kind: Kind, rows: u16, columns: u16);
    /// The first program has ended with `status`. The answer comes when the host has all that was written, and the status: then whoever asked
    /// ends the machine. *Remembered*.
    7 exit(status: u8);
    /// Takes the [`event`] bits from `INTERRUPT` on that came since the last time; *remembered*.
    8 events() returns(events: u64);
}
