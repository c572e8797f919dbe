//! The sparse tree of a memory's entries: 512-way nodes in frames, as high as the highest page ever put in needs.
//!
//! A word is 0 (absent), an entry (level 0), or a node. Nodes count their live words and are freed when empty, so a node that exists
//! leads to an entry. At height 0 the root word itself is the entry of page 0. Work: one step per level (at most [`MAX_HEIGHT`]).

use crate::pool::Pool;
use crate::{BudgetId, ENTRIES, Error, Frame, Machine, Ram, Use};

/// Bits of a page number consumed per level.
const BITS: u32 = 9;

/// 2^45 pages: more than any address space.
pub(crate) const MAX_HEIGHT: u32 = 5;

/// First page number that no tree holds.
pub(crate) const MAX_PAGES: u64 = 1 << (BITS * MAX_HEIGHT);

/// What a tree says of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Entry {
    /// Nothing there.
    Absent,
    /// The page; shared copy on write with other entries if the frame's count is above 1.
    Present(Frame),
    /// Its pager was asked.
    Asked,
}

const PRESENT: u64 = 1;
const ASKED: u64 = 2;
const FRAME_SHIFT: u32 = 12;

impl Entry {
    #[inline(always)]
    pub(crate) const fn decode(word: u64) -> Entry {
        if word & PRESENT != 0 {
            Entry::Present(Frame((word >> FRAME_SHIFT) as u32))
        } else if word & ASKED != 0 {
            Entry::Asked
        } else {
            Entry::Absent
        }
    }

    #[inline(always)]
    const fn encode(self) -> u64 {
        match self {
            Entry::Absent => 0,
            Entry::Present(frame) => (frame.0 as u64) << FRAME_SHIFT | PRESENT,
            Entry::Asked => ASKED,
        }
    }
}

#[inline(always)]
const fn node_word(frame: Frame) -> u64 {
    (frame.0 as u64) << FRAME_SHIFT | PRESENT
}

#[inline(always)]
const fn node_of(word: u64) -> Frame {
    Frame((word >> FRAME_SHIFT) as u32)
}

#[inline(always)]
const fn index(page: u64, level: u32) -> usize {
    (page >> (BITS * level)) as usize & (ENTRIES - 1)
}

/// Pages that a tree of this height can hold.
#[inline(always)]
const fn capacity(height: u32) -> u64 {
    1 << (BITS * height)
}

/// The least height that holds a page.
const fn height_for(page: u64) -> u32 {
    let mut height = 0;
    while height < MAX_HEIGHT && capacity(height) <= page {
        height += 1;
    }
    height
}

/// A memory's tree. The node that was used last is remembered.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tree {
    root: u64,
    height: u32,
    /// Level-0 node that holds the pages `hot_at * 512 ..`, or none.
    hot: Frame,
    hot_at: u64,
    /// Nodes in use.
    pub(crate) nodes: u64,
    /// Entries with a frame.
    pub(crate) present: u64,
}

impl Tree {
    /// The level-0 node of a page.
    fn leaf<R: Ram>(&mut self, ram: &R, page: u64) -> Option<Frame> {
        if !self.hot.is_none() && page >> BITS == self.hot_at {
            return Some(self.hot);
        }
        let node = self.find_leaf(ram, page)?;
        self.hot = node;
        self.hot_at = page >> BITS;
        Some(node)
    }

    fn find_leaf<R: Ram>(&self, ram: &R, page: u64) -> Option<Frame> {
        if self.height == 0 || page >= capacity(self.height) {
            return None;
        }
        let mut word = self.root;
        let mut level = self.height - 1;
        while word != 0 && level > 0 {
            word = ram.read(node_of(word), index(page, level));
            level -= 1;
        }
        (word != 0).then_some(node_of(word))
    }

