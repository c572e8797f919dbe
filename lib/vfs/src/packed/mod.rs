//! [`Contents`] that packs small files together: many share a page, and all share few pieces of memory.
//!
//! A file is small up to [`SMALL_MOST`] bytes and as long as nobody maps it. Then it is one cell (part of a page), or pages of its own, in
//! chunks that a [`Bank`] lends and that this program reaches by plain loads and stores. A larger file, or a mapped one, is a content of
//! the store below, and stays one.

mod pages;

use crate::contents::{Capacity, ContentId, Contents, Dest, Extent, PAGE, SliceSource, Source, in_pieces, piece};
use crate::errno::Errno;
use alloc::vec::Vec;
pub use pages::{Bank, CHUNK_PAGES};
use pages::{CELL_MOST, Cell, PageId, Pages};
use sal_arena::{Id, TallArena};

/// Bytes of a small file at most.
pub const SMALL_MOST: u64 = 16 * PAGE as u64;

/// No page: a hole.
const HOLE: PageId = PageId::MAX;

#[derive(Debug)]
enum File {
    /// All of it that is not zero lies in one cell.
    Cell(Cell),
    /// By pages; those behind the last are holes.
    Pages(Vec<PageId>),
    /// Of the store below.
    Large(ContentId),
}

/// Where a small file's bytes are.
enum Small {
    Cell(Cell),
    Pages,
}

/// All contents: small ones in chunks of `B`, the others in `L`.
pub struct Packed<B: Bank, L> {
    files: TallArena<File>,
    pages: Pages<B>,
    large: L,
}

fn file_id(id: ContentId) -> Id<File> {
    Id::from_raw(id.0)
}

impl<B: Bank, L: Contents> Packed<B, L> {
    /// Without files.
    pub fn new(bank: B, large: L) -> Self {
        Packed { files: TallArena::default(), pages: Pages::new(bank), large }
    }

    fn file(&self, id: ContentId) -> Result<&File, Errno> {
        self.files.get(file_id(id)).ok_or(Errno::EIO)
    }

    fn put(&mut self, id: ContentId, file: File) -> Result<(), Errno> {
        *self.files.get_mut(file_id(id)).ok_or(Errno::EIO)? = file;
        Ok(())
    }

    fn give(&mut self, file: File) {
        match file {
            File::Cell(cell) => self.pages.give_cell(cell),
            File::Pages(list) => list.into_iter().filter(|page| *page != HOLE).for_each(|page| self.pages.give(page)),
            File::Large(content) => self.large.destroy(content),
        }
    }

    /// The content of the store below, if the file is one.
    fn large_of(&self, id: ContentId) -> Result<Option<ContentId>, Errno> {
        Ok(match self.file(id)? {
            File::Large(content) => Some(*content),
            _ => None,
        })
    }

    /// Moves a file to the store below. On failure it is as it was.
    fn enlarge(&mut self, id: ContentId) -> Result<ContentId, Errno> {
        if let Some(content) = self.large_of(id)? {
            return Ok(content);
        }
        let content = self.large.create()?;
        if let Err(error) = self.copy_out(id, content) {
            self.large.destroy(content);
            return Err(error);
        }
        if let Some(file) = self.files.get_mut(file_id(id)) {
            let small = core::mem::replace(file, File::Large(content));
            self.give(small);
        }
        Ok(content)
    }

    /// Writes what a small file has into a content of the store below.
    fn copy_out(&mut self, id: ContentId, to: ContentId) -> Result<(), Errno> {
        let file = self.files.get(file_id(id)).ok_or(Errno::EIO)?;
        let mut write = |at: usize, bytes: &[u8]| {
            let stored = self.large.write(to, at as u64, bytes.len(), &mut SliceSource(bytes))?;
            if stored == bytes.len() { Ok(()) } else { Err(Errno::ENOSPC) }
        };
        match file {
            File::Cell(cell) => write(0, self.pages.cell(*cell)),
            File::Pages(list) => {
                let there = list.iter().enumerate().filter(|(_, page)| **page != HOLE);
                there.into_iter().try_for_each(|(n, page)| write(n * PAGE, self.pages.bytes(*page)))
            }
            File::Large(_) => Ok(()),
        }
    }

    /// Makes a small file fit for a write that ends at `end`.
    fn fit(&mut self, id: ContentId, end: u64) -> Result<Small, Errno> {
        let old = match self.file(id)? {
            File::Cell(cell) if end <= cell.size() as u64 => return Ok(Small::Cell(*cell)),
            File::Cell(cell) => Some(*cell),
            File::Pages(list) if list.is_empty() && end <= CELL_MOST as u64 => None,
            _ => return Ok(Small::Pages),
        };
        if end <= CELL_MOST as u64 {
            let cell = self.pages.take_cell(end as usize)?;
            self.move_cell(old, |pages| pages.cell_mut(cell));
            self.put(id, File::Cell(cell))?;
            return Ok(Small::Cell(cell));
        }
        let page = self.pages.take()?;
        self.move_cell(old, |pages| pages.bytes_mut(page));
        self.put(id, File::Pages(alloc::vec![page]))?;
        Ok(Small::Pages)
    }

