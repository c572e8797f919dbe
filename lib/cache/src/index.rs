//! A hash index over rows of a table: open addressing with linear probing, in a slice of the caller's.
//!
//! What must hold: every entry is reached from its home without passing an empty slot (removal moves entries back, there are no tombstones).

/// An empty slot.
pub(crate) const NONE: u32 = u32::MAX;

/// Row numbers by hash.
pub(crate) struct Index<'a> {
    slots: &'a mut [u32],
    used: usize,
}

/// Spreads two words over 64 bits (the finalizer of SplitMix64).
pub(crate) fn hash(a: u64, b: u64) -> u64 {
    let mut x = a.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ b;
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl<'a> Index<'a> {
    /// An empty index in `slots`.
    pub(crate) fn new(slots: &'a mut [u32]) -> Self {
        slots.fill(NONE);
        Index { slots, used: 0 }
    }

    /// The row with that hash for which `is` holds.
    pub(crate) fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        let mut at = self.home(hash);
        for _ in 0..self.slots.len() {
            match self.at(at) {
                NONE => return None,
                row if is(row) => return Some(row),
                _ => at = self.after(at),
            }
        }
        None
    }

    /// Whether another row has room. One slot stays empty.
    pub(crate) fn has_room(&self) -> bool {
        self.used + 1 < self.slots.len()
    }

    /// Adds a row that isn't there. Does nothing without room.
    pub(crate) fn insert(&mut self, hash: u64, row: u32) {
        if !self.has_room() {
            return;
        }
        let mut at = self.home(hash);
        while self.at(at) != NONE {
            at = self.after(at);
        }
        self.set(at, row);
        self.used += 1;
    }

    /// Takes a row out, if it is there. `hash_of` gives any row's hash.
    pub(crate) fn remove(&mut self, row: u32, hash_of: impl Fn(u32) -> u64) {
        let mut hole = self.home(hash_of(row));
        while self.at(hole) != row {
            if self.at(hole) == NONE {
                return;
            }
            hole = self.after(hole);
        }
        let mut at = self.after(hole);
        while self.at(at) != NONE {
            let home = self.home(hash_of(self.at(at)));
            if self.distance(home, hole) < self.distance(home, at) {
                self.set(hole, self.at(at));
                hole = at;
            }
            at = self.after(at);
        }
        self.set(hole, NONE);
        self.used -= 1;
    }

    fn home(&self, hash: u64) -> usize {
        ((u128::from(hash) * self.slots.len() as u128) >> 64) as usize
    }

    fn after(&self, at: usize) -> usize {
        if at + 1 < self.slots.len() { at + 1 } else { 0 }
    }

    /// Steps from `from` to `to`, around the end.
    fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.slots.len() - from }
    }

    fn at(&self, at: usize) -> u32 {
        self.slots.get(at).copied().unwrap_or(NONE)
    }

    fn set(&mut self, at: usize, row: u32) {
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = row;
        }
    }
}
