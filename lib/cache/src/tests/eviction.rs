//! Eviction in figures: a scan and a working set, 2Q beside a plain FIFO of the same size.

use std::collections::{BTreeSet, VecDeque};
use std::vec;
use std::vec::Vec;

use super::patterns::Desk;
use super::{Random, Space, seeds};
use crate::evict::{Origin, TwoQueue};
use crate::*;

/// Pages of the caches below.
const MOST: usize = 200;

fn tables() -> (Vec<crate::Record>, Vec<u32>, Vec<u32>) {
    (vec![crate::Record::new(); MOST * 3 / 2], vec![0; MOST * 2 + 2], vec![0; 4])
}

/// Whether the access missed.
fn access(queue: &mut TwoQueue<'_>, row: u32, page: u32) -> bool {
    if queue.is_resident(row, page) {
        return false;
    }
    if !queue.has_room() {
        queue.evict().unwrap();
    }
    queue.admit(row, page, Origin::Read);
    assert!(queue.is_resident(row, page) && queue.resident() <= MOST);
    true
}

/// The same with a FIFO.
fn access_fifo(fifo: &mut VecDeque<(u32, u32)>, row: u32, page: u32) -> bool {
    if fifo.contains(&(row, page)) {
        return false;
    }
    if fifo.len() == MOST {
        fifo.pop_front();
    }
    fifo.push_back((row, page));
    true
}

/// Accesses: a working set of 100 pages of file 1 (half of the cache) at random, and a scan of file 2; `scans` of ten are the scan's.
fn mixed(seed: u64, scans: u64, length: u32) -> Vec<(u32, u32)> {
    let mut random = Random::new(seed);
    let mut scan = 0;
    let mut next = || match random.below(10) < scans {
        true => {
            scan += 1;
            (2, scan)
        }
        false => (1, random.below(100) as u32),
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn a_scan_does_not_drive_out_a_working_set() {
    let (mut records, mut index, mut counts) = tables();
    let mut queue = TwoQueue::new(&mut records, &mut index, &mut counts);
    let mut fifo = VecDeque::new();
    // It is learnt: hits are not seen, so each page has to come twice.
    for (row, page) in mixed(1, 5, 20_000) {
        access(&mut queue, row, page);
        access_fifo(&mut fifo, row, page);
    }
    let (mut ours, mut fifos, mut hot) = (0, 0, 0);
    for (row, page) in mixed(2, 9, 20_000) {
        hot += u32::from(row == 1);
        let (missed, fifo_missed) = (access(&mut queue, row, page), access_fifo(&mut fifo, row, page));
        ours += u32::from(row == 1 && missed);
        fifos += u32::from(row == 1 && fifo_missed);
    }
    std::println!("of {hot} accesses to the working set missed: 2Q {ours}, FIFO {fifos}");
    assert_eq!(ours, 0, "all of it is in Am, which the scan doesn't touch");
    assert!(fifos > hot / 2, "the plain FIFO loses most of it: {fifos} of {hot}");
}

#[test]
fn learning_a_working_set_costs_two_or_three_reads_of_each_page() {
    let (mut records, mut index, mut counts) = tables();
    let mut queue = TwoQueue::new(&mut records, &mut index, &mut counts);
    let missed =
        mixed(3, 5, 20_000).into_iter().filter(|&(row, page)| access(&mut queue, row, page) && row == 1).count();
    std::println!("a working set of 100 pages was learnt with {missed} misses");
    assert!((200..=300).contains(&missed), "{missed} misses");
}

#[test]
fn used_pages_get_a_second_chance_and_unused_ones_go() {
    let (mut records, mut index, mut counts) = tables();
    let mut queue = TwoQueue::new(&mut records, &mut index, &mut counts);
    (0..MOST as u32).for_each(|page| queue.admit(1, page, Origin::Adopted));
    (0..MOST as u32).step_by(2).for_each(|page| queue.reference(1, page));
    let gone: Vec<_> = (0..MOST / 2).map(|_| queue.evict().unwrap()).collect();
    assert!(gone.iter().all(|&(_, page)| page % 2 == 1), "{gone:?}");
    // The chance is used up.
    assert_eq!(queue.evict(), Some((1, 0)));
}

#[test]
fn the_queues_agree_with_a_set_of_pages() {
    for seed in 0..seeds(60, 3000) {
        let (mut records, mut index, mut counts) = tables();
        let mut queue = TwoQueue::new(&mut records, &mut index, &mut counts);
        let mut random = Random::new(seed);
        let mut model = BTreeSet::new();
        for _ in 0..3000 {
            let (row, page) = (random.below(3) as u32, random.below(150) as u32);
            match random.below(40) {
                0 => {
                    let end = page + random.below(1000) as u32;
                    queue.forget(row, page, end);
                    model.retain(|&(owner, at)| owner != row || at < page || at >= end);
                }
                1..6 => {
                    let gone = queue.evict();
                    assert_eq!(gone.is_some(), !model.is_empty(), "seed {seed}");
                    assert!(gone.is_none_or(|gone| model.remove(&gone)), "seed {seed}: {gone:?}");
                }
                6 => queue.reference(row, page),
                _ if queue.has_room() => {
                    queue.admit(row, page, if random.one_in(9) { Origin::Adopted } else { Origin::Read });
                    model.insert((row, page));
                }
                _ => assert_eq!(model.len(), MOST, "seed {seed}"),
            }
            assert_eq!(queue.resident(), model.len(), "seed {seed}");
            assert_eq!(queue.is_resident(row, page), model.contains(&(row, page)), "seed {seed}");
        }
        (0..3).for_each(|row| queue.forget(row, 0, u32::MAX));
        assert_eq!((queue.resident(), queue.count(0), queue.count(1), queue.count(2)), (0, 0, 0, 0), "seed {seed}");
    }
}

#[test]
fn pressure_gives_what_was_asked_in_bounded_pieces_and_few_discards() {
    let mut space = Space::new(4, 2000, 8);
    let mut desk = Desk::default();
    let mut adoption = {
        let mut cache = space.adopt().finish(&mut desk).unwrap();
        let system = cache.attach(1, 1, (50, 8), &mut desk).unwrap();
        cache.object(system, File { file: 1, generation: 0 }, 1000 * PAGE, |_, _| Some(51)).unwrap();
        space.adopt()
    };
    let (object, ..) = adoption.next_object(None).unwrap();
    adoption.present(object, 0, &[u64::MAX; 15], &mut desk);
    let mut cache = adoption.finish(&mut desk).unwrap();
    desk.effects.clear();
    assert_eq!(cache.usage().pages, 960);
    assert_eq!(cache.pressure(10, &mut desk), 10);
    assert_eq!(desk.effects, vec![Effect::Discard { object, kept: 51, first: 0, count: 10 }]);
    let pieces: Vec<u32> = (0..5).map(|_| cache.pressure(100_000, &mut desk)).collect();
    assert_eq!(pieces, [PIECE, PIECE, PIECE, 950 - 3 * PIECE, 0]);
    assert_eq!(cache.usage().pages, 0);
}
