//! The objects themselves: made from this server's budget, kept in the vault's table.

use sal_rt::abi::{Error, Handle, PAGE, Rights};
use sal_rt::handle::Memory;
use sal_rt::sys::capability;

/// What a client may do with an object; its length stays this server's to change.
pub(crate) const GIVEN: Rights = Rights::READ.or(Rights::WRITE).or(Rights::EXECUTE).or(Rights::TRANSFER);

/// The vault's table.
#[derive(Clone, Copy)]
pub(crate) struct Table(pub(crate) Handle);

impl Table {
    /// Makes an object of `pages` and keeps it; its number. `None` if budget or table are spent: then nothing is left behind.
    pub(crate) fn make(self, pages: u64) -> Option<u64> {
        let object = Memory::create(pages * PAGE).ok()?;
        self.keep(&object)
    }

    /// Makes an object with the contents of `from`, copy on write, and keeps it.
    pub(crate) fn copy(self, from: u64, pages: u64) -> Option<u64> {
        let source = self.own(from).ok()?;
        let object = Memory::create(pages * PAGE).ok()?;
        object.clone_from(&source, pages * PAGE).ok()?;
        self.keep(&object)
    }

    fn keep(self, object: &Memory) -> Option<u64> {
        capability::grant(self.0, object.handle(), Rights::ALL, 0).ok().map(|theirs| theirs.0)
    }

    /// Number `kept` is not used any more.
    pub(crate) fn forget(self, kept: u64) {
        let _ = capability::discard(self.0, Handle(kept));
    }

    /// A handle of one's own to number `kept`.
    pub(crate) fn own(self, kept: u64) -> Result<Memory, Error> {
        capability::take(self.0, Handle(kept), Rights::ALL).map(Memory::own)
    }
}

/// The object is nobody's any more: its frames are given back whoever still holds it, so that nothing uncharged is in use.
pub(crate) fn empty(object: &Memory) {
    if object.resize(0).is_err() {
        let _ = object.discard();
    }
}
