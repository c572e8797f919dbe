//! Budgets: accounts in frames, funded by transfer.
//!
//! What must always hold: what a budget was given was taken from its parent; a budget that nobody names any more gives the rest back when the
//! last memory or space made of it, and the last frame charged to it, has gone.

use crate::{Arena, Error, Id, Slot, Store};

/// Names a budget.
pub type BudgetId = Id<Budget>;

/// One budget's account, in frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    parent: BudgetId,
    /// What may be spent in all.
    pub limit: u64,
    /// What is spent.
    pub used: u64,
    /// Memories and spaces that are to be charged to it.
    pub objects: u64,
}

impl Budget {
    /// Frames that may still be spent.
    pub fn left(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }

    fn charge(&mut self, frames: u64) -> Result<(), Error> {
        if self.left() < frames {
            return Err(Error::NoBudget);
        }
        self.used += frames;
        Ok(())
    }
}

impl<S: Store<Slot<Budget>>> Arena<Budget, S> {
    /// A budget of frames that were charged to `parent` (`NONE`: are there).
    pub(crate) fn open(&mut self, parent: BudgetId, limit: u64) -> Result<BudgetId, Error> {
        self.insert(Budget { parent, limit, used: 0, objects: 0 })
    }

    /// Takes frames from a budget.
    ///
    /// # Errors
    /// `NoBudget` when less is left; nothing is taken then.
    pub(crate) fn charge(&mut self, id: BudgetId, frames: u64) -> Result<(), Error> {
        self.get_mut(id).ok_or(Error::NoBudget)?.charge(frames)
    }

    /// Gives back what `charge` took. Can't fail: a budget outlives what was charged to it.
    pub(crate) fn refund(&mut self, id: BudgetId, frames: u64) {
        let Some(budget) = self.get_mut(id) else { return };
        budget.used = budget.used.saturating_sub(frames);
        if budget.used == 0 {
            self.settle(id);
        }
    }

    /// A memory or space that is to be charged to it was made.
    pub(crate) fn hold(&mut self, id: BudgetId) {
        if let Some(budget) = self.get_mut(id) {
            budget.objects += 1;
        }
    }

    /// It has gone.
    pub(crate) fn release(&mut self, id: BudgetId) {
        if let Some(budget) = self.get_mut(id) {
            budget.objects -= 1;
            self.settle(id);
        }
    }

    /// Moves frames that are left from one budget to another: as if they had been given at its making.
    pub(crate) fn transfer(&mut self, from: BudgetId, to: BudgetId, frames: u64) -> Result<(), Error> {
        self.get(to).ok_or(Error::Stale)?;
        let giver = self.get_mut(from).ok_or(Error::Stale)?;
        if giver.left() < frames {
            return Err(Error::NoBudget);
        }
        giver.limit -= frames;
        self.get_mut(to).ok_or(Error::Stale)?.limit += frames;
        Ok(())
    }

    /// Ends a budget that nobody names and nothing is charged to; its parent's may end with it.
    pub(crate) fn settle(&mut self, mut id: BudgetId) {
        while let Some(&Budget { parent, limit, used: 0, objects: 0 }) = self.get(id).filter(|_| !self.is_named(id)) {
            self.remove(id);
            if let Some(budget) = self.get_mut(parent) {
                budget.used = budget.used.saturating_sub(limit);
            }
            id = parent;
        }
    }
}
