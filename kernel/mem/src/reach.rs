//! From a part of a memory to the addresses that show it: how a change in a memory reaches all page tables.
//!
//! A memory whose mappings all lie in one space at one displacement (a Linux address space's anonymous memory: offset = address) is
//! found by that space's index. Otherwise the memory's list of records is read: its length is the bound.

use crate::memory::Layered;
use crate::records::{Field, Record, RecordRef};
use crate::{Machine, Memory, MemoryId, Ram, SpaceId, Vm};

/// An iteration over the places that show bytes `range` of a memory. Records must not change meanwhile.
pub(crate) struct Reach {
    memory: MemoryId,
    range: (u64, u64),
    cursor: Cursor,
}

enum Cursor {
    List(RecordRef),
    /// Addresses still to look at.
    Addresses(SpaceId, u64, u64),
}

fn clamp(n: i128) -> u64 {
    n.clamp(0, i128::from(u64::MAX)) as u64
}

/// The displacement of a role: address - offset.
pub(crate) fn displacement(start: u64, offset: u64) -> i128 {
    i128::from(start) - i128::from(offset)
}

/// The link field by which a record continues a memory's list.
pub(crate) fn next_field<R: Ram>(ram: &R, record: RecordRef, memory: MemoryId) -> Field {
    if record.get(ram, Field::Lower) == memory.word() { Field::LowerNext } else { Field::UpperNext }
}

pub(crate) fn previous_field<R: Ram>(ram: &R, record: RecordRef, memory: MemoryId) -> Field {
    if record.get(ram, Field::Lower) == memory.word() { Field::LowerPrevious } else { Field::UpperPrevious }
}

impl<M: Machine> Vm<M> {
    pub(crate) fn reach(&self, memory: MemoryId, range: (u64, u64)) -> Reach {
        let cursor = match self.memories.get(memory) {
            Some(Memory { layered: Layered::Uniform { space, delta }, mappings: 1.., .. }) => {
                let (from, to) = (i128::from(range.0) + delta, i128::from(range.1) + delta);
                Cursor::Addresses(*space, clamp(from), clamp(to))
            }
            Some(object) => Cursor::List(object.list),
            None => Cursor::List(RecordRef::NONE),
        };
        Reach { memory, range, cursor }
    }

    /// The next place: space, and addresses `from..to` in it.
    pub(crate) fn reach_next(&self, reach: &mut Reach) -> Option<(SpaceId, (u64, u64))> {
        loop {
            let record = match reach.cursor {
                Cursor::List(at) => self.next_in_list(reach, at)?,
                Cursor::Addresses(space, from, to) => self.next_in_space(reach, space, (from, to))?,
            };
            if record.lower != reach.memory && record.upper != reach.memory {
                continue;
            }
            let delta = displacement(record.start, record.offset_of(reach.memory));
            let from = clamp(i128::from(reach.range.0) + delta).max(record.start);
            let to = clamp(i128::from(reach.range.1) + delta).min(record.end);
            if from < to {
                return Some((record.space, (from, to)));
            }
        }
    }

    fn next_in_list(&self, reach: &mut Reach, at: RecordRef) -> Option<Record> {
        if at.is_none() {
            return None;
        }
        reach.cursor = Cursor::List(RecordRef(at.get(&self.pool.ram, next_field(&self.pool.ram, at, reach.memory))));
        Some(Record::load(&self.pool.ram, at))
    }

    fn next_in_space(&self, reach: &mut Reach, space: SpaceId, (from, to): (u64, u64)) -> Option<Record> {
        if from >= to {
            return None;
        }
        let (_, at) = self.spaces.get(space)?.find_from(&self.pool.ram, from)?;
        let record = Record::load(&self.pool.ram, at);
        if record.start >= to {
            return None;
        }
        reach.cursor = Cursor::Addresses(space, record.end, to);
        Some(record)
    }
}
