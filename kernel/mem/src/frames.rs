//! The frame allocator: one metadata word per frame, a free list, a quarantine.
//!
//! Metadata word: use (4 bits) | pins (28 bits) | count (32 bits). The count is that of entries holding a data frame, of live words in
//! a table or node, or the next frame in a list while the frame is free. Never-used frames are not in a list: they are carved off
//! the memory map's ranges when the list is empty, so starting costs only the clearing of the metadata.

use crate::{ENTRIES, Error, Frame, Ram};

/// What a frame is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Use {
    /// Not the allocator's: outside the map, metadata, or never used so far.
    Unmanaged = 0,
    /// In the free list.
    Free = 1,
    /// Freed, but some CPU may still look at it.
    Quarantined = 2,
    /// A page of a memory.
    Data = 3,
    /// A page table.
    Table = 4,
    /// A node of a memory's tree.
    Node = 5,
    /// Mapping records of a space, or their index.
    Records = 6,
    /// The kernel's own (arenas, stacks).
    Kernel = 7,
}

impl Use {
    #[inline(always)]
    fn from_number(n: u64) -> Use {
        use Use::*;
        const ALL: [Use; 8] = [Unmanaged, Free, Quarantined, Data, Table, Node, Records, Kernel];
        ALL.get(n as usize).copied().unwrap_or(Unmanaged)
    }
}

/// Frames `start..end` of the memory map.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FrameRange {
    /// First frame.
    pub start: u32,
    /// First frame after it.
    pub end: u32,
}

/// Most ranges that are used; smaller ones beyond are left unused.
pub const MAX_RANGES: usize = 32;

const USE_SHIFT: u32 = 60;
const PIN: u64 = 1 << 32;
const PIN_MASK: u64 = 0xfff_ffff << 32;
const COUNT_MASK: u64 = 0xffff_ffff;

/// A list of frames linked through their metadata words.
#[derive(Clone, Copy, Debug, Default)]
struct List {
    head: Frame,
    tail: Frame,
    count: u64,
}

/// All frames of the machine.
#[derive(Clone, Debug)]
pub struct Frames {
    meta: u32,
    covered: u32,
    free: List,
    /// Freed since the last `advance`.
    fresh: List,
    /// Freed before the last `advance`.
    waiting: List,
    ranges: [FrameRange; MAX_RANGES],
    range: usize,
    uncarved: u64,
    used: u64,
    total: u64,
}

impl Frames {
    /// Takes over the frames of `map` (ranges that nobody else uses, in any order), and places the metadata in the first range that
    /// holds it.
    ///
    /// # Errors
    /// `BadArgument` if no range can hold the metadata.
    pub fn new<R: Ram>(ram: &R, map: &[FrameRange]) -> Result<Frames, Error> {
        let mut ranges = [FrameRange::default(); MAX_RANGES];
        let mut covered = 0;
        for (slot, range) in ranges.iter_mut().zip(map) {
            // Frame 0 stands for "none".
            *slot = FrameRange { start: range.start.max(1), end: range.end.max(1) };
            covered = covered.max(range.end);
        }
        let need = covered.div_ceil(ENTRIES as u32);
        let home = ranges.iter_mut().find(|r| r.end.saturating_sub(r.start) >= need).ok_or(Error::BadArgument)?;
        let meta = home.start;
        home.start += need;
        for frame in meta..meta + need {
            ram.zero(Frame(frame));
        }
        let uncarved = ranges.iter().map(|r| u64::from(r.end.saturating_sub(r.start))).sum();
        let none = List::default();
        Ok(Frames {
            meta,
            covered,
            free: none,
            fresh: none,
            waiting: none,
            ranges,
            range: 0,
            uncarved,
            used: 0,
            total: uncarved,
        })
    }

    /// Frames that can be taken now.
    pub fn available(&self) -> u64 {
        self.free.count + self.uncarved
    }

    /// Frames in quarantine.
    pub fn quarantined(&self) -> u64 {
        self.fresh.count + self.waiting.count
    }

    /// Frames in use.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// Frames in all.
    pub fn total(&self) -> u64 {
        self.total
    }

    #[inline(always)]
    fn place(&self, frame: Frame) -> (Frame, usize) {
        (Frame(self.meta + frame.0 / ENTRIES as u32), frame.0 as usize % ENTRIES)
    }

    #[inline(always)]
    fn word<R: Ram>(&self, ram: &R, frame: Frame) -> u64 {
        let (at, index) = self.place(frame);
        ram.read(at, index)
    }

    #[inline(always)]
    fn set_word<R: Ram>(&self, ram: &R, frame: Frame, word: u64) {
        let (at, index) = self.place(frame);
        ram.write(at, index, word);
    }

