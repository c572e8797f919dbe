//! The main test: whoever dies, every reader gets the right bytes, and in the end everything is where it was.

use std::println;

use sal_vault::store::kill;

use super::world::{SYSTEMS_HERE, World};
use super::{Space, seeds};
use crate::*;

/// Steps of a run with trouble.
const STEPS: u32 = 4000;
/// Steps after which nobody may wait any more.
const PATIENCE: u32 = 200_000;

/// What a run saw.
#[derive(Default)]
struct Seen {
    cache_deaths: u64,
    in_adoption: u64,
    system_deaths: u64,
    pages: u64,
    refused: u64,
    supplies: u64,
}

/// One life of the cache: takes over, then serves. Dies before its store number `stores`.
fn live(space: &mut Space, world: &mut World, steps: &mut u32, stores: u64, seen: &mut Seen) {
    let mut adopted = false;
    let lived = kill::after(stores, || {
        let mut cache = world.adopt(space.adopt());
        adopted = true;
        while *steps > 0 {
            *steps -= 1;
            world.step(&mut cache);
            if steps.is_multiple_of(8) {
                world.check(&cache);
            }
        }
    });
    seen.cache_deaths += u64::from(lived.is_none());
    seen.in_adoption += u64::from(!adopted);
    world.cache_died();
}

fn run(seed: u64, deadly: bool, seen: &mut Seen) {
    let mut world = World::new(seed);
    let frames = 40 + world.random.below(200) as usize;
    let mut space = Space::new(10, frames, 14);
    let mut steps = STEPS;
    while steps > 0 {
        let most = [60, 300, 300, 2000, 8000][world.random.below(5) as usize];
        let stores = if deadly { world.random.below(most) } else { u64::MAX };
        live(&mut space, &mut world, &mut steps, stores, seen);
    }
    world.calm = true;
    let mut cache = world.adopt(space.adopt());
    let mut patience = PATIENCE;
    while !world.is_quiet() {
        world.step(&mut cache);
        patience -= 1;
        assert!(patience > 0, "seed {seed}: {} readers wait for ever: {:?}", world.waiting(), cache.usage());
    }
    world.check(&cache);
    let usage = cache.usage();
    assert_eq!((usage.waiters, usage.out, usage.pending), (0, 0, 0), "seed {seed}");
    assert_eq!(world.staged(), usage.held, "seed {seed}: staging pages");
    world.close_all(&mut cache);
    world.check(&cache);
    let most = cache.usage().most;
    assert_eq!(cache.usage(), Usage { most, ..Usage::default() }, "seed {seed}");
    assert_eq!((world.staged(), world.memories()), (0, SYSTEMS_HERE), "seed {seed}: something is left");
    seen.system_deaths += world.system_deaths;
    seen.pages += world.pages_read;
    seen.refused += world.refused;
    seen.supplies += world.supplies;
}

#[test]
fn every_reader_gets_the_right_bytes_when_file_systems_die() {
    let mut seen = Seen::default();
    (0..seeds(150, 5000)).for_each(|seed| run(seed, false, &mut seen));
    assert!(seen.system_deaths > 20 && seen.pages > 10_000 && seen.refused > 10);
}

#[test]
fn every_reader_gets_the_right_bytes_when_cache_and_file_systems_die() {
    let mut seen = Seen::default();
    (0..seeds(300, 20_000)).for_each(|seed| run(1000 + seed, true, &mut seen));
    println!(
        "{} deaths of the cache ({} while adopting), {} of file systems; {} pages read, {} supplied, {} refused",
        seen.cache_deaths, seen.in_adoption, seen.system_deaths, seen.pages, seen.supplies, seen.refused
    );
    assert!(seen.cache_deaths > 5000 && seen.in_adoption > 500 && seen.system_deaths > 20 && seen.pages > 5000);
}
