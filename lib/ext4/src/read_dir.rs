//! Reading a directory, a block or a hash leaf at a time, from a cookie on.
//!
//! A cookie says where to go on and stays valid for as long as the directory is what it is: whoever reads needs to keep
//! nothing else. In a linear directory it is the offset in bytes. In an indexed one names come in the order of their
//! hashes, which no later split of a leaf will change: the cookie is the hash, and within one hash the rank.
//!
//! What must always hold: a cookie that is handed out is larger than the one that was handed in, or the same with
//! nothing read in between (the sink was full at once); so reading ends.

use crate::blocks::{Blocks, Disk};
use crate::directory::{self, Entry, Flow, Records, Role};
use crate::filesystem::FileSystem;
use crate::hash::NameHash;
use crate::htree::{self, Index, MAX_LEAVES, Moved, Path};
use crate::inode::{Inode, Kind};
use crate::stop::{Fault, Site, Stop};
use alloc::vec::Vec;
use core::ops::Range;

/// In an indexed directory: the cookies of `.` and `..` come before those of hashes.
const DOTS: u64 = 2;
/// Below a cookie's hash: names whose hashes agree in all but this many bits are told apart by their rank.
const RANK_BITS: u32 = 8;

/// A name of a leaf, on its way to being sorted.
struct Hashed {
    hash: NameHash,
    inode: u32,
    kind: Kind,
    name: Range<usize>,
}

/// The names of a leaf and of those that continue its last hash.
#[derive(Default)]
struct Gathered {
    names: Vec<u8>,
    entries: Vec<Hashed>,
}

