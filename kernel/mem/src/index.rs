//! A space's mapping records ordered by address: a sorted leaf of at most 255 (start, record) pairs, or a sorted root of at most 255
//! leaves.
//!
//! Leaves are never empty; two neighbours with fewer than 128 pairs together are merged, so at least 16,000 records fit whatever
//! the order of operations. Bound: two binary searches of 8 steps to find, moving one leaf and one root to insert or remove.
//! A root key is a lower bound of its leaf's starts.

use crate::pool::Pool;
use crate::records::RecordRef;
use crate::{BudgetId, Error, Frame, Machine, Ram, Use};

/// Pairs per frame; word 0 is their number.
const PAIRS: usize = 255;

/// The directory of one space.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Index {
    root: Frame,
    /// 0 nothing, 1 `root` is a leaf, 2 `root` leads to leaves.
    height: u32,
    /// Frames in use.
    pub(crate) frames: u64,
    /// Records in it.
    pub(crate) records: u64,
}

/// A place in the directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    leaf: Frame,
    at: usize,
    /// Which pair of the root (height 2).
    branch: usize,
}

#[inline(always)]
fn len<R: Ram>(ram: &R, node: Frame) -> usize {
    ram.read(node, 0) as usize
}

#[inline(always)]
fn key<R: Ram>(ram: &R, node: Frame, at: usize) -> u64 {
    ram.read(node, 1 + 2 * at)
}

#[inline(always)]
fn value<R: Ram>(ram: &R, node: Frame, at: usize) -> u64 {
    ram.read(node, 2 + 2 * at)
}

fn put<R: Ram>(ram: &R, node: Frame, at: usize, pair: (u64, u64)) {
    ram.write(node, 1 + 2 * at, pair.0);
    ram.write(node, 2 + 2 * at, pair.1);
}

