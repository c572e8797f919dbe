//! Pipes: a ring of bytes between writers and readers (pipe(7)).
//!
//! Waiting and waking is the operations' business; here is only what is in the pipe and who holds its ends.

use crate::contents::{Dest, Source};
use crate::errno::Errno;
use crate::ring::Ring;
use crate::wait::{Events, QueueId};
use sal_arena::Id;

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
    ring: Ring,
    pub(crate) readers: u32,
    pub(crate) writers: u32,
    /// Opens of either side ever: a FIFO's opener waits for the other side's to move.
    pub(crate) reader_opens: u32,
    pub(crate) writer_opens: u32,
    pub(crate) queue: QueueId,
}

impl Pipe {
    pub(crate) fn new(queue: QueueId) -> Self {
        Pipe { ring: Ring::new(DEFAULT_CAPACITY), readers: 0, writers: 0, reader_opens: 0, writer_opens: 0, queue }
    }

    /// Bytes in it.
    pub(crate) fn len(&self) -> usize {
        self.ring.len()
    }

    /// Bytes that it can still take.
    pub(crate) fn free(&self) -> usize {
        self.ring.free()
    }

    /// Bytes that it may hold.
    pub(crate) fn capacity(&self) -> usize {
        self.ring.capacity()
    }

    /// As [`Ring::read`].
    pub(crate) fn read(&mut self, to: &mut dyn Dest, want: usize) -> Result<usize, Errno> {
        self.ring.read(to, want)
    }

    /// As [`Ring::write`].
    pub(crate) fn write(&mut self, from: &mut dyn Source, want: usize) -> Result<usize, Errno> {
        self.ring.write(from, want)
    }

    /// `F_SETPIPE_SZ`: `EBUSY` if it holds more than that.
    pub(crate) fn set_capacity(&mut self, capacity: usize) -> Result<(), Errno> {
        self.ring.set_capacity(capacity)
    }

    /// What a reader's end is ready for.
    pub(crate) fn read_ready(&self) -> Events {
        let mut ready = Events::empty();
        if self.len() > 0 {
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
