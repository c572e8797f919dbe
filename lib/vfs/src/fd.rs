//! Descriptor tables, and the root, working directory and umask of a process.
//!
//! A table maps small numbers to descriptions; the lowest free number is given out. Tables and contexts are counted, so
//! that `CLONE_FILES` and `CLONE_FS` share them.

use crate::errno::Errno;
use crate::file::DescId;
use crate::node::Place;
use crate::types::Fd;
use alloc::vec::Vec;

/// One entry: what is open, and whether exec closes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FdEntry {
    pub(crate) desc: DescId,
    pub(crate) cloexec: bool,
}

/// The descriptors of a process.
#[derive(Clone, Debug, Default)]
pub struct FdTable {
    pub(crate) slots: Vec<Option<FdEntry>>,
    /// No number below it is free.
    pub(crate) lowest: usize,
    /// How many processes share it.
    pub(crate) users: u32,
}

impl FdTable {
    /// What `fd` is; `EBADF` if it isn't open.
    #[inline]
    pub(crate) fn get(&self, fd: Fd) -> Result<FdEntry, Errno> {
        usize::try_from(fd).ok().and_then(|i| self.slots.get(i).copied().flatten()).ok_or(Errno::EBADF)
    }

    pub(crate) fn get_mut(&mut self, fd: Fd) -> Result<&mut FdEntry, Errno> {
        let index = usize::try_from(fd).map_err(|_| Errno::EBADF)?;
        self.slots.get_mut(index).and_then(Option::as_mut).ok_or(Errno::EBADF)
    }

    /// The lowest free number not below `min`; `EMFILE` if that isn't below `limit`.
    pub(crate) fn lowest_free(&self, min: usize, limit: u32) -> Result<Fd, Errno> {
        let mut fd = min.max(self.lowest);
        while matches!(self.slots.get(fd), Some(Some(_))) {
            fd += 1;
        }
        if fd >= limit as usize { Err(Errno::EMFILE) } else { Fd::try_from(fd).map_err(|_| Errno::EMFILE) }
    }

    /// Puts `entry` at `fd`; gives what was there.
    pub(crate) fn set(&mut self, fd: Fd, entry: FdEntry) -> Option<FdEntry> {
        let index = usize::try_from(fd).ok()?;
        if index >= self.slots.len() {
            self.slots.resize(index + 1, None);
        }
        let old = self.slots.get_mut(index)?.replace(entry);
        if index == self.lowest {
            while matches!(self.slots.get(self.lowest), Some(Some(_))) {
                self.lowest += 1;
            }
        }
        old
    }

    /// Takes `fd` out.
    pub(crate) fn take(&mut self, fd: Fd) -> Option<FdEntry> {
        let index = usize::try_from(fd).ok()?;
        let old = self.slots.get_mut(index)?.take()?;
        self.lowest = self.lowest.min(index);
        Some(old)
    }

    /// Every open descriptor, ascending, from `min`.
    pub(crate) fn iter_from(&self, min: usize) -> impl Iterator<Item = (Fd, FdEntry)> + '_ {
        self.slots.iter().enumerate().skip(min).filter_map(|(i, e)| Some((i as Fd, (*e)?)))
    }
}

/// Root, working directory and umask.
#[derive(Clone, Debug)]
pub struct FsContext {
    pub(crate) root: Place,
    pub(crate) cwd: Place,
    pub(crate) umask: u32,
    /// How many processes share it.
    pub(crate) users: u32,
}