/// How many keys are at or below `address`.
fn rank<R: Ram>(ram: &R, node: Frame, address: u64) -> usize {
    let (mut low, mut high) = (0, len(ram, node));
    while low < high {
        let middle = (low + high) / 2;
        if key(ram, node, middle) <= address {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

fn insert_at<R: Ram>(ram: &R, node: Frame, at: usize, pair: (u64, u64)) {
    let count = len(ram, node);
    for i in (at..count).rev() {
        put(ram, node, i + 1, (key(ram, node, i), value(ram, node, i)));
    }
    put(ram, node, at, pair);
    ram.write(node, 0, count as u64 + 1);
}

fn remove_at<R: Ram>(ram: &R, node: Frame, at: usize) {
    let count = len(ram, node);
    for i in at + 1..count {
        put(ram, node, i - 1, (key(ram, node, i), value(ram, node, i)));
    }
    ram.write(node, 0, count as u64 - 1);
}

/// Appends the pairs of `from` (starting at `first`) to `to`, and cuts them off `from`.
fn shift<R: Ram>(ram: &R, from: Frame, first: usize, to: Frame) {
    let (count, base) = (len(ram, from), len(ram, to));
    for i in first..count {
        put(ram, to, base + i - first, (key(ram, from, i), value(ram, from, i)));
    }
    ram.write(to, 0, (base + count - first) as u64);
    ram.write(from, 0, first as u64);
}

impl Index {
    fn leaf_for<R: Ram>(&self, ram: &R, address: u64) -> Option<(Frame, usize)> {
        match self.height {
            0 => None,
            1 => Some((self.root, 0)),
            _ => {
                let branch = rank(ram, self.root, address).saturating_sub(1);
                Some((Frame(value(ram, self.root, branch) as u32), branch))
            }
        }
    }

    /// The last record that starts at or below `address`.
    pub(crate) fn at_or_below<R: Ram>(&self, ram: &R, address: u64) -> Option<(Position, RecordRef)> {
        let (leaf, branch) = self.leaf_for(ram, address)?;
        match rank(ram, leaf, address) {
            0 if branch == 0 => None,
            0 => {
                // The root key was a lower bound only: the record is the last of the leaf before.
                let leaf = Frame(value(ram, self.root, branch - 1) as u32);
                Some(self.found(ram, leaf, len(ram, leaf) - 1, branch - 1))
            }
            n => Some(self.found(ram, leaf, n - 1, branch)),
        }
    }

    fn found<R: Ram>(&self, ram: &R, leaf: Frame, at: usize, branch: usize) -> (Position, RecordRef) {
        (Position { leaf, at, branch }, RecordRef(value(ram, leaf, at)))
    }

    /// The first record of all.
    pub(crate) fn first<R: Ram>(&self, ram: &R) -> Option<(Position, RecordRef)> {
        let (leaf, branch) = self.leaf_for(ram, 0)?;
        (len(ram, leaf) != 0).then(|| self.found(ram, leaf, 0, branch))
    }

    /// The record after that position.
    pub(crate) fn after<R: Ram>(&self, ram: &R, position: Position) -> Option<(Position, RecordRef)> {
        if position.at + 1 < len(ram, position.leaf) {
            return Some(self.found(ram, position.leaf, position.at + 1, position.branch));
        }
        if self.height < 2 || position.branch + 1 >= len(ram, self.root) {
            return None;
        }
        let leaf = Frame(value(ram, self.root, position.branch + 1) as u32);
        Some(self.found(ram, leaf, 0, position.branch + 1))
    }

    /// Puts a record in; none starts at the same address.
    pub(crate) fn insert<M: Machine>(
        &mut self,
        pool: &mut Pool<M>,
        budget: BudgetId,
        start: u64,
        record: RecordRef,
    ) -> Result<(), Error> {
        self.make_room(pool, budget, start)?;
        let (leaf, _) = self.leaf_for(&pool.ram, start).ok_or(Error::Full)?;
        insert_at(&pool.ram, leaf, rank(&pool.ram, leaf, start), (start, record.0));
        self.records += 1;
        Ok(())
    }

    /// Sees to it that the leaf for `start` is not full.
    fn make_room<M: Machine>(&mut self, pool: &mut Pool<M>, budget: BudgetId, start: u64) -> Result<(), Error> {
        let Some((leaf, branch)) = self.leaf_for(&pool.ram, start) else {
            pool.reserve(budget, 1)?;
            self.root = pool.take_zeroed(Use::Records)?;
            self.height = 1;
            self.frames = 1;
            return Ok(());
        };
        if len(&pool.ram, leaf) < PAIRS {
            return Ok(());
        }
        if self.height == 2 && len(&pool.ram, self.root) == PAIRS {
            return Err(Error::Full);
        }
        let new = if self.height == 1 { 2 } else { 1 };
        pool.reserve(budget, new)?;
        if self.height == 1 {
            let root = pool.take_zeroed(Use::Records)?;
            insert_at(&pool.ram, root, 0, (0, u64::from(leaf.0)));
            self.root = root;
            self.height = 2;
        }
        let right = pool.take_zeroed(Use::Records)?;
        self.frames += new;
        shift(&pool.ram, leaf, PAIRS / 2, right);
        insert_at(&pool.ram, self.root, branch + 1, (key(&pool.ram, right, 0), u64::from(right.0)));
        Ok(())
    }

    /// The record at `position` starts at `start` from now on (still between its neighbours).
    pub(crate) fn set_start<R: Ram>(&mut self, ram: &R, position: Position, start: u64) {
        ram.write(position.leaf, 1 + 2 * position.at, start);
    }

    /// Takes the record at a position out.
    pub(crate) fn remove<M: Machine>(&mut self, pool: &mut Pool<M>, budget: BudgetId, position: Position) {
        remove_at(&pool.ram, position.leaf, position.at);
        self.records -= 1;
        if self.height == 1 {
            if self.records == 0 {
                self.free(pool, budget, self.root);
                *self = Index::default();
            }
            return;
        }
        self.merge(pool, budget, position.branch);
        if self.height == 2 && position.branch > 0 {
            self.merge(pool, budget, position.branch - 1);
        }
    }

    /// Merges the leaf at `branch` with its right neighbour if both are small or one is empty; a root with one leaf goes.
    fn merge<M: Machine>(&mut self, pool: &mut Pool<M>, budget: BudgetId, branch: usize) {
        let leaf = Frame(value(&pool.ram, self.root, branch) as u32);
        if branch + 1 < len(&pool.ram, self.root) {
            let right = Frame(value(&pool.ram, self.root, branch + 1) as u32);
            if len(&pool.ram, leaf) != 0
                && len(&pool.ram, right) != 0
                && len(&pool.ram, leaf) + len(&pool.ram, right) > PAIRS / 2
            {
                return;
            }
            shift(&pool.ram, right, 0, leaf);
            remove_at(&pool.ram, self.root, branch + 1);
            self.free(pool, budget, right);
        }
        if len(&pool.ram, self.root) == 1 {
            self.free(pool, budget, self.root);
            self.root = leaf;
            self.height = 1;
        }
    }

    fn free<M: Machine>(&mut self, pool: &mut Pool<M>, budget: BudgetId, frame: Frame) {
        self.frames -= 1;
        pool.free(frame, budget);
    }

    /// Its frames, for checks.
    #[cfg(any(test, feature = "emulated"))]
    pub(crate) fn nodes<R: Ram>(&self, ram: &R) -> std::vec::Vec<Frame> {
        let mut nodes = std::vec::Vec::new();
        if self.height > 0 {
            nodes.push(self.root);
        }
        if self.height > 1 {
            nodes.extend((0..len(ram, self.root)).map(|i| Frame(value(ram, self.root, i) as u32)));
        }
        nodes
    }
}
