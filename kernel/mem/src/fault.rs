//! Page faults: what an access needs is provided, in the mapping's memories and then in the page table.

use crate::memory::Layered;
use crate::pool::Pool;
use crate::radix::Entry;
use crate::records::{Field, RecordRef};
use crate::tables::Sweep;
use crate::{
    Cache, Error, Frame, Kind, Leaf, Machine, Memory, MemoryId, PAGE, PageFormat, Ram, Shootdown, SpaceId, Use, Vm, Who,
};
use sal_abi::Rights;

/// How memory is accessed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// A load.
    Read,
    /// A store.
    Write,
    /// An instruction fetch.
    Execute,
}

impl Access {
    /// The right that it takes.
    #[inline(always)]
    pub const fn right(self) -> Rights {
        match self {
            Access::Read => Rights::READ,
            Access::Write => Rights::WRITE,
            Access::Execute => Rights::EXECUTE,
        }
    }
}

/// What a pager is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PagerAsk {
    /// The memory that lacks a page.
    pub memory: MemoryId,
    /// Byte offset of the page.
    pub offset: u64,
    /// The memory's pager, as given at its creation.
    pub endpoint: u64,
    /// As given at its creation.
    pub badge: u64,
    /// Nobody had asked for this page yet.
    pub first: bool,
}

/// Why a fault could not be repaired.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The page is its pager's to bring; repeat the fault afterwards.
    NeedsPager(PagerAsk),
    /// Nothing is mapped there.
    NotMapped,
    /// The mapping doesn't allow it.
    Denied,
    /// Mapped, but the memory ends before.
    PastEnd,
    /// The memory's or the space's budget is spent.
    NoBudget,
    /// Free frames are in quarantine: repeat after [`Vm::advance`].
    NoFrames,
}

impl From<Error> for Outcome {
    fn from(e: Error) -> Outcome {
        match e {
            Error::NoBudget => Outcome::NoBudget,
            Error::NoFrames => Outcome::NoFrames,
            _ => Outcome::NotMapped,
        }
    }
}

impl From<Outcome> for Error {
    /// The error of an operation that ran into such an end.
    fn from(outcome: Outcome) -> Error {
        match outcome {
            Outcome::NeedsPager(_) => Error::Absent,
            Outcome::NoBudget => Error::NoBudget,
            Outcome::NoFrames => Error::NoFrames,
            _ => Error::BadAddress,
        }
    }
}

/// A page of a memory, ready to be shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Provided {
    pub(crate) frame: Frame,
    /// Nobody else holds it.
    pub(crate) writable: bool,
    pub(crate) cache: Cache,
}

impl Provided {
    /// A page that nobody else holds.
    fn own(frame: Frame) -> Provided {
        Provided { frame, writable: true, cache: Cache::Normal }
    }
}

/// Who wants a page: a fault renews its own page-table word itself, so it needs no sweep if no other mapping shows the page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Via {
    /// A fault; the table in which it will write a leaf must stay, even if a sweep empties it meanwhile.
    Fault(Frame),
    /// The kernel itself.
    Kernel,
}

impl<M: Machine> Vm<M> {
    /// Makes an access of user code possible, if the mappings allow it.
    ///
    /// Bound: the tables and nodes on the way, one page filled or copied; breaking the sharing of a page of a memory that is mapped
    /// at several places: its list of mappings.
    /// A page that was only made writable needs no shootdown: who still remembers it as read-only faults again and comes here.
    ///
    /// # Errors
    /// Why it isn't.
    #[inline]
    pub fn fault(&mut self, id: SpaceId, address: u64, access: Access) -> Result<(), Outcome> {
        let address = address & !(PAGE - 1);
        let space = self.spaces.get_mut(id).ok_or(Outcome::NotMapped)?;
        let record = space.find(&self.pool.ram, address).ok_or(Outcome::NotMapped)?;
        let rights = Rights(record.get(&self.pool.ram, Field::Rights) as u32);
        if !rights.has(access.right()) {
            return Err(Outcome::Denied);
        }
        let table = space.ensure_table(&mut self.pool, address)?;
        let page = self.provide((record, table), address, access).inspect_err(|_| self.unmake_table(id, address))?;
        self.show(id, table, address, rights, page);
        Ok(())
    }

