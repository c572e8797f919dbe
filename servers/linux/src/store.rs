//! The bytes of large and mapped files: a `Memory` object each. A content's id is the object's handle, so that whoever maps a file needs no table.

use crate::source::{Object, Source};
use alloc::collections::BTreeMap;
use sal_abi::Error;
use sal_rt::Mutex;
use sal_vfs::{Capacity, ContentId, Contents, Dest, Errno, Extent, Source as Bytes};

const PAGE: u64 = sal_abi::PAGE;
/// Longest file in bytes.
pub(crate) const FILE_MOST: u64 = 1 << 46;
/// Bytes copied at a time between an object and a program; of a short read, for which a long buffer would be cleared in vain.
const PIECE: usize = 16384;
const SHORT: usize = 256;

/// All contents.
pub(crate) struct Store {
    source: &'static Mutex<Source>,
    objects: BTreeMap<u64, Object>,
}

impl Store {
    /// With objects from `source`.
    pub(crate) fn new(source: &'static Mutex<Source>) -> Store {
        Store { source, objects: BTreeMap::new() }
    }

    fn held(&self, id: ContentId) -> Result<&Object, Errno> {
        self.objects.get(&id.0).ok_or(Errno::EIO)
    }

    /// Makes the object reach `end`, or as far as there is room.
    fn extend(&mut self, id: ContentId, end: u64) -> Result<&Object, Errno> {
        let object = self.objects.get_mut(&id.0).ok_or(Errno::EIO)?;
        if end > FILE_MOST {
            return Err(Errno::EFBIG);
        }
        if end > object.length {
            self.source.lock().grow(object, end);
        }
        Ok(object)
    }

    /// Zeroes a range inside one page.
    fn zero(&self, id: ContentId, from: u64, to: u64) -> Result<(), Errno> {
        let zeros = [0; PAGE as usize];
        let object = self.held(id)?;
        let length = to.min(object.length).saturating_sub(from).min(PAGE) as usize;
        let piece = zeros.get(..length).unwrap_or_default();
        object.memory.write(from, piece).map(drop).map_err(no_space)
    }
}

fn no_space(error: Error) -> Errno {
    match error {
        Error::NoBudget | Error::TableFull => Errno::ENOSPC,
        _ => Errno::EIO,
    }
}

/// Copies from an object, `N` bytes at a time; what lies behind its end reads as zero.
fn copy_out<const N: usize>(object: &Object, offset: u64, len: usize, to: &mut dyn Dest) -> Result<usize, Errno> {
    let mut buffer = [0; N];
    let mut done = 0;
    while done < len {
        let n = (len - done).min(N);
        let Some(piece) = buffer.get_mut(..n) else { break };
        let at = offset + done as u64;
        let there = object.length.saturating_sub(at).min(n as u64) as usize;
        let (bytes, hole) = piece.split_at_mut(there);
        object.memory.read(at, bytes).map_err(|_| Errno::EIO)?;
        hole.fill(0);
        match to.put(piece) {
            Ok(m) if m < n => return Ok(done + m),
            Ok(m) => done += m,
            Err(_) if done > 0 => break,
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}

/// Copies to an object that reaches as far, `N` bytes at a time.
fn copy_in<const N: usize>(object: &Object, offset: u64, len: usize, from: &mut dyn Bytes) -> Result<usize, Errno> {
    let mut buffer = [0; N];
    let mut done = 0;
    while done < len {
        let n = (len - done).min(N);
        let Some(piece) = buffer.get_mut(..n) else { break };
        let came = match from.take(piece) {
            Ok(came) => came,
            Err(_) if done > 0 => break,
            Err(e) => return Err(e),
        };
        let bytes = piece.get(..came).unwrap_or_default();
        let stored = match object.memory.write(offset + done as u64, bytes) {
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

impl Contents for Store {
    fn create(&mut self) -> Result<ContentId, Errno> {
        let object = self.source.lock().create().ok_or(Errno::ENOSPC)?;
        let id = object.memory.handle().0;
        self.objects.insert(id, object);
        Ok(ContentId(id))
    }

    fn destroy(&mut self, id: ContentId) {
        if let Some(object) = self.objects.remove(&id.0) {
            self.source.lock().release(object.number);
        }
    }

    /// A file that grows gets an object that reaches as far, so that it can be mapped; without room for that it stays a hole.
    fn resize(&mut self, id: ContentId, old: u64, size: u64) -> Result<(), Errno> {
        if size >= old {
            return self.extend(id, size).map(drop);
        }
        self.punch(id, size, old.next_multiple_of(PAGE) - size)?;
        let object = self.objects.get_mut(&id.0).ok_or(Errno::EIO)?;
        self.source.lock().shrink(object, size);
        Ok(())
    }

    fn read(&mut self, id: ContentId, offset: u64, len: usize, to: &mut dyn Dest) -> Result<usize, Errno> {
        let object = self.held(id)?;
        if len <= SHORT {
            copy_out::<SHORT>(object, offset, len, to)
        } else {
            copy_out::<PIECE>(object, offset, len, to)
        }
    }

    fn write(&mut self, id: ContentId, offset: u64, len: usize, from: &mut dyn Bytes) -> Result<usize, Errno> {
        let object = self.extend(id, offset.checked_add(len as u64).ok_or(Errno::EFBIG)?)?;
        let room = object.length.saturating_sub(offset).min(len as u64) as usize;
        if room == 0 && len > 0 {
            return Err(Errno::ENOSPC);
        }
        if room <= SHORT {
            copy_in::<SHORT>(object, offset, room, from)
        } else {
            copy_in::<PIECE>(object, offset, room, from)
        }
    }

    fn punch(&mut self, id: ContentId, offset: u64, len: u64) -> Result<(), Errno> {
        let end = offset.saturating_add(len).min(self.held(id)?.length);
        let (first, last) = (offset.next_multiple_of(PAGE), end - end % PAGE);
        if end <= offset {
            return Ok(());
        }
        if first > last {
            return self.zero(id, offset, end);
        }
        self.zero(id, offset, first)?;
        let memory = &self.held(id)?.memory;
        memory.discard_range(first, last - first).map_err(|_| Errno::EIO)?;
        self.zero(id, last, end)
    }

    fn reserve(&mut self, id: ContentId, offset: u64, len: u64) -> Result<(), Errno> {
        let end = offset.checked_add(len).ok_or(Errno::EFBIG)?;
        let object = self.extend(id, end)?;
        if object.length < end {
            return Err(Errno::ENOSPC);
        }
        for page in offset / PAGE..end.div_ceil(PAGE) {
            let mut byte = [0];
            object.memory.read(page * PAGE, &mut byte).map_err(|_| Errno::EIO)?;
            object.memory.write(page * PAGE, &byte).map_err(no_space)?;
        }
        Ok(())
    }

    fn allocated(&self, id: ContentId) -> u64 {
        let frames = self.held(id).ok().and_then(|o| o.memory.frames().ok());
        frames.unwrap_or(0) * PAGE
    }

    /// The kernel doesn't say which pages there are: all is data, as lseek(2) allows.
    fn seek(&self, _: ContentId, offset: u64, what: Extent) -> Option<u64> {
        match what {
            Extent::Data => Some(offset),
            Extent::Hole => Some(FILE_MOST.max(offset)),
        }
    }

    fn capacity(&self) -> Capacity {
        self.source.lock().capacity()
    }
}
