//! Who pays for frames.

use crate::Error;

/// Which budget: the caller's number for it, not interpreted here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(transparent)]
pub struct BudgetId(pub u64);

/// The budgets, as the caller keeps them.
pub trait Charge {
    /// Takes `frames` from a budget.
    ///
    /// # Errors
    /// `NoBudget` when less is left; nothing is taken then.
    fn charge(&mut self, budget: BudgetId, frames: u64) -> Result<(), Error>;
    /// Gives back what `charge` took. Can't fail: a budget outlives what was charged to it.
    fn refund(&mut self, budget: BudgetId, frames: u64);
}

/// One budget's account, in frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Budget {
    /// What may be spent in all.
    pub limit: u64,
    /// What is spent.
    pub used: u64,
}

impl Budget {
    /// Takes `frames`.
    ///
    /// # Errors
    /// `NoBudget` when less is left.
    #[inline]
    pub fn charge(&mut self, frames: u64) -> Result<(), Error> {
        match self.used.checked_add(frames) {
            Some(used) if used <= self.limit => {
                self.used = used;
                Ok(())
            }
            _ => Err(Error::NoBudget),
        }
    }

    /// Gives back.
    #[inline]
    pub fn refund(&mut self, frames: u64) {
        self.used = self.used.saturating_sub(frames);
    }
}
