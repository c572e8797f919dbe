//! Reply objects: a place for a caller whose answer comes later, from any thread of the server.

use crate::cell::Cell;
use crate::objects::{Head, Object};
use crate::threads::Link;

/// A Reply object's slot.
#[derive(Debug, Default)]
pub struct Slot {
    head: Head,
    /// Who waits.
    pub(crate) cell: Cell,
    /// The endpoint that the caller called, to lend its servers priority.
    pub(crate) endpoint: Link,
}

impl Object for Slot {
    fn head(&self) -> &Head {
        &self.head
    }
}

impl Slot {
    /// A copy, for the host's tests.
    #[cfg(not(target_os = "none"))]
    pub(crate) fn duplicate(&self) -> Slot {
        Slot { head: self.head.duplicate(), cell: self.cell.duplicate(), endpoint: self.endpoint.duplicate() }
    }
}
