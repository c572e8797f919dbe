//! Tests: a world of readers, file systems and a kernel in which cache and file systems die; recorded access patterns; eviction in figures; full
//! tables. `SAL_MODEL_LONG=1` runs many more seeds.

mod eviction;
mod index;
mod kills;
mod patterns;
mod refusals;
mod world;

use std::vec;
use std::vec::Vec;

use zerocopy::IntoBytes;

use crate::*;

/// A small seeded generator (xorshift), so that every run is the same.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }

    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// Seeds for a test: few, or many.
pub(super) fn seeds(few: u64, many: u64) -> u64 {
    if std::env::var_os("SAL_MODEL_LONG").is_some() { many } else { few }
}

/// The memory of a cache, of a size.
pub(super) struct Space {
    pub(super) vault: Vec<u64>,
    records: Vec<Record>,
    pages: Vec<u32>,
    counts: Vec<u32>,
    names: Vec<u32>,
    objects: Vec<Volatile>,
    waiters: Vec<Option<Waiter>>,
    pending: Vec<Option<Pending>>,
    takers: Vec<Option<Taker>>,
}

impl Space {
    /// For so many objects, cached pages, waiting threads (and windows and calls that wait).
    pub(super) fn new(objects: usize, frames: usize, waiters: usize) -> Space {
        let records = frames * 3 / 2;
        Space {
            vault: vec![0; vault_bytes(objects) / 8],
            records: vec![Record::new(); records],
            pages: vec![7; records * 4 / 3 + 2],
            counts: vec![7; objects],
            names: vec![7; objects * 4 / 3 + 2],
            objects: vec![Volatile::new(); objects],
            waiters: vec![None; waiters],
            pending: vec![None; waiters],
            takers: vec![None; waiters],
        }
    }

    pub(super) fn adopt(&mut self) -> Adoption<'_> {
        self.try_adopt(9).expect("a vault of ours")
    }

    pub(super) fn try_adopt(&mut self, owner: u32) -> Result<Adoption<'_>, sal_vault::Fault> {
        let tables = Tables {
            records: &mut self.records,
            pages: &mut self.pages,
            counts: &mut self.counts,
            names: &mut self.names,
            objects: &mut self.objects,
            waiters: &mut self.waiters,
            pending: &mut self.pending,
            takers: &mut self.takers,
        };
        Cache::adopt(self.vault.as_mut_bytes(), owner, tables)
    }
}
