//! A terminal line discipline: what Linux's default one (`n_tty`) does to bytes on their way between a terminal
//! and its readers and writers, as termios(3) and ioctl_tty(2) tell it and as it behaves.
//!
//! [`Tty`] is a value of plain data: bytes typed go in by [`Tty::input`], bytes written by [`Tty::write`]; what the
//! terminal shall show goes to an [`Output`]; readers take with [`Tty::read`]. The clock is an argument
//! (nanoseconds). Who reads, who is signalled and who waits is the caller's affair.
//!
//! What must hold: `tail <= canon <= head <= tail + 4096` for the input numbers (modulo 2^32); a mark stands only
//! at the last byte of a line between `tail` and `canon`. Nothing panics, whatever bytes the value was made of.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod echo;
mod input;
mod output;
mod read;
mod termios;
#[cfg(test)]
mod tests;

pub use output::Output;
pub use read::{Read, Wait};
pub use termios::{NCCS, Termios, WindowSize, cc, cflag, iflag, lflag, oflag};

use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// Bytes of the input buffer; a line has at most one less, its newline included.
pub const BUFFER: usize = 4096;

const MARKS: usize = BUFFER / 64;

/// What a control character sends to the foreground process group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// `SIGINT`.
    Interrupt,
    /// `SIGQUIT`.
    Quit,
    /// `SIGTSTP`.
    Suspend,
}

/// What `TCFLSH` throws away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Queue {
    /// Bytes that no reader has taken.
    Input,
    /// Bytes that the terminal has not taken.
    Output,
    /// Both.
    Both,
}

/// A terminal. [`Tty::new`] makes one.
#[derive(Clone, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Tty {
    /// When the last byte came.
    last_input: u64,
    termios: Termios,
    size: WindowSize,
    /// Number of the first byte that no reader has taken.
    tail: u32,
    /// All before it is in finished lines. In raw mode: where the column of the input was last noted.
    canon: u32,
    /// Number after the last byte.
    head: u32,
    /// Where the cursor stands.
    column: u32,
    /// Where it stood at the start of the line that is being typed.
    start_column: u32,
    /// `ECHOPRT`: inside of `\.../`.
    erasing: u8,
    /// The next byte is literal.
    literal: u8,
    /// Output is stopped, by [`STOPPED_BY_KEY`] or [`STOPPED_BY_CALL`].
    stopped: u8,
    reserved: [u8; 5],
    buffer: [u8; BUFFER],
    /// A bit per place: that byte ends a line.
    marks: [u64; MARKS],
}

const STOPPED_BY_KEY: u8 = 1;
const STOPPED_BY_CALL: u8 = 2;

impl Default for Tty {
    fn default() -> Self {
        Self::new()
    }
}

impl Tty {
    /// A terminal as Linux has it after boot; window size unknown (0 by 0).
    pub fn new() -> Self {
        let mut tty = Tty::new_zeroed();
        tty.termios = Termios::default();
        tty
    }

    /// The modes.
    pub fn termios(&self) -> &Termios {
        &self.termios
    }

    /// Sets the modes now (`TCSETS`). For `TCSETSW` the caller first lets the output drain, for `TCSETSF` it
    /// also calls [`Tty::flush`] for the input.
    pub fn set_termios(&mut self, termios: Termios) {
        let old = core::mem::replace(&mut self.termios, termios);
        if (old.lflag ^ termios.lflag) & lflag::ICANON != 0 {
            self.change_mode();
        }
        if old.input(iflag::IXON) && !termios.input(iflag::IXON) {
            self.stopped &= !STOPPED_BY_KEY;
        }
    }

    /// What was typed so far belongs to the mode that begins: a raw reader gets it all, a canonical one as a line.
    fn change_mode(&mut self) {
        self.marks = [0; MARKS];
        self.erasing = 0;
        self.literal = 0;
        self.canon = self.tail;
        if self.termios.local(lflag::ICANON) && self.buffered() > 0 {
            self.mark(self.head.wrapping_sub(1));
            self.canon = self.head;
        }
    }

    /// The window's size.
    pub fn window_size(&self) -> WindowSize {
        self.size
    }

    /// Sets the window's size. Says whether it changed: then the foreground gets `SIGWINCH`.
    pub fn set_window_size(&mut self, size: WindowSize) -> bool {
        core::mem::replace(&mut self.size, size) != size
    }

    /// Throws queued bytes away (`TCFLSH`).
    pub fn flush(&mut self, queue: Queue, out: &mut impl Output) {
        if queue != Queue::Output {
            self.tail = self.head;
            self.canon = self.head;
            self.marks = [0; MARKS];
            self.erasing = 0;
            self.literal = 0;
        }
        if queue != Queue::Input {
            out.discard();
        }
    }

    /// `TCXONC` with `TCOOFF`: nothing may leave for the terminal until [`Tty::start`].
    pub fn stop(&mut self) {
        self.stopped |= STOPPED_BY_CALL;
    }

    /// `TCXONC` with `TCOON`.
    pub fn start(&mut self) {
        self.stopped = 0;
    }

    /// Whether output must wait (after ^S, or [`Tty::stop`]).
    pub fn is_stopped(&self) -> bool {
        self.stopped != 0
    }

    /// Bytes between reader and head.
    fn buffered(&self) -> usize {
        (self.head.wrapping_sub(self.tail) as usize).min(BUFFER)
    }

    fn is_canonical(&self) -> bool {
        self.termios.local(lflag::ICANON)
    }

    fn byte(&self, number: u32) -> u8 {
        self.buffer.get(number as usize % BUFFER).copied().unwrap_or(0)
    }

    fn mark(&mut self, number: u32) {
        let place = number as usize % BUFFER;
        if let Some(word) = self.marks.get_mut(place / 64) {
            *word |= 1 << (place % 64);
        }
    }

    fn unmark(&mut self, number: u32) {
        let place = number as usize % BUFFER;
        if let Some(word) = self.marks.get_mut(place / 64) {
            *word &= !(1 << (place % 64));
        }
    }

    fn is_marked(&self, number: u32) -> bool {
        let place = number as usize % BUFFER;
        self.marks.get(place / 64).is_some_and(|word| word & (1 << (place % 64)) != 0)
    }

    /// Whether `byte` continues a character of several bytes.
    fn is_continuation(&self, byte: u8) -> bool {
        self.termios.input(iflag::IUTF8) && byte & 0xc0 == 0x80
    }
}
