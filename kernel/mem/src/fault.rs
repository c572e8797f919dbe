//! Page faults: what an access needs is provided, in the mapping's memories and then in the page table.

use crate::memory::Layered;
use crate::pool::Pool;
use crate::radix::Entry;
use crate::records::{Field, RecordRef};
use crate::tables::Sweep;
use crate::{
    BudgetId, Cache, Charge, Error, Frame, Kind, Leaf, Machine, Memory, MemoryId, PAGE, PageFormat, Ram, Shootdown,
    SpaceId, Use, Vm, Who,
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

/// How a fault ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The access will work now. A page that was only made writable needs no shootdown: who still remembers it as read-only faults
    /// again and comes here.
    Mapped(Shootdown),
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
    pub(crate) shootdown: Shootdown,
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
    #[inline]
    pub fn fault<C: Charge>(&mut self, charge: &mut C, space: SpaceId, address: u64, access: Access) -> Outcome {
        match self.try_fault(charge, space, address & !(PAGE - 1), access) {
            Ok(shootdown) => Outcome::Mapped(shootdown),
            Err(outcome) => outcome,
        }
    }

    #[inline]
    fn try_fault<C: Charge>(
        &mut self,
        charge: &mut C,
        id: SpaceId,
        address: u64,
        access: Access,
    ) -> Result<Shootdown, Outcome> {
        let space = self.spaces.get_mut(id).ok_or(Outcome::NotMapped)?;
        let record = space.find(&self.ram, address).ok_or(Outcome::NotMapped)?;
        let rights = Rights(record.get(&self.ram, Field::Rights) as u32);
        if !rights.has(access.right()) {
            return Err(Outcome::Denied);
        }
        let mut pool = Pool { ram: &self.ram, frames: &mut self.frames, charge };
        let table = space.ensure_table::<M::Ram, M::Format, C>(&mut pool, address)?;
        match self.provide(charge, (record, table), address, access) {
            Ok(page) => Ok(self.show(id, table, address, rights, page)),
            Err(outcome) => {
                self.unmake_table(charge, id, address);
                Err(outcome)
            }
        }
    }

    /// Writes the leaf.
    #[inline]
    fn show(&mut self, space: SpaceId, table: Frame, address: u64, rights: Rights, page: Provided) -> Shootdown {
        let Some(space) = self.spaces.get_mut(space) else {
            return page.shootdown;
        };
        let mask = if page.writable { Rights::ALL } else { Rights::READ.or(Rights::EXECUTE) };
        let leaf = Leaf { frame: page.frame, rights: rights.and(mask), who: Who::User, cache: page.cache };
        let old = space.put_leaf(&self.ram, &self.frames, table, address, M::Format::leaf(leaf));
        if old == 0 {
            return page.shootdown;
        }
        match M::Format::decode(0, old) {
            crate::Decoded::Leaf(old) if old.frame == page.frame && rights.and(mask).has(old.rights) => page.shootdown,
            _ => page.shootdown.and(Shootdown::Page(address)),
        }
    }

    /// A fault that failed leaves no empty tables behind.
    #[cold]
    fn unmake_table<C: Charge>(&mut self, charge: &mut C, space: SpaceId, address: u64) {
        let Some(space) = self.spaces.get_mut(space) else {
            return;
        };
        let mut pool = Pool { ram: &self.ram, frames: &mut self.frames, charge };
        space.prune::<M::Ram, M::Format, C>(&mut pool, address);
    }

    /// The page that a mapping shows at an address.
    #[inline]
    fn provide<C: Charge>(
        &mut self,
        charge: &mut C,
        (record, table): (RecordRef, Frame),
        address: u64,
        access: Access,
    ) -> Result<Provided, Outcome> {
        let (ram, via) = (&self.ram, Via::Fault(table));
        let skip = address - record.get(ram, Field::Start);
        let lower = MemoryId::from_word(record.get(ram, Field::Lower));
        let lower_page = (record.get(ram, Field::LowerOffset) + skip) / PAGE;
        let upper = MemoryId::from_word(record.get(ram, Field::Upper));
        if upper.is_none() {
            return self.page(charge, lower, lower_page, access, via);
        }
        let upper_page = (record.get(ram, Field::UpperOffset) + skip) / PAGE;
        let memory = self.memories.get_mut(upper).ok_or(Outcome::NotMapped)?;
        if memory.reaches(upper_page) && memory.tree.get(ram, upper_page) != Entry::Absent {
            return self.page(charge, upper, upper_page, access, via);
        }
        if access == Access::Write {
            return self.copy_up(charge, (upper, upper_page), (lower, lower_page), via);
        }
        let page = self.page(charge, lower, lower_page, access, via)?;
        Ok(Provided { writable: false, ..page })
    }

    /// A page of a memory, filled or made one's own as the access needs it.
    #[inline]
    pub(crate) fn page<C: Charge>(
        &mut self,
        charge: &mut C,
        id: MemoryId,
        page: u64,
        access: Access,
        via: Via,
    ) -> Result<Provided, Outcome> {
        let memory = self.memories.get_mut(id).ok_or(Outcome::NotMapped)?;
        if !memory.reaches(page) {
            return Err(Outcome::PastEnd);
        }
        let found = Provided { frame: Frame::NONE, writable: true, cache: Cache::Normal, shootdown: Shootdown::None };
        if let Kind::Fixed { first, cache } = memory.kind {
            return Ok(Provided { frame: Frame(first.0 + page as u32), cache, ..found });
        }
        let mut pool = Pool { ram: &self.ram, frames: &mut self.frames, charge };
        match (memory.tree.get(pool.ram, page), memory.kind) {
            (Entry::Present(frame), _) => {
                let own = pool.frames.count(pool.ram, frame) == 1;
                if own || access != Access::Write {
                    return Ok(Provided { frame, writable: own, ..found });
                }
                self.own_page(charge, id, page, frame, via)
            }
            (entry, Kind::Paged { endpoint, badge }) => {
                let first = entry == Entry::Absent;
                if first {
                    memory.ask(&mut pool, page)?;
                }
                Err(Outcome::NeedsPager(PagerAsk { memory: id, offset: page * PAGE, endpoint, badge, first }))
            }
            _ => {
                let frame = memory.fill(&mut pool, page, None)?;
                if memory.as_upper != 0 {
                    let shootdown = self.forget_elsewhere(charge, id, page, via);
                    return Ok(Provided { frame, shootdown, ..found });
                }
                Ok(Provided { frame, ..found })
            }
        }
    }

    /// Ends the sharing of a page by a copy. Paid for already: each holder pays.
    fn own_page<C: Charge>(
        &mut self,
        charge: &mut C,
        id: MemoryId,
        page: u64,
        shared: Frame,
        via: Via,
    ) -> Result<Provided, Outcome> {
        let memory = self.memories.get_mut(id).ok_or(Outcome::NotMapped)?;
        let frame = self.frames.take(&self.ram, Use::Data)?;
        self.ram.copy_frame(shared, frame);
        self.frames.count_up(&self.ram, frame);
        self.frames.count_down(&self.ram, shared);
        memory.tree.replace(&self.ram, page, Entry::Present(frame));
        let shootdown = self.forget_elsewhere(charge, id, page, via);
        Ok(Provided { frame, writable: true, cache: Cache::Normal, shootdown })
    }

    /// Mappings that show a page's old content must fault again; the one that faults now is renewed anyway.
    pub(crate) fn forget_elsewhere<C: Charge>(
        &mut self,
        charge: &mut C,
        id: MemoryId,
        page: u64,
        via: Via,
    ) -> Shootdown {
        let mixed = match self.memories.get(id) {
            Some(Memory { mappings: 0, .. }) | None => return Shootdown::None,
            Some(memory) => memory.layered == Layered::Mixed,
        };
        let range = (page * PAGE, (page + 1) * PAGE);
        match via {
            Via::Fault(_) if !mixed => Shootdown::None,
            Via::Fault(table) => {
                self.frames.count_up(&self.ram, table);
                let shootdown = self.sweep_memory(charge, id, range, Sweep::Clear);
                self.frames.count_down(&self.ram, table);
                shootdown
            }
            Via::Kernel => self.sweep_memory(charge, id, range, Sweep::Clear),
        }
    }

    /// The first write to a page of a private mapping: copies the lower page into the upper memory.
    fn copy_up<C: Charge>(
        &mut self,
        charge: &mut C,
        (upper, upper_page): (MemoryId, u64),
        (lower, lower_page): (MemoryId, u64),
        via: Via,
    ) -> Result<Provided, Outcome> {
        if !self.memories.get(upper).is_some_and(|m| m.reaches(upper_page)) {
            return Err(Outcome::PastEnd);
        }
        let source = self.source(charge, lower, lower_page, via)?;
        let memory = self.memories.get_mut(upper).ok_or(Outcome::NotMapped)?;
        let mut pool = Pool { ram: &self.ram, frames: &mut self.frames, charge };
        let frame = memory.fill(&mut pool, upper_page, source)?;
        let shootdown = self.forget_elsewhere(charge, upper, upper_page, via);
        Ok(Provided { frame, writable: true, cache: Cache::Normal, shootdown })
    }

    /// What a page of a lower memory holds: a frame, or zeroes (`None`).
    fn source<C: Charge>(
        &mut self,
        charge: &mut C,
        id: MemoryId,
        page: u64,
        via: Via,
    ) -> Result<Option<Frame>, Outcome> {
        let memory = self.memories.get_mut(id).ok_or(Outcome::NotMapped)?;
        let absent = memory.kind == Kind::ZeroFill && memory.tree.get(&self.ram, page) == Entry::Absent;
        if absent && memory.reaches(page) {
            return Ok(None);
        }
        self.page(charge, id, page, Access::Read, via).map(|p| Some(p.frame))
    }
}

impl Memory {
    /// Puts a new page where none is: a copy of `from`, or zeroes. All or nothing.
    #[inline]
    pub(crate) fn fill<R: Ram, C: Charge>(
        &mut self,
        pool: &mut Pool<'_, R, C>,
        page: u64,
        from: Option<Frame>,
    ) -> Result<Frame, Error> {
        let budget: BudgetId = self.budget;
        let nodes = self.tree.missing(pool.ram, page);
        pool.reserve(budget, 1 + nodes)?;
        let frame = pool.take(Use::Data)?;
        match from {
            Some(from) => pool.ram.copy_frame(from, frame),
            None => pool.ram.zero(frame),
        }
        pool.frames.count_up(pool.ram, frame);
        self.tree.insert(pool, page, Entry::Present(frame))?;
        Ok(frame)
    }

    /// Notes that the pager was asked.
    fn ask<R: Ram, C: Charge>(&mut self, pool: &mut Pool<'_, R, C>, page: u64) -> Result<(), Error> {
        let nodes = self.tree.missing(pool.ram, page);
        pool.reserve(self.budget, nodes)?;
        self.tree.insert(pool, page, Entry::Asked)
    }
}
