//! [`Vm`]: the value that holds it all.

use crate::pool::Pool;
use crate::tables::{Sweep, slot};
use crate::{
    Access, Arena, Budget, BudgetId, Error, Frame, FrameRange, Frames, Kind, Layout, Memory, MemoryId, PageFormat, Ram,
    Slot, Space, SpaceId, SpaceKind, Store, Use, Window, walk,
};

/// How much one call may do, in pages looked at (or records): some 20,000 instructions.
pub const WORK: u64 = 1024;

/// The machine, as types.
pub trait Machine {
    /// Physical memory.
    type Ram: Ram;
    /// Page-table words.
    type Format: PageFormat;
    /// Where memory objects lie.
    type Memories: Store<Slot<Memory>>;
    /// Where spaces lie.
    type Spaces: Store<Slot<Space>>;
    /// Where budgets lie.
    type Budgets: Store<Slot<Budget>>;
}

/// What other CPUs (and this one) may still remember of page tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Shootdown {
    /// Nothing that matters.
    #[default]
    None,
    /// This page of the space that was acted on.
    Page(u64),
    /// Anything, of any space.
    All,
}

impl Shootdown {
    /// Both.
    #[must_use]
    pub fn and(self, other: Shootdown) -> Shootdown {
        match (self, other) {
            (Shootdown::None, one) | (one, Shootdown::None) => one,
            (a, b) if a == b => a,
            _ => Shootdown::All,
        }
    }
}

/// What handles name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Object {
    /// A memory.
    Memory(MemoryId),
    /// A space.
    Space(SpaceId),
    /// A budget.
    Budget(BudgetId),
}

/// Frames, budgets, memories and spaces of the machine.
pub struct Vm<M: Machine> {
    pub(crate) pool: Pool<M>,
    pub(crate) memories: Arena<Memory, M::Memories>,
    pub(crate) spaces: Arena<Space, M::Spaces>,
    pub(crate) layout: Layout,
    /// A root table with the kernel's half, copied into every new root.
    pub(crate) template: Frame,
    /// Closed memories and spaces to be taken apart, each the first of a list.
    pub(crate) doomed: (MemoryId, SpaceId),
}

impl<M: Machine> Vm<M> {
    /// Takes over the machine's free frames. `template`: a root table whose kernel half every space shows (and whose other words are 0).
    ///
    /// # Errors
    /// `BadArgument` if the frames can't even hold their metadata.
    pub fn new(
        ram: M::Ram,
        map: &[FrameRange],
        (memories, spaces, budgets): (M::Memories, M::Spaces, M::Budgets),
        layout: Layout,
        template: Frame,
    ) -> Result<Self, Error> {
        let frames = Frames::new(&ram, map)?;
        let pool = Pool { ram, frames, budgets: Arena::new(budgets), shootdown: Shootdown::None };
        let doomed = (MemoryId::NONE, SpaceId::NONE);
        Ok(Vm { pool, memories: Arena::new(memories), spaces: Arena::new(spaces), layout, template, doomed })
    }

    /// The machine's memory.
    #[inline(always)]
    pub fn ram(&self) -> &M::Ram {
        &self.pool.ram
    }

    /// The frames, to be asked for numbers.
    pub fn frames(&self) -> &Frames {
        &self.pool.frames
    }

    /// What must be forgotten, here and by other CPUs, before anybody relies on what was done since the last time. An operation that failed
    /// may leave something, too.
    pub fn take_shootdown(&mut self) -> Shootdown {
        core::mem::take(&mut self.pool.shootdown)
    }

    /// One memory.
    pub fn memory(&self, id: MemoryId) -> Option<&Memory> {
        self.memories.get(id)
    }

    /// One space.
    pub fn space(&self, id: SpaceId) -> Option<&Space> {
        self.spaces.get(id)
    }

    /// Where an access of user code in this space would go, by the page tables as they are.
    pub fn translate(&self, space: SpaceId, address: u64, access: Access) -> Option<(Frame, usize)> {
        let space = self.spaces.get(space)?;
        if !space.window.holds(address, 1) {
            return None;
        }
        walk::translate::<M::Ram, M::Format>(&self.pool.ram, space.root, address, access)
    }

    /// Says that since the last call every CPU has left the kernel at least once, and has forgotten what shootdowns told it to: frames
    /// freed before the last call may be used again.
    pub fn advance(&mut self) {
        self.pool.frames.advance(&self.pool.ram);
    }

    /// One budget.
    pub fn budget(&self, id: BudgetId) -> Option<&Budget> {
        self.pool.budgets.get(id)
    }

    /// Makes a budget of `frames` of another one's; `NONE`: of frames that are nobody's yet.
    ///
    /// # Errors
    /// `NoBudget`; `Full`, `NoFrames`: no slot for it.
    pub fn budget_create(&mut self, parent: BudgetId, frames: u64) -> Result<BudgetId, Error> {
        let Pool { ram, frames: all, budgets, .. } = &mut self.pool;
        budgets.make_room(ram, all)?;
        if !parent.is_none() {
            budgets.charge(parent, frames)?;
        }
        budgets.open(parent, frames)
    }

