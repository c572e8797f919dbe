//! [`Vm`]: the value that holds it all.

use crate::pool::Pool;
use crate::records::RecordRef;
use crate::tables::{Sweep, slot};
use crate::{
    Access, Arena, BudgetId, Charge, Error, Frame, FrameRange, Frames, Kind, Layout, Memory, MemoryId, PageFormat, Ram,
    Slot, Space, SpaceId, SpaceKind, Store, Use, walk,
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

    pub(crate) fn when(changed: bool) -> Shootdown {
        if changed { Shootdown::All } else { Shootdown::None }
    }
}

/// How far an operation on a range came: done when `bytes` is the length asked for, else call again for the rest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Done {
    /// From the range's start.
    pub bytes: u64,
    /// What must be forgotten before anybody relies on the change.
    pub shootdown: Shootdown,
}

/// Is an operation over?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Yes.
    Done(Shootdown),
    /// Call again.
    More(Shootdown),
}

/// Frames, memories and spaces of the machine.
pub struct Vm<M: Machine> {
    pub(crate) ram: M::Ram,
    pub(crate) frames: Frames,
    pub(crate) memories: Arena<Memory, M::Memories>,
    pub(crate) spaces: Arena<Space, M::Spaces>,
    pub(crate) layout: Layout,
    /// A root table with the kernel's half, copied into every new root.
    pub(crate) template: Frame,
    /// Closed memories to be taken apart.
    pub(crate) doomed: MemoryId,
}

impl<M: Machine> Clone for Vm<M>
where
    M::Ram: Clone,
    M::Memories: Clone,
    M::Spaces: Clone,
    Arena<Memory, M::Memories>: Clone,
    Arena<Space, M::Spaces>: Clone,
{
    fn clone(&self) -> Self {
        Vm {
            ram: self.ram.clone(),
            frames: self.frames.clone(),
            memories: self.memories.clone(),
            spaces: self.spaces.clone(),
            layout: self.layout,
            template: self.template,
            doomed: self.doomed,
        }
    }
}

impl<M: Machine> Vm<M> {
    /// Takes over the machine's free frames. `template`: a root table whose kernel half every space shows (and whose other words are 0).
    ///
    /// # Errors
    /// `BadArgument` if the frames can't even hold their metadata.
    pub fn new(
        ram: M::Ram,
        map: &[FrameRange],
        (memories, spaces): (M::Memories, M::Spaces),
        layout: Layout,
        template: Frame,
    ) -> Result<Self, Error> {
        let frames = Frames::new(&ram, map)?;
        let (memories, spaces) = (Arena::new(memories), Arena::new(spaces));
        Ok(Vm { ram, frames, memories, spaces, layout, template, doomed: MemoryId::NONE })
    }

    /// The machine's memory.
    #[inline(always)]
    pub fn ram(&self) -> &M::Ram {
        &self.ram
    }

    /// The frames, to be asked for numbers.
    pub fn frames(&self) -> &Frames {
        &self.frames
    }

    /// One memory.
    #[inline]
    pub fn memory(&self, id: MemoryId) -> Option<&Memory> {
        self.memories.get(id)
    }

    /// One space.
    #[inline]
    pub fn space(&self, id: SpaceId) -> Option<&Space> {
        self.spaces.get(id)
    }

    /// Where an access of user code in this space would go, by the page tables as they are.
    #[inline]
    pub fn translate(&self, space: SpaceId, address: u64, access: Access) -> Option<(Frame, usize)> {
        let space = self.spaces.get(space)?;
        if !space.window.holds(address, 1) {
            return None;
        }
        walk::translate::<M::Ram, M::Format>(&self.ram, space.root, address, access)
    }

    /// Says that since the last call every CPU has left the kernel at least once, and has forgotten what shootdowns told it to: frames
    /// freed before the last call may be used again.
    #[inline]
    pub fn advance(&mut self) {
        self.frames.advance(&self.ram);
    }

    /// A frame for the kernel's own use, paid by a budget; its content is zero.
    ///
    /// # Errors
    /// `NoBudget`, `NoFrames`.
    pub fn take_frame<C: Charge>(&mut self, charge: &mut C, budget: BudgetId) -> Result<Frame, Error> {
        let mut pool = Pool { ram: &self.ram, frames: &mut self.frames, charge };
        pool.reserve(budget, 1)?;
        pool.take_zeroed(Use::Kernel)
    }

    /// Gives back what [`Vm::take_frame`] gave.
    ///
    /// # Errors
    /// `BadArgument` for a frame that it didn't give.
    pub fn give_frame<C: Charge>(&mut self, charge: &mut C, budget: BudgetId, frame: Frame) -> Result<(), Error> {
        if self.frames.usage(&self.ram, frame) != Use::Kernel {
            return Err(Error::BadArgument);
        }
        Pool { ram: &self.ram, frames: &mut self.frames, charge }.free(frame, budget);
        Ok(())
    }

