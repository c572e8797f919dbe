//! Replaying an unclean journal, into a list of blocks and not onto the disk. Source: `journal.rst`; the order of the
//! passes and what ends them, Linux's `fs/jbd2/recovery.c`.
//!
//! Three passes go over the ring: the first finds the last whole transaction, the second what was revoked, the third
//! where the newest copy of each block is. What must always hold: no pass takes more blocks than the ring has, so one
//! that leads round in a circle ends too; a step changes the state only once every block that it needs was there, so it
//! can be repeated; and the list has at most one entry for each block of the ring.

use super::format::{self, COMMIT, DESCRIPTOR, Header, Journal, REVOKE, Target};
use crate::blocks::{Blocks, Disk};
use crate::bytes;
use crate::inode::{self, Inode};
use crate::map::{self, Run};
use crate::overlay::Replayed;
use crate::stop::{Fault, Owner, Part, Refusal, Site, Stop};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Blocks of the journal that one step takes at most, copies among them.
const STEP: usize = 64;

/// What there is to replay.
pub(crate) enum Begun {
    Clean,
    Unclean(Box<Replay>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pass {
    Scan,
    Revoke,
    Replay,
    Done,
}

/// A replay under way.
#[derive(Clone, Debug)]
pub(crate) struct Replay {
    journal: Journal,
    /// The journal's superblock: the place of faults that no single block has.
    home: Site,
    inode: Inode,
    /// The part of the journal that was mapped last.
    run: Option<Run>,
    pass: Pass,
    /// The block of the ring to look at next, and of which transaction it must be.
    next: u32,
    sequence: u32,
    /// Blocks of the ring that this pass has taken.
    taken: u32,
    /// The copies after a descriptor that the third pass has yet to look at: where it is, and how many are done.
    copies: Option<Copies>,
    /// The number of the first transaction that doesn't count: the first pass finds it.
    end: u32,
    /// When the last whole transaction was committed.
    committed: u64,
    /// A block of this transaction whose checksum is wrong: leftovers of an older journal, or damage. The commit tells.
    doubt: Option<Site>,
    revoked: BTreeMap<u64, u32>,
    newest: BTreeMap<u64, Replayed>,
}

#[derive(Clone, Copy, Debug)]
struct Copies {
    descriptor: u32,
    done: usize,
}

/// What a block of the ring turned out to be.
enum Found {
    Descriptor {
        copies: u32,
        doubt: Option<Site>,
    },
    Commit {
        seconds: u64,
        site: Site,
        holds: Verdict,
    },
    Revoke {
        blocks: Vec<u64>,
        doubt: Option<Site>,
    },
    /// Nothing of this transaction.
    End(Site),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Holds,
    Broken,
}

impl Replay {
    /// Reads the journal's superblock.
    pub(crate) fn begin<B: Blocks>(disk: &mut Disk<'_, B>) -> Result<Begun, Stop> {
        let number = disk.fs.raw().journal_inum.get();
        if number == 0 {
            return Err(Stop::Refused(Refusal::ExternalJournal));
        }
        let inode = inode::read(disk, number)?;
        let block = map::block(disk, &inode, 0)?.ok_or(inode.site().fault(Fault::Size))?;
        let site = Site::new(Owner::Journal, Part::JournalSuperblock, block);
        let Some(journal) = Journal::read(disk.read(site)?, site)? else { return Ok(Begun::Clean) };
        site.must(u64::from(journal.length) <= inode.size / disk.fs.block_size() as u64, Fault::Size)?;
        Ok(Begun::Unclean(Box::new(Replay {
            journal,
            home: site,
            inode,
            run: None,
            pass: Pass::Scan,
            next: journal.start,
            sequence: journal.sequence,
            taken: 0,
            copies: None,
            end: journal.sequence,
            committed: 0,
            doubt: None,
            revoked: BTreeMap::new(),
            newest: BTreeMap::new(),
        })))
    }

    /// Goes on by some blocks. The list, once it is complete.
    pub(crate) fn step<B: Blocks>(&mut self, disk: &mut Disk<'_, B>) -> Result<Option<Vec<Replayed>>, Stop> {
        for _ in 0..STEP {
            match (self.pass, self.copies) {
                (Pass::Done, _) => return Ok(Some(self.newest.values().copied().collect())),
                (_, Some(copies)) => self.copy(disk, copies)?,
                (_, None) => self.block(disk)?,
            }
        }
        Ok(None)
    }

    /// Takes the next block of the ring that isn't a copy.
    fn block<B: Blocks>(&mut self, disk: &mut Disk<'_, B>) -> Result<(), Stop> {
        if self.pass != Pass::Scan && self.sequence == self.end {
            self.next_pass();
            return Ok(());
        }
        match self.look(disk)? {
            Found::Descriptor { copies, doubt } => self.descriptor(copies, doubt),
            Found::Commit { seconds, site, holds } => self.commit(seconds, site, holds),
            Found::Revoke { blocks, doubt } => {
                self.doubt = self.doubt.or(doubt);
                if self.pass == Pass::Revoke {
                    self.revoke(&blocks);
                }
                self.take(1)
            }
            Found::End(site) => self.end_of_ring(site),
        }
    }

    /// The copies after a descriptor are skipped by all passes but the last.
    fn descriptor(&mut self, copies: u32, doubt: Option<Site>) -> Result<(), Stop> {
        if self.pass == Pass::Replay {
            self.copies = Some(Copies { descriptor: self.next, done: 0 });
            return self.take(1);
        }
        self.doubt = self.doubt.or(doubt);
        self.take(copies.saturating_add(1))
    }

    /// A transaction is whole. A wrong checksum in it means damage, but for one that is older than the one before it: that
    /// is what an older journal left behind the end of this one.
    fn commit(&mut self, seconds: u64, site: Site, holds: Verdict) -> Result<(), Stop> {
        if self.pass == Pass::Scan {
            let doubt = self.doubt.or((holds == Verdict::Broken).then_some(site));
            match doubt {
                Some(_) if seconds < self.committed => return self.end_of_ring(site),
                Some(doubtful) => return Err(doubtful.fault(Fault::Checksum)),
                None => self.committed = seconds,
            }
        }
        self.sequence = self.sequence.wrapping_add(1);
        self.take(1)
    }

    /// Nothing follows that counts.
    fn end_of_ring(&mut self, site: Site) -> Result<(), Stop> {
        site.must(self.pass == Pass::Scan, Fault::EndMoved)?;
        self.end = self.sequence;
        self.next_pass();
        Ok(())
    }

    fn next_pass(&mut self) {
        self.pass = match self.pass {
            Pass::Scan => Pass::Revoke,
            Pass::Revoke => Pass::Replay,
            Pass::Replay | Pass::Done => Pass::Done,
        };
        (self.next, self.sequence) = (self.journal.start, self.journal.sequence);
        (self.taken, self.doubt) = (0, None);
    }

    /// Moves on by this many blocks of the ring.
    fn take(&mut self, count: u32) -> Result<(), Stop> {
        self.taken = self.taken.saturating_add(count);
        self.home.must(self.taken <= self.journal.length - self.journal.first, Fault::Endless)?;
        self.next = self.journal.after(self.next, count);
        Ok(())
    }

    /// A block counts as revoked in every transaction up to the last that revokes it.
    fn revoke(&mut self, blocks: &[u64]) {
        for block in blocks {
            let last = self.revoked.entry(*block).or_insert(self.sequence);
            if is_after(self.sequence, *last) {
                *last = self.sequence;
            }
        }
    }

    fn is_revoked(&self, block: u64) -> bool {
        self.revoked.get(&block).is_some_and(|last| !is_after(self.sequence, *last))
    }

    /// Takes the next copy after a descriptor.
    fn copy<B: Blocks>(&mut self, disk: &mut Disk<'_, B>, copies: Copies) -> Result<(), Stop> {
        let Some(target) = self.target(disk, copies)? else {
            self.copies = None;
            return Ok(());
        };
        if !self.is_revoked(target.block) {
            let site = Site { part: Part::JournalData, ..self.site(disk, self.next)? };
            site.must(disk.fs.has_block(target.block), Fault::Outside)?;
            if self.journal.seed.is_some() {
                site.must(self.journal.copy_holds(&target, self.sequence, disk.read(site)?), Fault::Checksum)?;
            }
            self.newest.insert(target.block, Replayed::new(target.block, site.block, target.escaped));
        }
        self.copies = Some(Copies { done: copies.done + 1, ..copies });
        self.take(1)
    }

    /// Where the next copy belongs.
    fn target<B: Blocks>(&mut self, disk: &mut Disk<'_, B>, copies: Copies) -> Result<Option<Target>, Stop> {
        let site = self.site(disk, copies.descriptor)?;
        let descriptor = disk.read(site)?;
        Ok(self.journal.targets(descriptor).nth(copies.done))
    }

    /// What the next block of the ring is.
    fn look<B: Blocks>(&mut self, disk: &mut Disk<'_, B>) -> Result<Found, Stop> {
        let site = self.site(disk, self.next)?;
        let journal = self.journal;
        let block = disk.read(site)?;
        let Some(header) = bytes::record::<Header>(block, 0) else { return Ok(Found::End(site)) };
        if header.magic.get() != format::MAGIC || header.sequence.get() != self.sequence {
            return Ok(Found::End(site));
        }
        let doubt = |part| (!journal.tail_holds(block)).then_some(Site { part, ..site });
        Ok(match header.kind.get() {
            DESCRIPTOR => {
                let copies = journal.targets(block).count() as u32;
                Found::Descriptor { copies, doubt: doubt(Part::JournalDescriptor) }
            }
            COMMIT => Found::Commit {
                seconds: format::commit_seconds(block),
                site: Site { part: Part::JournalCommit, ..site },
                holds: if journal.commit_holds(block) { Verdict::Holds } else { Verdict::Broken },
            },
            REVOKE => Found::Revoke { blocks: journal.revoked(block).collect(), doubt: doubt(Part::JournalRevoke) },
            _ => Found::End(site),
        })
    }

    /// Where on the device a block of the journal lies.
    fn site<B: Blocks>(&mut self, disk: &mut Disk<'_, B>, logical: u32) -> Result<Site, Stop> {
        let within = |run: &Run| logical.checked_sub(run.logical).filter(|offset| *offset < run.length);
        let run = match self.run {
            Some(run) if within(&run).is_some() => run,
            _ => map::map(disk, &self.inode, logical, self.journal.length)?,
        };
        self.run = Some(run);
        match (run.target, within(&run)) {
            (map::Target::Blocks(first), Some(offset)) => {
                Ok(Site::new(Owner::Journal, Part::JournalDescriptor, first + u64::from(offset)))
            }
            _ => Err(self.inode.site().fault(Fault::Hole)),
        }
    }
}

/// Is this transaction younger than that one? Their numbers wrap around.
fn is_after(this: u32, that: u32) -> bool {
    (this.wrapping_sub(that) as i32) > 0
}
