//! `Memory`: a sparse array of pages.

use crate::radix::Tree;
use crate::records::RecordRef;
use crate::{BudgetId, Cache, Frame, Id, PAGE, SpaceId};

/// Names a memory.
pub type MemoryId = Id<Memory>;

/// Where a memory's missing pages come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The kernel fills them with zeroes, from the memory's budget.
    ZeroFill,
    /// A pager brings them: its endpoint and the badge that it sees, both the caller's words.
    Paged {
        /// Not interpreted here.
        endpoint: u64,
        /// Not interpreted here.
        badge: u64,
    },
    /// None is missing: physical frames in a row that are nobody's to free (boot image, device).
    Fixed {
        /// The frame of offset 0.
        first: Frame,
        /// How mappings access it.
        cache: Cache,
    },
}

/// How the mapping records of a memory lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Layered {
    /// All in one space with `address = offset + delta`: the space's index finds those of a page.
    Uniform { space: SpaceId, delta: i128 },
    /// Otherwise: the list has to be read.
    Mixed,
}

/// One memory object.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    pub(crate) kind: Kind,
    pub(crate) budget: BudgetId,
    /// Length in bytes.
    pub(crate) length: u64,
    pub(crate) tree: Tree,
    /// First mapping record that uses it, in whichever role.
    pub(crate) list: RecordRef,
    pub(crate) mappings: u64,
    /// Those of them that use it as upper memory, and so show another's page where it has none.
    pub(crate) as_upper: u64,
    pub(crate) layered: Layered,
    /// Its last handle was closed: it goes when the last mapping has gone.
    pub(crate) closed: bool,
    /// Next one to be reaped.
    pub(crate) next_doomed: MemoryId,
}

impl Memory {
    pub(crate) fn new(kind: Kind, budget: BudgetId, length: u64) -> Memory {
        Memory {
            kind,
            budget,
            length,
            tree: Tree::default(),
            list: RecordRef::NONE,
            mappings: 0,
            as_upper: 0,
            layered: Layered::Mixed,
            closed: false,
            next_doomed: MemoryId::NONE,
        }
    }

    /// Does the length reach into this page?
    #[inline(always)]
    pub(crate) fn reaches(&self, page: u64) -> bool {
        page < self.length.div_ceil(PAGE)
    }

    /// Length in bytes, pages present.
    pub fn info(&self) -> [u64; 2] {
        [self.length, self.tree.present]
    }
}
