//! From writers to the terminal: `OPOST` and the column of the cursor.

use crate::{Tty, oflag};

/// Where bytes for the terminal go: a queue with an end.
pub trait Output {
    /// How many bytes still fit.
    fn room(&self) -> usize;
    /// Takes a byte. Without room it is lost: only echo is sent without asking for room.
    fn put(&mut self, byte: u8);
    /// Drops what the terminal has not taken yet.
    fn discard(&mut self);
}

/// Bytes that one byte can become: a tab, written as spaces.
const WIDEST: usize = 8;

impl Tty {
    /// Takes bytes that a program wrote, as many as `out` has room for; returns how many. It leaves `reserve`
    /// bytes of room free, so that echo finds some.
    pub fn write(&mut self, bytes: &[u8], reserve: usize, out: &mut impl Output) -> usize {
        let mut taken = 0;
        for &byte in bytes {
            if out.room() < reserve.saturating_add(WIDEST) {
                break;
            }
            self.show(byte, out);
            taken += 1;
        }
        taken
    }

    /// One byte to the terminal, processed as the output modes say.
    pub(crate) fn show(&mut self, byte: u8, out: &mut impl Output) {
        if self.termios.output(oflag::OPOST) {
            self.process(byte, out);
        } else {
            out.put(byte);
        }
    }

    fn process(&mut self, byte: u8, out: &mut impl Output) {
        match byte {
            b'\n' => self.newline(out),
            b'\r' => self.carriage_return(out),
            b'\t' => self.tab(out),
            0x08 => {
                self.column = self.column.saturating_sub(1);
                out.put(byte);
            }
            _ if is_control(byte) => out.put(byte),
            _ => {
                let byte = if self.termios.output(oflag::OLCUC) { to_upper(byte) } else { byte };
                if !self.is_continuation(byte) {
                    self.column = self.column.wrapping_add(1);
                }
                out.put(byte);
            }
        }
    }

    fn newline(&mut self, out: &mut impl Output) {
        if self.termios.output(oflag::ONLCR) {
            out.put(b'\r');
        }
        if self.termios.output(oflag::ONLCR | oflag::ONLRET) {
            self.column = 0;
        }
        self.start_column = self.column;
        out.put(b'\n');
    }

    fn carriage_return(&mut self, out: &mut impl Output) {
        if self.termios.output(oflag::ONOCR) && self.column == 0 {
            return;
        }
        if self.termios.output(oflag::OCRNL) {
            if self.termios.output(oflag::ONLRET) {
                self.column = 0;
                self.start_column = 0;
            }
            return out.put(b'\n');
        }
        self.column = 0;
        self.start_column = 0;
        out.put(b'\r');
    }

    fn tab(&mut self, out: &mut impl Output) {
        let width = 8 - (self.column & 7);
        self.column = self.column.wrapping_add(width);
        if self.termios.oflag & oflag::TABDLY == oflag::XTABS {
            (0..width).for_each(|_| out.put(b' '));
        } else {
            out.put(b'\t');
        }
    }
}

/// Upper case in Latin-1, which is what Linux's case flags work in.
fn to_upper(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' | 0xdf..=0xf6 | 0xf8..=0xff => byte - 0x20,
        _ => byte,
    }
}

/// Lower case in Latin-1.
pub(crate) fn to_lower(byte: u8) -> u8 {
    match byte {
        b'A'..=b'Z' | 0xc0..=0xd6 | 0xd8..=0xde => byte + 0x20,
        _ => byte,
    }
}

/// A control character, as Linux sees it.
pub(crate) fn is_control(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7f
}
