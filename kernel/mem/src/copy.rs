//! Bytes of memories and spaces, and pinned pages.

use crate::fault::Via;
use crate::pool::Pool;
use crate::radix::Entry;
use crate::{
    Access, BudgetId, Charge, Done, Error, Frame, Kind, Machine, MemoryId, Outcome, PAGE, Ram, Shootdown, SpaceId, Use,
    Vm,
};

/// Most bytes that one call copies.
const COPY: u64 = 16 * PAGE;

/// A place in physical memory: frame and byte offset.
type Place = (Frame, usize);

/// Where reading finds a page.
enum Source {
    At(Place),
    Zero,
}

impl<M: Machine> Vm<M> {
    /// Where an access of user code would go, providing the page if that is possible.
    ///
    /// # Errors
    /// The fault's outcome, when it isn't `Mapped`.
    #[inline]
    pub fn resolve<C: Charge>(
        &mut self,
        charge: &mut C,
        space: SpaceId,
        address: u64,
        access: Access,
    ) -> Result<(Frame, usize, Shootdown), Outcome> {
        if let Some((frame, offset)) = self.translate(space, address, access) {
            return Ok((frame, offset, Shootdown::None));
        }
        match self.fault(charge, space, address, access) {
            Outcome::Mapped(shootdown) => {
                let (frame, offset) = self.translate(space, address, access).ok_or(Outcome::NotMapped)?;
                Ok((frame, offset, shootdown))
            }
            other => Err(other),
        }
    }

    /// Where a memory's byte lies, the page provided; for `Write` nobody else's.
    ///
    /// # Errors
    /// The outcome of a fault there.
    pub fn place<C: Charge>(
        &mut self,
        charge: &mut C,
        id: MemoryId,
        offset: u64,
        access: Access,
    ) -> Result<(Frame, usize, Shootdown), Outcome> {
        let page = self.page(charge, id, offset / PAGE, access, Via::Kernel)?;
        Ok((page.frame, (offset % PAGE) as usize, page.shootdown))
    }

    /// Where reading finds a byte; a missing page of a zero-fill memory stays missing.
    fn source_of<C: Charge>(&mut self, charge: &mut C, id: MemoryId, offset: u64) -> Result<Source, Outcome> {
        let memory = self.memories.get_mut(id).ok_or(Outcome::NotMapped)?;
        let page = offset / PAGE;
        if memory.kind == Kind::ZeroFill && memory.reaches(page) && memory.tree.get(&self.ram, page) == Entry::Absent {
            return Ok(Source::Zero);
        }
        let (frame, at, _) = self.place(charge, id, offset, Access::Read)?;
        Ok(Source::At((frame, at)))
    }

    /// Bytes of a memory from `offset` to its length, at most `length`.
    fn clip(&self, id: MemoryId, offset: u64, length: u64) -> Result<u64, Error> {
        Ok(length.min(self.open(id)?.length.saturating_sub(offset)).min(COPY))
    }

    /// Copies bytes of a memory out. -> how many: fewer at the memory's end, at a page that is missing, or after 16 pages.
    ///
    /// # Errors
    /// Nothing copied: `Stale`, `Absent` (ask its pager), `NoBudget`, `NoFrames`.
    pub fn memory_read<C: Charge>(
        &mut self,
        charge: &mut C,
        id: MemoryId,
        offset: u64,
        bytes: &mut [u8],
    ) -> Result<u64, Error> {
        let length = self.clip(id, offset, bytes.len() as u64)?;
        let mut rest = bytes.get_mut(..length as usize).unwrap_or_default();
        let mut done = 0;
        while done < length {
            let n = chunk(offset + done, 0, length - done);
            let (now, later) = rest.split_at_mut(n as usize);
            match self.source_of(charge, id, offset + done) {
                Ok(Source::Zero) => now.fill(0),
                Ok(Source::At((frame, at))) => self.ram.load(frame, at, now),
                Err(outcome) => return so_far(done, outcome),
            }
            rest = later;
            done += n;
        }
        Ok(done)
    }

