//! Handles: what a program names an object by.

/// Generation (high 32 bits) and index (low 32 bits) in the table of the process that uses it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Handle(pub u64);

impl Handle {
    /// Never valid.
    pub const NONE: Handle = Handle(0);

    /// From its parts.
    #[inline(always)]
    pub const fn new(generation: u32, index: u32) -> Handle {
        Handle((generation as u64) << 32 | index as u64)
    }

    /// Which slot of the table.
    #[inline(always)]
    pub const fn index(self) -> u32 {
        self.0 as u32
    }

    /// Which use of that slot; never 0 in a valid handle.
    #[inline(always)]
    pub const fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Is this the handle that names nothing?
    #[inline(always)]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}
