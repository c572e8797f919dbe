//! The joint with the file system: whose call it is, the caller's memory as source and destination, remote calls.

use crate::errno::Errno;
use crate::user::UserMemory;
use alloc::boxed::Box;
use alloc::vec::Vec;
use sal_vfs::{Capacity, ContentId, Contents, Cred, Dest, Extent, FsContextId, Source, TableId};

/// A task's side of the file system.
#[derive(Clone, Debug)]
pub struct TaskFiles {
    /// Descriptors.
    pub table: TableId,
    /// Root, working directory, umask.
    pub fs: FsContextId,
    /// Rights, as the file system wants them.
    pub cred: Cred,
}

impl From<sal_vfs::Errno> for Errno {
    fn from(e: sal_vfs::Errno) -> Errno {
        Errno(e.raw() as u16)
    }
}

impl From<Errno> for sal_vfs::Errno {
    fn from(e: Errno) -> sal_vfs::Errno {
        sal_vfs::Errno::from_raw(e.0 as u32).unwrap_or(sal_vfs::Errno::EIO)
    }
}

/// The store of file bytes, whatever it is.
pub struct Store(pub Box<dyn Contents + Send>);

type FileResult<T> = Result<T, sal_vfs::Errno>;

impl Contents for Store {
    fn create(&mut self) -> FileResult<ContentId> {
        self.0.create()
    }
    fn destroy(&mut self, id: ContentId) {
        self.0.destroy(id);
    }
    fn resize(&mut self, id: ContentId, old: u64, size: u64) -> FileResult<()> {
        self.0.resize(id, old, size)
    }
    fn read(&mut self, id: ContentId, offset: u64, len: usize, to: &mut dyn Dest) -> FileResult<usize> {
        self.0.read(id, offset, len, to)
    }
    fn write(&mut self, id: ContentId, offset: u64, len: usize, from: &mut dyn Source) -> FileResult<usize> {
        self.0.write(id, offset, len, from)
    }
    fn punch(&mut self, id: ContentId, offset: u64, len: u64) -> FileResult<()> {
        self.0.punch(id, offset, len)
    }
    fn reserve(&mut self, id: ContentId, offset: u64, len: u64) -> FileResult<()> {
        self.0.reserve(id, offset, len)
    }
    fn allocated(&self, id: ContentId) -> u64 {
        self.0.allocated(id)
    }
    fn seek(&self, id: ContentId, offset: u64, what: Extent) -> Option<u64> {
        self.0.seek(id, offset, what)
    }
    fn object(&mut self, id: ContentId, size: u64) -> FileResult<ContentId> {
        self.0.object(id, size)
    }
    fn capacity(&self) -> Capacity {
        self.0.capacity()
    }
}

/// A stretch of the caller's memory, lent in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestBuffer {
    /// Guest address.
    pub address: u64,
    /// Bytes.
    pub length: u64,
}

/// A program's buffers, one after the other, as a source or a destination of bytes.
pub struct UserBuffers<'a> {
    mem: &'a mut dyn UserMemory,
    buffers: &'a [GuestBuffer],
    at: u64,
}

impl<'a> UserBuffers<'a> {
    /// From byte `skip` on.
    pub fn new(mem: &'a mut dyn UserMemory, buffers: &'a [GuestBuffer], mut skip: u64) -> Self {
        let mut buffers = buffers;
        while let [first, rest @ ..] = buffers
            && skip >= first.length
        {
            skip -= first.length;
            buffers = rest;
        }
        UserBuffers { mem, buffers, at: skip }
    }

    fn rest(&self) -> usize {
        (self.buffers.iter().map(|b| b.length).sum::<u64>() - if self.buffers.is_empty() { 0 } else { self.at })
            as usize
    }

    /// The next stretch that lies in one buffer and one page, at most `length` bytes.
    fn piece(&self, length: usize) -> Option<(u64, usize)> {
        let first = self.buffers.first()?;
        let address = first.address.wrapping_add(self.at);
        Some((address, (first.length - self.at).min(length as u64) as usize))
    }

    fn advance(&mut self, by: usize) {
        self.at += by as u64;
        while let [first, rest @ ..] = self.buffers
            && self.at >= first.length
        {
            self.at -= first.length;
            self.buffers = rest;
        }
    }
}

/// On a fault: how many of the first bytes of a stretch work, by pages.
fn by_pages(address: u64, length: usize, mut try_one: impl FnMut(u64, usize, usize) -> Result<(), Errno>) -> usize {
    let mut done = 0;
    while done < length {
        let at = address.wrapping_add(done as u64);
        let here = (crate::user::PAGE - at % crate::user::PAGE).min((length - done) as u64) as usize;
        if try_one(at, done, here).is_err() {
            break;
        }
        done += here;
    }
    done
}

impl Dest for UserBuffers<'_> {
    fn room(&self) -> usize {
        self.rest()
    }

    fn put(&mut self, bytes: &[u8]) -> FileResult<usize> {
        let mut done = 0;
        while let Some(left) = bytes.get(done..).filter(|l| !l.is_empty())
            && let Some((address, length)) = self.piece(left.len())
        {
            let now = left.get(..length).unwrap_or_default();
            if self.mem.write(address, now).is_ok() {
                self.advance(length);
                done += length;
                continue;
            }
            let mem = &mut *self.mem;
            let some =
                by_pages(address, length, |at, from, n| mem.write(at, now.get(from..from + n).unwrap_or_default()));
            self.advance(some);
            done += some;
            break;
        }
        if done == 0 && !bytes.is_empty() { Err(sal_vfs::Errno::EFAULT) } else { Ok(done) }
    }
}

impl Source for UserBuffers<'_> {
    fn left(&self) -> usize {
        self.rest()
    }

    fn take(&mut self, out: &mut [u8]) -> FileResult<usize> {
        let wanted = out.len();
        let mut done = 0;
        while let Some(left) = out.get_mut(done..).filter(|l| !l.is_empty())
            && let Some((address, length)) = self.piece(left.len())
        {
            let Some(now) = left.get_mut(..length) else { break };
            if self.mem.read(address, now).is_ok() {
                self.advance(length);
                done += length;
                continue;
            }
            let mem = &mut *self.mem;
            let some =
                by_pages(address, length, |at, from, n| mem.read(at, now.get_mut(from..from + n).unwrap_or_default()));
            self.advance(some);
            done += some;
            break;
        }
        if done == 0 && wanted != 0 { Err(sal_vfs::Errno::EFAULT) } else { Ok(done) }
    }
}

/// Bytes into a vector, up to a limit.
pub(crate) struct VecDest {
    /// What came.
    pub bytes: Vec<u8>,
    /// How many may.
    pub limit: usize,
}

impl Dest for VecDest {
    fn room(&self) -> usize {
        self.limit - self.bytes.len().min(self.limit)
    }

    fn put(&mut self, bytes: &[u8]) -> FileResult<usize> {
        let n = bytes.len().min(self.room());
        self.bytes.extend_from_slice(bytes.get(..n).unwrap_or_default());
        Ok(n)
    }
}
