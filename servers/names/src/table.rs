//! Capabilities in the vault's table, and this incarnation's own handles to them.

extern crate alloc;

use alloc::collections::BTreeMap;
use sal_names_core::Capabilities;
use sal_rt::abi::{Error, Handle, Rights};
use sal_rt::sys::capability;

/// The vault's table. Handles of one's own are made when first needed and kept.
pub(crate) struct Table {
    table: Handle,
    own: BTreeMap<u64, Handle>,
}

impl Table {
    /// Over the process without threads that was granted as `table`.
    pub(crate) fn new(table: Handle) -> Table {
        Table { table, own: BTreeMap::new() }
    }

    /// A handle of one's own to number `kept`.
    pub(crate) fn own(&mut self, kept: u64) -> Result<Handle, Error> {
        if let Some(handle) = self.own.get(&kept) {
            return Ok(*handle);
        }
        let handle = capability::take(self.table, Handle(kept), Rights::ALL)?;
        self.own.insert(kept, handle);
        Ok(handle)
    }
}

impl Capabilities for Table {
    type New = Handle;

    fn keep(&mut self, new: Handle) -> Option<u64> {
        capability::grant(self.table, new, Rights::ALL, 0).ok().map(|theirs| theirs.0)
    }

    fn is_same(&mut self, kept: u64, new: Handle) -> bool {
        let object =
            |handle| capability::identify(handle).map(|identity| (identity.kind, identity.object, identity.badge));
        self.own(kept).and_then(object).is_ok_and(|kept| object(new) == Ok(kept))
    }

    fn forget(&mut self, kept: u64) {
        if let Some(handle) = self.own.remove(&kept) {
            let _ = capability::close(handle);
        }
        let _ = capability::discard(self.table, Handle(kept));
    }
}
