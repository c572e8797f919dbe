//! From the keyboard to the readers.

use crate::echo::Erase;
use crate::output::{Output, to_lower};
use crate::{BUFFER, Queue, STOPPED_BY_KEY, Signal, Tty, cc, iflag, lflag};

/// Control characters that erase, in the order in which they are looked for.
const ERASERS: [(usize, Erase); 3] =
    [(cc::VERASE, Erase::Character), (cc::VKILL, Erase::Line), (cc::VWERASE, Erase::Word)];

const SIGNALS: [(usize, Signal); 3] =
    [(cc::VINTR, Signal::Interrupt), (cc::VQUIT, Signal::Quit), (cc::VSUSP, Signal::Suspend)];

impl Tty {
    /// Whether a typed byte finds room. If not, leave it where it is until somebody has read. A canonical line that
    /// is too long takes bytes all the same (its last one is replaced), so that it can be ended.
    pub fn has_input_room(&self) -> bool {
        self.buffered() < BUFFER - 1 || (self.is_canonical() && self.canon == self.tail)
    }

    /// A byte was typed at time `now`. Echo goes to `out`; the signal, if any, to the foreground. Without
    /// [`Tty::has_input_room`] a byte that would be queued is lost.
    pub fn input(&mut self, byte: u8, now: u64, out: &mut impl Output) -> Option<Signal> {
        self.last_input = now;
        let byte = self.strip(byte);
        if self.literal != 0 {
            self.literal = 0;
            self.ordinary(byte, out);
            return None;
        }
        if self.flow_control(byte) {
            return None;
        }
        if let Some(signal) = self.signal(byte) {
            self.signalled(byte, out);
            return Some(signal);
        }
        if self.termios.input(iflag::IXON) && self.termios.input(iflag::IXANY) {
            self.stopped &= !STOPPED_BY_KEY;
        }
        match self.translate(byte) {
            None => {}
            Some(edited) if self.is_canonical() && self.edit(edited, out) => {}
            Some(b'\n') if byte == b'\r' => self.returned(out),
            Some(byte) => self.ordinary(byte, out),
        }
        None
    }

    fn strip(&self, byte: u8) -> u8 {
        let byte = if self.termios.input(iflag::ISTRIP) { byte & 0x7f } else { byte };
        let lower = self.termios.input(iflag::IUCLC) && self.termios.local(lflag::IEXTEN);
        if lower { to_lower(byte) } else { byte }
    }

    /// ^S and ^Q.
    fn flow_control(&mut self, byte: u8) -> bool {
        if !self.termios.input(iflag::IXON) {
            return false;
        }
        if self.termios.is(byte, cc::VSTART) {
            self.stopped &= !STOPPED_BY_KEY;
            return true;
        }
        if self.termios.is(byte, cc::VSTOP) {
            self.stopped |= STOPPED_BY_KEY;
            return true;
        }
        false
    }

    fn signal(&self, byte: u8) -> Option<Signal> {
        if !self.termios.local(lflag::ISIG) {
            return None;
        }
        SIGNALS.iter().find(|(place, _)| self.termios.is(byte, *place)).map(|(_, signal)| *signal)
    }

    fn signalled(&mut self, byte: u8, out: &mut impl Output) {
        if !self.termios.local(lflag::NOFLSH) {
            self.flush(Queue::Both, out);
        }
        if self.termios.input(iflag::IXON) {
            self.stopped &= !STOPPED_BY_KEY;
        }
        if self.echoes() {
            self.echo(byte, out);
        }
    }

    /// Carriage return and newline. `None`: the byte is ignored.
    fn translate(&self, byte: u8) -> Option<u8> {
        match byte {
            b'\r' if self.termios.input(iflag::IGNCR) => None,
            b'\r' if self.termios.input(iflag::ICRNL) => Some(b'\n'),
            b'\n' if self.termios.input(iflag::INLCR) => Some(b'\r'),
            _ => Some(byte),
        }
    }

    /// What a byte does to the line that is being typed. `false`: it is an ordinary one.
    fn edit(&mut self, byte: u8, out: &mut impl Output) -> bool {
        let extended = self.termios.local(lflag::IEXTEN);
        if let Some(erase) = self.eraser(byte, extended) {
            self.erase(erase, out);
        } else if extended && self.termios.is(byte, cc::VLNEXT) {
            self.next_is_literal(out);
        } else if extended && self.echoes() && self.termios.is(byte, cc::VREPRINT) {
            self.reprint(byte, out);
        } else {
            return self.end_line(byte, extended, out);
        }
        true
    }

    fn eraser(&self, byte: u8, extended: bool) -> Option<Erase> {
        let (_, erase) = ERASERS
            .into_iter()
            .find(|&(place, erase)| self.termios.is(byte, place) && (extended || erase != Erase::Word))?;
        Some(erase)
    }

    fn next_is_literal(&mut self, out: &mut impl Output) {
        self.literal = 1;
        if self.echoes() {
            self.finish_erasing(out);
            if self.termios.local(lflag::ECHOCTL) {
                self.show(b'^', out);
                self.show(0x08, out);
            }
        }
    }

    /// Whether the byte ends the line: newline, end of file (kept as a marked 0), the extra ends of line.
    fn end_line(&mut self, byte: u8, extended: bool, out: &mut impl Output) -> bool {
        if byte == b'\n' {
            if self.termios.local(lflag::ECHO | lflag::ECHONL) {
                self.show(b'\n', out);
            }
            self.publish(b'\n');
        } else if self.termios.is(byte, cc::VEOF) {
            self.publish(0);
        } else if self.termios.is(byte, cc::VEOL) || (extended && self.termios.is(byte, cc::VEOL2)) {
            if self.echoes() {
                self.note_start();
                self.echo(byte, out);
            }
            self.publish(byte);
        } else {
            return false;
        }
        true
    }

    fn publish(&mut self, byte: u8) {
        if self.queue(byte) {
            self.mark(self.head.wrapping_sub(1));
            self.canon = self.head;
        }
    }

    /// A byte without a meaning of its own is echoed and queued. Linux shows a newline as ^J here, unless it was a carriage return.
    fn ordinary(&mut self, byte: u8, out: &mut impl Output) {
        if self.echoes() {
            self.finish_erasing(out);
            self.note_start();
            self.echo(byte, out);
        }
        self.enqueue(byte);
    }

    /// A carriage return that became a newline, in raw mode.
    fn returned(&mut self, out: &mut impl Output) {
        if self.echoes() {
            self.finish_erasing(out);
            self.show(b'\n', out);
        }
        self.enqueue(b'\n');
    }

    fn enqueue(&mut self, byte: u8) {
        if byte == 0xff && self.termios.input(iflag::PARMRK) {
            self.queue(byte);
        }
        self.queue(byte);
    }

    /// Appends a byte; in a line that is too long, in place of its last one. `false`: no room.
    fn queue(&mut self, byte: u8) -> bool {
        if !self.has_input_room() {
            return false;
        }
        if self.buffered() >= BUFFER - 1 {
            self.head = self.head.wrapping_sub(1);
        }
        if let Some(place) = self.buffer.get_mut(self.head as usize % BUFFER) {
            *place = byte;
        }
        self.unmark(self.head);
        self.head = self.head.wrapping_add(1);
        if !self.is_canonical() {
            self.canon = self.head;
        }
        true
    }
}