    /// Writes the leaf.
    #[inline]
    fn show(&mut self, space: SpaceId, table: Frame, address: u64, rights: Rights, page: Provided) {
        let Some(space) = self.spaces.get_mut(space) else { return };
        let mask = if page.writable { Rights::ALL } else { Rights::READ.or(Rights::EXECUTE) };
        let leaf = Leaf { frame: page.frame, rights: rights.and(mask), who: Who::User, cache: page.cache };
        let old = space.put_leaf(&self.pool.ram, &self.pool.frames, table, address, M::Format::leaf(leaf));
        if old == 0 {
            return;
        }
        match M::Format::decode(0, old) {
            crate::Decoded::Leaf(old) if old.frame == page.frame && rights.and(mask).has(old.rights) => {}
            _ => self.pool.forget(Shootdown::Page(address)),
        }
    }

    /// A fault that failed leaves no empty tables behind.
    #[cold]
    fn unmake_table(&mut self, space: SpaceId, address: u64) {
        if let Some(space) = self.spaces.get_mut(space) {
            space.prune(&mut self.pool, address);
        }
    }

    /// The page that a mapping shows at an address.
    #[inline]
    fn provide(
        &mut self,
        (record, table): (RecordRef, Frame),
        address: u64,
        access: Access,
    ) -> Result<Provided, Outcome> {
        let (ram, via) = (&self.pool.ram, Via::Fault(table));
        let skip = address - record.get(ram, Field::Start);
        let lower = MemoryId::from_word(record.get(ram, Field::Lower));
        let lower_page = (record.get(ram, Field::LowerOffset) + skip) / PAGE;
        let upper = MemoryId::from_word(record.get(ram, Field::Upper));
        if upper.is_none() {
            return self.page(lower, lower_page, access, via);
        }
        let upper_page = (record.get(ram, Field::UpperOffset) + skip) / PAGE;
        let memory = self.memories.get_mut(upper).ok_or(Outcome::NotMapped)?;
        if memory.reaches(upper_page) && memory.tree.get(ram, upper_page) != Entry::Absent {
            return self.page(upper, upper_page, access, via);
        }
        if access == Access::Write {
            return self.copy_up((upper, upper_page), (lower, lower_page), via);
        }
        let page = self.page(lower, lower_page, access, via)?;
        Ok(Provided { writable: false, ..page })
    }

    /// A page of a memory, filled or made one's own as the access needs it.
    #[inline]
    pub(crate) fn page(&mut self, id: MemoryId, page: u64, access: Access, via: Via) -> Result<Provided, Outcome> {
        let memory = self.memories.get_mut(id).ok_or(Outcome::NotMapped)?;
        if !memory.reaches(page) {
            return Err(Outcome::PastEnd);
        }
        if let Kind::Fixed { first, cache } = memory.kind {
            return Ok(Provided { frame: Frame(first.0 + page as u32), writable: true, cache });
        }
        match (memory.tree.get(&self.pool.ram, page), memory.kind) {
            (Entry::Present(frame), _) => {
                let own = self.pool.frames.count(&self.pool.ram, frame) == 1;
                if own || access != Access::Write {
                    return Ok(Provided { writable: own, ..Provided::own(frame) });
                }
                self.own_page(id, page, frame, via)
            }
            (entry, Kind::Paged { endpoint, badge }) => {
                let first = entry == Entry::Absent;
                if first {
                    memory.ask(&mut self.pool, page)?;
                }
                Err(Outcome::NeedsPager(PagerAsk { memory: id, offset: page * PAGE, endpoint, badge, first }))
            }
            _ => {
                let frame = memory.fill(&mut self.pool, page, None)?;
                if memory.as_upper != 0 {
                    self.forget_elsewhere(id, page, via);
                }
                Ok(Provided::own(frame))
            }
        }
    }

