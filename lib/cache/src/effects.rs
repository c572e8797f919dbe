//! What the cache has its shell do, always after the commit that it follows from.
//!
//! What must hold: each effect may be performed twice. The shell reads "already so" as done: a page that is there (`Occupied`), a range that is
//! empty, a capability that is closed, a caller who waits no more.

use crate::ObjectId;

/// Names a kept Reply of the shell's: a faulting thread, or a `take_work` that waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Token(pub u64);

/// A file system's number: its row, in [0, [`crate::SYSTEMS`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct System(pub u32);

/// What a faulting thread is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It repeats its access; the page is there, or the fault is raised again.
    Repeat,
    /// Its access fails: the page can't be read, lies beyond the end, or the object is closed.
    Refused,
}

/// A work item: pages to be read into staging pages. `filled` names it by its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Work {
    /// Its number, never given to another.
    pub number: u64,
    /// The object; closed meanwhile, it may be unknown to the file system.
    pub object: ObjectId,
    /// The file, as the file system named it at `object`; 0 if the object is closed.
    pub file: u64,
    /// The first page, counted in the file.
    pub first: u32,
    /// How many pages, in [1, [`crate::WINDOW`]].
    pub count: u32,
    /// The first of as many staging pages in a row.
    pub staging: u32,
}

/// One thing to do. `kept` words are places of capabilities in the vault's table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Answer a waiting `take_work`.
    Give {
        /// Whose.
        token: Token,
        /// With what.
        work: Work,
    },
    /// Move a staging page into an object (`MemorySupply`).
    Supply {
        /// The object.
        object: ObjectId,
        /// Its capability.
        kept: u64,
        /// The page, counted in the object.
        page: u32,
        /// The staging memory's capability.
        from: u64,
        /// The page there.
        staging: u32,
    },
    /// A page that somebody asked for will not come (`MemoryRefuse`).
    Refuse {
        /// The object.
        object: ObjectId,
        /// Its capability.
        kept: u64,
        /// The page.
        page: u32,
    },
    /// Answer a faulting thread.
    Resume {
        /// Which.
        token: Token,
        /// With what.
        verdict: Verdict,
    },
    /// Give pages of an object back (`MemoryDiscard`).
    Discard {
        /// The object.
        object: ObjectId,
        /// Its capability.
        kept: u64,
        /// The first page.
        first: u32,
        /// How many; may reach beyond the end.
        count: u32,
    },
    /// Give staging pages back, so that whoever still writes there (a read of a dead file system's) reaches nobody's page.
    Empty {
        /// The staging memory's capability.
        from: u64,
        /// The first page.
        first: u32,
        /// How many.
        count: u32,
    },
    /// The object's memory gets another length (`MemoryResize`).
    Resize {
        /// The object.
        object: ObjectId,
        /// Its capability.
        kept: u64,
        /// Pages.
        pages: u32,
    },
    /// Close a capability in the vault's table.
    Release {
        /// Which.
        kept: u64,
    },
    /// Nobody waits with that Reply any more.
    Forget {
        /// Which.
        token: Token,
    },
    /// There is work and no `take_work` waits: raise the file system's notification.
    Notify {
        /// Whose.
        system: System,
    },
}

/// Why a page could not be supplied. Other effects don't fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failed {
    /// No frame or no budget for the tables that would hold it.
    NoMemory,
    /// The staging page is empty.
    Vacant,
}

/// The shell, as the cache sees it.
pub trait Shell {
    /// Does it, before it returns.
    ///
    /// # Errors
    /// A `Supply` that could not be done. Of other effects the result is not looked at.
    fn perform(&mut self, effect: Effect) -> Result<(), Failed>;
}
