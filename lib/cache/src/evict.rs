//! Which page goes first: 2Q (T. Johnson and D. Shasha, "2Q: A Low Overhead High Performance Buffer Management Replacement Algorithm", VLDB 1994).
//!
//! A page that comes for the first time goes to A1in, a FIFO; evicted from there it leaves a *ghost* (its name without its frame) in A1out, another
//! FIFO; a page that comes while its ghost is there goes to Am. So a scan passes through A1in and leaves Am alone.
//!
//! Two things differ from the paper, because a hit sends no message here. Am is no LRU list but a FIFO with a second chance for pages that
//! [`TwoQueue::reference`] has named since (nobody calls it until the kernel gives reference bits). And a page evicted from Am leaves a ghost,
//! too, so that a hot page that goes only because its hits were not seen is back in Am after one fault. What that costs: every hot page is read
//! at least twice until it is in Am (2.6 times as measured, a ghost being overrun now and then), and once more for every turn of Am.
//!
//! What must hold: resident pages are at most `most`, ghosts at most the rest of the records, so a record is always free for a page that has room.

use crate::index::{Index, NONE, hash};

/// Steps that one search for a victim spends on second chances.
const CHANCES: usize = 64;

/// Bits of [`Record::owner`] above the object's row.
const QUEUE_SHIFT: u32 = 30;
const REFERENCED: u32 = 1 << 29;
/// Rows of objects are below it.
pub(crate) const ROWS_MOST: usize = 1 << 29;

/// One page, cached or a ghost: 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record {
    /// The queue, whether it was referenced, the object's row.
    owner: u32,
    page: u32,
    newer: u32,
    older: u32,
}

impl Record {
    /// A free record.
    pub const fn new() -> Self {
        Record { owner: 0, page: 0, newer: NONE, older: NONE }
    }

    fn row(&self) -> u32 {
        self.owner & (REFERENCED - 1)
    }

    fn queue(&self) -> usize {
        (self.owner >> QUEUE_SHIFT) as usize
    }

    fn hash(&self) -> u64 {
        hash(u64::from(self.row()), u64::from(self.page))
    }
}

impl Default for Record {
    fn default() -> Self {
        Self::new()
    }
}

/// The queues, by number; the first is a stack of free records.
const FREE: usize = 0;
const IN: usize = 1;
const MAIN: usize = 2;
const GHOST: usize = 3;

#[derive(Clone, Copy)]
struct Queue {
    newest: u32,
    oldest: u32,
    length: usize,
}

/// How a page came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    /// Read from its file.
    Read,
    /// Found present by a successor, which can't know more: it counts as part of the working set, so that the next scan doesn't drive it out.
    Adopted,
}

/// The pages of the cache in the order of their eviction.
pub(crate) struct TwoQueue<'a> {
    records: &'a mut [Record],
    index: Index<'a>,
    /// Records per object's row, ghosts included.
    counts: &'a mut [u32],
    queues: [Queue; 4],
    most: usize,
}

impl<'a> TwoQueue<'a> {
    /// Empty queues: two thirds of the records for pages, one third for ghosts.
    pub(crate) fn new(records: &'a mut [Record], index: &'a mut [u32], counts: &'a mut [u32]) -> Self {
        counts.fill(0);
        let empty = Queue { newest: NONE, oldest: NONE, length: 0 };
        let most = (records.len() - records.len() / 3).min(NONE as usize);
        let mut made = TwoQueue { records, index: Index::new(index), counts, queues: [empty; 4], most };
        for number in 0..made.records.len() {
            made.push(FREE, number as u32);
        }
        made
    }

    /// Pages there can be.
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// Pages there are.
    pub(crate) fn resident(&self) -> usize {
        self.length(IN) + self.length(MAIN)
    }

    /// Whether another page has room without an eviction.
    pub(crate) fn has_room(&self) -> bool {
        self.resident() < self.most && self.index.has_room()
    }

    /// Whether the page is here (not its ghost).
    pub(crate) fn is_resident(&self, row: u32, page: u32) -> bool {
        self.find(row, page).is_some_and(|(_, record)| record.queue() != GHOST)
    }

    /// A page has come. Does nothing if it is here, or without room (see [`TwoQueue::has_room`]).
    pub(crate) fn admit(&mut self, row: u32, page: u32, origin: Origin) {
        match self.find(row, page) {
            Some((number, record)) if record.queue() == GHOST && self.resident() < self.most => {
                self.unlink(number);
                self.push(MAIN, number);
            }
            Some(_) => {}
            None if self.has_room() => self.admit_new(row, page, if origin == Origin::Read { IN } else { MAIN }),
            None => {}
        }
    }

    fn admit_new(&mut self, row: u32, page: u32, queue: usize) {
        let Some(number) = self.pop(FREE) else { return };
        self.set(number, Record { owner: row, page, ..Record::new() });
        self.index.insert(hash(u64::from(row), u64::from(page)), number);
        self.push(queue, number);
        if let Some(count) = self.counts.get_mut(row as usize) {
            *count += 1;
        }
    }

