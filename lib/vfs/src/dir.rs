//! A directory's entries: found by name in constant time, listed in the order of their cookies.
//!
//! Every entry gets a cookie higher than all before it in this directory and keeps it for life. A listing that goes on
//! after cookie `c` sees every entry that was there the whole time exactly once, whatever comes and goes meanwhile.

use crate::errno::Errno;
use crate::name::Name;
use crate::node::InodeId;
use alloc::vec::Vec;
use core::hash::Hasher;
use hashbrown::HashTable;
use rustc_hash::FxHasher;

/// Cookies 1 and 2 are `.` and `..`; entries start behind them.
const FIRST_COOKIE: u64 = 3;

/// One name of a directory.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) cookie: u64,
    pub(crate) name: Name,
    pub(crate) inode: InodeId,
}

/// The names of one directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory {
    /// By ascending cookie; `None` was removed.
    entries: Vec<Option<Entry>>,
    /// Positions in `entries`, by name.
    index: HashTable<u32>,
    /// Cookies given so far, less `FIRST_COOKIE`.
    given: u64,
    /// Cookie of each position, also of removed ones: what the binary search looks at.
    cookies: Vec<u64>,
}

fn hash(name: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(name);
    hasher.finish()
}

impl Directory {
    /// The inode of that name.
    #[inline]
    pub(crate) fn get(&self, name: &[u8]) -> Option<InodeId> {
        Some(self.entry_at(self.position(name)?)?.inode)
    }

    fn entry_at(&self, position: u32) -> Option<&Entry> {
        self.entries.get(position as usize)?.as_ref()
    }

    #[inline]
    fn position(&self, name: &[u8]) -> Option<u32> {
        let is = |p: &u32| self.entry_at(*p).is_some_and(|e| e.name.bytes() == name);
        self.index.find(hash(name), is).copied()
    }

    /// Adds a name that is not there yet (`EEXIST` else).
    pub(crate) fn insert(&mut self, name: Name, inode: InodeId) -> Result<(), Errno> {
        if self.position(name.bytes()).is_some() {
            return Err(Errno::EEXIST);
        }
        let position = u32::try_from(self.entries.len()).map_err(|_| Errno::ENOSPC)?;
        let cookie = FIRST_COOKIE + self.given;
        let key = hash(name.bytes());
        self.given += 1;
        self.entries.push(Some(Entry { cookie, name, inode }));
        self.cookies.push(cookie);
        let entries = &self.entries;
        let rehash = |p: &u32| entries.get(*p as usize).and_then(Option::as_ref).map_or(0, |e| hash(e.name.bytes()));
        self.index.insert_unique(key, position, rehash);
        Ok(())
    }

    /// Lets a name that is there stand for another inode; gives the old one.
    pub(crate) fn replace(&mut self, name: &[u8], inode: InodeId) -> Option<InodeId> {
        let position = self.position(name)?;
        let entry = self.entries.get_mut(position as usize)?.as_mut()?;
        Some(core::mem::replace(&mut entry.inode, inode))
    }

    /// Removes a name; gives what it was.
    pub(crate) fn remove(&mut self, name: &[u8]) -> Option<Entry> {
        let position = self.position(name)?;
        if let Ok(found) = self.index.find_entry(hash(name), |p| *p == position) {
            found.remove();
        }
        let gone = self.entries.get_mut(position as usize)?.take()?;
        self.compact();
        Some(gone)
    }

    /// Squeezes removed places out once they are the larger half; cookies stay.
    fn compact(&mut self) {
        if self.entries.len() < 32 || self.index.len() * 2 > self.entries.len() {
            return;
        }
        self.entries.retain(Option::is_some);
        self.cookies.clear();
        self.cookies.extend(self.entries.iter().flatten().map(|e| e.cookie));
        self.entries.shrink_to_fit();
        self.cookies.shrink_to_fit();
        self.index.clear();
        let entries = &self.entries;
        let key = |p: &u32| entries.get(*p as usize).and_then(Option::as_ref).map_or(0, |e| hash(e.name.bytes()));
        for position in 0..entries.len() as u32 {
            self.index.insert_unique(key(&position), position, key);
        }
    }

    /// How many names there are.
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// The first entry with a cookie above `cookie`.
    pub(crate) fn after(&self, cookie: u64) -> impl Iterator<Item = &Entry> {
        let start = self.cookies.partition_point(|c| *c <= cookie);
        self.entries.get(start..).unwrap_or(&[]).iter().flatten()
    }

    /// A name under which `inode` is here.
    pub(crate) fn name_of(&self, inode: InodeId) -> Option<&Name> {
        self.after(0).find(|e| e.inode == inode).map(|e| &e.name)
    }
}