    /// Ends the sharing of a page by a copy. Paid for already: each holder pays.
    fn own_page(&mut self, id: MemoryId, page: u64, shared: Frame, via: Via) -> Result<Provided, Outcome> {
        let memory = self.memories.get_mut(id).ok_or(Outcome::NotMapped)?;
        let frame = self.pool.frames.take(&self.pool.ram, Use::Data)?;
        self.pool.ram.copy_frame(shared, frame);
        self.pool.frames.count_up(&self.pool.ram, frame);
        self.pool.frames.count_down(&self.pool.ram, shared);
        memory.tree.replace(&self.pool.ram, page, Entry::Present(frame));
        self.forget_elsewhere(id, page, via);
        Ok(Provided::own(frame))
    }

    /// Mappings that show a page's old content must fault again; the one that faults now is renewed anyway.
    pub(crate) fn forget_elsewhere(&mut self, id: MemoryId, page: u64, via: Via) {
        let mixed = self.memories.get(id).is_some_and(|m| m.mappings != 0 && m.layered == Layered::Mixed);
        let range = (page * PAGE, (page + 1) * PAGE);
        match via {
            Via::Fault(table) if mixed => {
                self.pool.frames.count_up(&self.pool.ram, table);
                self.sweep_memory(id, range, Sweep::Clear);
                self.pool.frames.count_down(&self.pool.ram, table);
            }
            Via::Fault(_) => {}
            Via::Kernel => self.sweep_memory(id, range, Sweep::Clear),
        }
    }

    /// The first write to a page of a private mapping: copies the lower page into the upper memory.
    fn copy_up(
        &mut self,
        (upper, upper_page): (MemoryId, u64),
        (lower, lower_page): (MemoryId, u64),
        via: Via,
    ) -> Result<Provided, Outcome> {
        if !self.memories.get(upper).is_some_and(|m| m.reaches(upper_page)) {
            return Err(Outcome::PastEnd);
        }
        let source = self.source(lower, lower_page, via)?;
        let memory = self.memories.get_mut(upper).ok_or(Outcome::NotMapped)?;
        let frame = memory.fill(&mut self.pool, upper_page, source)?;
        self.forget_elsewhere(upper, upper_page, via);
        Ok(Provided::own(frame))
    }

    /// What a page of a lower memory holds: a frame, or zeroes (`None`).
    fn source(&mut self, id: MemoryId, page: u64, via: Via) -> Result<Option<Frame>, Outcome> {
        let memory = self.memories.get_mut(id).ok_or(Outcome::NotMapped)?;
        let absent = memory.kind == Kind::ZeroFill && memory.tree.get(&self.pool.ram, page) == Entry::Absent;
        if absent && memory.reaches(page) {
            return Ok(None);
        }
        self.page(id, page, Access::Read, via).map(|p| Some(p.frame))
    }
}

impl Memory {
    /// Puts a new page where none is: a copy of `from`, or zeroes. All or nothing.
    #[inline]
    pub(crate) fn fill<M: Machine>(
        &mut self,
        pool: &mut Pool<M>,
        page: u64,
        from: Option<Frame>,
    ) -> Result<Frame, Error> {
        let nodes = self.tree.missing(&pool.ram, page);
        pool.reserve(self.budget, 1 + nodes)?;
        let frame = pool.take(Use::Data)?;
        match from {
            Some(from) => pool.ram.copy_frame(from, frame),
            None => pool.ram.zero(frame),
        }
        pool.frames.count_up(&pool.ram, frame);
        self.tree.insert(pool, page, Entry::Present(frame))?;
        Ok(frame)
    }

    /// Notes that the pager was asked.
    fn ask<M: Machine>(&mut self, pool: &mut Pool<M>, page: u64) -> Result<(), Error> {
        let nodes = self.tree.missing(&pool.ram, page);
        pool.reserve(self.budget, nodes)?;
        self.tree.insert(pool, page, Entry::Asked)
    }
}
