//! A pager's answers.

use crate::fault::Via;
use crate::radix::Entry;
use crate::share::Sharing;
use crate::space::aligned;
use crate::tables::Sweep;
use crate::{Error, Kind, Machine, MemoryId, PAGE, Vm};

impl<M: Machine> Vm<M> {
    /// Puts a page of `source` (memory, offset), which loses it, where `to` lacks one. Who waits for the page may be woken then.
    ///
    /// # Errors
    /// `Stale`; `BadArgument`: alignment, beyond the length, into or out of a fixed memory. `Occupied`: the page is there. `Vacant`: the source has none.
    /// `NoBudget`, `NoFrames`.
    pub fn supply(&mut self, to: (MemoryId, u64), source: (MemoryId, u64)) -> Result<(), Error> {
        self.check_supply(to, source)?;
        let (to, from) = ((to.0, to.1 / PAGE), (source.0, source.1 / PAGE));
        let frame = self.held(from)?.ok_or(Error::Vacant)?;
        let memory = self.memories.get_mut(to.0).ok_or(Error::Stale)?;
        memory.put_page(&mut self.pool, to.1, frame, Sharing::Share)?;
        self.sweep_memory(from.0, (from.1 * PAGE, (from.1 + 1) * PAGE), Sweep::Clear);
        self.memories.get_mut(from.0).ok_or(Error::Stale)?.drop_page(&mut self.pool, from.1);
        self.forget_elsewhere(to.0, to.1, Via::Kernel);
        Ok(())
    }

    fn check_supply(&self, to: (MemoryId, u64), source: (MemoryId, u64)) -> Result<(), Error> {
        let (from, memory) = (self.open(source.0)?, self.open(to.0)?);
        let fixed = [from, memory].iter().any(|m| matches!(m.kind, Kind::Fixed { .. }));
        if fixed || !aligned(to.1 | source.1) || !memory.reaches(to.1 / PAGE) {
            return Err(Error::BadArgument);
        }
        match memory.tree.peek(&self.pool.ram, to.1 / PAGE) {
            Entry::Present(_) => Err(Error::Occupied),
            _ => Ok(()),
        }
    }

    /// The pager won't bring a page: it counts as not asked for again. Who waits for it gets the fault: the caller's business.
    ///
    /// # Errors
    /// `Stale`; `BadArgument`: alignment. `Vacant`: nobody asked for it.
    pub fn refuse(&mut self, id: MemoryId, offset: u64) -> Result<(), Error> {
        self.open(id)?;
        if !aligned(offset) {
            return Err(Error::BadArgument);
        }
        let memory = self.memories.get_mut(id).ok_or(Error::Stale)?;
        if memory.tree.get(&self.pool.ram, offset / PAGE) != Entry::Asked {
            return Err(Error::Vacant);
        }
        memory.drop_page(&mut self.pool, offset / PAGE);
        Ok(())
    }
}
