//! A pager's answers.

use crate::pool::Pool;
use crate::radix::Entry;
use crate::share::Sharing;
use crate::space::aligned;
use crate::tables::Sweep;
use crate::{Charge, Error, Kind, Machine, MemoryId, PAGE, Shootdown, Vm};
use sal_abi::Rights;

/// How a page is supplied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SupplyMode {
    /// The source loses it.
    Move,
    /// The source keeps it, copy on write.
    Share,
}

impl<M: Machine> Vm<M> {
    /// Puts a page of `source` (memory, offset) where `to` lacks one. A page of a fixed memory, or a pinned one that stays, is copied.
    /// Who waits for the page may be woken then.
    ///
    /// # Errors
    /// `Stale`; `BadArgument`: alignment, beyond the length, moving into or out of a fixed memory. `Occupied`: the page is there. `Vacant`: the source has none.
    /// `NoBudget`, `NoFrames`.
    pub fn supply<C: Charge>(
        &mut self,
        charge: &mut C,
        to: (MemoryId, u64),
        source: (MemoryId, u64),
        mode: SupplyMode,
    ) -> Result<Shootdown, Error> {
        let (to, from) = self.check_supply(to, source, mode)?;
        let frame = self.held(from)?.ok_or(Error::Vacant)?;
        let sharing = match mode {
            SupplyMode::Move => Sharing::Share,
            SupplyMode::Share => self.must_copy(from.0, frame)?,
        };
        let mut pool = Pool { ram: &self.ram, frames: &mut self.frames, charge };
        self.memories.get_mut(to.0).ok_or(Error::Stale)?.put_page(&mut pool, to.1, frame, sharing)?;
        let how = match mode {
            SupplyMode::Move => Sweep::Clear,
            SupplyMode::Share => Sweep::Restrict(Rights::READ.or(Rights::EXECUTE)),
        };
        let mut shootdown = Shootdown::None;
        if sharing == Sharing::Share {
            shootdown = self.sweep_memory(charge, from.0, (from.1 * PAGE, (from.1 + 1) * PAGE), how);
        }
        if mode == SupplyMode::Move {
            let mut pool = Pool { ram: &self.ram, frames: &mut self.frames, charge };
            self.memories.get_mut(from.0).ok_or(Error::Stale)?.drop_page(&mut pool, from.1);
        }
        Ok(shootdown.and(self.forget_page(charge, to)))
    }

    #[allow(clippy::type_complexity, reason = "two (memory, page) pairs")]
    fn check_supply(
        &mut self,
        to: (MemoryId, u64),
        source: (MemoryId, u64),
        mode: SupplyMode,
    ) -> Result<((MemoryId, u64), (MemoryId, u64)), Error> {
        let fixed = matches!(self.open(source.0)?.kind, Kind::Fixed { .. });
        let memory = self.open(to.0)?;
        let bad = matches!(memory.kind, Kind::Fixed { .. }) || fixed && mode == SupplyMode::Move;
        if !aligned(to.1 | source.1) || bad || !memory.reaches(to.1 / PAGE) {
            return Err(Error::BadArgument);
        }
        match memory.tree.peek(&self.ram, to.1 / PAGE) {
            Entry::Present(_) => Err(Error::Occupied),
            _ => Ok(((to.0, to.1 / PAGE), (source.0, source.1 / PAGE))),
        }
    }

    /// The pager won't bring a page: it counts as not asked for again. Who waits for it gets the fault: the caller's business.
    ///
    /// # Errors
    /// `Stale`; `BadArgument`: alignment. `Vacant`: nobody asked for it.
    pub fn refuse<C: Charge>(&mut self, charge: &mut C, id: MemoryId, offset: u64) -> Result<(), Error> {
        self.open(id)?;
        if !aligned(offset) {
            return Err(Error::BadArgument);
        }
        let memory = self.memories.get_mut(id).ok_or(Error::Stale)?;
        if memory.tree.get(&self.ram, offset / PAGE) != Entry::Asked {
            return Err(Error::Vacant);
        }
        let mut pool = Pool { ram: &self.ram, frames: &mut self.frames, charge };
        memory.drop_page(&mut pool, offset / PAGE);
        Ok(())
    }
}
