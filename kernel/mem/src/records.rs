//! Mapping records: 128 bytes each, 31 to a frame of the space that they belong to.
//!
//! A record never moves while it lives, since the lists of its memories link it. Word 0 of a record frame: next record frame of the
//! space that has a free slot; word 1: bits of the slots in use; word 2: previous such frame. Slot n lies at word 16 * n, n in 1..=31.

use crate::memory::MemoryId;
use crate::pool::Pool;
use crate::{BudgetId, Error, Frame, Machine, Ram, SpaceId, Use};
use sal_abi::Rights;

/// Words per record.
const WORDS: usize = 16;
/// Bits 1..=31 of word 1 set: no slot is free.
const ALL_USED: u64 = 0xffff_fffe;

/// Where a record lies: frame and slot. 0 is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub(crate) struct RecordRef(pub(crate) u64);

impl RecordRef {
    pub(crate) const NONE: RecordRef = RecordRef(0);

    #[inline(always)]
    pub(crate) const fn is_none(self) -> bool {
        self.0 == 0
    }

    #[inline(always)]
    const fn new(frame: Frame, slot: u32) -> RecordRef {
        RecordRef((frame.0 as u64) << 8 | slot as u64)
    }

    #[inline(always)]
    const fn frame(self) -> Frame {
        Frame((self.0 >> 8) as u32)
    }

    #[inline(always)]
    const fn slot(self) -> u32 {
        self.0 as u32 & 31
    }

    #[inline(always)]
    pub(crate) fn get<R: Ram>(self, ram: &R, field: Field) -> u64 {
        ram.read(self.frame(), self.slot() as usize * WORDS + field as usize)
    }

    #[inline(always)]
    pub(crate) fn set<R: Ram>(self, ram: &R, field: Field, value: u64) {
        ram.write(self.frame(), self.slot() as usize * WORDS + field as usize, value);
    }
}

/// The words of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub(crate) enum Field {
    Start = 0,
    End = 1,
    Rights = 2,
    Space = 3,
    Lower = 4,
    LowerOffset = 5,
    Upper = 6,
    UpperOffset = 7,
    LowerNext = 8,
    LowerPrevious = 9,
    UpperNext = 10,
    UpperPrevious = 11,
}

/// A record's content without its links.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Record {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) rights: Rights,
    pub(crate) space: SpaceId,
    pub(crate) lower: MemoryId,
    pub(crate) lower_offset: u64,
    /// `MemoryId::NONE`: not private.
    pub(crate) upper: MemoryId,
    pub(crate) upper_offset: u64,
}

impl Record {
    pub(crate) fn load<R: Ram>(ram: &R, at: RecordRef) -> Record {
        Record {
            start: at.get(ram, Field::Start),
            end: at.get(ram, Field::End),
            rights: Rights(at.get(ram, Field::Rights) as u32),
            space: SpaceId::from_word(at.get(ram, Field::Space)),
            lower: MemoryId::from_word(at.get(ram, Field::Lower)),
            lower_offset: at.get(ram, Field::LowerOffset),
            upper: MemoryId::from_word(at.get(ram, Field::Upper)),
            upper_offset: at.get(ram, Field::UpperOffset),
        }
    }

    pub(crate) fn store<R: Ram>(&self, ram: &R, at: RecordRef) {
        at.set(ram, Field::Start, self.start);
        at.set(ram, Field::End, self.end);
        at.set(ram, Field::Rights, u64::from(self.rights.0));
        at.set(ram, Field::Space, self.space.word());
        at.set(ram, Field::Lower, self.lower.word());
        at.set(ram, Field::LowerOffset, self.lower_offset);
        at.set(ram, Field::Upper, self.upper.word());
        at.set(ram, Field::UpperOffset, self.upper_offset);
    }

    /// The part of it from `address` on.
    pub(crate) fn tail(&self, address: u64) -> Record {
        let skip = address - self.start;
        Record {
            start: address,
            lower_offset: self.lower_offset + skip,
            upper_offset: if self.upper.is_none() { 0 } else { self.upper_offset + skip },
            ..*self
        }
    }

    /// Could `next` be the continuation of this one?
    pub(crate) fn continues_in(&self, next: &Record) -> bool {
        self.end == next.start && Record { end: next.end, ..self.tail(next.start) } == *next
    }

    /// In which offset range a memory is used, and at which address `offset` lies: `address = offset - base + start`.
    pub(crate) fn offset_of(&self, memory: MemoryId) -> u64 {
        if self.lower == memory { self.lower_offset } else { self.upper_offset }
    }
}

/// The record frames of one space.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Slab {
    /// First frame with a free slot.
    partial: Frame,
    /// Frames in use.
    pub(crate) frames: u64,
}

impl Slab {
    /// Takes a slot. Content and links undefined.
    pub(crate) fn take<M: Machine>(&mut self, pool: &mut Pool<M>, budget: BudgetId) -> Result<RecordRef, Error> {
        if self.partial.is_none() {
            pool.reserve(budget, 1)?;
            let frame = pool.take_zeroed(Use::Records)?;
            self.frames += 1;
            self.link(&pool.ram, frame);
        }
        let frame = self.partial;
        let used = pool.ram.read(frame, 1);
        let slot = (!used & ALL_USED).trailing_zeros();
        let used = used | 1 << slot;
        pool.ram.write(frame, 1, used);
        if used == ALL_USED {
            self.unlink(&pool.ram, frame);
        }
        Ok(RecordRef::new(frame, slot))
    }

    /// Gives a slot back; an empty frame is freed.
    pub(crate) fn give<M: Machine>(&mut self, pool: &mut Pool<M>, budget: BudgetId, record: RecordRef) {
        let frame = record.frame();
        let used = pool.ram.read(frame, 1);
        let left = used & !(1 << record.slot());
        pool.ram.write(frame, 1, left);
        if used == ALL_USED {
            self.link(&pool.ram, frame);
        }
        if left == 0 {
            self.unlink(&pool.ram, frame);
            self.frames -= 1;
            pool.free(frame, budget);
        }
    }

    fn link<R: Ram>(&mut self, ram: &R, frame: Frame) {
        ram.write(frame, 0, u64::from(self.partial.0));
        ram.write(frame, 2, 0);
        if !self.partial.is_none() {
            ram.write(self.partial, 2, u64::from(frame.0));
        }
        self.partial = frame;
    }

    fn unlink<R: Ram>(&mut self, ram: &R, frame: Frame) {
        let next = Frame(ram.read(frame, 0) as u32);
        let previous = Frame(ram.read(frame, 2) as u32);
        if previous.is_none() {
            self.partial = next;
        } else {
            ram.write(previous, 0, u64::from(next.0));
        }
        if !next.is_none() {
            ram.write(next, 2, u64::from(previous.0));
        }
    }
}
