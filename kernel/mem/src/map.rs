//! Mappings: made, removed, split and joined.

use crate::index::Position;
use crate::memory::Layered;
use crate::reach::{displacement, next_field, previous_field};
use crate::records::{Field, Record, RecordRef};
use crate::space::aligned;
use crate::tables::Sweep;
use crate::{Error, Kind, Machine, MemoryId, PAGE, SpaceId, Vm, WORK, radix};
use sal_abi::Rights;

/// What is to be mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MapRequest {
    /// First address, page-aligned.
    pub address: u64,
    /// Bytes, a multiple of the page size.
    pub length: u64,
    /// READ, WRITE, EXECUTE: none, or READ with others.
    pub rights: Rights,
    /// What is mapped, and from which offset on (page-aligned).
    pub lower: (MemoryId, u64),
    /// A private mapping: the zero-fill memory that gets what is written, and its offset.
    pub upper: Option<(MemoryId, u64)>,
}

/// Rights that a mapping can have: hardware can't express write or execute without read.
pub(crate) fn check_rights(rights: Rights) -> Result<(), Error> {
    let all = Rights::READ.or(Rights::WRITE).or(Rights::EXECUTE);
    if !all.has(rights) || rights != Rights::NONE && !rights.has(Rights::READ) {
        return Err(Error::BadArgument);
    }
    Ok(())
}

impl<M: Machine> Vm<M> {
    /// Maps. A mapping that continues its neighbour joins it.
    ///
    /// # Errors
    /// `BadArgument`: alignment, range, rights, or an upper memory that isn't zero-fill or is the lower one. `Occupied`: something is mapped in the range.
    /// `NoBudget`, `NoFrames`, `Full` (16,000 or more mappings), `Stale`.
    pub fn map(&mut self, id: SpaceId, request: &MapRequest) -> Result<(), Error> {
        let record = self.check_map(id, request)?;
        if self.extend(id, &record)? {
            return Ok(());
        }
        let at = self.new_record(id, &record)?;
        self.link(at, record.lower);
        self.link(at, record.upper);
        Ok(())
    }

    fn check_map(&self, id: SpaceId, request: &MapRequest) -> Result<Record, Error> {
        let space = self.spaces.get(id).ok_or(Error::Stale)?;
        let (address, length) = (request.address, request.length);
        if space.dying || length == 0 || !aligned(address | length) || !space.window.holds(address, length) {
            return Err(Error::BadArgument);
        }
        check_rights(request.rights)?;
        self.check_layer(request.lower, length)?;
        let (upper, upper_offset) = request.upper.unwrap_or((MemoryId::NONE, 0));
        let lone = upper.is_none();
        if !lone && (self.check_layer((upper, upper_offset), length)? != Kind::ZeroFill || upper == request.lower.0) {
            return Err(Error::BadArgument);
        }
        let end = address + length;
        if space.find_from(&self.pool.ram, address).is_some_and(|(_, at)| at.get(&self.pool.ram, Field::Start) < end) {
            return Err(Error::Occupied);
        }
        let (lower, lower_offset) = request.lower;
        Ok(Record { start: address, end, rights: request.rights, space: id, lower, lower_offset, upper, upper_offset })
    }

    fn check_layer(&self, (id, offset): (MemoryId, u64), length: u64) -> Result<Kind, Error> {
        let memory = self.memories.get(id).filter(|m| !m.closed).ok_or(Error::Stale)?;
        match offset.checked_add(length) {
            Some(end) if aligned(offset) && end / PAGE <= radix::MAX_PAGES => Ok(memory.kind),
            _ => Err(Error::BadArgument),
        }
    }

    /// Joins a new mapping to the one before it, if it continues it.
    fn extend(&mut self, id: SpaceId, record: &Record) -> Result<bool, Error> {
        let space = self.spaces.get(id).ok_or(Error::Stale)?;
        let Some((_, before)) = space.index.at_or_below(&self.pool.ram, record.start) else { return Ok(false) };
        if !Record::load(&self.pool.ram, before).continues_in(record) {
            return Ok(false);
        }
        before.set(&self.pool.ram, Field::End, record.end);
        self.join_at(id, record.end);
        Ok(true)
    }

    /// Makes a record and puts it in its space's index; all or nothing.
    fn new_record(&mut self, id: SpaceId, record: &Record) -> Result<RecordRef, Error> {
        let space = self.spaces.get_mut(id).ok_or(Error::Stale)?;
        let at = space.slab.take(&mut self.pool, space.budget)?;
        if let Err(e) = space.index.insert(&mut self.pool, space.budget, record.start, at) {
            space.slab.give(&mut self.pool, space.budget, at);
            return Err(e);
        }
        record.store(&self.pool.ram, at);
        Ok(at)
    }

    /// Puts a record in front of a memory's list (`NONE`: nothing to do).
    fn link(&mut self, at: RecordRef, id: MemoryId) {
        let Some(memory) = self.memories.get_mut(id) else { return };
        let ram = &self.pool.ram;
        let record = Record::load(ram, at);
        at.set(ram, next_field(ram, at, id), memory.list.0);
        at.set(ram, previous_field(ram, at, id), 0);
        if !memory.list.is_none() {
            memory.list.set(ram, previous_field(ram, memory.list, id), at.0);
        }
        memory.list = at;
        let place = Layered::Uniform { space: record.space, delta: displacement(record.start, record.offset_of(id)) };
        if memory.mappings == 0 {
            memory.layered = place;
        } else if memory.layered != place {
            memory.layered = Layered::Mixed;
        }
        memory.mappings += 1;
        memory.as_upper += u64::from(record.upper == id);
    }

