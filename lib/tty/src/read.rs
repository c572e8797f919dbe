//! Readers: lines in canonical mode, `VMIN` and `VTIME` in raw mode.

use crate::{BUFFER, Tty, cc};

/// A tenth of a second, the unit of `VTIME`, in nanoseconds.
const TENTH: u64 = 100_000_000;

/// What a reader gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Read {
    /// So many bytes; 0: end of file (canonical), or nothing came in time (raw).
    Bytes(usize),
    /// Nothing yet: read again after the next input, and at the deadline if there is one.
    WouldBlock {
        /// When the read ends anyway.
        deadline: Option<u64>,
    },
}

/// Whether a reader waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// It does, since that time (nanoseconds; the same in each attempt of one read).
    Since(u64),
    /// It has `O_NONBLOCK`: what is there, or nothing.
    No,
}

impl Tty {
    /// Takes input for a reader, at time `now`.
    pub fn read(&mut self, out: &mut [u8], wait: Wait, now: u64) -> Read {
        if out.is_empty() {
            return Read::Bytes(0);
        }
        if self.is_canonical() {
            return self.read_line(out);
        }
        match self.raw_deadline(out.len(), wait, now) {
            Ok(()) => Read::Bytes(self.take_raw(out)),
            Err(deadline) => Read::WouldBlock { deadline },
        }
    }

    /// Whether a read would return at once, as `poll` tells it.
    pub fn is_readable(&self) -> bool {
        if self.is_canonical() {
            return self.canon != self.tail;
        }
        let least = match self.control(cc::VTIME) {
            0 => self.control(cc::VMIN).max(1),
            _ => 1,
        };
        self.buffered() >= least as usize
    }

    /// Bytes that a reader could take (`FIONREAD`): in canonical mode those of finished lines.
    pub fn available(&self) -> usize {
        if !self.is_canonical() {
            return self.buffered();
        }
        let lines = self.canon.wrapping_sub(self.tail).min(BUFFER as u32);
        (0..lines).map(|n| self.tail.wrapping_add(n)).filter(|&number| !self.is_end_of_file(number)).count()
    }

    fn control(&self, place: usize) -> u64 {
        self.termios.cc.get(place).copied().unwrap_or(0).into()
    }

    fn is_end_of_file(&self, number: u32) -> bool {
        self.is_marked(number) && self.byte(number) == 0
    }

    /// At most one line. An end of file directly behind what was asked for goes with it.
    fn read_line(&mut self, out: &mut [u8]) -> Read {
        if self.canon == self.tail {
            return Read::WouldBlock { deadline: None };
        }
        let mut length = 0;
        while self.canon != self.tail {
            let number = self.tail;
            let (marked, end_of_file) = (self.is_marked(number), self.is_end_of_file(number));
            if !end_of_file {
                let Some(place) = out.get_mut(length) else { break };
                *place = self.byte(number);
                length += 1;
            }
            self.unmark(number);
            self.tail = number.wrapping_add(1);
            if marked {
                break;
            }
        }
        Read::Bytes(length)
    }

    /// Takes what was typed of a line that will never be finished: the terminal is gone. Returns how many bytes.
    pub fn take_unfinished(&mut self, out: &mut [u8]) -> usize {
        let length = self.take_raw(out);
        self.canon = self.tail;
        length
    }

    /// Whether a raw read is done now; if not, when it is at the latest.
    fn raw_deadline(&self, wanted: usize, wait: Wait, now: u64) -> Result<(), Option<u64>> {
        let (least, time) = (self.control(cc::VMIN), self.control(cc::VTIME) * TENTH);
        let there = self.buffered();
        let Wait::Since(since) = wait else {
            return if there > 0 || least == 0 && time == 0 { Ok(()) } else { Err(None) };
        };
        if there >= wanted.min(least.max(1) as usize) || (least == 0 && time == 0) {
            return Ok(());
        }
        let from = match (least, there) {
            (_, _) if time == 0 => return Err(None),
            (0, _) => since,
            (_, 0) => return Err(None),
            _ => since.max(self.last_input),
        };
        let deadline = from.saturating_add(time);
        if now >= deadline { Ok(()) } else { Err(Some(deadline)) }
    }

    fn take_raw(&mut self, out: &mut [u8]) -> usize {
        let length = self.buffered().min(out.len());
        for place in out.iter_mut().take(length) {
            *place = self.byte(self.tail);
            self.unmark(self.tail);
            self.tail = self.tail.wrapping_add(1);
        }
        if !self.is_canonical() {
            self.canon = self.head;
        }
        length
    }
}
