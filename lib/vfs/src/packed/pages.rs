//! Pages and cells in chunks of memory: what small files are made of.
//!
//! A page is whole, or cut into cells of one size. What must hold: a page or cell belongs to one file; what is handed out is zero; a chunk
//! of which nothing is used goes back, unless it is the last that has room.

use crate::contents::PAGE;
use crate::errno::Errno;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

/// Pages of a chunk at most.
pub const CHUNK_PAGES: usize = 256;
/// Bytes of the smallest cell.
pub(super) const CELL_LEAST: usize = 64;
/// Bytes of the largest cell: more is a page.
pub(super) const CELL_MOST: usize = PAGE / 2;
/// Sizes of cells: every power of two between those.
const CLASSES: usize = (CELL_MOST / CELL_LEAST).ilog2() as usize + 1;

/// Where chunks of memory come from.
pub trait Bank {
    /// Whole pages that are this program's alone.
    type Chunk: AsRef<[u8]> + AsMut<[u8]>;

    /// A further chunk of 1 to [`CHUNK_PAGES`] pages, with whatever in them. `ENOSPC`: there is no room.
    fn lend(&mut self) -> Result<Self::Chunk, Errno>;

    /// The chunk is not used any more.
    fn take_back(&mut self, chunk: Self::Chunk);
}

/// Number of a page: chunk and place in it.
pub(super) type PageId = u32;

/// A part of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cell {
    page: PageId,
    /// Which of the page.
    index: u8,
    class: u8,
}

impl Cell {
    /// Bytes.
    pub(super) fn size(self) -> usize {
        CELL_LEAST << self.class
    }
}

/// The class that holds `bytes`.
fn class_of(bytes: usize) -> usize {
    (bytes.max(CELL_LEAST).next_power_of_two() / CELL_LEAST).ilog2() as usize
}

struct Chunk<C> {
    memory: C,
    /// Its pages that are free, by bits.
    free: [u64; CHUNK_PAGES / 64],
    used: usize,
    pages: usize,
}

impl<C: AsRef<[u8]>> Chunk<C> {
    fn new(memory: C) -> Self {
        let pages = (memory.as_ref().len() / PAGE).min(CHUNK_PAGES);
        let mut free = [0; CHUNK_PAGES / 64];
        for page in 0..pages {
            if let Some(word) = free.get_mut(page / 64) {
                *word |= 1 << (page % 64);
            }
        }
        Chunk { memory, free, used: 0, pages }
    }

    fn take(&mut self) -> Option<usize> {
        let (at, word) = self.free.iter_mut().enumerate().find(|(_, word)| **word != 0)?;
        let bit = word.trailing_zeros() as usize;
        *word &= *word - 1;
        self.used += 1;
        Some(at * 64 + bit)
    }
}

/// All chunks.
pub(super) struct Pages<B: Bank> {
    bank: B,
    chunks: Vec<Option<Chunk<B::Chunk>>>,
    /// Chunks with free pages.
    open: BTreeSet<usize>,
    /// Free cells of each page that is cut, by bits.
    cut: BTreeMap<PageId, u64>,
    /// Cut pages with free cells, by class.
    partial: [BTreeSet<PageId>; CLASSES],
    free: usize,
}

impl<B: Bank> Pages<B> {
    pub(super) fn new(bank: B) -> Self {
        let (cut, partial) = (BTreeMap::new(), Default::default());
        Pages { bank, chunks: Vec::new(), open: BTreeSet::new(), cut, partial, free: 0 }
    }

    /// Pages in chunks that nobody uses.
    pub(super) fn free(&self) -> usize {
        self.free
    }

    fn further(&mut self) -> Result<usize, Errno> {
        let chunk = Chunk::new(self.bank.lend()?);
        let vacant = self.chunks.iter().position(Option::is_none);
        let index = vacant.unwrap_or(self.chunks.len());
        self.free += chunk.pages;
        match self.chunks.get_mut(index) {
            Some(place) => *place = Some(chunk),
            None => self.chunks.push(Some(chunk)),
        }
        self.open.insert(index);
        Ok(index)
    }

    /// A page with whatever in it: its taker fills it.
    pub(super) fn take_unfilled(&mut self) -> Result<PageId, Errno> {
        let index = match self.open.first() {
            Some(index) => *index,
            None => self.further()?,
        };
        let chunk = self.chunks.get_mut(index).and_then(Option::as_mut).ok_or(Errno::EIO)?;
        let page = chunk.take().ok_or(Errno::EIO)?;
        if chunk.used == chunk.pages {
            self.open.remove(&index);
        }
        self.free -= 1;
        Ok((index * CHUNK_PAGES + page) as PageId)
    }

