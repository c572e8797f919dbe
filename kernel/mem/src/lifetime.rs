//! How memories and spaces end: in bounded pieces.

use crate::pool::Pool;
use crate::records::Record;
use crate::tables::{Sweep, slot};
use crate::{
    BudgetId, Charge, Error, Frame, Machine, MemoryId, PageFormat, Progress, Ram, Shootdown, SpaceId, SpaceKind, Vm,
    WORK,
};

impl<M: Machine> Vm<M> {
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
        let next = self.doomed;
        if let Some(memory) = self.memories.get_mut(id) {
            memory.next_doomed = next;
            self.doomed = id;
        }
    }

    /// Takes closed memories apart, a bounded piece per call. Nothing maps them, so no shootdown is needed.
    pub fn reap<C: Charge>(&mut self, charge: &mut C) -> Progress {
        let mut work = WORK;
        while !self.doomed.is_none() && work > 0 {
            let id = self.doomed;
            let Some(memory) = self.memories.get_mut(id) else {
                break;
            };
            let mut pool = Pool { ram: &self.ram, frames: &mut self.frames, charge };
            while let Some(page) = memory.tree.next(pool.ram, 0) {
                if work == 0 {
                    return Progress::More(Shootdown::None);
                }
                work -= 1;
                memory.drop_page(&mut pool, page);
            }
            self.doomed = memory.next_doomed;
            self.memories.remove(id);
            work = work.saturating_sub(4);
        }
        if self.doomed.is_none() { Progress::Done(Shootdown::None) } else { Progress::More(Shootdown::None) }
    }

    /// Is there something for [`Vm::reap`] to do?
    #[inline]
    pub fn has_doomed(&self) -> bool {
        !self.doomed.is_none()
    }

    /// Ends a space, a bounded piece per call; after `Done` its id is stale. No CPU runs on its roots any more, and no guest shows its
    /// window: the caller's business.
    ///
    /// # Errors
    /// `Stale`.
    pub fn space_destroy<C: Charge>(&mut self, charge: &mut C, id: SpaceId) -> Result<Progress, Error> {
        self.spaces.get_mut(id).ok_or(Error::Stale)?.dying = true;
        let mut work = WORK;
        while let Some((position, at)) = self.spaces.get(id).and_then(|s| s.index.first(&self.ram)) {
            let record = Record::load(&self.ram, at);
            let (reached, _) = self.sweep_space(charge, id, (record.start, record.end), Sweep::Clear, &mut work);
            if reached < record.end {
                self.trim_front(id, position, at, reached);
                return Ok(Progress::More(Shootdown::All));
            }
            self.drop_record(charge, id, position, at);
            work = work.saturating_sub(8);
        }
        self.free_roots(charge, id);
        self.spaces.remove(id);
        Ok(Progress::Done(Shootdown::All))
    }

    fn free_roots<C: Charge>(&mut self, charge: &mut C, id: SpaceId) {
        let Some(space) = self.spaces.get(id) else { return };
        let budget: BudgetId = space.budget;
        let other = match space.kind {
            SpaceKind::Guest => space.second,
            SpaceKind::Native => {
                let level = M::Format::LEVELS - 1;
                match M::Format::decode(level, self.ram.read(space.root, slot(space.window.start, level))) {
                    crate::Decoded::Node(table) => table,
                    _ => Frame::NONE,
                }
            }
        };
        let root = space.root;
        let mut pool = Pool { ram: &self.ram, frames: &mut self.frames, charge };
        pool.free(root, budget);
        if !other.is_none() {
            pool.free(other, budget);
        }
    }
}
