//! Where the bytes of regular files live, and how they move to and from a program.
//!
//! The file system keeps sizes, times and names; the bytes belong to a [`Contents`]. On the machine those of small files lie in
//! memory that the personality has mapped ([`crate::Packed`]), so that read and write are one copy between two mapped places; a large
//! or mapped file is a kernel `Memory` object of its own. Nothing here holds bytes in between: a [`Contents`] hands its own pages to a [`Dest`], or lets a [`Source`]
//! fill them.

use crate::errno::Errno;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;

/// Names the bytes of one file. Opaque here; whoever implements [`Contents`] gives it its meaning. What mmap and exec map
/// is named by [`Contents::object`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ContentId(pub u64);

/// Where a read puts bytes: the caller's buffers, in order.
pub trait Dest {
    /// How many bytes still fit.
    fn room(&self) -> usize;

    /// Appends all of `bytes` (never more than `room`). Returns how many arrived: fewer than given means that the
    /// caller's memory faulted there; `EFAULT` if none did.
    fn put(&mut self, bytes: &[u8]) -> Result<usize, Errno>;

    /// Appends `count` zero bytes; as `put`.
    fn put_zeros(&mut self, count: usize) -> Result<usize, Errno> {
        const ZEROS: [u8; 512] = [0; 512];
        in_pieces(count, |done| {
            let piece = ZEROS.get(..(count - done).min(ZEROS.len())).unwrap_or(&[]);
            (piece.len(), self.put(piece))
        })
    }
}

/// Where a write takes bytes from: the caller's buffers, in order.
pub trait Source {
    /// How many bytes are still to come.
    fn left(&self) -> usize;

    /// Fills `out` (never more than `left`) with the next bytes. Returns how many came: fewer than asked means that the
    /// caller's memory faulted there; `EFAULT` if none came.
    fn take(&mut self, out: &mut [u8]) -> Result<usize, Errno>;
}

/// Pages of a [`Contents`], for statfs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Capacity {
    /// Pages of 4 KiB that file contents may have in all.
    pub total: u64,
    /// Pages that are not in use.
    pub free: u64,
}

/// The store of file bytes. Offsets and lengths are bytes.
///
/// The caller keeps the size of every file and never reads past it. Bytes that were never written, or that lie past the
/// last `resize`, read as zero.
pub trait Contents {
    /// A new, empty content. `ENOSPC` or `ENOMEM` if there is no room.
    fn create(&mut self) -> Result<ContentId, Errno>;

    /// The file is gone: nobody names, opens or maps it.
    fn destroy(&mut self, id: ContentId);

    /// The file's size is now `size`: what lies past it is dropped, and reads as zero should the file grow again.
    fn resize(&mut self, id: ContentId, old: u64, size: u64) -> Result<(), Errno>;

    /// Copies up to `len` bytes from `offset` to `to`, as many as arrive.
    fn read(&mut self, id: ContentId, offset: u64, len: usize, to: &mut dyn Dest) -> Result<usize, Errno>;

    /// Copies up to `len` bytes from `from` to `offset`, as many as come; pages appear as needed.
    fn write(&mut self, id: ContentId, offset: u64, len: usize, from: &mut dyn Source) -> Result<usize, Errno>;

    /// Makes the range zero and gives its whole pages back.
    fn punch(&mut self, id: ContentId, offset: u64, len: u64) -> Result<(), Errno>;

    /// Reserves pages for the range, so that a later write can't fail; those there keep their bytes.
    fn reserve(&mut self, id: ContentId, offset: u64, len: u64) -> Result<(), Errno>;

    /// How many bytes the content takes, in whole pages: `st_blocks` times 512.
    fn allocated(&self, id: ContentId) -> u64;

    /// The first byte at or after `offset` that is in a present page (`Data`) or in no page (`Hole`). `None`: there is no
    /// data from there on; a hole always follows at last.
    fn seek(&self, id: ContentId, offset: u64, what: Extent) -> Option<u64>;

