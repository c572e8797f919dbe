//! Read-ahead against recorded patterns of access, through the whole cache.

use std::collections::{BTreeSet, VecDeque};
use std::vec;
use std::vec::Vec;

use super::{Random, Space, seeds};
use crate::*;

/// A kernel with one object, and a file system with one call.
#[derive(Default)]
pub(super) struct Desk {
    pub(super) given: VecDeque<Work>,
    pub(super) present: BTreeSet<u32>,
    pub(super) answered: Vec<(Token, Verdict)>,
    pub(super) effects: Vec<Effect>,
}

impl Shell for Desk {
    fn perform(&mut self, effect: Effect) -> Result<(), Failed> {
        self.effects.push(effect);
        match effect {
            Effect::Give { work, .. } => self.given.push_back(work),
            Effect::Supply { page, .. } => assert!(self.present.insert(page), "page {page} comes twice"),
            Effect::Resume { token, verdict } => self.answered.push((token, verdict)),
            Effect::Discard { first, count, .. } => {
                self.present.retain(|&page| page < first || page - first >= count);
            }
            _ => {}
        }
        Ok(())
    }
}

/// A reader's record: windows (first page, pages) and how often it had to wait for the disk.
#[derive(Default)]
struct Record {
    windows: Vec<(u32, u32)>,
    faults: u32,
    stalls: u32,
    read: u32,
}

impl Record {
    fn pages(&self) -> u32 {
        self.windows.iter().map(|window| window.1).sum()
    }
}

/// One file of `length` pages, read in the order of `accesses`; the file system completes an item after every `slow` accesses, or when the reader
/// waits.
fn read(length: u32, staging: u32, accesses: &[u32], slow: u32, resident: &[u32]) -> Record {
    let mut space = Space::new(4, 4096, 16);
    let mut desk = Desk::default();
    let mut cache = space.adopt().finish(&mut desk).unwrap();
    let system = cache.attach(1, 1, (50, staging), &mut desk).unwrap();
    let object =
        cache.object(system, File { file: 3, generation: 0 }, u64::from(length) * PAGE, |_, _| Some(51)).unwrap();
    let mut sequence = 0;
    let mut ask = |cache: &mut Cache<'_>, desk: &mut Desk| {
        sequence += 1;
        let request = Request { slot: sequence % 4, sequence };
        cache.take_work(system, request, Token(1000 + u64::from(sequence)), desk).unwrap();
    };
    (0..4).for_each(|_| ask(&mut cache, &mut desk));
    let mut record = Record::default();
    let mut complete = |cache: &mut Cache<'_>, desk: &mut Desk, record: &mut Record| {
        let Some(work) = desk.given.pop_front() else { return };
        assert!(work.count <= WINDOW && work.staging + work.count <= staging && work.first + work.count <= length);
        record.windows.push((work.first, work.count));
        cache.filled(system, work.number, Filled::ALL, desk).unwrap();
        ask(cache, desk);
    };
    let all = resident.iter().map(|&page| (page, false)).chain(accesses.iter().map(|&page| (page, true)));
    for (n, (page, counts)) in all.enumerate() {
        if !counts || record.read == 0 {
            (record.faults, record.stalls) = (0, 0);
            if counts {
                record.windows.clear();
            }
        }
        while !desk.present.contains(&page) {
            let token = Token(n as u64);
            desk.answered.clear();
            record.faults += 1;
            cache.fault(object, u64::from(page), token, &mut desk).unwrap();
            record.stalls += u32::from(desk.answered.is_empty());
            while desk.answered.is_empty() {
                assert!(!desk.given.is_empty(), "page {page}: nobody reads it");
                complete(&mut cache, &mut desk, &mut record);
            }
            assert_eq!(desk.answered, vec![(token, Verdict::Repeat)]);
        }
        record.read += u32::from(counts);
        if (n as u32).is_multiple_of(slow) {
            complete(&mut cache, &mut desk, &mut record);
        }
    }
    while !desk.given.is_empty() {
        complete(&mut cache, &mut desk, &mut record);
    }
    record
}

fn every(pages: impl IntoIterator<Item = u32>) -> Vec<u32> {
    pages.into_iter().collect()
}

#[test]
fn a_sequential_reader_waits_once_and_the_window_doubles_to_128_kib() {
    let record = read(300, 256, &every(0..300), 1, &[]);
    let expected = [(0, 4), (4, 8), (12, 16), (28, 32), (60, 32), (92, 32)];
    assert_eq!(record.windows[..6], expected);
    assert_eq!(record.windows.last(), Some(&(284, 16)), "bounded by the file's end");
    assert_eq!((record.pages(), record.stalls), (300, 1));
    // One fault for page 0, one for each marker.
    assert_eq!(record.faults as usize, record.windows.len() + 1);
}