    /// What the tree says of a page.
    pub(crate) fn get<R: Ram>(&mut self, ram: &R, page: u64) -> Entry {
        match self.leaf(ram, page) {
            Some(node) => Entry::decode(ram.read(node, index(page, 0))),
            None if self.height == 0 && page == 0 => Entry::decode(self.root),
            None => Entry::Absent,
        }
    }

    /// The same without remembering.
    pub(crate) fn peek<R: Ram>(&self, ram: &R, page: u64) -> Entry {
        let mut copy = *self;
        copy.get(ram, page)
    }

    /// Nodes that [`Tree::insert`] would have to make for this page.
    pub(crate) fn missing<R: Ram>(&mut self, ram: &R, page: u64) -> u64 {
        if self.leaf(ram, page).is_some() { 0 } else { self.missing_slow(ram, page) }
    }

    fn missing_slow<R: Ram>(&self, ram: &R, page: u64) -> u64 {
        let target = height_for(page);
        if self.root == 0 {
            return u64::from(target);
        }
        if target > self.height {
            // New levels on top (one node each), then a path of its own below the new top.
            return u64::from(target - self.height + target - 1);
        }
        let mut word = self.root;
        for level in (0..self.height).rev() {
            if word == 0 {
                return u64::from(level + 1);
            }
            word = ram.read(node_of(word), index(page, level));
        }
        0
    }

    /// Puts an entry where none is. `missing` frames must have been reserved.
    pub(crate) fn insert<M: Machine>(&mut self, pool: &mut Pool<M>, page: u64, entry: Entry) -> Result<(), Error> {
        let node = match self.leaf(&pool.ram, page) {
            Some(node) => node,
            None => match self.make_leaf(pool, page)? {
                Some(node) => node,
                None => {
                    self.root = entry.encode();
                    self.present += u64::from(matches!(entry, Entry::Present(_)));
                    return Ok(());
                }
            },
        };
        pool.ram.write(node, index(page, 0), entry.encode());
        pool.frames.count_up(&pool.ram, node);
        self.present += u64::from(matches!(entry, Entry::Present(_)));
        Ok(())
    }

    /// Makes the path down to a page's level-0 node; `None`: the root word itself is the entry.
    fn make_leaf<M: Machine>(&mut self, pool: &mut Pool<M>, page: u64) -> Result<Option<Frame>, Error> {
        self.raise(pool, height_for(page))?;
        if self.height == 0 {
            return Ok(None);
        }
        if self.root == 0 {
            self.root = node_word(self.make_node(pool)?);
        }
        let mut node = node_of(self.root);
        for level in (1..self.height).rev() {
            let at = index(page, level);
            let mut word = pool.ram.read(node, at);
            if word == 0 {
                word = node_word(self.make_node(pool)?);
                pool.ram.write(node, at, word);
                pool.frames.count_up(&pool.ram, node);
            }
            node = node_of(word);
        }
        self.hot = node;
        self.hot_at = page >> BITS;
        Ok(Some(node))
    }

    fn make_node<M: Machine>(&mut self, pool: &mut Pool<M>) -> Result<Frame, Error> {
        let node = pool.take_zeroed(Use::Node)?;
        self.nodes += 1;
        Ok(node)
    }

    /// Adds levels on top until the tree is that high.
    fn raise<M: Machine>(&mut self, pool: &mut Pool<M>, height: u32) -> Result<(), Error> {
        if self.root == 0 {
            self.height = self.height.max(height);
        }
        while self.height < height {
            let node = self.make_node(pool)?;
            pool.ram.write(node, 0, self.root);
            pool.frames.count_up(&pool.ram, node);
            self.root = node_word(node);
            self.height += 1;
        }
        Ok(())
    }

    /// Puts another entry (not `Absent`) where one is.
    pub(crate) fn replace<R: Ram>(&mut self, ram: &R, page: u64, entry: Entry) {
        let old = self.get(ram, page);
        match self.leaf(ram, page) {
            Some(node) => ram.write(node, index(page, 0), entry.encode()),
            None => self.root = entry.encode(),
        }
        self.present += u64::from(matches!(entry, Entry::Present(_)));
        self.present -= u64::from(matches!(old, Entry::Present(_)));
    }

