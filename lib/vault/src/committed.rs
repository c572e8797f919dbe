//! A value in two copies, of which one word says which counts.
//!
//! What must hold: `current` is the number of the record that counts, which lies in copy `current % 2`, whole and
//! checked. The other copy may hold anything.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::check::{Fault, check};
use crate::{Plain, store};

/// The words beside the two copies.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Commit {
    /// The number of the record that counts; 0: there is none.
    current: u64,
    /// Per copy: the check of its number and bytes.
    checks: [u32; 2],
}

/// A value of type `T`, changed as a whole. Its parts lie wherever the vault's layout has them.
pub struct Committed<'a, T> {
    commit: &'a mut Commit,
    copies: &'a mut [T; 2],
}

impl<'a, T: Plain> Committed<'a, T> {
    /// The first value: what was there before does not count any more.
    pub fn make(commit: &'a mut Commit, copies: &'a mut [T; 2], value: T) -> Self {
        let mut made = Committed { commit, copies };
        let number = made.commit.current.wrapping_add(1).max(1);
        made.fill(number, value.as_bytes());
        made.publish(number);
        made
    }

    /// Takes over a predecessor's value. Fault: it is not whole (so it was changed by something else than this
    /// module), or there is none: whether a vault was ever made, its header says.
    pub fn adopt(commit: &'a mut Commit, copies: &'a mut [T; 2]) -> Result<Self, Fault> {
        let adopted = Committed { commit, copies };
        match adopted.commit.current {
            number if number != 0 && adopted.is_whole(number) => Ok(adopted),
            number => Err(Fault::Record(number)),
        }
    }

    /// The value.
    pub fn get(&self) -> &T {
        let [even, odd] = &*self.copies;
        if self.commit.current.is_multiple_of(2) { even } else { odd }
    }

    /// How many changes there were.
    pub fn number(&self) -> u64 {
        self.commit.current
    }

    /// Changes the value: `change` works on the spare copy, then one word store makes that one count. A death
    /// before leaves the old value, a death after the new one.
    pub fn update<R>(&mut self, change: impl FnOnce(&mut T) -> R) -> R {
        let result: Result<R, core::convert::Infallible> = self.try_update(|value| Ok(change(value)));
        match result {
            Ok(result) => result,
            Err(never) => match never {},
        }
    }

    /// As [`Committed::update`]; if `change` fails, the value stays as it was.
    pub fn try_update<R, E>(&mut self, change: impl FnOnce(&mut T) -> Result<R, E>) -> Result<R, E> {
        store::committing(|| {
            let (old, spare) = self.parts();
            store::bytes(spare.as_mut_bytes(), old.as_bytes());
            let result = change(spare)?;
            let number = self.commit.current.wrapping_add(1).max(1);
            self.publish(number);
            Ok(result)
        })
    }

    fn parts(&mut self) -> (&T, &mut T) {
        let [even, odd] = &mut *self.copies;
        if self.commit.current.is_multiple_of(2) { (even, odd) } else { (odd, even) }
    }

    fn fill(&mut self, number: u64, bytes: &[u8]) {
        let [even, odd] = &mut *self.copies;
        let spare = if number.is_multiple_of(2) { even } else { odd };
        store::bytes(spare.as_mut_bytes(), bytes);
    }

    fn publish(&mut self, number: u64) {
        let sum = self.sum(number);
        let [even, odd] = &mut self.commit.checks;
        store::word32(if number.is_multiple_of(2) { even } else { odd }, sum);
        store::word64(&mut self.commit.current, number);
    }

    fn sum(&self, number: u64) -> u32 {
        let [even, odd] = &*self.copies;
        check(number, if number.is_multiple_of(2) { even } else { odd }.as_bytes())
    }

    fn is_whole(&self, number: u64) -> bool {
        let [even, odd] = self.commit.checks;
        self.sum(number) == if number.is_multiple_of(2) { even } else { odd }
    }
}