#[test]
fn a_sequential_reader_from_the_middle_is_found_out_at_its_second_miss() {
    let record = read(1000, 256, &every(500..700), 1, &[]);
    assert_eq!(record.windows[..5], [(500, 1), (501, 4), (505, 8), (513, 16), (529, 32)]);
    assert_eq!(record.stalls, 2);
}

#[test]
fn the_next_window_is_read_while_the_reader_works_on_this_one() {
    // The disk needs the time of 20 pages for a window of 32: the reader waits at the beginning alone.
    let record = read(2000, 256, &every(0..2000), 20, &[]);
    assert!(record.stalls <= 4, "{} stalls", record.stalls);
    assert_eq!(record.pages(), 2000);
    // A disk as slow as one page in 200 makes it wait at each window, no more.
    let record = read(2000, 256, &every(0..2000), 200, &[]);
    assert!(record.stalls as usize <= record.windows.len() + 3, "{} stalls", record.stalls);
    assert_eq!(record.pages(), 2000);
}

#[test]
fn backward_strided_and_random_readers_get_one_page_at_a_time() {
    let mut random = Random::new(4);
    let backward = every((1..200).rev());
    let strided = every((1..900).step_by(7));
    let scattered: Vec<u32> = (0..200).map(|n| 1 + n * 20 + random.below(15) as u32).collect();
    let shuffled: Vec<u32> = (0..200).map(|n| scattered[(n * 73 + 5) % 200]).collect();
    for pattern in [backward, strided, shuffled] {
        let record = read(5000, 256, &pattern, 1, &[]);
        assert!(record.windows.iter().all(|window| window.1 == 1), "{:?}", record.windows);
        assert_eq!(record.pages() as usize, pattern.len());
    }
}

#[test]
fn two_interleaved_readers_of_one_file_both_get_large_windows() {
    let mut pattern = Vec::new();
    let mut random = Random::new(7);
    let (mut a, mut b) = (0, 5000);
    while a < 400 || b < 5400 {
        for _ in 0..=random.below(5) {
            pattern.push(a);
            a += 1;
        }
        for _ in 0..=random.below(5) {
            pattern.push(b);
            b += 1;
        }
    }
    let record = read(20_000, 512, &pattern, 1, &[]);
    assert!(record.stalls <= 3, "{} stalls", record.stalls);
    let large = |from: u32, to: u32| {
        record.windows.iter().filter(|window| window.1 == 32 && (from..to).contains(&window.0)).count()
    };
    assert!(large(0, 1000) >= 10 && large(5000, 6000) >= 10, "{:?}", record.windows);
    // What was read too much is at most two windows a reader.
    assert!(record.pages() as usize <= pattern.len() + 4 * 32);
}

#[test]
fn pages_that_are_there_are_not_read_again() {
    // Page 6 alone (a random read), then the file from its beginning.
    let record = read(100, 256, &every(0..100), 1, &[6, 40]);
    assert_eq!(record.windows[..3], [(0, 4), (4, 2), (7, 4)]);
    assert_eq!(record.pages(), 98);
    assert!(record.windows.iter().all(|&(first, count)| !(first..first + count).contains(&40)));
}

#[test]
fn few_staging_pages_make_small_windows() {
    for staging in [1, 2, 3, 8, 40] {
        let record = read(500, staging, &every(0..500), 1, &[]);
        assert_eq!(record.pages(), 500, "{staging} staging pages: {:?}", record.windows);
        assert!(record.windows.iter().all(|window| window.1 <= staging));
    }
}

#[test]
fn any_pattern_reads_every_page_once() {
    for seed in 0..seeds(100, 5000) {
        let mut random = Random::new(seed);
        let length = 1 + random.below(600) as u32;
        let mut pattern = Vec::new();
        for _ in 0..20 {
            let (mut page, stride) = (random.below(length.into()), [0, 1, 1, 2][random.below(4) as usize]);
            for _ in 0..random.below(60) {
                pattern.push(page.min(u64::from(length) - 1) as u32);
                page += stride;
            }
        }
        let slow = 1 + random.below(30) as u32;
        let staging = 1 + random.below(200) as u32;
        // `Desk` sees to it that no page comes twice.
        let record = read(length, staging, &pattern, slow, &[]);
        assert_eq!(record.read as usize, pattern.len(), "seed {seed}");
    }
}