    /// Copies bytes into a memory. -> how many, as [`Vm::memory_read`], and what to forget.
    ///
    /// # Errors
    /// As [`Vm::memory_read`].
    pub fn memory_write<C: Charge>(
        &mut self,
        charge: &mut C,
        id: MemoryId,
        offset: u64,
        bytes: &[u8],
    ) -> Result<Done, Error> {
        let length = self.clip(id, offset, bytes.len() as u64)?;
        let mut done = Done { bytes: 0, shootdown: Shootdown::None };
        let mut rest = bytes.get(..length as usize).unwrap_or_default();
        while !rest.is_empty() {
            let n = chunk(offset + done.bytes, 0, rest.len() as u64);
            let (now, later) = rest.split_at(n as usize);
            match self.place(charge, id, offset + done.bytes, Access::Write) {
                Ok((frame, at, shootdown)) => {
                    self.ram.store(frame, at, now);
                    done.shootdown = done.shootdown.and(shootdown);
                }
                Err(outcome) => return so_far(done.bytes, outcome).map(|bytes| Done { bytes, ..done }),
            }
            rest = later;
            done.bytes += n;
        }
        Ok(done)
    }

    /// Copies from a memory to addresses of a space, as user code could write them: `MemoryRead`. At most 16 pages per call.
    ///
    /// # Errors
    /// Nothing copied: `Stale`, `Absent` (a pager has to act), `BadAddress`, `NoBudget`, `NoFrames`.
    pub fn memory_to_space<C: Charge>(
        &mut self,
        charge: &mut C,
        from: (MemoryId, u64),
        to: (SpaceId, u64),
        length: u64,
    ) -> Result<Done, Error> {
        let length = self.clip(from.0, from.1, length)?;
        self.copy_pieces(charge, (from.1, to.1, length), |vm, charge, done, n| {
            let source = vm.source_of(charge, from.0, from.1 + done)?;
            let (frame, at, shootdown) = vm.resolve(charge, to.0, to.1 + done, Access::Write)?;
            match source {
                // Resolving may have filled the page meanwhile: with zeroes, or it is the very same memory.
                Source::Zero => vm.ram.store(frame, at, ZEROES.get(..n as usize).unwrap_or_default()),
                Source::At(_) => {
                    let (from_frame, from_at, _) = vm.place(charge, from.0, from.1 + done, Access::Read)?;
                    vm.ram.copy((from_frame, from_at), (frame, at), n as usize);
                }
            }
            Ok(shootdown)
        })
    }

    /// Copies from addresses of a space to a memory: `MemoryWrite`. At most 16 pages per call.
    ///
    /// # Errors
    /// As [`Vm::memory_to_space`].
    pub fn space_to_memory<C: Charge>(
        &mut self,
        charge: &mut C,
        from: (SpaceId, u64),
        to: (MemoryId, u64),
        length: u64,
    ) -> Result<Done, Error> {
        let length = self.clip(to.0, to.1, length)?;
        self.copy_pieces(charge, (from.1, to.1, length), |vm, charge, done, n| {
            let (frame, at, first) = vm.place(charge, to.0, to.1 + done, Access::Write)?;
            let (from_frame, from_at, second) = vm.resolve(charge, from.0, from.1 + done, Access::Read)?;
            vm.ram.copy((from_frame, from_at), (frame, at), n as usize);
            Ok(first.and(second))
        })
    }

    /// Copies between addresses of two spaces (`SpaceRead`). At most 16 pages per call.
    ///
    /// # Errors
    /// As [`Vm::memory_to_space`].
    pub fn space_to_space<C: Charge>(
        &mut self,
        charge: &mut C,
        from: (SpaceId, u64),
        to: (SpaceId, u64),
        length: u64,
    ) -> Result<Done, Error> {
        self.copy_pieces(charge, (from.1, to.1, length.min(COPY)), |vm, charge, done, n| {
            // The target first: providing it can move a page that the source shows.
            let (frame, at, first) = vm.resolve(charge, to.0, to.1 + done, Access::Write)?;
            let (from_frame, from_at, second) = vm.resolve(charge, from.0, from.1 + done, Access::Read)?;
            vm.ram.copy((from_frame, from_at), (frame, at), n as usize);
            Ok(first.and(second))
        })
    }

