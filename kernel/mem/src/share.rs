//! `Clone`: pages shared copy on write between two memories.

use crate::discard::stride_end;
use crate::pool::Pool;
use crate::radix::Entry;
use crate::space::aligned;
use crate::tables::Sweep;
use crate::{Error, Frame, Kind, Machine, Memory, MemoryId, PAGE, Ram, Use, Vm, WORK};
use sal_abi::Rights;

impl<M: Machine> Vm<M> {
    /// Shares the present pages of a range with another memory, copy on write; they take the place of what the destination had there.
    /// Missing pages of the source change nothing. Every mapping of the source is write-protected. Pinned and fixed pages are copied.
    /// A bounded piece per call.
    ///
    /// # Errors
    /// `Stale`. `BadArgument`: alignment; a destination that is fixed or too short; ranges of one memory that overlap.
    /// `NoBudget`, `NoFrames`: not one page could be done.
    pub fn clone_range(&mut self, from: (MemoryId, u64), length: u64, to: (MemoryId, u64)) -> Result<u64, Error> {
        self.check_clone(from, length, to)?;
        let (first, end, target) = (from.1 / PAGE, (from.1 + length) / PAGE, to.1 / PAGE);
        let (mut page, mut work) = (first, WORK);
        while let Some((next, stride)) = self.next_source(from.0, page).filter(|(next, _)| *next < end) {
            if work == 0 {
                return Ok((next - first) * PAGE);
            }
            let stop = stride_end(next, stride).min(end);
            let (reached, result) = self.clone_stride((from.0, next), (to.0, target + next - first), stop);
            match result {
                Err(e) if reached == first => return Err(e),
                Err(_) => return Ok((reached - first) * PAGE),
                Ok(()) => work = work.saturating_sub(stop - next + 16),
            }
            page = stop;
        }
        Ok(length)
    }

    fn check_clone(&self, from: (MemoryId, u64), length: u64, to: (MemoryId, u64)) -> Result<(), Error> {
        self.open(from.0)?;
        let destination = self.open(to.0)?;
        let from_end = from.1.checked_add(length).ok_or(Error::BadArgument)?;
        let to_end = to.1.checked_add(length).ok_or(Error::BadArgument)?;
        let overlap = from.0 == to.0 && from.1 < to_end && to.1 < from_end;
        let room = to_end <= destination.length.next_multiple_of(PAGE);
        if !aligned(from.1 | length | to.1) || overlap || !room || matches!(destination.kind, Kind::Fixed { .. }) {
            return Err(Error::BadArgument);
        }
        Ok(())
    }

    /// The first page at or after `page` that the source has.
    fn next_source(&self, id: MemoryId, page: u64) -> Option<(u64, u64)> {
        match self.memories.get(id)?.kind {
            Kind::Fixed { .. } => self.memories.get(id)?.reaches(page).then_some((page, 512)),
            _ => self.next_page(id, page),
        }
    }

    /// The pages up to `stop`, at most 512. -> first page not done, why it stopped.
    fn clone_stride(&mut self, from: (MemoryId, u64), to: (MemoryId, u64), stop: u64) -> (u64, Result<(), Error>) {
        let first = from.1;
        let (mut reached, mut protect, mut result) = (first, false, Ok(()));
        while reached < stop && result.is_ok() {
            match self.clone_page((from.0, reached), (to.0, to.1 + reached - first)) {
                Ok(newly_shared) => (protect, reached) = (protect | newly_shared, reached + 1),
                Err(e) => result = Err(e),
            }
        }
        if protect {
            let how = Sweep::Restrict(Rights::READ.or(Rights::EXECUTE));
            self.sweep_memory(from.0, (first * PAGE, reached * PAGE), how);
        }
        self.sweep_memory(to.0, (to.1 * PAGE, (to.1 + reached - first) * PAGE), Sweep::Clear);
        (reached, result)
    }

    /// One page. -> was it the source's alone so far, so that its mappings must be write-protected?
    fn clone_page(&mut self, from: (MemoryId, u64), to: (MemoryId, u64)) -> Result<bool, Error> {
        let Some(frame) = self.held(from)? else { return Ok(false) };
        let copy = self.must_copy(from.0, frame)?;
        let memory = self.memories.get_mut(to.0).ok_or(Error::Stale)?;
        memory.put_page(&mut self.pool, to.1, frame, copy)?;
        Ok(copy == Sharing::Share && self.pool.frames.count(&self.pool.ram, frame) == 2)
    }

    /// The frame that a memory has for a page.
    pub(crate) fn held(&mut self, (id, page): (MemoryId, u64)) -> Result<Option<Frame>, Error> {
        let memory = self.memories.get_mut(id).ok_or(Error::Stale)?;
        if let Kind::Fixed { first, .. } = memory.kind {
            return Ok(memory.reaches(page).then_some(Frame(first.0 + page as u32)));
        }
        Ok(match memory.tree.get(&self.pool.ram, page) {
            Entry::Present(frame) => Some(frame),
            _ => None,
        })
    }

    /// Can a frame be shared, or must its content be copied?
    pub(crate) fn must_copy(&self, owner: MemoryId, frame: Frame) -> Result<Sharing, Error> {
        let fixed = matches!(self.memories.get(owner).ok_or(Error::Stale)?.kind, Kind::Fixed { .. });
        Ok(if fixed || self.pool.frames.pins(&self.pool.ram, frame) != 0 { Sharing::Copy } else { Sharing::Share })
    }
}

/// How a page gets into another memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sharing {
    /// The same frame, copy on write.
    Share,
    /// Its content in a frame of its own.
    Copy,
}

impl Memory {
    /// Puts a frame (or a copy) in a page's place, whatever was there. All or nothing; page tables are the caller's business.
    pub(crate) fn put_page<M: Machine>(
        &mut self,
        pool: &mut Pool<M>,
        page: u64,
        frame: Frame,
        sharing: Sharing,
    ) -> Result<(), Error> {
        let old = self.tree.get(&pool.ram, page);
        let paid = u64::from(matches!(old, Entry::Present(_)));
        let nodes = if old == Entry::Absent { self.tree.missing(&pool.ram, page) } else { 0 };
        let copy = u64::from(sharing == Sharing::Copy);
        pool.pay(self.budget, 1 - paid + nodes, nodes + copy)?;
        let mut frame = frame;
        if sharing == Sharing::Copy {
            let own = pool.take(Use::Data)?;
            pool.ram.copy_frame(frame, own);
            frame = own;
        }
        pool.frames.count_up(&pool.ram, frame);
        match old {
            Entry::Absent => return self.tree.insert(pool, page, Entry::Present(frame)),
            Entry::Asked => {}
            // The payment stays with the page's place.
            Entry::Present(old) => pool.drop_unpaid(old),
        }
        self.tree.replace(&pool.ram, page, Entry::Present(frame));
        Ok(())
    }
}
