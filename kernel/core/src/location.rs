//! Where a thread is, in one word: the word that says who may touch it.
//!
//! What must always hold: exactly one place holds a thread. The word changes only by the hand of whom it names, or of whoever won the
//! thread from a queue (under its lock) or from a reply cell (by its swap).

/// A thread's place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Location {
    /// No thread: the slot is free.
    Free,
    /// On this CPU: running or ready. That CPU alone touches it.
    Cpu(u32),
    /// Waits at this endpoint as a caller; the endpoint's lock guards it.
    Queued(u32),
    /// Waits at this endpoint as a receiver; the endpoint's lock guards it.
    Receiving(u32),
    /// Its call is being served; the built-in reply cell of this thread guards it.
    Served(u32),
    /// Its call is being served; the cell of this Reply object guards it.
    Kept(u32),
    /// In this CPU's mailbox.
    Mail(u32),
    /// Waits under the registry's lock (not started, or until a death or a shootdown is complete).
    Parked,
}

const KIND: u64 = 0xff;
const INDEX_SHIFT: u32 = 8;
const INDEX: u64 = 0xff_ffff;
const SEQUENCE_SHIFT: u32 = 32;

/// A location and the sequence number of the wait it belongs to, so that a late canceller can't hit the next wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Word(pub u64);

impl Word {
    /// From its parts.
    #[inline(always)]
    pub const fn new(at: Location, sequence: u32) -> Word {
        let (kind, index) = match at {
            Location::Free => (0, 0),
            Location::Cpu(n) => (1, n),
            Location::Queued(n) => (2, n),
            Location::Receiving(n) => (3, n),
            Location::Served(n) => (4, n),
            Location::Kept(n) => (5, n),
            Location::Mail(n) => (6, n),
            Location::Parked => (7, 0),
        };
        Word(kind | (index as u64 & INDEX) << INDEX_SHIFT | (sequence as u64) << SEQUENCE_SHIFT)
    }

    /// The place.
    #[inline(always)]
    pub const fn at(self) -> Location {
        let index = (self.0 >> INDEX_SHIFT & INDEX) as u32;
        match self.0 & KIND {
            1 => Location::Cpu(index),
            2 => Location::Queued(index),
            3 => Location::Receiving(index),
            4 => Location::Served(index),
            5 => Location::Kept(index),
            6 => Location::Mail(index),
            7 => Location::Parked,
            _ => Location::Free,
        }
    }

    /// The wait's number.
    #[inline(always)]
    pub const fn sequence(self) -> u32 {
        (self.0 >> SEQUENCE_SHIFT) as u32
    }

    /// Is the thread on this CPU? (One comparison, for the message path.)
    #[inline(always)]
    pub const fn is_on(self, cpu: u32) -> bool {
        self.0 as u32 == (1 | cpu << INDEX_SHIFT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_keeps_place_and_sequence() {
        for at in [
            Location::Free,
            Location::Cpu(3),
            Location::Queued(0xff_fffe),
            Location::Receiving(1),
            Location::Served(9),
            Location::Kept(7),
            Location::Mail(2),
            Location::Parked,
        ] {
            let word = Word::new(at, 0xdead_beef);
            assert_eq!((word.at(), word.sequence()), (at, 0xdead_beef));
            assert_eq!(word.is_on(3), at == Location::Cpu(3));
        }
    }
}
