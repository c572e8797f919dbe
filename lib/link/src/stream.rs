//! The state that survives: per channel what was sent, acknowledged, received and read, as byte numbers, and the
//! bytes in between.
//!
//! What must hold: byte number `n` of a stream lies in its ring at `n % RING`; `acked <= written <= acked + RING`
//! and `read <= received <= read + RING` (numbers modulo 2^32). Each number is one word that only grows, every
//! prefix of the stores of every function here is a valid state: a successor continues from any of them.

use sal_vault::store;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes kept for a stream in one direction. A power of two.
pub const RING: usize = 4096;

const RING_WORD: u32 = RING as u32;

/// Outgoing bytes of one channel.
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Transmit {
    /// All before it has arrived.
    pub(crate) acked: u32,
    /// All before it was accepted.
    pub(crate) written: u32,
    /// The peer takes no byte from this number on.
    pub(crate) limit: u32,
    reserved: u32,
    ring: [u8; RING],
}

/// Incoming bytes of one channel.
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Receive {
    /// All before it was taken by the reader.
    pub(crate) read: u32,
    /// All before it has arrived.
    pub(crate) received: u32,
    reserved: [u32; 2],
    ring: [u8; RING],
}

impl Transmit {
    /// Takes as many of `bytes` as there is room for; returns how many.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> usize {
        let room = RING.saturating_sub(self.unacked());
        let bytes = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        put(&mut self.ring, self.written, bytes);
        if !bytes.is_empty() {
            let written = self.written.wrapping_add(bytes.len() as u32);
            store::word32(&mut self.written, written);
        }
        bytes.len()
    }

    /// Copies bytes from number `from` on; returns how many (what was written, and the peer takes).
    pub(crate) fn copy(&self, from: u32, out: &mut [u8]) -> usize {
        get(&self.ring, from, out, self.sendable(from))
    }

    /// How many bytes may be sent from number `from` on.
    pub(crate) fn sendable(&self, from: u32) -> usize {
        let written = behind(from, self.written).min(RING_WORD);
        written.min(behind(from, self.limit)) as usize
    }

    /// How many accepted bytes have not been acknowledged.
    pub(crate) fn unacked(&self) -> usize {
        behind(self.acked, self.written) as usize
    }

    /// The peer has all before `ack` and takes all before `limit`. Says whether that is news. Numbers that cannot
    /// be are ignored.
    pub(crate) fn acknowledge(&mut self, ack: u32, limit: u32) -> bool {
        let gained = behind(self.acked, ack);
        if gained > behind(self.acked, self.written) || behind(ack, limit) > RING_WORD {
            return false;
        }
        if gained > 0 {
            store::word32(&mut self.acked, ack);
        }
        let more = behind(self.limit, limit);
        if more > 0 {
            store::word32(&mut self.limit, limit);
        }
        gained > 0 || more > 0
    }

    /// All numbers to zero. Can be repeated.
    pub(crate) fn reset(&mut self) {
        store::word32(&mut self.limit, 0);
        store::word32(&mut self.written, 0);
        store::word32(&mut self.acked, 0);
    }
}

impl Receive {
    /// Takes what is new of `bytes`, whose first has the number `seq`. `Err`: there is a gap before them.
    pub(crate) fn accept(&mut self, seq: u32, bytes: &[u8]) -> Result<usize, Gap> {
        let known = self.received.wrapping_sub(seq) as i32;
        if known < 0 {
            return Err(Gap);
        }
        let room = RING.saturating_sub(self.available());
        let new = bytes.get(known as usize..).unwrap_or_default();
        let new = new.get(..room.min(new.len())).unwrap_or_default();
        put(&mut self.ring, self.received, new);
        if !new.is_empty() {
            let received = self.received.wrapping_add(new.len() as u32);
            store::word32(&mut self.received, received);
        }
        Ok(new.len())
    }

    /// How many bytes wait for the reader.
    pub(crate) fn available(&self) -> usize {
        behind(self.read, self.received) as usize
    }

    /// Copies waiting bytes from number `from` on, without taking them; returns how many.
    pub(crate) fn copy(&self, from: u32, out: &mut [u8]) -> usize {
        let skipped = behind(self.read, from) as usize;
        get(&self.ring, from, out, self.available().saturating_sub(skipped))
    }

    /// The reader has all before `upto`. What lies outside the waiting bytes is ignored.
    pub(crate) fn take(&mut self, upto: u32) {
        let taken = behind(self.read, upto);
        if taken > 0 && taken <= behind(self.read, self.received) {
            store::word32(&mut self.read, upto);
        }
    }

    /// The first number that is not taken from the sender.
    pub(crate) fn limit(&self) -> u32 {
        self.read.wrapping_add(RING_WORD)
    }

    /// All numbers to zero. Can be repeated.
    pub(crate) fn reset(&mut self) {
        store::word32(&mut self.received, 0);
        store::word32(&mut self.read, 0);
    }
}

/// Bytes are missing before those that came.
pub(crate) struct Gap;

/// How far `low` is behind `high`; 0 if it is not.
pub(crate) fn behind(low: u32, high: u32) -> u32 {
    (high.wrapping_sub(low) as i32).max(0) as u32
}

fn put(ring: &mut [u8; RING], number: u32, bytes: &[u8]) {
    let start = number as usize % RING;
    let (low, high) = ring.split_at_mut(start);
    let (first, second) = bytes.split_at(bytes.len().min(high.len()));
    store::bytes(high, first);
    store::bytes(low, second);
}

fn get(ring: &[u8; RING], number: u32, out: &mut [u8], most: usize) -> usize {
    let length = most.min(out.len());
    let (low, high) = ring.split_at(number as usize % RING);
    for (to, from) in out.iter_mut().take(length).zip(high.iter().chain(low)) {
        *to = *from;
    }
    length
}