    /// Makes a memory of `length` bytes.
    ///
    /// # Errors
    /// `BadArgument`: too long. `Full`, `NoFrames`: no slot for it.
    pub fn memory_create(&mut self, budget: BudgetId, kind: Kind, length: u64) -> Result<MemoryId, Error> {
        check_length(kind, length)?;
        if self.memories.needs_frame() {
            let frame = arena_frame(&self.ram, &mut self.frames)?;
            if !self.memories.grow(frame) {
                self.frames.release(&self.ram, frame);
                return Err(Error::Full);
            }
        }
        self.memories.insert(Memory::new(kind, budget, length)).ok_or(Error::Full)
    }

    /// Makes a space: one root and the window's top table (native), or two roots (guest).
    ///
    /// # Errors
    /// `NoBudget`, `NoFrames`, `Full`.
    pub fn space_create<C: Charge>(
        &mut self,
        charge: &mut C,
        budget: BudgetId,
        kind: SpaceKind,
    ) -> Result<SpaceId, Error> {
        if self.spaces.needs_frame() {
            let frame = arena_frame(&self.ram, &mut self.frames)?;
            if !self.spaces.grow(frame) {
                self.frames.release(&self.ram, frame);
                return Err(Error::Full);
            }
        }
        let mut pool = Pool { ram: &self.ram, frames: &mut self.frames, charge };
        pool.reserve(budget, 2)?;
        let (root, other) = (pool.take(Use::Table)?, pool.take_zeroed(Use::Table)?);
        self.ram.copy_frame(self.template, root);
        let window = self.layout.window(kind);
        let mut second = Frame::NONE;
        match kind {
            SpaceKind::Native => {
                self.ram.write(root, slot(window.start, M::Format::LEVELS - 1), M::Format::node(other));
            }
            SpaceKind::Guest => {
                self.ram.copy_frame(self.template, other);
                second = other;
            }
        }
        let space = Space {
            kind,
            budget,
            window,
            root,
            second,
            tables: 2,
            pages: 0,
            index: Default::default(),
            slab: Default::default(),
            hot: RecordRef::NONE,
            hot_table: Frame::NONE,
            hot_table_at: 0,
            dying: false,
        };
        self.spaces.insert(space).ok_or(Error::Full)
    }

    /// Shows a native space's window in a guest's second root, or (`None`) nothing any more.
    ///
    /// The caller detaches before the native space is destroyed, and sees to it that no CPU runs on a root while it changes.
    ///
    /// # Errors
    /// `Stale`; `BadArgument` if the kinds are wrong.
    pub fn attach(&mut self, guest: SpaceId, native: Option<SpaceId>) -> Result<(), Error> {
        let second = match self.spaces.get(guest) {
            Some(space) if space.kind == SpaceKind::Guest => space.second,
            Some(_) => return Err(Error::BadArgument),
            None => return Err(Error::Stale),
        };
        let at = slot(self.layout.native.start, M::Format::LEVELS - 1);
        let word = match native.map(|id| self.spaces.get(id)) {
            None => 0,
            Some(Some(space)) if space.kind == SpaceKind::Native => self.ram.read(space.root, at),
            Some(Some(_)) => return Err(Error::BadArgument),
            Some(None) => return Err(Error::Stale),
        };
        self.ram.write(second, at, word);
        Ok(())
    }

    /// Does something to all leaves that show a part of a memory, in every space. Not bounded by itself: the range is at most 2 MiB.
    pub(crate) fn sweep_memory<C: Charge>(
        &mut self,
        charge: &mut C,
        memory: MemoryId,
        range: (u64, u64),
        how: Sweep,
    ) -> Shootdown {
        let mut changed = false;
        let mut reach = self.reach(memory, range);
        while let Some((space, addresses)) = self.reach_next(&mut reach) {
            let Some(space) = self.spaces.get_mut(space) else {
                continue;
            };
            let mut pool = Pool { ram: &self.ram, frames: &mut self.frames, charge };
            let mut unlimited = u64::MAX;
            changed |= space.sweep::<M::Ram, M::Format, C>(&mut pool, addresses, how, &mut unlimited).changed;
        }
        Shootdown::when(changed)
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

/// Room for more objects: the kernel's own, not charged.
fn arena_frame<R: Ram>(ram: &R, frames: &mut Frames) -> Result<Frame, Error> {
    let frame = frames.take(ram, Use::Kernel)?;
    ram.zero(frame);
    Ok(frame)
}