    /// Copies a cell to a larger place, and gives it back.
    fn move_cell(&mut self, old: Option<Cell>, to: impl FnOnce(&mut Pages<B>) -> &mut [u8]) {
        let Some(old) = old else { return };
        let mut bytes = [0; CELL_MOST];
        let from = self.pages.cell(old);
        let size = from.len();
        if let Some(place) = bytes.get_mut(..size) {
            place.copy_from_slice(from);
        }
        if let (Some(place), Some(bytes)) = (to(&mut self.pages).get_mut(..size), bytes.get(..size)) {
            place.copy_from_slice(bytes);
        }
        self.pages.give_cell(old);
    }

    /// The page of a file made of pages; a hole gets one, `covered`: not zeroed, for all of it will be written.
    fn page_for(&mut self, id: ContentId, index: usize, covered: Cover) -> Result<(PageId, Fresh), Errno> {
        let list = match self.file(id)? {
            File::Pages(list) => list,
            _ => return Err(Errno::EIO),
        };
        if let Some(page) = list.get(index).filter(|page| **page != HOLE) {
            return Ok((*page, Fresh::No));
        }
        let page = if covered == Cover::Whole { self.pages.take_unfilled()? } else { self.pages.take()? };
        if let Some(File::Pages(list)) = self.files.get_mut(file_id(id)) {
            if list.len() <= index {
                list.resize(index + 1, HOLE);
            }
            if let Some(place) = list.get_mut(index) {
                *place = page;
            }
        }
        Ok((page, Fresh::Yes))
    }

    /// Takes a page of a file away.
    fn drop_page(&mut self, id: ContentId, index: usize) {
        let Some(File::Pages(list)) = self.files.get_mut(file_id(id)) else { return };
        if let Some(place) = list.get_mut(index)
            && *place != HOLE
        {
            self.pages.give(core::mem::replace(place, HOLE));
        }
        if let Some(File::Pages(list)) = self.files.get_mut(file_id(id)) {
            while list.last() == Some(&HOLE) {
                list.pop();
            }
        }
    }

    fn write_piece(&mut self, id: ContentId, offset: u64, len: usize, from: &mut dyn Source) -> Result<usize, Errno> {
        let (index, at, n) = piece(offset, len);
        let index = index as usize;
        let cover = if n == PAGE { Cover::Whole } else { Cover::Part };
        let (page, fresh) = self.page_for(id, index, cover)?;
        let place = self.pages.bytes_mut(page).get_mut(at..at + n).unwrap_or(&mut []);
        let came = from.take(place);
        if fresh == Fresh::Yes && cover == Cover::Whole {
            // What did not come must not show what was there.
            place.get_mut(came.unwrap_or(0)..).unwrap_or(&mut []).fill(0);
        }
        if fresh == Fresh::Yes && came.is_err() {
            self.drop_page(id, index);
        }
        came
    }
}

/// Will all of a page be written?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cover {
    Whole,
    Part,
}

/// Was a page made for this write?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fresh {
    Yes,
    No,
}

impl<B: Bank, L: Contents> Contents for Packed<B, L> {
    fn create(&mut self) -> Result<ContentId, Errno> {
        Ok(ContentId(self.files.insert(File::Pages(Vec::new())).to_raw()))
    }

    fn destroy(&mut self, id: ContentId) {
        if let Some(file) = self.files.remove(file_id(id)) {
            self.give(file);
        }
    }

    fn resize(&mut self, id: ContentId, old: u64, size: u64) -> Result<(), Errno> {
        match self.large_of(id)? {
            Some(content) => self.large.resize(content, old, size),
            None if size < old => self.punch(id, size, u64::MAX - size),
            None => Ok(()),
        }
    }

    fn read(&mut self, id: ContentId, offset: u64, len: usize, to: &mut dyn Dest) -> Result<usize, Errno> {
        let file = match self.file(id)? {
            File::Large(content) => return self.large.read(*content, offset, len, to),
            small => small,
        };
        in_pieces(len, |done| {
            let (index, at, mut n) = piece(offset + done as u64, len - done);
            let bytes = match file {
                File::Cell(cell) if index == 0 => self.pages.cell(*cell).get(at..),
                File::Pages(list) => match list.get(index as usize) {
                    Some(page) if *page != HOLE => self.pages.bytes(*page).get(at..),
                    _ => None,
                },
                File::Cell(_) | File::Large(_) => None,
            };
            let got = match bytes.filter(|bytes| !bytes.is_empty()) {
                Some(bytes) => {
                    n = n.min(bytes.len());
                    to.put(bytes.get(..n).unwrap_or(&[]))
                }
                None => to.put_zeros(n),
            };
            (n, got)
        })
    }