    /// Takes a record out of a memory's list. A closed memory without mappings is doomed.
    fn unlink(&mut self, at: RecordRef, id: MemoryId) {
        let Some(memory) = self.memories.get_mut(id) else { return };
        let ram = &self.pool.ram;
        let next = RecordRef(at.get(ram, next_field(ram, at, id)));
        let previous = RecordRef(at.get(ram, previous_field(ram, at, id)));
        if previous.is_none() {
            memory.list = next;
        } else {
            previous.set(ram, next_field(ram, previous, id), next.0);
        }
        if !next.is_none() {
            next.set(ram, previous_field(ram, next, id), previous.0);
        }
        memory.mappings -= 1;
        memory.as_upper -= u64::from(at.get(ram, Field::Upper) == id.word());
        if memory.mappings == 0 && memory.closed {
            self.doom(id);
        }
    }

    /// Cuts the record that maps `address` in two there; nothing to do if one starts there or none maps it. What can be seen stays.
    pub(crate) fn split_at(&mut self, id: SpaceId, address: u64) -> Result<(), Error> {
        let space = self.spaces.get(id).ok_or(Error::Stale)?;
        let Some((_, at)) = space.index.at_or_below(&self.pool.ram, address) else { return Ok(()) };
        let record = Record::load(&self.pool.ram, at);
        if record.start == address || record.end <= address {
            return Ok(());
        }
        let tail = self.new_record(id, &record.tail(address))?;
        at.set(&self.pool.ram, Field::End, address);
        self.link(tail, record.lower);
        self.link(tail, record.upper);
        Ok(())
    }

    /// Joins the records that meet at `address`, if they continue each other.
    pub(crate) fn join_at(&mut self, id: SpaceId, address: u64) {
        let Some(space) = self.spaces.get(id) else { return };
        let Some((position, at)) = space.index.at_or_below(&self.pool.ram, address) else { return };
        let second = Record::load(&self.pool.ram, at);
        let Some((_, before)) = space.index.at_or_below(&self.pool.ram, address.wrapping_sub(1)) else { return };
        if second.start != address || !Record::load(&self.pool.ram, before).continues_in(&second) {
            return;
        }
        self.drop_record(id, position, at);
        before.set(&self.pool.ram, Field::End, second.end);
    }

    /// Removes a record from index, lists and slab.
    pub(crate) fn drop_record(&mut self, id: SpaceId, position: Position, at: RecordRef) {
        let record = Record::load(&self.pool.ram, at);
        self.unlink(at, record.lower);
        self.unlink(at, record.upper);
        let Some(space) = self.spaces.get_mut(id) else { return };
        space.hot = RecordRef::NONE;
        space.index.remove(&mut self.pool, space.budget, position);
        space.slab.give(&mut self.pool, space.budget, at);
    }

    /// Removes what is mapped in a range; gaps are no error. A bounded piece per call.
    ///
    /// # Errors
    /// `BadArgument`: alignment or range. `NoBudget`, `NoFrames`, `Full`: a mapping must be cut in two and there is no record for it.
    pub fn unmap(&mut self, id: SpaceId, address: u64, length: u64) -> Result<u64, Error> {
        self.check_range(id, address, length)?;
        let end = address + length;
        self.cut(id, (address, end))?;
        let mut work = WORK;
        let left = self.unmap_whole(id, (address, end), &mut work);
        Ok(left.map_or(length, |reached| reached - address))
    }

    /// Removes the mappings in a range that cuts none, as long as `work` lasts. -> how far it came, if that was not to the end.
    pub(crate) fn unmap_whole(&mut self, id: SpaceId, (from, to): (u64, u64), work: &mut u64) -> Option<u64> {
        while let Some((position, at)) = self.spaces.get(id).and_then(|s| s.find_from(&self.pool.ram, from)) {
            let record = Record::load(&self.pool.ram, at);
            if record.start >= to {
                break;
            }
            let reached = self.sweep_space(id, (record.start, record.end), Sweep::Clear, work);
            if reached < record.end {
                self.trim_front(id, position, at, reached);
                return Some(reached);
            }
            self.drop_record(id, position, at);
            *work = work.saturating_sub(8);
        }
        None
    }

    pub(crate) fn check_range(&self, id: SpaceId, address: u64, length: u64) -> Result<(), Error> {
        let space = self.spaces.get(id).ok_or(Error::Stale)?;
        if !aligned(address | length) || !space.window.holds(address, length) {
            return Err(Error::BadArgument);
        }
        Ok(())
    }

    /// Cuts the swept front off a record.
    pub(crate) fn trim_front(&mut self, id: SpaceId, position: Position, at: RecordRef, start: u64) {
        let Some(space) = self.spaces.get_mut(id) else { return };
        let record = Record::load(&self.pool.ram, at);
        if start > record.start {
            record.tail(start).store(&self.pool.ram, at);
            space.index.set_start(&self.pool.ram, position, start);
        }
    }
}
