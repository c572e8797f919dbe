//! What the terminal shows of what was typed, and how that is taken back.

use crate::output::{Output, is_control};
use crate::{Tty, cc, lflag};

/// How much an erasing control character takes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Erase {
    Character,
    Word,
    Line,
}

impl Tty {
    pub(crate) fn echoes(&self) -> bool {
        self.termios.local(lflag::ECHO)
    }

    /// Echoes a byte; a control character as ^X where `ECHOCTL` says so.
    pub(crate) fn echo(&mut self, byte: u8, out: &mut impl Output) {
        if self.termios.local(lflag::ECHOCTL) && is_control(byte) && byte != b'\t' {
            out.put(b'^');
            out.put(byte ^ 0x40);
            self.column = self.column.wrapping_add(2);
        } else {
            self.show(byte, out);
        }
    }

    /// Before the first byte of a line is echoed: tabs in it are measured from here.
    pub(crate) fn note_start(&mut self) {
        if self.canon == self.head {
            self.start_column = self.column;
        }
    }

    /// Ends what `ECHOPRT` shows of erased characters.
    pub(crate) fn finish_erasing(&mut self, out: &mut impl Output) {
        if self.erasing != 0 {
            self.erasing = 0;
            self.show(b'/', out);
        }
    }

    /// An erasing control character was typed.
    pub(crate) fn erase(&mut self, what: Erase, out: &mut impl Output) {
        if self.head == self.canon {
            return;
        }
        if what == Erase::Line && !self.shows_erased_line() {
            return self.drop_line(out);
        }
        let mut in_word = false;
        while self.head != self.canon {
            let Some(start) = self.last_character() else { break };
            let byte = self.byte(start);
            if what == Erase::Word {
                match is_word(byte) {
                    true => in_word = true,
                    false if in_word => break,
                    false => {}
                }
            }
            let end = core::mem::replace(&mut self.head, start);
            if self.echoes() {
                self.show_erased(what, start, end, out);
            }
            if what == Erase::Character {
                break;
            }
        }
        if self.head == self.canon && self.echoes() {
            self.finish_erasing(out);
        }
    }

    fn shows_erased_line(&self) -> bool {
        let all = lflag::ECHO | lflag::ECHOK | lflag::ECHOKE | lflag::ECHOE;
        self.termios.lflag & all == all
    }

    /// The line goes; the terminal shows the kill character, and a newline with `ECHOK`.
    fn drop_line(&mut self, out: &mut impl Output) {
        self.head = self.canon;
        if self.echoes() {
            self.finish_erasing(out);
            let kill = self.termios.cc.get(cc::VKILL).copied().unwrap_or(0);
            self.echo(kill, out);
            if self.termios.local(lflag::ECHOK) {
                self.show(b'\n', out);
            }
        }
    }

    /// Where the last character of the line begins. `None`: the line begins inside a character.
    fn last_character(&self) -> Option<u32> {
        let mut start = self.head;
        while start != self.canon {
            start = start.wrapping_sub(1);
            if !self.is_continuation(self.byte(start)) {
                return Some(start);
            }
        }
        None
    }

    fn show_erased(&mut self, what: Erase, start: u32, end: u32, out: &mut impl Output) {
        let byte = self.byte(start);
        if self.termios.local(lflag::ECHOPRT) {
            self.show_between_slashes(start, end, out);
        } else if what == Erase::Character && !self.termios.local(lflag::ECHOE) {
            let erase = self.termios.cc.get(cc::VERASE).copied().unwrap_or(0);
            self.echo(erase, out);
        } else if byte == b'\t' {
            self.go_back_over_tab(out);
        } else {
            let cells = match (is_control(byte), self.termios.local(lflag::ECHOCTL)) {
                (false, _) => 1,
                (true, true) => 2,
                (true, false) => 0,
            };
            for _ in 0..cells {
                for byte in [0x08, b' ', 0x08] {
                    self.show(byte, out);
                }
            }
        }
    }

    fn show_between_slashes(&mut self, start: u32, end: u32, out: &mut impl Output) {
        if self.erasing == 0 {
            self.erasing = 1;
            self.show(b'\\', out);
        }
        self.echo(self.byte(start), out);
        let mut number = start.wrapping_add(1);
        while number != end {
            self.show(self.byte(number), out);
            // As Linux has it, though such a byte has not moved the cursor.
            self.column = self.column.saturating_sub(1);
            number = number.wrapping_add(1);
        }
    }

    /// Steps back to where the tab began: it ended at a multiple of eight.
    fn go_back_over_tab(&mut self, out: &mut impl Output) {
        let (mut columns, mut after_tab) = (0u32, false);
        let mut number = self.head;
        while number != self.canon && !after_tab {
            number = number.wrapping_sub(1);
            let byte = self.byte(number);
            match byte {
                b'\t' => after_tab = true,
                _ if is_control(byte) => columns += 2 * u32::from(self.termios.local(lflag::ECHOCTL)),
                _ => columns += u32::from(!self.is_continuation(byte)),
            }
        }
        if !after_tab {
            columns = columns.wrapping_add(self.start_column);
        }
        for _ in 0..8 - (columns & 7) {
            out.put(0x08);
            self.column = self.column.saturating_sub(1);
        }
    }

    /// Shows the unfinished line again.
    pub(crate) fn reprint(&mut self, key: u8, out: &mut impl Output) {
        self.finish_erasing(out);
        self.echo(key, out);
        self.show(b'\n', out);
        let mut number = self.canon;
        while number != self.head {
            self.echo(self.byte(number), out);
            number = number.wrapping_add(1);
        }
    }
}

/// Part of a word for ^W: letters (those of Latin-1 too, as Linux has it), digits, underscore.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || (byte >= 0xc0 && byte != 0xd7 && byte != 0xf7)
}