    /// The id by which whoever maps the file (of `size` bytes) knows it; its bytes are there from now on, however it changes.
    fn object(&mut self, id: ContentId, size: u64) -> Result<ContentId, Errno> {
        let _ = size;
        Ok(id)
    }

    /// Pages in all and free.
    fn capacity(&self) -> Capacity;
}

/// What [`Contents::seek`] looks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extent {
    /// Bytes with a page behind them.
    Data,
    /// Bytes without.
    Hole,
}

/// A plain slice as a [`Source`].
#[derive(Debug)]
pub struct SliceSource<'a>(pub &'a [u8]);

impl Source for SliceSource<'_> {
    fn left(&self) -> usize {
        self.0.len()
    }

    fn take(&mut self, out: &mut [u8]) -> Result<usize, Errno> {
        let n = out.len().min(self.0.len());
        let (now, rest) = self.0.split_at(n);
        if let Some(place) = out.get_mut(..n) {
            place.copy_from_slice(now);
        }
        self.0 = rest;
        Ok(n)
    }
}

/// A plain slice as a [`Dest`].
#[derive(Debug)]
pub struct SliceDest<'a> {
    buffer: &'a mut [u8],
    filled: usize,
}

impl<'a> SliceDest<'a> {
    /// Fills `buffer` from its start.
    pub fn new(buffer: &'a mut [u8]) -> Self {
        SliceDest { buffer, filled: 0 }
    }

    /// How many bytes arrived.
    pub fn filled(&self) -> usize {
        self.filled
    }
}

impl Dest for SliceDest<'_> {
    fn room(&self) -> usize {
        self.buffer.len() - self.filled
    }

    fn put(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        let n = bytes.len().min(self.room());
        if let (Some(to), Some(from)) = (self.buffer.get_mut(self.filled..self.filled + n), bytes.get(..n)) {
            to.copy_from_slice(from);
        }
        self.filled += n;
        Ok(n)
    }
}

/// Bytes of a page, the unit in which contents are kept.
pub const PAGE: usize = 4096;

/// [`Contents`] in the heap, a sparse set of pages per file: for tests, and for file systems that need no mapping.
#[derive(Clone, Debug)]
pub struct HeapContents {
    files: BTreeMap<u64, BTreeMap<u64, Box<[u8; PAGE]>>>,
    next: u64,
    limit: u64,
    used: u64,
}

impl HeapContents {
    /// Room for `pages` pages in all.
    pub fn new(pages: u64) -> Self {
        HeapContents { files: BTreeMap::new(), next: 1, limit: pages, used: 0 }
    }

    fn page(&mut self, id: ContentId, index: u64) -> Result<&mut [u8; PAGE], Errno> {
        let file = self.files.get_mut(&id.0).ok_or(Errno::EIO)?;
        if !file.contains_key(&index) {
            if self.used >= self.limit {
                return Err(Errno::ENOSPC);
            }
            self.used += 1;
        }
        Ok(file.entry(index).or_insert_with(|| Box::new([0; PAGE])))
    }
}

impl Contents for HeapContents {
    fn create(&mut self) -> Result<ContentId, Errno> {
        let id = self.next;
        self.next += 1;
        self.files.insert(id, BTreeMap::new());
        Ok(ContentId(id))
    }

    fn destroy(&mut self, id: ContentId) {
        if let Some(file) = self.files.remove(&id.0) {
            self.used -= file.len() as u64;
        }
    }

    fn resize(&mut self, id: ContentId, old: u64, size: u64) -> Result<(), Errno> {
        if size < old { self.punch(id, size, u64::MAX - size) } else { Ok(()) }
    }

