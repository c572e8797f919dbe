//! Budgets: accounts in frames, funded by transfer.
//!
//! What must always hold: what a budget was given was taken from its parent; a budget that nobody names any more gives the rest back when the
//! last thing charged to it goes.

use sal_abi::Error;
use sal_kernel_mem::{Budget, BudgetId, Charge};

/// One budget's place.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    budget: Budget,
    parent: u32,
    generation: u32,
    refs: u32,
    open: bool,
}

impl Default for Account {
    fn default() -> Self {
        Account { budget: Budget::default(), parent: u32::MAX, generation: 0, refs: 0, open: false }
    }
}

/// All budgets.
#[derive(Debug)]
pub struct Budgets {
    accounts: &'static mut [Account],
}

impl Budgets {
    /// None yet; `accounts`: a place for each that there may be.
    pub fn new(accounts: &'static mut [Account]) -> Self {
        Budgets { accounts }
    }

    /// The first budget: all the machine's frames.
    pub fn root(&mut self, frames: u64) -> u64 {
        self.open(u32::MAX, frames).unwrap_or(0)
    }

    /// The first budget's raw id.
    pub fn first(&self) -> u64 {
        self.accounts.first().map_or(0, |a| (a.generation as u64) << 32)
    }

    fn open(&mut self, parent: u32, frames: u64) -> Result<u64, Error> {
        let index = self.accounts.iter().position(|a| !a.open).ok_or(Error::NoBudget)?;
        let account = self.accounts.get_mut(index).ok_or(Error::NoBudget)?;
        let generation = account.generation + 1;
        let budget = Budget { limit: frames, used: 0 };
        *account = Account { budget, parent, generation, refs: 0, open: true };
        Ok((generation as u64) << 32 | index as u64)
    }

    fn get(&mut self, raw: u64) -> Result<&mut Account, Error> {
        let account = self.accounts.get_mut(raw as u32 as usize).ok_or(Error::BadHandle)?;
        if !account.open || account.generation != (raw >> 32) as u32 {
            return Err(Error::BadHandle);
        }
        Ok(account)
    }

    /// A new budget with frames of another one's.
    ///
    /// # Errors
    /// `NoBudget`; `BadHandle`.
    pub fn create(&mut self, parent: u64, frames: u64) -> Result<u64, Error> {
        self.get(parent)?.budget.charge(frames)?;
        let made = self.open(parent as u32, frames);
        if made.is_err()
            && let Ok(account) = self.get(parent)
        {
            account.budget.refund(frames);
        }
        made
    }

    /// Moves frames that are left from one budget to another: as if they had been given at its making.
    ///
    /// # Errors
    /// `NoBudget`; `BadHandle`.
    pub fn transfer(&mut self, from: u64, to: u64, frames: u64) -> Result<(), Error> {
        self.get(to)?;
        let giver = self.get(from)?;
        let left = giver.budget.limit.saturating_sub(giver.budget.used);
        if left < frames {
            return Err(Error::NoBudget);
        }
        giver.budget.limit -= frames;
        self.get(to)?.budget.limit += frames;
        Ok(())
    }

    /// Frames left, frames given.
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn info(&mut self, raw: u64) -> Result<(u64, u64), Error> {
        let b = self.get(raw)?.budget;
        Ok((b.limit.saturating_sub(b.used), b.limit))
    }

    /// A capability more.
    pub fn add_ref(&mut self, raw: u64) {
        if let Ok(account) = self.get(raw) {
            account.refs += 1;
        }
    }

    /// A capability fewer.
    pub fn drop_ref(&mut self, raw: u64) {
        if let Ok(account) = self.get(raw) {
            account.refs = account.refs.saturating_sub(1);
        }
        self.settle(raw as u32);
    }

    /// Ends a budget that nobody names and nothing is charged to; its parent's may end with it.
    fn settle(&mut self, index: u32) {
        let mut index = index;
        while let Some(account) = self.accounts.get_mut(index as usize) {
            if !account.open || account.refs != 0 || account.budget.used != 0 {
                return;
            }
            account.open = false;
            let (parent, frames) = (account.parent, account.budget.limit);
            if let Some(p) = self.accounts.get_mut(parent as usize) {
                p.budget.refund(frames);
            }
            index = parent;
        }
    }
}

impl Charge for Budgets {
    fn charge(&mut self, budget: BudgetId, frames: u64) -> Result<(), sal_kernel_mem::Error> {
        match self.accounts.get_mut(budget.0 as u32 as usize) {
            Some(account) => account.budget.charge(frames),
            None => Err(sal_kernel_mem::Error::Stale),
        }
    }

    fn refund(&mut self, budget: BudgetId, frames: u64) {
        if let Some(account) = self.accounts.get_mut(budget.0 as u32 as usize) {
            account.budget.refund(frames);
        }
        self.settle(budget.0 as u32);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    fn budgets() -> Budgets {
        Budgets::new(std::boxed::Box::leak(std::vec![Account::default(); 8].into_boxed_slice()))
    }

    #[test]
    fn a_budget_ends_with_its_last_name_and_its_last_charge() {
        let mut b = budgets();
        let root = b.root(100);
        b.add_ref(root);
        let child = b.create(root, 40).unwrap();
        b.add_ref(child);
        assert_eq!(b.info(root), Ok((60, 100)));
        b.charge(BudgetId(child), 10).unwrap();
        b.drop_ref(child);
        assert_eq!(b.info(child), Ok((30, 40)));
        b.refund(BudgetId(child), 10);
        assert_eq!(b.info(child), Err(Error::BadHandle));
        assert_eq!(b.info(root), Ok((100, 100)));
    }

    #[test]
    fn what_is_not_there_is_not_spent() {
        let mut b = budgets();
        let root = b.root(10);
        b.add_ref(root);
        assert_eq!(b.create(root, 11), Err(Error::NoBudget));
        let child = b.create(root, 10).unwrap();
        b.add_ref(child);
        assert!(b.charge(BudgetId(child), 11).is_err());
        assert_eq!(b.transfer(root, child, 1), Err(Error::NoBudget));
        assert_eq!(b.info(child), Ok((10, 10)));
    }
}
