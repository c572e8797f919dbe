//! Giving pages back: parts of a memory, or what lies beyond a new length.

use crate::memory::Layered;
use crate::pool::Pool;
use crate::radix::{Entry, MAX_PAGES};
use crate::space::aligned;
use crate::tables::Sweep;
use crate::{Error, Kind, Machine, Memory, MemoryId, PAGE, Vm, WORK};

impl Memory {
    /// Takes a page (or the note that it was asked for) out, giving back what was paid.
    pub(crate) fn drop_page<M: Machine>(&mut self, pool: &mut Pool<M>, page: u64) {
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

    /// Gives the pages of a range back: they are missing again. Pages that a pager was asked for stay asked for. A bounded piece per call.
    /// -> bytes done.
    ///
    /// # Errors
    /// `Stale`; `BadArgument`: alignment, or a fixed memory.
    pub fn discard(&mut self, id: MemoryId, offset: u64, length: u64) -> Result<u64, Error> {
        let memory = self.open(id)?;
        let end = offset.checked_add(length).ok_or(Error::BadArgument)?;
        if !aligned(offset | length) || matches!(memory.kind, Kind::Fixed { .. }) {
            return Err(Error::BadArgument);
        }
        let reached = self.discard_pages(id, (offset / PAGE, end / PAGE), |entry| matches!(entry, Entry::Present(_)));
        Ok(reached * PAGE - offset)
    }

    /// Gives a memory another length. Pages wholly beyond it are given back, a bounded piece per call; the length counts at once. Pages that a pager
    /// was asked for are forgotten, too: the caller has who waits for them fault again. The rest of the last page keeps its bytes.
    /// -> is it over?
    ///
    /// # Errors
    /// `Stale`; `BadArgument`: too long, or a fixed memory.
    pub fn resize(&mut self, id: MemoryId, length: u64) -> Result<bool, Error> {
        let first = length.div_ceil(PAGE);
        let memory = self.memories.get_mut(id).filter(|m| !m.closed).ok_or(Error::Stale)?;
        if first > MAX_PAGES || matches!(memory.kind, Kind::Fixed { .. }) {
            return Err(Error::BadArgument);
        }
        memory.length = length;
        // What was asked for goes, too: so each step of a repeated call leaves less to do.
        Ok(self.discard_pages(id, (first, MAX_PAGES), |_| true) >= MAX_PAGES)
    }

    /// Drops the pages whose entry `goes`. -> first page not looked at.
    fn discard_pages(&mut self, id: MemoryId, (first, end): (u64, u64), goes: fn(Entry) -> bool) -> u64 {
        let mut work = WORK;
        let mut page = first;
        while let Some((next, stride)) = self.next_page(id, page).filter(|(next, _)| *next < end) {
            if work == 0 {
                return next;
            }
            let stop = stride_end(next, stride).min(end);
            self.sweep_memory(id, (next * PAGE, stop * PAGE), Sweep::Clear);
            let Some(memory) = self.memories.get_mut(id) else { break };
            for page in next..stop {
                if goes(memory.tree.get(&self.pool.ram, page)) {
                    memory.drop_page(&mut self.pool, page);
                }
            }
            work = work.saturating_sub(stop - next + 16);
            page = stop;
        }
        end
    }

    /// The first page with an entry from `page` on, and how far one sweep may go.
    pub(crate) fn next_page(&self, id: MemoryId, page: u64) -> Option<(u64, u64)> {
        let memory = self.memories.get(id)?;
        Some((memory.tree.next(&self.pool.ram, page)?, memory.stride()))
    }
}

/// Where a sweep that starts at a page ends: within its node.
pub(crate) fn stride_end(page: u64, stride: u64) -> u64 {
    ((page / 512 + 1) * 512).min(page + stride)
}