    /// What a frame is used for.
    pub fn usage<R: Ram>(&self, ram: &R, frame: Frame) -> Use {
        if frame.0 >= self.covered { Use::Unmanaged } else { Use::from_number(self.word(ram, frame) >> USE_SHIFT) }
    }

    /// Entries that hold a data frame; live words of a table or node.
    #[inline(always)]
    pub fn count<R: Ram>(&self, ram: &R, frame: Frame) -> u32 {
        self.word(ram, frame) as u32
    }

    /// Pins of a data frame.
    #[inline(always)]
    pub fn pins<R: Ram>(&self, ram: &R, frame: Frame) -> u32 {
        ((self.word(ram, frame) & PIN_MASK) >> 32) as u32
    }

    /// One more.
    #[inline(always)]
    pub(crate) fn count_up<R: Ram>(&self, ram: &R, frame: Frame) {
        self.set_word(ram, frame, self.word(ram, frame) + 1);
    }

    /// One less. -> what is left.
    #[inline(always)]
    pub(crate) fn count_down<R: Ram>(&self, ram: &R, frame: Frame) -> u32 {
        let word = self.word(ram, frame);
        let left = (word & COUNT_MASK).saturating_sub(1);
        self.set_word(ram, frame, word & !COUNT_MASK | left);
        left as u32
    }

    pub(crate) fn pin<R: Ram>(&self, ram: &R, frame: Frame) -> Result<(), Error> {
        let word = self.word(ram, frame);
        if word & PIN_MASK == PIN_MASK {
            return Err(Error::Full);
        }
        self.set_word(ram, frame, word + PIN);
        Ok(())
    }

    pub(crate) fn unpin<R: Ram>(&self, ram: &R, frame: Frame) {
        let word = self.word(ram, frame);
        if word & PIN_MASK != 0 {
            self.set_word(ram, frame, word - PIN);
        }
    }

    /// Takes a frame, its content undefined, its count 0.
    ///
    /// # Errors
    /// `NoFrames`.
    pub(crate) fn take<R: Ram>(&mut self, ram: &R, usage: Use) -> Result<Frame, Error> {
        let frame = if self.free.count != 0 { self.pop(ram) } else { self.carve()? };
        self.set_word(ram, frame, (usage as u64) << USE_SHIFT);
        self.used += 1;
        Ok(frame)
    }

    fn pop<R: Ram>(&mut self, ram: &R) -> Frame {
        let frame = self.free.head;
        self.free.head = Frame(self.word(ram, frame) as u32);
        self.free.count -= 1;
        frame
    }

    fn carve(&mut self) -> Result<Frame, Error> {
        while let Some(range) = self.ranges.get_mut(self.range) {
            if range.start < range.end {
                range.start += 1;
                self.uncarved -= 1;
                return Ok(Frame(range.start - 1));
            }
            self.range += 1;
        }
        Err(Error::NoFrames)
    }

    /// Gives a frame to the quarantine.
    pub(crate) fn release<R: Ram>(&mut self, ram: &R, frame: Frame) {
        self.set_word(ram, frame, (Use::Quarantined as u64) << USE_SHIFT | u64::from(self.fresh.head.0));
        if self.fresh.count == 0 {
            self.fresh.tail = frame;
        }
        self.fresh.head = frame;
        self.fresh.count += 1;
        self.used -= 1;
    }

    /// See [`crate::Vm::advance`].
    pub(crate) fn advance<R: Ram>(&mut self, ram: &R) {
        if self.waiting.count != 0 {
            self.set_word(ram, self.waiting.tail, (Use::Free as u64) << USE_SHIFT | u64::from(self.free.head.0));
            self.free.head = self.waiting.head;
            self.free.count += self.waiting.count;
        }
        self.waiting = self.fresh;
        self.fresh = List::default();
    }

    /// Frames that have metadata.
    #[cfg(any(test, feature = "emulated"))]
    pub(crate) fn covered(&self) -> u32 {
        self.covered
    }

    /// Verifies lists and sums.
    #[cfg(any(test, feature = "emulated"))]
    pub(crate) fn check<R: Ram>(&self, ram: &R) -> Result<(), std::string::String> {
        for list in [&self.free, &self.fresh, &self.waiting] {
            let mut at = list.head;
            for n in 0..list.count {
                if !matches!(self.usage(ram, at), Use::Free | Use::Quarantined) {
                    return Err(std::format!("{at:?} is in a list of free frames, but in use"));
                }
                if n + 1 == list.count && at != list.tail && list.head != self.free.head {
                    return Err(std::format!("{at:?} ends a list, {:?} should", list.tail));
                }
                at = Frame(self.word(ram, at) as u32);
            }
        }
        if self.used + self.available() + self.quarantined() != self.total {
            return Err(std::format!("{} frames used, {} free, of {}", self.used, self.available(), self.total));
        }
        Ok(())
    }
}