    /// Takes an entry out, and frees the nodes that get empty (paying `budget` back for them).
    pub(crate) fn remove<M: Machine>(&mut self, pool: &mut Pool<M>, budget: BudgetId, page: u64) -> Entry {
        let old = self.get(&pool.ram, page);
        if old == Entry::Absent {
            return old;
        }
        self.present -= u64::from(matches!(old, Entry::Present(_)));
        match self.leaf(&pool.ram, page) {
            None => self.root = 0,
            Some(node) => {
                pool.ram.write(node, index(page, 0), 0);
                if pool.frames.count_down(&pool.ram, node) == 0 {
                    self.prune(pool, budget, page);
                }
            }
        }
        if self.root == 0 {
            self.height = 0;
        }
        old
    }

    /// Frees the empty nodes on a page's path, from the bottom.
    fn prune<M: Machine>(&mut self, pool: &mut Pool<M>, budget: BudgetId, page: u64) {
        let mut path = [Frame::NONE; MAX_HEIGHT as usize];
        let mut word = self.root;
        for level in (0..self.height).rev() {
            if let Some(step) = path.get_mut(level as usize) {
                *step = node_of(word);
            }
            word = pool.ram.read(node_of(word), index(page, level));
        }
        self.hot = Frame::NONE;
        for (level, &node) in path.iter().enumerate().take(self.height as usize) {
            if pool.frames.count(&pool.ram, node) != 0 {
                return;
            }
            pool.free(node, budget);
            self.nodes -= 1;
            match path.get(level + 1) {
                Some(&parent) if (level as u32) + 1 < self.height => {
                    pool.ram.write(parent, index(page, level as u32 + 1), 0);
                    pool.frames.count_down(&pool.ram, parent);
                }
                _ => self.root = 0,
            }
        }
    }

    /// The first page at or after `page` that has an entry.
    pub(crate) fn next<R: Ram>(&self, ram: &R, page: u64) -> Option<u64> {
        if self.height == 0 {
            return (page == 0 && self.root != 0).then_some(0);
        }
        let mut page = page;
        'again: while page < capacity(self.height) && self.root != 0 {
            let mut node = node_of(self.root);
            for level in (0..self.height).rev() {
                let from = index(page, level);
                let found = (from..ENTRIES).find(|&i| ram.read(node, i) != 0);
                let span = capacity(level);
                match found {
                    Some(i) => {
                        if i != from {
                            page = (page / capacity(level + 1) * ENTRIES as u64 + i as u64) * span;
                        }
                        node = node_of(ram.read(node, i));
                    }
                    None => {
                        page = (page / capacity(level + 1) + 1) * capacity(level + 1);
                        continue 'again;
                    }
                }
            }
            return Some(page);
        }
        None
    }

    /// Every node, for checks: (frame, level).
    #[cfg(any(test, feature = "emulated"))]
    pub(crate) fn walk<R: Ram>(&self, ram: &R, node: &mut dyn FnMut(Frame, u32), entry: &mut dyn FnMut(u64, Entry)) {
        fn down<R: Ram>(
            ram: &R,
            (word, level, page): (u64, u32, u64),
            node: &mut dyn FnMut(Frame, u32),
            entry: &mut dyn FnMut(u64, Entry),
        ) {
            if word == 0 {
                return;
            }
            if level == 0 {
                return entry(page, Entry::decode(word));
            }
            node(node_of(word), level - 1);
            for i in 0..ENTRIES {
                let next = (ram.read(node_of(word), i), level - 1, page | (i as u64) << (BITS * (level - 1)));
                down(ram, next, node, entry);
            }
        }
        down(ram, (self.root, self.height, 0), node, entry);
    }
}