    /// A page of zeros.
    pub(super) fn take(&mut self) -> Result<PageId, Errno> {
        let page = self.take_unfilled()?;
        self.bytes_mut(page).fill(0);
        Ok(page)
    }

    /// A page goes.
    pub(super) fn give(&mut self, page: PageId) {
        let (index, at) = (page as usize / CHUNK_PAGES, page as usize % CHUNK_PAGES);
        let Some(Some(chunk)) = self.chunks.get_mut(index) else { return };
        if let Some(word) = chunk.free.get_mut(at / 64) {
            *word |= 1 << (at % 64);
        }
        chunk.used -= 1;
        self.free += 1;
        self.open.insert(index);
        if chunk.used == 0 && self.open.len() > 1 {
            self.open.remove(&index);
            if let Some(chunk) = self.chunks.get_mut(index).and_then(Option::take) {
                self.free -= chunk.pages;
                self.bank.take_back(chunk.memory);
            }
        }
    }

    /// A page's bytes.
    pub(super) fn bytes(&self, page: PageId) -> &[u8] {
        let at = page as usize % CHUNK_PAGES * PAGE;
        let chunk = self.chunks.get(page as usize / CHUNK_PAGES).and_then(Option::as_ref);
        chunk.and_then(|c| c.memory.as_ref().get(at..at + PAGE)).unwrap_or(&[])
    }

    /// A page's bytes, to change them.
    pub(super) fn bytes_mut(&mut self, page: PageId) -> &mut [u8] {
        let at = page as usize % CHUNK_PAGES * PAGE;
        let chunk = self.chunks.get_mut(page as usize / CHUNK_PAGES).and_then(Option::as_mut);
        chunk.and_then(|c| c.memory.as_mut().get_mut(at..at + PAGE)).unwrap_or(&mut [])
    }

    /// A cell of zeros for `bytes`, at most [`CELL_MOST`].
    pub(super) fn take_cell(&mut self, bytes: usize) -> Result<Cell, Errno> {
        let class = class_of(bytes);
        let first = self.partial.get(class).ok_or(Errno::EIO)?.first().copied();
        let page = match first {
            Some(page) => page,
            None => self.cut_page(class)?,
        };
        let free = self.cut.get_mut(&page).ok_or(Errno::EIO)?;
        let index = free.trailing_zeros() as u8;
        *free &= *free - 1;
        if *free == 0
            && let Some(partial) = self.partial.get_mut(class)
        {
            partial.remove(&page);
        }
        let cell = Cell { page, index, class: class as u8 };
        self.cell_mut(cell).fill(0);
        Ok(cell)
    }

    fn cut_page(&mut self, class: usize) -> Result<PageId, Errno> {
        let page = self.take_unfilled()?;
        self.cut.insert(page, all_cells(class));
        if let Some(partial) = self.partial.get_mut(class) {
            partial.insert(page);
        }
        Ok(page)
    }

    /// A cell goes; with the last one its page.
    pub(super) fn give_cell(&mut self, cell: Cell) {
        let class = usize::from(cell.class);
        let Some(free) = self.cut.get_mut(&cell.page) else { return };
        *free |= 1 << cell.index;
        let whole = *free == all_cells(class);
        let Some(partial) = self.partial.get_mut(class) else { return };
        if !whole {
            partial.insert(cell.page);
            return;
        }
        partial.remove(&cell.page);
        self.cut.remove(&cell.page);
        self.give(cell.page);
    }

    /// A cell's bytes.
    pub(super) fn cell(&self, cell: Cell) -> &[u8] {
        let at = usize::from(cell.index) * cell.size();
        self.bytes(cell.page).get(at..at + cell.size()).unwrap_or(&[])
    }

    /// A cell's bytes, to change them.
    pub(super) fn cell_mut(&mut self, cell: Cell) -> &mut [u8] {
        let at = usize::from(cell.index) * cell.size();
        self.bytes_mut(cell.page).get_mut(at..at + cell.size()).unwrap_or(&mut [])
    }
}

/// A bit for each cell of a page.
fn all_cells(class: usize) -> u64 {
    let count = PAGE / (CELL_LEAST << class);
    u64::MAX >> (64 - count)
}