impl FileSystem {
    /// Hands the entries from `cookie` on (0: all) to `sink`, those of one block; returns the cookie to go on with, none at
    /// the end. If the sink is full, that cookie leads to the entry that had no room. The sink is called only once all
    /// blocks are there: an operation that must be repeated has called it never.
    pub fn read_dir<B: Blocks>(
        &self,
        blocks: &mut B,
        dir: &Inode,
        cookie: u64,
        sink: &mut dyn FnMut(Entry<'_>) -> Flow,
    ) -> Result<Option<u64>, Stop> {
        dir.must_be(Kind::Directory)?;
        dir.must_be_plain()?;
        let mut disk = Disk::new(self, blocks);
        match htree::open(&mut disk, dir)? {
            None => linear(&mut disk, dir, cookie, sink),
            Some(_) if cookie < DOTS => dots(&mut disk, dir, cookie, sink),
            Some(index) => hashed(&mut disk, dir, &index, cookie - DOTS, sink),
        }
    }
}

fn linear<B: Blocks>(
    disk: &mut Disk<'_, B>,
    dir: &Inode,
    cookie: u64,
    sink: &mut dyn FnMut(Entry<'_>) -> Flow,
) -> Result<Option<u64>, Stop> {
    let fs = disk.fs;
    let size = fs.block_size() as u64;
    let number = cookie / size;
    let blocks = directory::blocks_of(fs.block_size(), dir);
    let Some(logical) = u32::try_from(number).ok().filter(|_| number < blocks) else { return Ok(None) };
    let (block, site) = directory::read(disk, dir, logical, Role::Either)?;
    check(block, site, fs)?;
    let start = number * size;
    for record in Records::new(block, fs).flatten() {
        let place = start + record.at as u64;
        let next = start + record.end as u64;
        if place >= cookie
            && sink(Entry { inode: record.inode, kind: record.kind, name: record.name, next }) == Flow::Full
        {
            return Ok(Some(place));
        }
    }
    Ok((number + 1 < blocks).then_some(start + size))
}

/// A block's records are all sound before the first is handed out.
fn check(block: &[u8], site: Site, fs: &FileSystem) -> Result<(), Stop> {
    Records::new(block, fs).try_for_each(|record| record.map(drop)).map_err(|fault| site.fault(fault))
}

/// `.` and `..`, which stand in the index's root.
fn dots<B: Blocks>(
    disk: &mut Disk<'_, B>,
    dir: &Inode,
    cookie: u64,
    sink: &mut dyn FnMut(Entry<'_>) -> Flow,
) -> Result<Option<u64>, Stop> {
    let fs = disk.fs;
    let (block, site) = directory::read(disk, dir, 0, Role::Index)?;
    check(block, site, fs)?;
    for (place, record) in (0..DOTS).zip(Records::new(block, fs).flatten()) {
        let entry = Entry { inode: record.inode, kind: record.kind, name: record.name, next: place + 1 };
        if place >= cookie && sink(entry) == Flow::Full {
            return Ok(Some(place));
        }
    }
    Ok(Some(DOTS))
}

/// The leaf that has the names from this place on.
fn hashed<B: Blocks>(
    disk: &mut Disk<'_, B>,
    dir: &Inode,
    index: &Index,
    wanted: u64,
    sink: &mut dyn FnMut(Entry<'_>) -> Flow,
) -> Result<Option<u64>, Stop> {
    let mut path = htree::probe(disk, dir, index, first_hash(wanted))?;
    let mut gathered = Gathered::default();
    gathered.add(disk, dir, index, &path, Wanted::All)?;
    let next = match path.until() {
        None => None,
        Some(until) => {
            dir.site().must(until > first_hash(wanted), Fault::Order)?;
            gathered.complete(disk, dir, index, &mut path, until & !1)?;
            // Behind an odd hash, names of the even one were taken too.
            let hash = NameHash { major: until.saturating_add(until & 1), minor: 0 };
            Some(place(hash) + DOTS)
        }
    };
    gathered.entries.sort_by_key(|entry| entry.hash);
    let places = places(&gathered.entries).ok_or(dir.site().fault(Fault::TooManyOfOneHash))?;
    for (entry, place) in gathered.entries.iter().zip(places).filter(|(_, place)| *place >= wanted) {
        let name = gathered.names.get(entry.name.clone()).unwrap_or_default();
        let next = place + DOTS + 1;
        if sink(Entry { inode: entry.inode, kind: entry.kind, name, next }) == Flow::Full {
            return Ok(Some(place + DOTS));
        }
    }
    Ok(next)
}

/// Which names of a leaf are wanted.
#[derive(Clone, Copy)]
enum Wanted {
    All,
    /// Those of this hash.
    Of(u32),
}

impl Gathered {
    /// Adds the names of the following leaves that have the hash with which the first one ends.
    fn complete<B: Blocks>(
        &mut self,
        disk: &mut Disk<'_, B>,
        dir: &Inode,
        index: &Index,
        path: &mut Path,
        hash: u32,
    ) -> Result<(), Stop> {
        for _ in 0..MAX_LEAVES {
            if htree::follow(disk, dir, index, path, hash)? == Moved::AtEnd {
                return Ok(());
            }
            self.add(disk, dir, index, path, Wanted::Of(hash))?;
        }
        Err(dir.site().fault(Fault::TooManyOfOneHash))
    }

    /// Adds names of the leaf that a path leads to.
    fn add<B: Blocks>(
        &mut self,
        disk: &mut Disk<'_, B>,
        dir: &Inode,
        index: &Index,
        path: &Path,
        wanted: Wanted,
    ) -> Result<(), Stop> {
        let fs = disk.fs;
        let (block, site) = directory::read(disk, dir, path.leaf(), Role::Leaf)?;
        for record in Records::new(block, fs) {
            let record = record.map_err(|fault| site.fault(fault))?;
            let hash = index.hasher.hash(record.name);
            let here = hash.major >= path.from() & !1 && path.until().is_none_or(|until| hash.major < until);
            site.must(here, Fault::HashPlace)?;
            if matches!(wanted, Wanted::Of(only) if only != hash.major) {
                continue;
            }
            let start = self.names.len();
            self.names.extend_from_slice(record.name);
            let name = start..self.names.len();
            self.entries.push(Hashed { hash, inode: record.inode, kind: record.kind, name });
        }
        Ok(())
    }
}

/// The place of the first name of this hash: 31 bits of the one that the index goes by, 24 of the other, then the rank.
fn place(hash: NameHash) -> u64 {
    u64::from(hash.major >> 1) << 32 | u64::from(hash.minor >> RANK_BITS << RANK_BITS)
}

/// The hash that the index is asked for to find a place.
fn first_hash(place: u64) -> u32 {
    ((place >> 32) << 1) as u32
}

/// The places of sorted names; none if too many share one hash.
fn places(entries: &[Hashed]) -> Option<Vec<u64>> {
    let mut places = Vec::with_capacity(entries.len());
    let (mut of_hash, mut rank) = (u64::MAX, 0);
    for entry in entries {
        let first = place(entry.hash);
        rank = if first == of_hash { rank + 1 } else { 0 };
        of_hash = first;
        if rank >> RANK_BITS != 0 {
            return None;
        }
        places.push(first | rank);
    }
    Some(places)
}
