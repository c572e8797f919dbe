//! Reply cells: who waits for an answer, in one word that answer, cancel and death race for.
//!
//! What must always hold: a thread at `Location::Served(i)` or `Kept(i)` is in exactly that cell; whoever empties the cell has won the
//! thread. While a loan is copied the cell is busy: a canceller leaves a mark, and the copier carries the cancellation out.

use crate::threads::Won;
use core::sync::atomic::{AtomicU64, Ordering};

const INDEX: u64 = 0xff_ffff;
const BUSY: u64 = 1 << 24;
const CANCEL_SHIFT: u32 = 25;
const CANCEL: u64 = 0x1f << CANCEL_SHIFT;
const SEQUENCE_SHIFT: u32 = 32;

/// A place for one waiting caller.
#[derive(Debug, Default)]
pub struct Cell(AtomicU64);

/// What became of an attempt to cancel.
#[derive(Debug, PartialEq, Eq)]
pub enum Cancel {
    /// The caller is won.
    Won(Won),
    /// A copy is under way: who copies will cancel.
    Deferred,
    /// That wait is over already.
    Gone,
}

/// A caller held for a copy.
#[derive(Debug)]
pub struct Held {
    index: u32,
}

impl Held {
    /// The caller's slot.
    pub fn index(&self) -> u32 {
        self.index
    }
}

impl Cell {
    /// Nobody waits.
    pub const fn empty() -> Cell {
        Cell(AtomicU64::new(0))
    }

    #[inline(always)]
    fn word(index: u32, sequence: u32) -> u64 {
        (index as u64 + 1) & INDEX | (sequence as u64) << SEQUENCE_SHIFT
    }

    /// A copy, for the host's tests.
    #[cfg(not(target_os = "none"))]
    pub(crate) fn duplicate(&self) -> Cell {
        Cell(AtomicU64::new(self.0.load(Ordering::Relaxed)))
    }

    /// Does somebody wait?
    #[inline(always)]
    pub fn is_occupied(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    /// Who waits, if somebody does: index of the thread and number of its wait.
    pub fn peek(&self) -> Option<(u32, u32)> {
        let word = self.0.load(Ordering::Acquire);
        (word != 0).then(|| ((word & INDEX) as u32 - 1, (word >> SEQUENCE_SHIFT) as u32))
    }

    /// Puts a caller in. Only the owner of an empty cell does that.
    #[inline(always)]
    pub fn put(&self, index: u32, sequence: u32) {
        self.0.store(Self::word(index, sequence), Ordering::Release);
    }

    /// Puts a caller in, if nobody is there: for a cell that several threads may fill.
    pub fn try_put(&self, index: u32, sequence: u32) -> bool {
        let word = Self::word(index, sequence);
        self.0.compare_exchange(0, word, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Takes the caller out to answer it; `None` if nobody waits, or another thread copies from it right now.
    #[inline(always)]
    pub fn take(&self) -> Option<Won> {
        let word = self.0.load(Ordering::Acquire);
        // Empty (0) and busy (above INDEX) are both out of range then.
        let index = (word & (INDEX | BUSY)).wrapping_sub(1) as u32;
        if index >= INDEX as u32 {
            return None;
        }
        self.0.compare_exchange(word, 0, Ordering::AcqRel, Ordering::Relaxed).ok()?;
        Some(Won::taken(index))
    }

    /// Cancels that wait of that thread, for the reason `why` (an error number).
    pub fn cancel(&self, index: u32, sequence: u32, why: u8) -> Cancel {
        let want = Self::word(index, sequence);
        loop {
            let word = self.0.load(Ordering::Acquire);
            if word & !(BUSY | CANCEL) != want {
                return Cancel::Gone;
            }
            if word & BUSY != 0 {
                let marked = word & !CANCEL | (why as u64) << CANCEL_SHIFT;
                if self.0.compare_exchange(word, marked, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                    return Cancel::Deferred;
                }
            } else if self.0.compare_exchange(word, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return Cancel::Won(Won::taken(index));
            }
        }
    }

    /// Holds the caller for a copy.
    pub fn hold(&self) -> Option<Held> {
        let word = self.0.load(Ordering::Acquire);
        if word == 0 || word & BUSY != 0 {
            return None;
        }
        self.0.compare_exchange(word, word | BUSY, Ordering::AcqRel, Ordering::Relaxed).ok()?;
        Some(Held { index: (word & INDEX) as u32 - 1 })
    }

    /// The caller that is held, again; and whether somebody has cancelled: for explorers that let others work while a copy is under way.
    #[cfg(feature = "check")]
    pub(crate) fn held(&self) -> Option<(Held, u8)> {
        let word = self.0.load(Ordering::Acquire);
        let why = ((word & CANCEL) >> CANCEL_SHIFT) as u8;
        (word & BUSY != 0).then(|| (Held { index: (word & INDEX) as u32 - 1 }, why))
    }

    /// Ends the copy. If somebody cancelled meanwhile: the caller, won, and the reason.
    pub fn release(&self, held: Held) -> Option<(Won, u8)> {
        loop {
            let word = self.0.load(Ordering::Acquire);
            let why = (word & CANCEL) >> CANCEL_SHIFT;
            let next = if why != 0 { 0 } else { word & !BUSY };
            if self.0.compare_exchange(word, next, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return (why != 0).then(|| (Won::taken(held.index), why as u8));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_answer_and_cancel_wins() {
        let cell = Cell::empty();
        cell.put(4, 9);
        assert_eq!(cell.peek(), Some((4, 9)));
        assert_eq!(cell.cancel(4, 8, 1), Cancel::Gone);
        assert!(matches!(cell.cancel(4, 9, 1), Cancel::Won(_)));
        assert!(cell.take().is_none());
    }

    #[test]
    fn a_cancel_during_a_copy_is_carried_out_by_the_copier() {
        let cell = Cell::empty();
        cell.put(0, 1);
        let held = cell.hold().unwrap();
        assert!(cell.take().is_none());
        assert_eq!(cell.cancel(0, 1, 9), Cancel::Deferred);
        let (_, why) = cell.release(held).unwrap();
        assert_eq!(why, 9);
        assert!(!cell.is_occupied());
    }
}
