//! Pipes: a ring of bytes between writers and readers (pipe(7)).
//!
//! The ring grows with use up to its capacity, so that the many pipes that carry little cost little. Waiting and waking is
//! the operations' business; here is only what is in the pipe and who holds its ends.

use crate::arena::Id;
use crate::contents::{Dest, Source};
use crate::errno::Errno;
use crate::wait::{Events, QueueId};
use alloc::vec::Vec;

/// Writes up to this many bytes are never torn.
pub const PIPE_BUF: usize = 4096;
/// Capacity of a new pipe.
pub(crate) const DEFAULT_CAPACITY: usize = 65536;
/// Most that `F_SETPIPE_SZ` allows (/proc/sys/fs/pipe-max-size).
pub(crate) const MAX_CAPACITY: usize = 1 << 20;

/// Names a pipe.
pub(crate) type PipeId = Id<Pipe>;

/// A ring of bytes between writers and readers.
#[derive(Clone, Debug)]
pub(crate) struct Pipe {
    ring: Vec<u8>,
    head: usize,
    len: usize,
    pub(crate) capacity: usize,
    pub(crate) readers: u32,
    pub(crate) writers: u32,
    /// Opens of either side ever: a FIFO's opener waits for the other side's to move.
    pub(crate) reader_opens: u32,
    pub(crate) writer_opens: u32,
    pub(crate) queue: QueueId,
}

impl Pipe {
    pub(crate) fn new(queue: QueueId) -> Self {
        Pipe {
            ring: Vec::new(),
            head: 0,
            len: 0,
            capacity: DEFAULT_CAPACITY,
            readers: 0,
            writers: 0,
            reader_opens: 0,
            writer_opens: 0,
            queue,
        }
    }

    /// Bytes in it.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Bytes that it can still take.
    pub(crate) fn free(&self) -> usize {
        self.capacity - self.len
    }

    /// Moves up to `want` bytes out. A fault of the reader's memory loses nothing: only what arrived is gone.
    pub(crate) fn read(&mut self, to: &mut dyn Dest, want: usize) -> Result<usize, Errno> {
        let want = want.min(self.len).min(to.room());
        let mut done = 0;
        while done < want {
            let n = (want - done).min(self.ring.len() - self.head);
            let piece = self.ring.get(self.head..self.head + n).unwrap_or(&[]);
            match to.put(piece) {
                Ok(m) => {
                    self.consume(m);
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

    fn consume(&mut self, n: usize) {
        self.len -= n;
        self.head = if self.len == 0 { 0 } else { (self.head + n) % self.ring.len() };
    }

    /// Moves up to `want` bytes in, as many as there is room for.
    pub(crate) fn write(&mut self, from: &mut dyn Source, want: usize) -> Result<usize, Errno> {
        let want = want.min(self.free()).min(from.left());
        self.grow(self.len + want);
        let mut done = 0;
        while done < want {
            let tail = (self.head + self.len) % self.ring.len();
            let n = (want - done).min(self.ring.len() - tail);
            match from.take(self.ring.get_mut(tail..tail + n).unwrap_or(&mut [])) {
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

    /// Makes the ring at least `need` bytes, in order from its start.
    fn grow(&mut self, need: usize) {
        if need > self.ring.len() {
            let size = need.next_power_of_two().clamp(PIPE_BUF, self.capacity.max(PIPE_BUF));
            self.relay(size);
        }
    }

    fn relay(&mut self, size: usize) {
        self.ring.rotate_left(self.head);
        self.head = 0;
        self.ring.resize(size, 0);
    }

    /// `F_SETPIPE_SZ`: `EBUSY` if it holds more than that.
    pub(crate) fn set_capacity(&mut self, capacity: usize) -> Result<(), Errno> {
        if capacity < self.len {
            return Err(Errno::EBUSY);
        }
        if self.ring.len() > capacity {
            self.relay(capacity);
        }
        self.capacity = capacity;
        Ok(())
    }

    /// What a reader's end is ready for.
    pub(crate) fn read_ready(&self) -> Events {
        let mut ready = Events::empty();
        if self.len > 0 {
            ready |= Events::IN | Events::RDNORM;
        }
        if self.writers == 0 && self.writer_opens > 0 {
            ready |= Events::HUP;
        }
        ready
    }

    /// What a writer's end is ready for.
    pub(crate) fn write_ready(&self) -> Events {
        let mut ready = Events::empty();
        if self.free() >= PIPE_BUF {
            ready |= Events::OUT | Events::WRNORM;
        }
        if self.readers == 0 {
            ready |= Events::ERR;
        }
        ready
    }
}
