//! The hash index against a map, with few homes, so that runs are long and wrap around.

use std::collections::BTreeSet;
use std::vec;

use super::{Random, seeds};
use crate::index::{Index, NONE};

#[test]
fn the_index_finds_what_was_put_in_and_nothing_else() {
    for seed in 0..seeds(200, 5000) {
        let mut random = Random::new(seed);
        let mut slots = vec![0; 23];
        let mut index = Index::new(&mut slots);
        let homes = 1 + random.below(9);
        let hash_of = |row: u32| (u64::from(row) % homes).wrapping_mul(u64::MAX / homes);
        let mut model = BTreeSet::new();
        for _ in 0..300 {
            let row = random.below(40) as u32;
            if !model.insert(row) {
                index.remove(row, hash_of);
                model.remove(&row);
            } else if index.has_room() {
                index.insert(hash_of(row), row);
            } else {
                model.remove(&row);
                assert_eq!(model.len(), 22, "seed {seed}");
                index.remove(row, hash_of);
            }
            for row in 0..40 {
                let found = index.find(hash_of(row), |other| other == row);
                assert_eq!(found, model.get(&row).copied(), "seed {seed}");
            }
        }
        assert_eq!(index.find(3, |row| row == NONE), None, "seed {seed}");
    }
}
