//! Changing the rights of mappings.

use crate::map::check_rights;
use crate::pool::Pool;
use crate::records::{Field, Record};
use crate::tables::Sweep;
use crate::{Charge, Done, Error, Machine, Shootdown, SpaceId, Vm, WORK};
use sal_abi::Rights;

impl<M: Machine> Vm<M> {
    /// Gives what is mapped in a range other rights; gaps are no error. A bounded piece per call. More rights come into effect by the
    /// next fault, fewer at once (after the shootdown).
    ///
    /// # Errors
    /// `BadArgument`: alignment, range, rights. `NoBudget`, `NoFrames`, `Full`: a mapping must be cut and there is no record for it.
    pub fn protect<C: Charge>(
        &mut self,
        charge: &mut C,
        id: SpaceId,
        address: u64,
        length: u64,
        rights: Rights,
    ) -> Result<Done, Error> {
        check_rights(rights)?;
        self.check_range(id, address, length)?;
        let end = address + length;
        self.cut(charge, id, (address, end))?;
        let mut work = WORK;
        let mut at = address;
        let mut shootdown = Shootdown::None;
        while let Some(record) = self.record_from(id, at).filter(|r| r.start < end) {
            let how = Sweep::Restrict(rights);
            let (reached, changed) = self.sweep_space(charge, id, (record.start, record.end), how, &mut work);
            shootdown = shootdown.and(Shootdown::when(changed));
            if reached < record.end && (reached == record.start || self.split_at(charge, id, reached).is_err()) {
                at = record.start;
                break;
            }
            self.set_rights(charge, id, record.start, rights);
            at = reached;
            work = work.saturating_sub(8);
            if work == 0 {
                break;
            }
        }
        self.join_at(charge, id, end);
        let over = self.record_from(id, at).is_none_or(|r| r.start >= end);
        match if over { length } else { at - address } {
            0 if length > 0 => Err(Error::NoBudget),
            bytes => Ok(Done { bytes, shootdown }),
        }
    }

    /// Cuts at both ends of a range, or at neither.
    pub(crate) fn cut<C: Charge>(&mut self, charge: &mut C, id: SpaceId, range: (u64, u64)) -> Result<(), Error> {
        self.split_at(charge, id, range.0)?;
        self.split_at(charge, id, range.1).inspect_err(|_| self.join_at(charge, id, range.0))
    }

    /// The first mapping that ends above an address.
    pub(crate) fn record_from(&self, id: SpaceId, address: u64) -> Option<Record> {
        let (_, at) = self.spaces.get(id)?.find_from(&self.ram, address)?;
        Some(Record::load(&self.ram, at))
    }

    /// Changes one record and joins it to the one before, if it continues it.
    fn set_rights<C: Charge>(&mut self, charge: &mut C, id: SpaceId, start: u64, rights: Rights) {
        let Some((_, at)) = self.spaces.get(id).and_then(|s| s.index.at_or_below(&self.ram, start)) else {
            return;
        };
        at.set(&self.ram, Field::Rights, u64::from(rights.0));
        self.join_at(charge, id, start);
    }

    pub(crate) fn sweep_space<C: Charge>(
        &mut self,
        charge: &mut C,
        id: SpaceId,
        range: (u64, u64),
        how: Sweep,
        work: &mut u64,
    ) -> (u64, bool) {
        let Some(space) = self.spaces.get_mut(id) else {
            return (range.1, false);
        };
        let mut pool = Pool { ram: &self.ram, frames: &mut self.frames, charge };
        let swept = space.sweep::<M::Ram, M::Format, C>(&mut pool, range, how, work);
        (swept.reached, swept.changed)
    }
}
