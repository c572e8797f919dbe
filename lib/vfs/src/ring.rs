//! A ring of bytes that grows with use up to its capacity, so that the many that carry little cost little: pipes, stream sockets.

use crate::contents::{Dest, Source};
use crate::errno::Errno;
use alloc::vec::Vec;

/// The ring's first size in bytes.
const LEAST: usize = 4096;

/// A first-in-first-out queue of bytes.
#[derive(Clone, Debug)]
pub(crate) struct Ring {
    bytes: Vec<u8>,
    head: usize,
    len: usize,
    capacity: usize,
}

impl Ring {
    /// Empty, for up to `capacity` bytes.
    pub(crate) fn new(capacity: usize) -> Self {
        Ring { bytes: Vec::new(), head: 0, len: 0, capacity }
    }

    /// Bytes in it.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Bytes that it may hold.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes that it can still take.
    pub(crate) fn free(&self) -> usize {
        self.capacity - self.len
    }

    /// Copies up to `want` bytes out, which stay. As many as arrived; a fault before the first is the error.
    pub(crate) fn peek(&self, to: &mut dyn Dest, want: usize) -> Result<usize, Errno> {
        let want = want.min(self.len).min(to.room());
        let mut done = 0;
        while done < want {
            let at = (self.head + done) % self.bytes.len();
            let n = (want - done).min(self.bytes.len() - at);
            match to.put(self.bytes.get(at..at + n).unwrap_or(&[])) {
                Ok(m) if m < n => return Ok(done + m),
                Ok(m) => done += m,
                Err(_) if done > 0 => break,
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    /// Moves up to `want` bytes out. A fault of the reader's memory loses nothing: only what arrived is gone.
    pub(crate) fn read(&mut self, to: &mut dyn Dest, want: usize) -> Result<usize, Errno> {
        let done = self.peek(to, want)?;
        self.len -= done;
        self.head = if self.len == 0 { 0 } else { (self.head + done) % self.bytes.len() };
        Ok(done)
    }

    /// Moves up to `want` bytes in, as many as there is room for.
    pub(crate) fn write(&mut self, from: &mut dyn Source, want: usize) -> Result<usize, Errno> {
        let want = want.min(self.free()).min(from.left());
        self.grow(self.len + want);
        let mut done = 0;
        while done < want {
            let tail = (self.head + self.len) % self.bytes.len();
            let n = (want - done).min(self.bytes.len() - tail);
            match from.take(self.bytes.get_mut(tail..tail + n).unwrap_or(&mut [])) {
                Ok(m) => {
                    self.len += m;
                    done += m;
                    if m < n {
                        break;
                    }
                }
                Err(_) if done > 0 => break,
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    /// Makes room for at least `need` bytes, in order from its start.
    fn grow(&mut self, need: usize) {
        if need > self.bytes.len() {
            self.relay(need.next_power_of_two().clamp(LEAST, self.capacity.max(LEAST)));
        }
    }

    fn relay(&mut self, size: usize) {
        self.bytes.rotate_left(self.head);
        self.head = 0;
        self.bytes.resize(size, 0);
    }

    /// Another capacity: `EBUSY` if it holds more than that.
    pub(crate) fn set_capacity(&mut self, capacity: usize) -> Result<(), Errno> {
        if capacity < self.len {
            return Err(Errno::EBUSY);
        }
        if self.bytes.len() > capacity {
            self.relay(capacity);
        }
        self.capacity = capacity;
        Ok(())
    }
}