    fn write(&mut self, id: ContentId, offset: u64, len: usize, from: &mut dyn Source) -> Result<usize, Errno> {
        if let Some(content) = self.large_of(id)? {
            return self.large.write(content, offset, len, from);
        }
        let end = offset.checked_add(len as u64).ok_or(Errno::EFBIG)?;
        if end > SMALL_MOST {
            let content = self.enlarge(id)?;
            return self.large.write(content, offset, len, from);
        }
        if let Small::Cell(cell) = self.fit(id, end)? {
            let at = offset as usize;
            return from.take(self.pages.cell_mut(cell).get_mut(at..at + len).unwrap_or(&mut []));
        }
        in_pieces(len, |done| {
            let (_, _, n) = piece(offset + done as u64, len - done);
            (n, self.write_piece(id, offset + done as u64, n, from))
        })
    }

    fn punch(&mut self, id: ContentId, offset: u64, len: u64) -> Result<(), Errno> {
        let end = offset.saturating_add(len);
        let count = match self.file(id)? {
            File::Large(content) => return self.large.punch(*content, offset, len),
            File::Cell(cell) => {
                let (cell, size) = (*cell, cell.size() as u64);
                if offset == 0 && end >= size {
                    self.pages.give_cell(cell);
                    return self.put(id, File::Pages(Vec::new()));
                }
                let (from, to) = (offset.min(size) as usize, end.min(size) as usize);
                self.pages.cell_mut(cell).get_mut(from..to).unwrap_or(&mut []).fill(0);
                return Ok(());
            }
            File::Pages(list) => list.len(),
        };
        for index in 0..count {
            let start = (index * PAGE) as u64;
            let (from, to) = (offset.clamp(start, start + PAGE as u64), end.clamp(start, start + PAGE as u64));
            if to - from == PAGE as u64 {
                self.drop_page(id, index);
            } else if from < to
                && let File::Pages(list) = self.file(id)?
                && let Some(page) = list.get(index).copied().filter(|page| *page != HOLE)
            {
                let bytes = self.pages.bytes_mut(page);
                bytes.get_mut((from - start) as usize..(to - start) as usize).unwrap_or(&mut []).fill(0);
            }
        }
        Ok(())
    }

    fn reserve(&mut self, id: ContentId, offset: u64, len: u64) -> Result<(), Errno> {
        let end = offset.checked_add(len).ok_or(Errno::EFBIG)?;
        if end > SMALL_MOST {
            let content = self.enlarge(id)?;
            return self.large.reserve(content, offset, len);
        }
        if let Some(content) = self.large_of(id)? {
            return self.large.reserve(content, offset, len);
        }
        if let Small::Cell(_) = self.fit(id, end)? {
            return Ok(());
        }
        let range = (offset / PAGE as u64) as usize..end.div_ceil(PAGE as u64) as usize;
        let mut made = Vec::new();
        for index in range {
            match self.page_for(id, index, Cover::Part) {
                Ok((_, Fresh::Yes)) => made.push(index),
                Ok(_) => {}
                Err(error) => {
                    made.into_iter().for_each(|index| self.drop_page(id, index));
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn allocated(&self, id: ContentId) -> u64 {
        match self.file(id) {
            Ok(File::Large(content)) => self.large.allocated(*content),
            // As if it had a page of its own: what it would have on Linux.
            Ok(File::Cell(_)) => PAGE as u64,
            Ok(File::Pages(list)) => (list.iter().filter(|page| **page != HOLE).count() * PAGE) as u64,
            Err(_) => 0,
        }
    }

    fn seek(&self, id: ContentId, offset: u64, what: Extent) -> Option<u64> {
        let list: &[PageId] = match self.file(id).ok()? {
            File::Large(content) => return self.large.seek(*content, offset, what),
            File::Cell(_) => &[0],
            File::Pages(list) => list,
        };
        let first = usize::try_from(offset / PAGE as u64).ok()?;
        let is = |n: &usize| list.get(*n).is_some_and(|page| *page != HOLE) == (what == Extent::Data);
        let found = (first..list.len().max(first)).find(is);
        let found = match what {
            Extent::Data => found?,
            Extent::Hole => found.unwrap_or(list.len().max(first)),
        };
        Some(offset.max((found * PAGE) as u64))
    }

    fn capacity(&self) -> Capacity {
        let Capacity { total, free } = self.large.capacity();
        Capacity { total, free: free + self.pages.free() as u64 }
    }

    fn object(&mut self, id: ContentId, size: u64) -> Result<ContentId, Errno> {
        if let Some(content) = self.large_of(id)? {
            return self.large.object(content, size);
        }
        let content = self.enlarge(id)?;
        // Room for what was never written; without it that part stays a hole.
        self.large.resize(content, 0, size)?;
        self.large.object(content, size)
    }
}