    /// Runs a copy in pieces that cross no page on either side.
    fn copy_pieces<C: Charge>(
        &mut self,
        charge: &mut C,
        (from, to, length): (u64, u64, u64),
        mut piece: impl FnMut(&mut Self, &mut C, u64, u64) -> Result<Shootdown, Outcome>,
    ) -> Result<Done, Error> {
        let mut done = Done { bytes: 0, shootdown: Shootdown::None };
        if from.checked_add(length).is_none() || to.checked_add(length).is_none() {
            return Err(Error::BadAddress);
        }
        while done.bytes < length {
            let n = chunk(from + done.bytes, to + done.bytes, length - done.bytes);
            match piece(self, charge, done.bytes, n) {
                Ok(shootdown) => done.shootdown = done.shootdown.and(shootdown),
                Err(outcome) => return so_far(done.bytes, outcome).map(|bytes| Done { bytes, ..done }),
            }
            done.bytes += n;
        }
        Ok(done)
    }

    /// Holds the frame that a user's writes at `address` go to (a message page), so that it stays, whatever becomes of mapping and
    /// memory. Clones of the page get a copy. Paid by `budget` until [`Vm::unpin`].
    ///
    /// # Errors
    /// `BadAddress`: not an ordinary writable page. `Absent`, `NoBudget`, `NoFrames`, `Full`.
    pub fn pin<C: Charge>(
        &mut self,
        charge: &mut C,
        budget: BudgetId,
        space: SpaceId,
        address: u64,
    ) -> Result<(Frame, Shootdown), Error> {
        charge.charge(budget, 1)?;
        let refund = |charge: &mut C, e: Error| {
            charge.refund(budget, 1);
            Err(e)
        };
        let (frame, _, shootdown) = match self.resolve(charge, space, address, Access::Write) {
            Ok(found) => found,
            Err(outcome) => return refund(charge, outcome.into()),
        };
        if self.frames.usage(&self.ram, frame) != Use::Data {
            return refund(charge, Error::BadAddress);
        }
        match self.frames.pin(&self.ram, frame) {
            Ok(()) => Ok((frame, shootdown)),
            Err(e) => refund(charge, e),
        }
    }

    /// Lets a pinned frame go; `budget` is the one that paid.
    ///
    /// # Errors
    /// `BadArgument` if it isn't pinned.
    pub fn unpin<C: Charge>(&mut self, charge: &mut C, budget: BudgetId, frame: Frame) -> Result<(), Error> {
        if self.frames.usage(&self.ram, frame) != Use::Data || self.frames.pins(&self.ram, frame) == 0 {
            return Err(Error::BadArgument);
        }
        self.frames.unpin(&self.ram, frame);
        let pool = Pool { ram: &self.ram, frames: &mut self.frames, charge };
        pool.charge.refund(budget, 1);
        if pool.frames.pins(pool.ram, frame) == 0 && pool.frames.count(pool.ram, frame) == 0 {
            pool.frames.release(pool.ram, frame);
        }
        Ok(())
    }
}

static ZEROES: [u8; PAGE as usize] = [0; PAGE as usize];

/// Bytes up to the next page's start on either side.
fn chunk(from: u64, to: u64, length: u64) -> u64 {
    length.min(PAGE - from % PAGE).min(PAGE - to % PAGE)
}

/// What was done counts; if nothing was, the error.
fn so_far(done: u64, outcome: Outcome) -> Result<u64, Error> {
    if done > 0 { Ok(done) } else { Err(outcome.into()) }
}
