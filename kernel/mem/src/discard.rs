//! Giving pages back: parts of a memory, or what lies beyond a new length.

use crate::memory::Layered;
use crate::pool::Pool;
use crate::radix::{Entry, MAX_PAGES};
use crate::space::aligned;
use crate::tables::Sweep;
use crate::{Charge, Done, Error, Kind, Machine, Memory, MemoryId, PAGE, Progress, Ram, Shootdown, Vm, WORK};

/// Which entries go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Drop {
    /// Pages; those that a pager was asked for stay asked for.
    Present,
    /// Both: so each step of a repeated `resize` leaves less to do.
    All,
}

impl Memory {
    /// Takes a page (or the note that it was asked for) out, giving back what was paid.
    pub(crate) fn drop_page<R: Ram, C: Charge>(&mut self, pool: &mut Pool<'_, R, C>, page: u64) {
        if let Entry::Present(frame) = self.tree.remove(pool, self.budget, page) {
            pool.drop_data(frame, self.budget);
        }
    }

    /// How many pages one sweep over this memory's mappings may cover, so that list and pages together stay bounded.
    pub(crate) fn stride(&self) -> u64 {
        match self.layered {
            Layered::Uniform { .. } => 512,
            Layered::Mixed => (WORK / self.mappings.max(1)).clamp(1, 512),
        }
    }
}

impl<M: Machine> Vm<M> {
    /// An open memory.
    pub(crate) fn open(&self, id: MemoryId) -> Result<&Memory, Error> {
        self.memories.get(id).filter(|m| !m.closed).ok_or(Error::Stale)
    }

    /// Gives the pages of a range back: they are missing again. A bounded piece per call. Pages that a pager was asked for stay asked for.
    ///
    /// # Errors
    /// `Stale`; `BadArgument`: alignment, or a fixed memory.
    pub fn discard<C: Charge>(
        &mut self,
        charge: &mut C,
        id: MemoryId,
        offset: u64,
        length: u64,
    ) -> Result<Done, Error> {
        let memory = self.open(id)?;
        let end = offset.checked_add(length).ok_or(Error::BadArgument)?;
        if !aligned(offset | length) || matches!(memory.kind, Kind::Fixed { .. }) {
            return Err(Error::BadArgument);
        }
        let (reached, shootdown) = self.discard_pages(charge, id, (offset / PAGE, end / PAGE), Drop::Present);
        Ok(Done { bytes: reached * PAGE - offset, shootdown })
    }

    /// Gives a memory another length. Pages wholly beyond it are given back, a bounded piece per call; the length counts at once. Pages that a pager
    /// was asked for are forgotten, too: the caller has who waits for them fault again. The rest of the last page keeps its bytes.
    ///
    /// # Errors
    /// `Stale`; `BadArgument`: too long, or a fixed memory.
    pub fn resize<C: Charge>(&mut self, charge: &mut C, id: MemoryId, length: u64) -> Result<Progress, Error> {
        let first = length.div_ceil(PAGE);
        let memory = self.memories.get_mut(id).filter(|m| !m.closed).ok_or(Error::Stale)?;
        if first > MAX_PAGES || matches!(memory.kind, Kind::Fixed { .. }) {
            return Err(Error::BadArgument);
        }
        memory.length = length;
        let (reached, shootdown) = self.discard_pages(charge, id, (first, MAX_PAGES), Drop::All);
        Ok(if reached >= MAX_PAGES { Progress::Done(shootdown) } else { Progress::More(shootdown) })
    }

    /// -> first page not looked at.
    fn discard_pages<C: Charge>(
        &mut self,
        charge: &mut C,
        id: MemoryId,
        (first, end): (u64, u64),
        what: Drop,
    ) -> (u64, Shootdown) {
        let mut shootdown = Shootdown::None;
        let mut work = WORK;
        let mut page = first;
        while let Some((next, stride)) = self.next_page(id, page).filter(|(next, _)| *next < end) {
            if work == 0 {
                return (next, shootdown);
            }
            let stop = ((next / 512 + 1) * 512).min(next + stride).min(end);
            shootdown = shootdown.and(self.sweep_memory(charge, id, (next * PAGE, stop * PAGE), Sweep::Clear));
            self.drop_pages(charge, id, (next, stop), what);
            work = work.saturating_sub(stop - next + 16);
            page = stop;
        }
        (end, shootdown)
    }

    /// The first page with an entry from `page` on, and how far one sweep may go.
    pub(crate) fn next_page(&self, id: MemoryId, page: u64) -> Option<(u64, u64)> {
        let memory = self.memories.get(id)?;
        Some((memory.tree.next(&self.ram, page)?, memory.stride()))
    }

    fn drop_pages<C: Charge>(&mut self, charge: &mut C, id: MemoryId, (first, end): (u64, u64), what: Drop) {
        let Some(memory) = self.memories.get_mut(id) else {
            return;
        };
        let mut pool = Pool { ram: &self.ram, frames: &mut self.frames, charge };
        for page in first..end {
            let entry = memory.tree.get(pool.ram, page);
            if matches!(entry, Entry::Present(_)) || what == Drop::All && entry == Entry::Asked {
                memory.drop_page(&mut pool, page);
            }
        }
    }
}