    fn read(&mut self, id: ContentId, offset: u64, len: usize, to: &mut dyn Dest) -> Result<usize, Errno> {
        let file = self.files.get(&id.0).ok_or(Errno::EIO)?;
        in_pieces(len, |done| {
            let (index, at, n) = piece(offset + done as u64, len - done);
            let got = match file.get(&index).and_then(|p| p.get(at..at + n)) {
                Some(bytes) => to.put(bytes),
                None => to.put_zeros(n),
            };
            (n, got)
        })
    }

    fn write(&mut self, id: ContentId, offset: u64, len: usize, from: &mut dyn Source) -> Result<usize, Errno> {
        in_pieces(len, |done| {
            let (index, at, n) = piece(offset + done as u64, len - done);
            (n, self.page(id, index).and_then(|p| from.take(p.get_mut(at..at + n).unwrap_or(&mut []))))
        })
    }

    fn punch(&mut self, id: ContentId, offset: u64, len: u64) -> Result<(), Errno> {
        let file = self.files.get_mut(&id.0).ok_or(Errno::EIO)?;
        let end = offset.saturating_add(len);
        let page = PAGE as u64;
        let before = file.len();
        file.retain(|&index, bytes| {
            let (start, stop) = (index * page, index.saturating_mul(page).saturating_add(page));
            if start >= offset && stop <= end {
                return false;
            }
            let (from, to) = (offset.clamp(start, stop) - start, end.clamp(start, stop) - start);
            if let Some(gone) = bytes.get_mut(from as usize..to as usize) {
                gone.fill(0);
            }
            true
        });
        self.used -= (before - file.len()) as u64;
        Ok(())
    }

    fn reserve(&mut self, id: ContentId, offset: u64, len: u64) -> Result<(), Errno> {
        let end = offset.checked_add(len).ok_or(Errno::EFBIG)?.div_ceil(PAGE as u64);
        let start = offset / PAGE as u64;
        let file = self.files.get(&id.0).ok_or(Errno::EIO)?;
        if (end - start).saturating_sub(file.range(start..end).count() as u64) > self.limit - self.used {
            return Err(Errno::ENOSPC);
        }
        (start..end).try_for_each(|index| self.page(id, index).map(|_| ()))
    }

    fn allocated(&self, id: ContentId) -> u64 {
        self.files.get(&id.0).map_or(0, |f| f.len() as u64 * PAGE as u64)
    }

    fn seek(&self, id: ContentId, offset: u64, what: Extent) -> Option<u64> {
        let file = self.files.get(&id.0)?;
        let index = offset / PAGE as u64;
        match what {
            Extent::Data => file.range(index..).next().map(|(&i, _)| offset.max(i * PAGE as u64)),
            Extent::Hole => {
                let run = file.range(index..).zip(index..).take_while(|((i, _), want)| **i == *want).count() as u64;
                Some(if run == 0 { offset } else { (index + run) * PAGE as u64 })
            }
        }
    }

    fn capacity(&self) -> Capacity {
        Capacity { total: self.limit, free: self.limit - self.used }
    }
}

/// Copies `len` bytes in pieces: `copy` is given how many are done, and says how many it asked for and how many came. A short piece ends the
/// copy; so does an error, which is told only if nothing came before it.
pub(crate) fn in_pieces(
    len: usize,
    mut copy: impl FnMut(usize) -> (usize, Result<usize, Errno>),
) -> Result<usize, Errno> {
    let mut done = 0;
    while done < len {
        match copy(done) {
            (asked, Ok(came)) if came < asked => return Ok(done + came),
            (_, Ok(came)) => done += came,
            (_, Err(_)) if done > 0 => return Ok(done),
            (_, Err(e)) => return Err(e),
        }
    }
    Ok(done)
}

/// Splits a range at page boundaries: page index, offset in it, bytes of this piece.
pub(crate) fn piece(offset: u64, len: usize) -> (u64, usize, usize) {
    let at = (offset % PAGE as u64) as usize;
    (offset / PAGE as u64, at, len.min(PAGE - at))
}
