//! Bytes of memories and spaces, and pinned pages.

use crate::fault::Via;
use crate::pool::Pool;
use crate::radix::Entry;
use crate::{Access, BudgetId, Error, Frame, Kind, Machine, MemoryId, Outcome, PAGE, Ram, SpaceId, Use, Vm};

/// Most bytes that one call copies.
const COPY: u64 = 16 * PAGE;

/// One side of a copy, from a byte on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// What a memory holds, from that offset on.
    Memory(MemoryId, u64),
    /// What user code could access in a space, from that address on.
    Space(SpaceId, u64),
}

impl Side {
    fn start(self) -> u64 {
        let (Side::Memory(_, at) | Side::Space(_, at)) = self;
        at
    }
}

impl<M: Machine> Vm<M> {
    /// Where an access of user code would go (frame, byte offset), providing the page if that is possible.
    ///
    /// # Errors
    /// As [`Vm::fault`].
    pub fn resolve(&mut self, space: SpaceId, address: u64, access: Access) -> Result<(Frame, usize), Outcome> {
        if let Some(place) = self.translate(space, address, access) {
            return Ok(place);
        }
        self.fault(space, address, access)?;
        self.translate(space, address, access).ok_or(Outcome::NotMapped)
    }

    /// Where a side's byte lies, the page provided; for `Write` nobody else's.
    pub(crate) fn place(&mut self, side: Side, skip: u64, access: Access) -> Result<(Frame, usize), Outcome> {
        match side {
            Side::Space(id, address) => self.resolve(id, address + skip, access),
            Side::Memory(id, start) => {
                let offset = start + skip;
                let page = self.page(id, offset / PAGE, access, Via::Kernel)?;
                Ok((page.frame, (offset % PAGE) as usize))
            }
        }
    }

    /// Is it a page of a zero-fill memory that is missing? It reads as zeroes and stays missing.
    fn is_zeroes(&self, side: Side, skip: u64) -> bool {
        let Side::Memory(id, start) = side else { return false };
        let page = (start + skip) / PAGE;
        self.memories.get(id).is_some_and(|memory| {
            let absent = memory.tree.peek(&self.pool.ram, page) == Entry::Absent;
            absent && memory.kind == Kind::ZeroFill && memory.reaches(page)
        })
    }

    /// The part of a length that a side has: a memory ends somewhere.
    fn clip(&self, side: Side, length: u64) -> Result<u64, Error> {
        match side {
            Side::Memory(id, offset) => Ok(length.min(self.open(id)?.length.saturating_sub(offset))),
            Side::Space(_, address) => address.checked_add(length).map(|_| length).ok_or(Error::BadAddress),
        }
    }

    /// Copies bytes. -> how many: fewer at a memory's end, at a page that is missing, or after 16 pages.
    ///
    /// # Errors
    /// Nothing copied: `Stale`, `Absent` (a pager has to act), `BadAddress`, `NoBudget`, `NoFrames`.
    pub fn copy(&mut self, from: Side, to: Side, length: u64) -> Result<u64, Error> {
        let length = self.clip(from, self.clip(to, length.min(COPY))?)?;
        let mut done = 0;
        while done < length {
            let n = chunk(from.start() + done, to.start() + done, length - done);
            match self.copy_piece((from, to), done, n) {
                Ok(()) => done += n,
                Err(outcome) if done == 0 => return Err(outcome.into()),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    /// A piece of a copy that crosses no page on either side.
    fn copy_piece(&mut self, (from, to): (Side, Side), done: u64, n: u64) -> Result<(), Outcome> {
        // The target first: providing it can move a page that the source shows.
        let target = self.place(to, done, Access::Write)?;
        if self.is_zeroes(from, done) {
            self.pool.ram.store(target.0, target.1, ZEROES.get(..n as usize).unwrap_or_default());
            return Ok(());
        }
        let source = self.place(from, done, Access::Read)?;
        self.pool.ram.copy(source, target, n as usize);
        Ok(())
    }

    /// Copies bytes into a memory. -> how many: fewer at the memory's end or at a page that is missing.
    ///
    /// # Errors
    /// Nothing copied: `Stale`, `Absent`, `NoBudget`, `NoFrames`.
    pub fn memory_write(&mut self, id: MemoryId, offset: u64, bytes: &[u8]) -> Result<u64, Error> {
        let side = Side::Memory(id, offset);
        let length = self.clip(side, bytes.len() as u64)?;
        let mut done = 0;
        while done < length {
            let n = chunk(offset + done, 0, length - done);
            let piece = bytes.get(done as usize..(done + n) as usize).unwrap_or_default();
            match self.place(side, done, Access::Write) {
                Ok((frame, at)) => self.pool.ram.store(frame, at, piece),
                Err(outcome) if done == 0 => return Err(outcome.into()),
                Err(_) => break,
            }
            done += n;
        }
        Ok(done)
    }

    /// Holds the frame that a user's writes at `address` go to (a message page), so that it stays, whatever becomes of mapping and
    /// memory. Clones of the page get a copy. Paid by `budget` until [`Vm::unpin`].
    ///
    /// # Errors
    /// `BadAddress`: not an ordinary writable page. `Absent`, `NoBudget`, `NoFrames`, `Full`.
    pub fn pin(&mut self, budget: BudgetId, space: SpaceId, address: u64) -> Result<Frame, Error> {
        self.pool.budgets.charge(budget, 1)?;
        let pinned = match self.resolve(space, address, Access::Write) {
            Ok((frame, _)) if self.pool.frames.usage(&self.pool.ram, frame) != Use::Data => Err(Error::BadAddress),
            Ok((frame, _)) => self.pool.frames.pin(&self.pool.ram, frame).map(|()| frame),
            Err(outcome) => Err(outcome.into()),
        };
        pinned.inspect_err(|_| self.pool.budgets.refund(budget, 1))
    }

    /// Lets a pinned frame go; `budget` is the one that paid.
    ///
    /// # Errors
    /// `BadArgument` if it isn't pinned.
    pub fn unpin(&mut self, budget: BudgetId, frame: Frame) -> Result<(), Error> {
        let Pool { ram, frames, budgets, .. } = &mut self.pool;
        if frames.usage(ram, frame) != Use::Data || frames.pins(ram, frame) == 0 {
            return Err(Error::BadArgument);
        }
        frames.unpin(ram, frame);
        budgets.refund(budget, 1);
        self.pool.free_unheld(frame);
        Ok(())
    }
}

static ZEROES: [u8; PAGE as usize] = [0; PAGE as usize];

/// Bytes up to the next page's start on either side.
fn chunk(from: u64, to: u64, length: u64) -> u64 {
    length.min(PAGE - from % PAGE).min(PAGE - to % PAGE)
}
