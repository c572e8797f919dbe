//! What the registry's lock guards of memory.

use super::Budgets;
use crate::hw::Backing;
use crate::table::{Cap, Kind};
use sal_kernel_mem::{BudgetId, Frame, Machine, MemoryId, Progress, SpaceId, Vm};

/// Spaces that wait to be taken apart, at most; more are taken apart at once.
const DOOMED: usize = 64;

/// Frames, memories, spaces and budgets, with a count of who names each.
pub struct MemoryState<M: Machine> {
    /// Frames, memories, spaces.
    pub vm: Vm<M>,
    /// Budgets.
    pub budgets: Budgets,
    memory_refs: &'static mut [u32],
    space_refs: &'static mut [u32],
    doomed: [SpaceId; DOOMED],
}

impl<M: Machine> MemoryState<M> {
    /// Over a fresh `Vm`; the slices have one count per memory and per space that there may be.
    pub fn new(vm: Vm<M>, budgets: Budgets, memory_refs: &'static mut [u32], space_refs: &'static mut [u32]) -> Self {
        MemoryState { vm, budgets, memory_refs, space_refs, doomed: [SpaceId::NONE; DOOMED] }
    }

    /// Somebody more names that space: a handle, a process, a thread that attached it.
    pub fn add_space(&mut self, id: SpaceId) {
        if let Some(count) = self.space_refs.get_mut(id.index() as usize) {
            *count += 1;
        }
    }

    /// Somebody fewer: the last one dooms it.
    pub fn leave_space(&mut self, id: SpaceId) {
        let Some(count) = self.space_refs.get_mut(id.index() as usize) else { return };
        *count = count.saturating_sub(1);
        if *count != 0 {
            return;
        }
        match self.doomed.iter_mut().find(|d| d.is_none()) {
            Some(place) => *place = id,
            None => while !self.destroy_piece(id) {},
        }
    }

    /// Takes a piece of a space apart; true when it is gone.
    fn destroy_piece(&mut self, id: SpaceId) -> bool {
        !matches!(self.vm.space_destroy(&mut self.budgets, id), Ok(Progress::More(_)))
    }

    /// Does a piece of what closed memories and spaces left; true if there is more.
    pub fn reap(&mut self) -> bool {
        if let Some(n) = self.doomed.iter().position(|d| !d.is_none()) {
            let id = self.doomed.get(n).copied().unwrap_or(SpaceId::NONE);
            if self.destroy_piece(id)
                && let Some(place) = self.doomed.get_mut(n)
            {
                *place = SpaceId::NONE;
            }
            return true;
        }
        self.vm.has_doomed() && matches!(self.vm.reap(&mut self.budgets), Progress::More(_))
    }

    /// Is there something to reap?
    pub fn has_doomed(&self) -> bool {
        self.vm.has_doomed() || self.doomed.iter().any(|d| !d.is_none())
    }

    fn leave_memory(&mut self, id: MemoryId) {
        let Some(count) = self.memory_refs.get_mut(id.index() as usize) else { return };
        *count = count.saturating_sub(1);
        if *count == 0 {
            // Stale can't be: the capability named it until now.
            let _ = self.vm.memory_close(id);
        }
    }

    /// Who pays for a space.
    pub fn space_budget(&self, id: SpaceId) -> Option<BudgetId> {
        Some(self.vm.space(id)?.info().budget)
    }
}

impl<M: Machine> Backing for MemoryState<M> {
    fn unpin(&mut self, page: u32, fpu_page: u32, space: u64) {
        let Some(budget) = self.space_budget(SpaceId::from_word(space)) else { return };
        // What was pinned and taken when the thread was made is so still.
        let _ = self.vm.unpin(&mut self.budgets, budget, Frame(page));
        if fpu_page != 0 {
            let _ = self.vm.give_frame(&mut self.budgets, budget, Frame(fpu_page));
        }
    }

    fn add_ref(&mut self, cap: &Cap) {
        match cap.kind {
            Kind::Memory => {
                if let Some(count) = self.memory_refs.get_mut(cap.object as u32 as usize) {
                    *count += 1;
                }
            }
            Kind::Space => self.add_space(SpaceId::from_word(cap.object)),
            Kind::Budget => self.budgets.add_ref(cap.object),
            _ => {}
        }
    }

    fn drop_ref(&mut self, cap: &Cap) {
        match cap.kind {
            Kind::Memory => self.leave_memory(MemoryId::from_word(cap.object)),
            Kind::Space => self.leave_space(SpaceId::from_word(cap.object)),
            Kind::Budget => self.budgets.drop_ref(cap.object),
            _ => {}
        }
    }

    fn drop_space(&mut self, space: u64) {
        self.leave_space(SpaceId::from_word(space));
    }

    fn reap(&mut self) -> bool {
        MemoryState::reap(self)
    }

    fn has_doomed(&self) -> bool {
        MemoryState::has_doomed(self)
    }

    fn advance(&mut self) {
        self.vm.advance();
    }
}
