//! What files and names take of the program's own memory, and how much they may.
//!
//! The bytes of files are their store's; inodes and directory entries lie in the heap, which must not run out under a program that makes
//! files. What is charged is what they take at most, so that the bound holds; everything charged is given back with its inode or name.

use crate::errno::Errno;
use crate::name::Name;
use crate::node::{Body, Inode};
use core::mem::size_of;

/// An inode with what its slot, its contents' slot and the allocator add.
pub(crate) const INODE: u64 = size_of::<Inode>() as u64 + 48;
/// A directory entry and its place in the index, in tables that may be half empty.
const NAME: u64 = 108;

/// Bytes that are charged, and how many may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    used: u64,
    limit: u64,
}

impl Default for Room {
    fn default() -> Self {
        Room { used: 0, limit: u64::MAX }
    }
}

/// What a name takes.
pub(crate) fn of_name(name: &Name) -> u64 {
    NAME + name.heap() as u64
}

/// What an inode takes.
pub(crate) fn of_body(body: &Body) -> u64 {
    match body {
        Body::Symlink(target) => INODE + target.len() as u64,
        _ => INODE,
    }
}

impl Room {
    pub(crate) fn limit(&mut self, bytes: u64) {
        self.limit = bytes;
    }

    /// Is there so much? `ENOSPC` if not.
    pub(crate) fn check(&self, bytes: u64) -> Result<(), Errno> {
        if self.used.saturating_add(bytes) > self.limit { Err(Errno::ENOSPC) } else { Ok(()) }
    }

    pub(crate) fn charge(&mut self, bytes: u64) {
        self.used += bytes;
    }

    pub(crate) fn refund(&mut self, bytes: u64) {
        self.used = self.used.saturating_sub(bytes);
    }

    /// Files with a name that there can be in all, and that can still be made; `None`: as many as there are pages.
    pub(crate) fn files(&self) -> Option<(u64, u64)> {
        let one = INODE + NAME;
        (self.limit != u64::MAX).then(|| (self.limit / one, self.limit.saturating_sub(self.used) / one))
    }
}
