//! Changing the rights of mappings.

use crate::map::check_rights;
use crate::records::{Field, Record};
use crate::tables::Sweep;
use crate::{Error, Machine, SpaceId, Vm, WORK};
use sal_abi::Rights;

impl<M: Machine> Vm<M> {
    /// Gives what is mapped in a range other rights; gaps are no error. A bounded piece per call. More rights come into effect by the
    /// next fault, fewer at once (after the shootdown).
    ///
    /// # Errors
    /// `BadArgument`: alignment, range, rights. `NoBudget`, `NoFrames`, `Full`: a mapping must be cut and there is no record for it.
    pub fn protect(&mut self, id: SpaceId, address: u64, length: u64, rights: Rights) -> Result<u64, Error> {
        check_rights(rights)?;
        self.check_range(id, address, length)?;
        let end = address + length;
        self.cut(id, (address, end))?;
        let (mut work, mut at) = (WORK, address);
        while let Some(record) = self.record_from(id, at).filter(|r| r.start < end) {
            let reached = self.sweep_space(id, (record.start, record.end), Sweep::Restrict(rights), &mut work);
            if reached < record.end && (reached == record.start || self.split_at(id, reached).is_err()) {
                at = record.start;
                break;
            }
            self.set_rights(id, record.start, rights);
            at = reached;
            work = work.saturating_sub(8);
            if work == 0 {
                break;
            }
        }
        self.join_at(id, end);
        let over = self.record_from(id, at).is_none_or(|r| r.start >= end);
        match if over { length } else { at - address } {
            0 if length > 0 => Err(Error::NoBudget),
            bytes => Ok(bytes),
        }
    }

    /// Cuts at both ends of a range, or at neither.
    pub(crate) fn cut(&mut self, id: SpaceId, range: (u64, u64)) -> Result<(), Error> {
        self.split_at(id, range.0)?;
        self.split_at(id, range.1).inspect_err(|_| self.join_at(id, range.0))
    }

    /// The first mapping that ends above an address.
    pub(crate) fn record_from(&self, id: SpaceId, address: u64) -> Option<Record> {
        let (_, at) = self.spaces.get(id)?.find_from(&self.pool.ram, address)?;
        Some(Record::load(&self.pool.ram, at))
    }

    /// Changes one record and joins it to the one before, if it continues it.
    fn set_rights(&mut self, id: SpaceId, start: u64, rights: Rights) {
        let Some((_, at)) = self.spaces.get(id).and_then(|s| s.index.at_or_below(&self.pool.ram, start)) else {
            return;
        };
        at.set(&self.pool.ram, Field::Rights, u64::from(rights.0));
        self.join_at(id, start);
    }

    /// See [`crate::Space::sweep`].
    pub(crate) fn sweep_space(&mut self, id: SpaceId, range: (u64, u64), how: Sweep, work: &mut u64) -> u64 {
        self.spaces.get_mut(id).map_or(range.1, |space| space.sweep(&mut self.pool, range, how, work))
    }
}
