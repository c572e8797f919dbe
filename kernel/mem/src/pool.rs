//! What every change needs at hand: the RAM, the frames, the budgets.

use crate::{Arena, Budget, BudgetId, Error, Frame, Frames, Machine, Ram, Shootdown, Use};

/// Borrowed as one for the length of a change, beside the object that changes.
pub(crate) struct Pool<M: Machine> {
    pub(crate) ram: M::Ram,
    pub(crate) frames: Frames,
    pub(crate) budgets: Arena<Budget, M::Budgets>,
    /// What must be forgotten before anybody relies on the changes made since [`crate::Vm::take_shootdown`].
    pub(crate) shootdown: Shootdown,
}

impl<M: Machine> Pool<M> {
    /// Page-table words have changed that somebody may remember.
    pub(crate) fn forget(&mut self, what: Shootdown) {
        self.shootdown = self.shootdown.and(what);
    }

    /// Pays for `n` frames and makes sure that they are there: as many [`Pool::take`] can't fail then.
    pub(crate) fn reserve(&mut self, budget: BudgetId, n: u64) -> Result<(), Error> {
        self.pay(budget, n, n)
    }

    /// Pays for `n` frames and makes sure that `needed` are there.
    pub(crate) fn pay(&mut self, budget: BudgetId, n: u64, needed: u64) -> Result<(), Error> {
        self.budgets.charge(budget, n)?;
        if self.frames.available() < needed {
            self.budgets.refund(budget, n);
            return Err(Error::NoFrames);
        }
        Ok(())
    }

    /// Takes a frame that was paid for; its content is undefined.
    pub(crate) fn take(&mut self, usage: Use) -> Result<Frame, Error> {
        self.frames.take(&self.ram, usage)
    }

    /// The same, filled with zeroes.
    pub(crate) fn take_zeroed(&mut self, usage: Use) -> Result<Frame, Error> {
        let frame = self.take(usage)?;
        self.ram.zero(frame);
        Ok(frame)
    }

    /// Gives back a frame and what was paid for it.
    pub(crate) fn free(&mut self, frame: Frame, budget: BudgetId) {
        self.frames.release(&self.ram, frame);
        self.budgets.refund(budget, 1);
    }

    /// One holder of a data frame less (and its payment back); the last one frees it.
    pub(crate) fn drop_data(&mut self, frame: Frame, budget: BudgetId) {
        self.drop_unpaid(frame);
        self.budgets.refund(budget, 1);
    }

    /// One holder less, whose payment is another's now.
    pub(crate) fn drop_unpaid(&mut self, frame: Frame) {
        self.frames.count_down(&self.ram, frame);
        self.free_unheld(frame);
    }

    /// Frees a data frame that nobody holds or pins any more.
    pub(crate) fn free_unheld(&mut self, frame: Frame) {
        if self.frames.count(&self.ram, frame) == 0 && self.frames.pins(&self.ram, frame) == 0 {
            self.frames.release(&self.ram, frame);
        }
    }
}
