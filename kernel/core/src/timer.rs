//! A CPU's deadlines: a binary heap with one place per thread.
//!
//! What must always hold: `entries[..count]` is a heap by time; a thread is in it at most once per CPU, so arming never fails and never
//! grows. An entry whose wait is over is left to expire: its sequence number no longer fits.

/// One place: a heap entry, and (by thread index) where that thread's entry stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entry {
    at: u64,
    thread: u32,
    sequence: u32,
    place: u32,
}

/// Deadlines over storage `S`, which has one entry per thread slot.
#[derive(Clone, Debug)]
pub struct Timers<S> {
    entries: S,
    count: usize,
}

impl<S: AsRef<[Entry]> + AsMut<[Entry]>> Timers<S> {
    /// None armed.
    pub fn new(entries: S) -> Self {
        Timers { entries, count: 0 }
    }

    /// What is armed, in no order: time, thread, number of its wait.
    #[cfg(feature = "check")]
    pub(crate) fn armed(&self) -> impl Iterator<Item = (u64, u32, u32)> {
        self.entries.as_ref().iter().take(self.count).map(|e| (e.at, e.thread, e.sequence))
    }

    /// The next deadline.
    pub fn next(&self) -> Option<u64> {
        if self.count == 0 { None } else { self.entries.as_ref().first().map(|e| e.at) }
    }

    /// Arms wait `sequence` of `thread` for `at`, instead of an older one of that thread.
    pub fn arm(&mut self, thread: u32, sequence: u32, at: u64) {
        let entries = self.entries.as_ref();
        let Some(mine) = entries.get(thread as usize) else { return };
        let place = match mine.place {
            0 => {
                self.count += 1;
                self.count - 1
            }
            p => p as usize - 1,
        };
        self.set(place, at, thread, sequence);
        let place = self.up(place);
        self.down(place);
    }

    /// Takes one deadline that has passed: thread and sequence number.
    pub fn expire(&mut self, now: u64) -> Option<(u32, u32)> {
        if self.next()? > now {
            return None;
        }
        let first = *self.entries.as_ref().first()?;
        self.count -= 1;
        if let Some(e) = self.entries.as_mut().get_mut(first.thread as usize) {
            e.place = 0;
        }
        if self.count > 0 {
            let last = *self.entries.as_ref().get(self.count)?;
            self.set(0, last.at, last.thread, last.sequence);
            self.down(0);
        }
        Some((first.thread, first.sequence))
    }

    fn set(&mut self, place: usize, at: u64, thread: u32, sequence: u32) {
        let entries = self.entries.as_mut();
        if let Some(e) = entries.get_mut(place) {
            (e.at, e.thread, e.sequence) = (at, thread, sequence);
        }
        if let Some(e) = entries.get_mut(thread as usize) {
            e.place = place as u32 + 1;
        }
    }

    fn at(&self, place: usize) -> u64 {
        self.entries.as_ref().get(place).map_or(u64::MAX, |e| e.at)
    }

    fn swap(&mut self, a: usize, b: usize) {
        let entries = self.entries.as_ref();
        if let (Some(x), Some(y)) = (entries.get(a).copied(), entries.get(b).copied()) {
            self.set(a, y.at, y.thread, y.sequence);
            self.set(b, x.at, x.thread, x.sequence);
        }
    }

    fn up(&mut self, mut place: usize) -> usize {
        while place > 0 && self.at((place - 1) / 2) > self.at(place) {
            self.swap(place, (place - 1) / 2);
            place = (place - 1) / 2;
        }
        place
    }

    fn down(&mut self, mut place: usize) {
        loop {
            let (l, r) = (2 * place + 1, 2 * place + 2);
            let mut least = place;
            for child in [l, r] {
                if child < self.count && self.at(child) < self.at(least) {
                    least = child;
                }
            }
            if least == place {
                return;
            }
            self.swap(place, least);
            place = least;
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn deadlines_come_in_order_and_once() {
        let mut timers = Timers::new(vec![Entry::default(); 64]);
        let mut x = 12345u64;
        let mut want = Vec::new();
        for t in 0..64u32 {
            x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            timers.arm(t, 0, 1_000_000);
            timers.arm(t, 1, x >> 40);
            want.push((x >> 40, t));
        }
        want.sort();
        let mut got = Vec::new();
        while let Some(at) = timers.next() {
            assert_eq!(timers.expire(at.wrapping_sub(1)), None);
            let (t, s) = timers.expire(at).unwrap();
            assert_eq!(s, 1);
            got.push((at, t));
        }
        got.sort();
        assert_eq!(got, want);
    }
}
