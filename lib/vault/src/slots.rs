//! The last request of every client and its answer, so that a request repeated after `ServerDied` is answered once.
//!
//! What must hold: an answer is recorded under the same commit as the effect that it tells of; so this value lies
//! inside the state that [`crate::Committed`] or [`crate::Redo`] changes. A client has one request open per slot;
//! its next request frees the answer to the one before.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Words of an answer.
pub const ANSWER_WORDS: usize = 8;

/// Sequence numbers are 24 bits, in a request's word 0; 0 is none.
pub const SEQUENCE_MASK: u32 = 0xff_ffff;

/// The words of a reply.
pub type Answer = [u64; ANSWER_WORDS];

/// One client thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Slot {
    /// Who has it; 0: nobody.
    key: u64,
    /// The number of the last answered request; 0: none yet.
    sequence: u32,
    reserved: u32,
    answer: Answer,
}

/// What a request is to the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lookup {
    /// Not seen before, or not answered before the death: do it.
    New,
    /// Done: this is its answer.
    Answered(Answer),
    /// Older than the last answered one: its client has gone on, nobody waits for it.
    Stale,
    /// That slot is not open for this client.
    Closed,
}

/// `N` clients. Zero bytes are a valid, empty value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct ClientSlots<const N: usize>([Slot; N]);

impl<const N: usize> ClientSlots<N> {
    /// No client yet.
    pub const fn new() -> Self {
        ClientSlots([Slot { key: 0, sequence: 0, reserved: 0, answer: [0; ANSWER_WORDS] }; N])
    }

    /// The slot of client `key` (not 0), which is the one that it has, or a free one. So opening can be repeated.
    /// `None`: all are taken.
    pub fn open(&mut self, key: u64) -> Option<u16> {
        if key == 0 {
            return None;
        }
        let place = |key| self.0.iter().position(|slot| slot.key == key);
        let number = place(key).or_else(|| place(0))?;
        let slot = self.0.get_mut(number)?;
        slot.key = key;
        u16::try_from(number).ok()
    }

    /// Frees the slots of all clients for whose key `gone` holds.
    pub fn close(&mut self, gone: impl Fn(u64) -> bool) {
        for slot in self.0.iter_mut().filter(|slot| slot.key != 0) {
            if gone(slot.key) {
                *slot = Slot { key: 0, sequence: 0, reserved: 0, answer: [0; ANSWER_WORDS] };
            }
        }
    }

    /// What request `sequence` of slot `number` is. `key` must be the one that opened it.
    pub fn lookup(&self, key: u64, number: u16, sequence: u32) -> Lookup {
        let Some(slot) = self.0.get(usize::from(number)).filter(|slot| key != 0 && slot.key == key) else {
            return Lookup::Closed;
        };
        let sequence = sequence & SEQUENCE_MASK;
        let ahead = sequence.wrapping_sub(slot.sequence) & SEQUENCE_MASK;
        match ahead {
            _ if sequence == 0 => Lookup::Stale,
            _ if slot.sequence == 0 => Lookup::New,
            0 => Lookup::Answered(slot.answer),
            _ if ahead <= SEQUENCE_MASK / 2 => Lookup::New,
            _ => Lookup::Stale,
        }
    }

    /// Records the answer to a request that was [`Lookup::New`]. Does nothing for a slot that doesn't exist.
    pub fn record(&mut self, number: u16, sequence: u32, answer: Answer) {
        if let Some(slot) = self.0.get_mut(usize::from(number)) {
            slot.sequence = sequence & SEQUENCE_MASK;
            slot.answer = answer;
        }
    }

    /// The number after `sequence`: 24 bits, never 0. For clients.
    pub fn next(sequence: u32) -> u32 {
        match sequence.wrapping_add(1) & SEQUENCE_MASK {
            0 => 1,
            next => next,
        }
    }

    /// Who has slot `number`; `None`: nobody, or there is no such slot.
    pub fn key(&self, number: u16) -> Option<u64> {
        self.0.get(usize::from(number)).map(|slot| slot.key).filter(|&key| key != 0)
    }
}

impl<const N: usize> Default for ClientSlots<N> {
    fn default() -> Self {
        Self::new()
    }
}
