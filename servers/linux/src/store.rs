//! The bytes of files: a `Memory` object each, paid by the programs' budget. A content's id is the object's handle, so that whoever maps a
//! file needs no table.

use alloc::collections::BTreeMap;
use sal_abi::{Error, Handle};
use sal_rt::handle::Memory;
use sal_sys::{capability, memory};
use sal_vfs::{Capacity, ContentId, Contents, Dest, Errno, Extent, Source};

/// Longest file in bytes. Pages cost when they are written.
const FILE_MOST: u64 = 1 << 46;
const PAGE: u64 = sal_abi::PAGE;
/// Bytes copied at a time between an object and a program.
const PIECE: usize = 16384;

/// All contents.
pub(crate) struct Store {
    budget: Handle,
    objects: BTreeMap<u64, Memory>,
}

impl Store {
    /// Paid by `budget`.
    pub(crate) fn new(budget: Handle) -> Store {
        Store {
            budget,
            objects: BTreeMap::new(),
        }
    }

    fn object(&self, id: ContentId) -> Result<&Memory, Errno> {
        self.objects.get(&id.0).ok_or(Errno::EIO)
    }

    /// Zeroes a range inside one page; pages that aren't there stay so only if the range is empty.
    fn zero(&self, id: ContentId, from: u64, to: u64) -> Result<(), Errno> {
        let zeros = [0; PAGE as usize];
        let length = to.saturating_sub(from).min(PAGE) as usize;
        let object = self.object(id)?;
        object
            .write(from, zeros.get(..length).unwrap_or_default())
            .map(drop)
            .map_err(no_space)
    }

    fn info(&self) -> capability::BudgetInfo {
        let none = capability::BudgetInfo {
            left: 0,
            given: 0,
            objects: 0,
        };
        capability::budget_info(self.budget).unwrap_or(none)
    }
}

fn no_space(error: Error) -> Errno {
    match error {
        Error::NoBudget | Error::TableFull => Errno::ENOSPC,
        Error::BadArgument => Errno::EFBIG,
        _ => Errno::EIO,
    }
}

impl Contents for Store {
    fn create(&mut self) -> Result<ContentId, Errno> {
        let object = Memory::own(memory::memory_create(self.budget, FILE_MOST).map_err(no_space)?);
        let id = object.handle().0;
        self.objects.insert(id, object);
        Ok(ContentId(id))
    }

    fn destroy(&mut self, id: ContentId) {
        self.objects.remove(&id.0);
    }

    fn resize(&mut self, id: ContentId, old: u64, size: u64) -> Result<(), Errno> {
        if size < old {
            self.punch(id, size, old.next_multiple_of(PAGE) - size)
        } else {
            Ok(())
        }
    }

    fn read(&mut self, id: ContentId, offset: u64, len: usize, to: &mut dyn Dest) -> Result<usize, Errno> {
        let object = self.object(id)?;
        let mut buffer = [0; PIECE];
        let mut done = 0;
        while done < len {
            let n = (len - done).min(PIECE);
            let Some(piece) = buffer.get_mut(..n) else { break };
            object.read(offset + done as u64, piece).map_err(|_| Errno::EIO)?;
            match to.put(piece) {
                Ok(m) if m < n => return Ok(done + m),
                Ok(m) => done += m,
                Err(_) if done > 0 => break,
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    fn write(
        &mut self,
        id: ContentId,
        offset: u64,
        len: usize,
        from: &mut dyn Source,
    ) -> Result<usize, Errno> {
        let object = self.object(id)?;
        let mut buffer = [0; PIECE];
        let mut done = 0;
        while done < len {
            let n = (len - done).min(PIECE);
            let Some(piece) = buffer.get_mut(..n) else { break };
            let came = match from.take(piece) {
                Ok(came) => came,
                Err(_) if done > 0 => break,
                Err(e) => return Err(e),
            };
            let stored = match object.write(offset + done as u64, piece.get(..came).unwrap_or_default()) {
                Ok(stored) => stored,
                Err(_) if done > 0 => break,
                Err(e) => return Err(no_space(e)),
            };
            done += stored;
            if stored < n {
                break;
            }
        }
        Ok(done)
    }

    fn punch(&mut self, id: ContentId, offset: u64, len: u64) -> Result<(), Errno> {
        let end = offset.saturating_add(len).min(FILE_MOST);
        let (first, last) = (offset.next_multiple_of(PAGE), end - end % PAGE);
        if first > last {
            return self.zero(id, offset, end);
        }
        self.zero(id, offset, first)?;
        self.object(id)?
            .discard_range(first, last - first)
            .map_err(|_| Errno::EIO)?;
        self.zero(id, last, end)
    }

    fn reserve(&mut self, id: ContentId, offset: u64, len: u64) -> Result<(), Errno> {
        let end = offset
            .checked_add(len)
            .filter(|e| *e <= FILE_MOST)
            .ok_or(Errno::EFBIG)?;
        let object = self.object(id)?;
        if (end - offset).div_ceil(PAGE) > self.info().left {
            return Err(Errno::ENOSPC);
        }
        for page in offset / PAGE..end.div_ceil(PAGE) {
            let mut byte = [0];
            object.read(page * PAGE, &mut byte).map_err(|_| Errno::EIO)?;
            object.write(page * PAGE, &byte).map_err(no_space)?;
        }
        Ok(())
    }

    fn allocated(&self, id: ContentId) -> u64 {
        self.object(id)
            .ok()
            .and_then(|object| object.frames().ok())
            .unwrap_or(0)
            * PAGE
    }

    /// The kernel doesn't say which pages there are: all is data, as lseek(2) allows.
    fn seek(&self, _: ContentId, offset: u64, what: Extent) -> Option<u64> {
        match what {
            Extent::Data => Some(offset),
            Extent::Hole => Some(FILE_MOST.max(offset)),
        }
    }

    fn capacity(&self) -> Capacity {
        let info = self.info();
        Capacity {
            total: info.given,
            free: info.left,
        }
    }
}