    /// Moves frames that are left from one budget to another: as if they had been given at its making.
    ///
    /// # Errors
    /// `NoBudget`; `Stale`.
    pub fn budget_transfer(&mut self, from: BudgetId, to: BudgetId, frames: u64) -> Result<(), Error> {
        self.pool.budgets.transfer(from, to, frames)
    }

    /// A frame for the kernel's own use, paid by a budget; its content is zero.
    ///
    /// # Errors
    /// `NoBudget`, `NoFrames`.
    pub fn take_frame(&mut self, budget: BudgetId) -> Result<Frame, Error> {
        self.pool.reserve(budget, 1)?;
        self.pool.take_zeroed(Use::Kernel)
    }

    /// Gives back what [`Vm::take_frame`] gave.
    ///
    /// # Errors
    /// `BadArgument` for a frame that it didn't give.
    pub fn give_frame(&mut self, budget: BudgetId, frame: Frame) -> Result<(), Error> {
        if self.pool.frames.usage(&self.pool.ram, frame) != Use::Kernel {
            return Err(Error::BadArgument);
        }
        self.pool.free(frame, budget);
        Ok(())
    }

    /// Makes a memory of `length` bytes.
    ///
    /// # Errors
    /// `BadArgument`: too long. `Full`, `NoFrames`: no slot for it.
    pub fn memory_create(&mut self, budget: BudgetId, kind: Kind, length: u64) -> Result<MemoryId, Error> {
        check_length(kind, length)?;
        self.memories.make_room(&self.pool.ram, &mut self.pool.frames)?;
        self.pool.budgets.hold(budget);
        self.memories.insert(Memory::new(kind, budget, length))
    }

    /// Makes a space: one root and the window's top table (native), or two roots (guest).
    ///
    /// # Errors
    /// `NoBudget`, `NoFrames`, `Full`.
    pub fn space_create(&mut self, budget: BudgetId, kind: SpaceKind) -> Result<SpaceId, Error> {
        self.spaces.make_room(&self.pool.ram, &mut self.pool.frames)?;
        self.pool.reserve(budget, 2)?;
        let (root, other) = (self.pool.take(Use::Table)?, self.pool.take_zeroed(Use::Table)?);
        let (ram, window) = (&self.pool.ram, self.layout.window(kind));
        ram.copy_frame(self.template, root);
        let mut second = Frame::NONE;
        match kind {
            SpaceKind::Native => ram.write(root, top_slot::<M>(window), M::Format::node(other)),
            SpaceKind::Guest => {
                ram.copy_frame(self.template, other);
                second = other;
            }
        }
        self.pool.budgets.hold(budget);
        self.spaces.insert(Space::new(kind, budget, window, (root, second)))
    }

    /// Shows a native space's window in a guest's second root, or (`None`) nothing any more.
    ///
    /// The caller detaches before the native space is destroyed, and sees to it that no CPU runs on a root while it changes.
    ///
    /// # Errors
    /// `Stale`; `BadArgument` if the kinds are wrong.
    pub fn attach(&mut self, guest: SpaceId, native: Option<SpaceId>) -> Result<(), Error> {
        let second = self.space_of(guest, SpaceKind::Guest)?.second;
        let at = top_slot::<M>(self.layout.native);
        let word = match native {
            Some(id) => self.pool.ram.read(self.space_of(id, SpaceKind::Native)?.root, at),
            None => 0,
        };
        self.pool.ram.write(second, at, word);
        Ok(())
    }

    fn space_of(&self, id: SpaceId, kind: SpaceKind) -> Result<&Space, Error> {
        let space = self.spaces.get(id).ok_or(Error::Stale)?;
        if space.kind == kind { Ok(space) } else { Err(Error::BadArgument) }
    }

    /// Does something to all leaves that show a part of a memory, in every space. Not bounded by itself: the range is at most 2 MiB.
    pub(crate) fn sweep_memory(&mut self, memory: MemoryId, range: (u64, u64), how: Sweep) {
        let (mut reach, mut unlimited) = (self.reach(memory, range), u64::MAX);
        while let Some((space, addresses)) = self.reach_next(&mut reach) {
            self.sweep_space(space, addresses, how, &mut unlimited);
        }
    }
}

fn check_length(kind: Kind, length: u64) -> Result<(), Error> {
    let pages = length.div_ceil(crate::PAGE);
    let last = match kind {
        Kind::Fixed { first, .. } => u64::from(first.0) + pages,
        _ => 0,
    };
    if pages > crate::radix::MAX_PAGES || last > u64::from(u32::MAX) {
        return Err(Error::BadArgument);
    }
    Ok(())
}

/// Which word of a root table leads to a window (its first, if it has more).
pub(crate) fn top_slot<M: Machine>(window: Window) -> usize {
    slot(window.start, M::Format::LEVELS - 1)
}
