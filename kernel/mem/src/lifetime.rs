//! How memories, spaces and budgets end: when nobody names them, in bounded pieces.

use crate::vm::top_slot;
use crate::{Error, Frame, Machine, MemoryId, Object, PageFormat, Ram, SpaceId, SpaceKind, Vm, WORK};

impl<M: Machine> Vm<M> {
    /// Somebody more (a handle, a process, a thread) names an object.
    pub fn add_name(&mut self, object: Object) {
        match object {
            Object::Memory(id) => self.memories.add_name(id),
            Object::Space(id) => self.spaces.add_name(id),
            Object::Budget(id) => self.pool.budgets.add_name(id),
        }
    }

    /// Somebody fewer does: the last one dooms it.
    pub fn drop_name(&mut self, object: Object) {
        match object {
            Object::Memory(id) if self.memories.drop_name(id) => {
                // Stale can't be: it was named until now.
                let _ = self.memory_close(id);
            }
            Object::Space(id) if self.spaces.drop_name(id) => self.space_close(id),
            Object::Budget(id) if self.pool.budgets.drop_name(id) => self.pool.budgets.settle(id),
            _ => {}
        }
    }

    /// The last handle to a memory was closed: its id is not used any more. It goes by [`Vm::reap`] once nothing maps it.
    ///
    /// # Errors
    /// `Stale`.
    pub fn memory_close(&mut self, id: MemoryId) -> Result<(), Error> {
        let memory = self.memories.get_mut(id).filter(|m| !m.closed).ok_or(Error::Stale)?;
        memory.closed = true;
        if memory.mappings == 0 {
            self.doom(id);
        }
        Ok(())
    }

    /// Queues a closed, unmapped memory for [`Vm::reap`].
    pub(crate) fn doom(&mut self, id: MemoryId) {
        if let Some(memory) = self.memories.get_mut(id) {
            memory.next_doomed = core::mem::replace(&mut self.doomed.0, id);
        }
    }

    /// Queues a space for [`Vm::reap`]. No CPU runs on its roots any more, and no guest shows its window: the caller's business.
    pub fn space_close(&mut self, id: SpaceId) {
        if let Some(space) = self.spaces.get_mut(id).filter(|s| !s.dying) {
            space.dying = true;
            space.next_doomed = core::mem::replace(&mut self.doomed.1, id);
        }
    }

    /// Takes closed memories and spaces apart, a bounded piece per call; true if there is more. Nothing maps such a memory and nobody runs
    /// in such a space, so no shootdown is needed.
    pub fn reap(&mut self) -> bool {
        let mut work = WORK;
        while work > 0 && self.has_doomed() {
            let (memory, space) = self.doomed;
            if space.is_none() {
                self.reap_memory(memory, &mut work);
            } else {
                self.reap_space(space, &mut work);
            }
        }
        self.has_doomed()
    }

    /// Is there something for [`Vm::reap`] to do?
    pub fn has_doomed(&self) -> bool {
        !(self.doomed.0.is_none() && self.doomed.1.is_none())
    }

    fn reap_memory(&mut self, id: MemoryId, work: &mut u64) {
        let Some(memory) = self.memories.get_mut(id) else {
            self.doomed.0 = MemoryId::NONE;
            return;
        };
        while let Some(page) = memory.tree.next(&self.pool.ram, 0) {
            if *work == 0 {
                return;
            }
            *work -= 1;
            memory.drop_page(&mut self.pool, page);
        }
        self.doomed.0 = memory.next_doomed;
        self.pool.budgets.release(memory.budget);
        self.memories.remove(id);
        *work = work.saturating_sub(4);
    }

    fn reap_space(&mut self, id: SpaceId, work: &mut u64) {
        if self.unmap_whole(id, (0, u64::MAX), work).is_some() {
            return;
        }
        self.doomed.1 = self.spaces.get(id).map_or(SpaceId::NONE, |space| space.next_doomed);
        self.free_roots(id);
        self.spaces.remove(id);
        *work = work.saturating_sub(4);
    }

    fn free_roots(&mut self, id: SpaceId) {
        let Some(space) = self.spaces.get(id) else { return };
        let top = self.pool.ram.read(space.root, top_slot::<M>(space.window));
        let other = match (space.kind, M::Format::decode(M::Format::LEVELS - 1, top)) {
            (SpaceKind::Guest, _) => space.second,
            (SpaceKind::Native, crate::Decoded::Node(table)) => table,
            (SpaceKind::Native, _) => Frame::NONE,
        };
        self.pool.free(space.root, space.budget);
        if !other.is_none() {
            self.pool.free(other, space.budget);
        }
        self.pool.budgets.release(space.budget);
    }
}
