//! A CPU's ready threads: 256 priorities, first in first out within one.
//!
//! What must always hold: every thread in the queue is on this CPU; a bit is set exactly where a list is not empty.

use crate::hw::Frame;
use crate::threads::{Hold, NONE, Threads};

/// The ready queue.
#[derive(Clone, Debug)]
pub struct Ready {
    heads: [u32; 256],
    tails: [u32; 256],
    bits: [u64; 4],
    count: u32,
}

impl Default for Ready {
    fn default() -> Self {
        Ready { heads: [NONE; 256], tails: [NONE; 256], bits: [0; 4], count: 0 }
    }
}

impl Ready {
    /// Threads in it.
    #[cfg(feature = "check")]
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// First and last of a priority, and whether its bit is set.
    #[cfg(feature = "check")]
    pub(crate) fn list(&self, priority: u8) -> (u32, u32, bool) {
        let n = priority as usize;
        (self.heads[n], self.tails[n], self.bits[n / 64] >> (n % 64) & 1 == 1)
    }

    /// The highest priority that somebody has, if anybody is ready.
    #[inline(always)]
    pub fn highest(&self) -> Option<u8> {
        let [a, b, c, d] = self.bits;
        let (base, word) = if d != 0 {
            (192, d)
        } else if c != 0 {
            (128, c)
        } else if b != 0 {
            (64, b)
        } else if a != 0 {
            (0, a)
        } else {
            return None;
        };
        Some(base + 63 - word.leading_zeros() as u8)
    }

    /// Is somebody ready who ranks above `priority`?
    #[inline(always)]
    pub fn beats(&self, priority: u8) -> bool {
        self.count != 0 && self.highest().is_some_and(|h| h > priority)
    }

    fn mark(&mut self, priority: u8) {
        if let Some(word) = self.bits.get_mut(priority as usize / 64) {
            *word |= 1 << (priority % 64);
        }
    }

    fn clear(&mut self, priority: u8) {
        if let Some(word) = self.bits.get_mut(priority as usize / 64) {
            *word &= !(1 << (priority % 64));
        }
    }

    /// Puts a thread behind those of its priority.
    pub fn push<F: Frame>(&mut self, threads: &Threads<F>, hold: &mut Hold, index: u32) {
        self.insert(threads, hold, index, |list| (list.1, NONE));
    }

    /// Puts a thread before those of its priority: it was preempted and has time left.
    pub fn push_front<F: Frame>(&mut self, threads: &Threads<F>, hold: &mut Hold, index: u32) {
        self.insert(threads, hold, index, |list| (NONE, list.0));
    }

    /// Puts a thread between two neighbours, either of which may be none: they depend on first and last of its priority.
    #[inline(always)]
    fn insert<F: Frame>(
        &mut self,
        threads: &Threads<F>,
        hold: &mut Hold,
        index: u32,
        neighbours: impl FnOnce((u32, u32)) -> (u32, u32),
    ) {
        let Some(t) = threads.own(hold, index) else { return };
        let p = t.priority;
        let (prev, next) = neighbours((self.heads[p as usize], self.tails[p as usize]));
        (t.prev, t.next) = (prev, next);
        match threads.own(hold, prev) {
            Some(x) => x.next = index,
            None => self.heads[p as usize] = index,
        }
        match threads.own(hold, next) {
            Some(x) => x.prev = index,
            None => self.tails[p as usize] = index,
        }
        self.mark(p);
        self.count += 1;
    }

    /// Takes a thread out, wherever it stands.
    pub fn remove<F: Frame>(&mut self, threads: &Threads<F>, hold: &mut Hold, index: u32) {
        let Some(t) = threads.own(hold, index) else { return };
        let (p, prev, next) = (t.priority as usize, t.prev, t.next);
        t.unlink();
        match threads.own(hold, prev) {
            Some(x) => x.next = next,
            None => self.heads[p] = next,
        }
        match threads.own(hold, next) {
            Some(x) => x.prev = prev,
            None => self.tails[p] = prev,
        }
        if self.heads[p] == NONE {
            self.clear(p as u8);
        }
        self.count = self.count.saturating_sub(1);
    }

    /// Takes the first of the highest priority.
    pub fn pop<F: Frame>(&mut self, threads: &Threads<F>, hold: &mut Hold) -> Option<u32> {
        let p = self.highest()?;
        let index = *self.heads.get(p as usize)?;
        self.remove(threads, hold, index);
        Some(index)
    }
}