    /// The page to go next, as (object's row, page); it is gone for these queues. `None`: there is none.
    pub(crate) fn evict(&mut self) -> Option<(u32, u32)> {
        let number = match self.length(IN) {
            length if length > self.most / 4 || self.length(MAIN) == 0 => self.pop(IN)?,
            _ => self.pop_main()?,
        };
        let record = self.get(number);
        self.push(GHOST, number);
        if self.length(GHOST) > self.records.len() - self.most
            && let Some(oldest) = self.pop(GHOST)
        {
            self.release(oldest);
        }
        Some((record.row(), record.page))
    }

    fn pop_main(&mut self) -> Option<u32> {
        for _ in 0..CHANCES {
            let number = self.pop(MAIN)?;
            if self.get(number).owner & REFERENCED == 0 {
                return Some(number);
            }
            self.push(MAIN, number);
        }
        self.pop(MAIN)
    }

    /// The page was used: it gets a second chance in Am. In A1in it changes nothing: uses soon after the first say nothing (the paper's "correlated
    /// references"), and a scan uses each of its pages, too.
    pub(crate) fn reference(&mut self, row: u32, page: u32) {
        if let Some((number, record)) = self.find(row, page)
            && record.queue() == MAIN
        {
            self.set(number, Record { owner: record.owner | REFERENCED, ..record });
        }
    }

    /// Forgets the pages [first, end) of an object and their ghosts. Takes the time of the smaller of range and table.
    pub(crate) fn forget(&mut self, row: u32, first: u32, end: u32) {
        if (end.saturating_sub(first)) as usize <= self.records.len() {
            for page in first..end {
                if self.count(row) == 0 {
                    return;
                }
                if let Some((number, _)) = self.find(row, page) {
                    self.drop_record(number);
                }
            }
            return;
        }
        for number in 0..self.records.len() as u32 {
            let record = self.get(number);
            if record.queue() != FREE && record.row() == row && (first..end).contains(&record.page) {
                self.drop_record(number);
            }
        }
    }

    fn drop_record(&mut self, number: u32) {
        self.unlink(number);
        self.release(number);
    }

    /// An unlinked record is free.
    fn release(&mut self, number: u32) {
        let record = self.get(number);
        let TwoQueue { records, index, counts, .. } = self;
        index.remove(number, |other| records.get(other as usize).map_or(0, Record::hash));
        if let Some(count) = counts.get_mut(record.row() as usize) {
            *count -= 1;
        }
        self.push(FREE, number);
    }

    /// Records of an object, ghosts included.
    pub(crate) fn count(&self, row: u32) -> u32 {
        self.counts.get(row as usize).copied().unwrap_or(0)
    }

    fn find(&self, row: u32, page: u32) -> Option<(u32, Record)> {
        let is = |number: u32| self.records.get(number as usize).is_some_and(|r| r.row() == row && r.page == page);
        self.index.find(hash(u64::from(row), u64::from(page)), is).map(|number| (number, self.get(number)))
    }

    fn length(&self, queue: usize) -> usize {
        self.queues.get(queue).map_or(0, |queue| queue.length)
    }

    fn get(&self, number: u32) -> Record {
        self.records.get(number as usize).copied().unwrap_or_default()
    }

    fn set(&mut self, number: u32, record: Record) {
        if let Some(place) = self.records.get_mut(number as usize) {
            *place = record;
        }
    }

    /// Makes an unlinked record the newest of a queue, not referenced.
    fn push(&mut self, queue: usize, number: u32) {
        let Some(list) = self.queues.get_mut(queue) else { return };
        let older = list.newest;
        list.newest = number;
        list.length += 1;
        if older == NONE {
            list.oldest = number;
        }
        let record = self.get(number);
        let owner = record.row() | (queue as u32) << QUEUE_SHIFT;
        self.set(number, Record { owner, newer: NONE, older, ..record });
        if let Some(neighbour) = self.records.get_mut(older as usize) {
            neighbour.newer = number;
        }
    }

    fn pop(&mut self, queue: usize) -> Option<u32> {
        let oldest = self.queues.get(queue).map(|list| list.oldest).filter(|&oldest| oldest != NONE)?;
        self.unlink(oldest);
        Some(oldest)
    }

    fn unlink(&mut self, number: u32) {
        let record = self.get(number);
        let Some(list) = self.queues.get_mut(record.queue()) else { return };
        list.length -= 1;
        match self.records.get_mut(record.older as usize) {
            Some(older) => older.newer = record.newer,
            None => list.oldest = record.newer,
        }
        match self.records.get_mut(record.newer as usize) {
            Some(newer) => newer.older = record.older,
            None => list.newest = record.older,
        }
    }
}
