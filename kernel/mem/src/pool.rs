//! What every change needs at hand: the RAM, the frames, the budgets.

use crate::{BudgetId, Charge, Error, Frame, Frames, Ram, Use};

/// Borrowed together for the length of one change.
pub(crate) struct Pool<'a, R, C> {
    pub(crate) ram: &'a R,
    pub(crate) frames: &'a mut Frames,
    pub(crate) charge: &'a mut C,
}

impl<R: Ram, C: Charge> Pool<'_, R, C> {
    /// Pays for `n` frames and makes sure that they are there: as many [`Pool::take`] can't fail then.
    #[inline]
    pub(crate) fn reserve(&mut self, budget: BudgetId, n: u64) -> Result<(), Error> {
        self.charge.charge(budget, n)?;
        if self.frames.available() < n {
            self.charge.refund(budget, n);
            return Err(Error::NoFrames);
        }
        Ok(())
    }

    /// Takes a frame that was paid for; its content is undefined.
    #[inline]
    pub(crate) fn take(&mut self, usage: Use) -> Result<Frame, Error> {
        self.frames.take(self.ram, usage)
    }

    /// The same, filled with zeroes.
    #[inline]
    pub(crate) fn take_zeroed(&mut self, usage: Use) -> Result<Frame, Error> {
        let frame = self.take(usage)?;
        self.ram.zero(frame);
        Ok(frame)
    }

    /// Gives back a frame and what was paid for it.
    pub(crate) fn free(&mut self, frame: Frame, budget: BudgetId) {
        self.frames.release(self.ram, frame);
        self.charge.refund(budget, 1);
    }

    /// One holder of a data frame less (and its payment back); the last one frees it.
    pub(crate) fn drop_data(&mut self, frame: Frame, budget: BudgetId) {
        self.charge.refund(budget, 1);
        self.drop_unpaid(frame);
    }

    /// One holder less, whose payment is another's now.
    pub(crate) fn drop_unpaid(&mut self, frame: Frame) {
        if self.frames.count_down(self.ram, frame) == 0 && self.frames.pins(self.ram, frame) == 0 {
            self.frames.release(self.ram, frame);
        }
    }
}
