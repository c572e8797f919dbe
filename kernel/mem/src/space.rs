//! `Space`: an address space: page tables and the mapping records ordered by address.

use crate::index::{Index, Position};
use crate::records::{Field, RecordRef, Slab};
use crate::{BudgetId, Frame, Id, PAGE, Ram};

/// Names a space.
pub type SpaceId = Id<Space>;

/// Which half of the root a space owns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpaceKind {
    /// The native window (servers), one entry of one root.
    Native,
    /// The guest half, shared by two roots.
    Guest,
}

/// Addresses `start..end`, whole entries of the root table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// First address.
    pub start: u64,
    /// First address after it.
    pub end: u64,
}

impl Window {
    /// Does `address..address + length` lie in it?
    pub fn holds(&self, address: u64, length: u64) -> bool {
        address >= self.start && address <= self.end && length <= self.end - address
    }
}

/// Where the halves lie: the architecture's numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// The guest half.
    pub guest: Window,
    /// The native window: exactly one entry of the root table.
    pub native: Window,
}

impl Layout {
    /// The window of a kind of space.
    pub fn window(&self, kind: SpaceKind) -> Window {
        match kind {
            SpaceKind::Native => self.native,
            SpaceKind::Guest => self.guest,
        }
    }
}

/// One address space.
#[derive(Clone, Copy, Debug)]
pub struct Space {
    pub(crate) kind: SpaceKind,
    pub(crate) budget: BudgetId,
    pub(crate) window: Window,
    /// The root with this space's half (and the kernel's) alone.
    pub(crate) root: Frame,
    /// Guest: the root that has the attached process's native window too.
    pub(crate) second: Frame,
    /// Page-table frames, roots included.
    pub(crate) tables: u64,
    /// Leaves.
    pub(crate) pages: u64,
    pub(crate) index: Index,
    pub(crate) slab: Slab,
    /// The record found last.
    pub(crate) hot: RecordRef,
    /// The level-0 table used last and which 2 MiB it maps.
    pub(crate) hot_table: Frame,
    pub(crate) hot_table_at: u64,
    /// Nobody names it any more: nothing new may be mapped.
    pub(crate) dying: bool,
    /// Next one to be reaped.
    pub(crate) next_doomed: SpaceId,
}

impl Space {
    /// An empty one; its window's top table or second root is there.
    pub(crate) fn new(kind: SpaceKind, budget: BudgetId, window: Window, (root, second): (Frame, Frame)) -> Space {
        Space {
            kind,
            budget,
            window,
            root,
            second,
            tables: 2,
            pages: 0,
            index: Index::default(),
            slab: Slab::default(),
            hot: RecordRef::NONE,
            hot_table: Frame::NONE,
            hot_table_at: 0,
            dying: false,
            next_doomed: SpaceId::NONE,
        }
    }

    /// The root with this space's half alone: a native program's, or the one on which the guest runs.
    #[inline(always)]
    pub fn root(&self) -> Frame {
        self.root
    }

    /// A guest's root with the native window of the process that attached it; a native space's only root.
    #[inline(always)]
    pub fn attached_root(&self) -> Frame {
        if self.second.is_none() { self.root } else { self.second }
    }

    /// Pages mapped, page-table frames, mappings.
    pub fn info(&self) -> [u64; 3] {
        [self.pages, self.tables, self.index.records]
    }

    /// Who pays for it.
    pub fn budget(&self) -> BudgetId {
        self.budget
    }

    /// The record that maps an address. Bound: two binary searches.
    pub(crate) fn find<R: Ram>(&mut self, ram: &R, address: u64) -> Option<RecordRef> {
        if !self.hot.is_none() && contains(ram, self.hot, address) {
            return Some(self.hot);
        }
        let (_, record) = self.index.at_or_below(ram, address)?;
        if !contains(ram, record, address) {
            return None;
        }
        self.hot = record;
        Some(record)
    }

    /// The first record that ends above an address, and its position.
    pub(crate) fn find_from<R: Ram>(&self, ram: &R, address: u64) -> Option<(Position, RecordRef)> {
        match self.index.at_or_below(ram, address) {
            Some((position, record)) if record.get(ram, Field::End) > address => Some((position, record)),
            Some((position, _)) => self.index.after(ram, position),
            None => self.index.first(ram),
        }
    }
}

#[inline(always)]
fn contains<R: Ram>(ram: &R, record: RecordRef, address: u64) -> bool {
    record.get(ram, Field::Start) <= address && address < record.get(ram, Field::End)
}

/// Is it a multiple of the page size?
#[inline(always)]
pub(crate) const fn aligned(n: u64) -> bool {
    n.is_multiple_of(PAGE)
}
