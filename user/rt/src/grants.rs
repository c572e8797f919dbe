//! The named handles of the start-up page.

use core::sync::atomic::{AtomicBool, Ordering};
use sal_abi::Handle;
use sal_abi::boot::{ExitReason, Grant, Startup};

/// Looks grants up by name.
#[derive(Clone, Copy)]
pub struct Grants<'a>(pub &'a Startup);

impl<'a> Grants<'a> {
    /// Every grant, in the manifest's order.
    pub fn all(self) -> &'a [Grant] {
        let count = (self.0.count as usize).min(self.0.grants.len());
        self.0.grants.get(..count).unwrap_or(&[])
    }

    /// The grant of that name.
    pub fn get(self, name: &str) -> Option<&'a Grant> {
        self.all().iter().find(|grant| grant.name() == name.as_bytes())
    }

    /// Its handle; `NONE` if there is no such grant.
    pub fn find(self, name: &str) -> Handle {
        self.get(name).map_or(Handle::NONE, |grant| grant.handle)
    }

    /// The grant of that name; the program ends with a line that names it if the manifest did not give it.
    pub fn need(self, name: &str) -> &'a Grant {
        match self.get(name) {
            Some(grant) => grant,
            None => crate::start::die(
                ExitReason::MissingGrant,
                format_args!("this program needs a grant named `{name}`; its manifest entry has none"),
            ),
        }
    }

    /// The bytes of a module of the boot image, granted as `module:NAME`: its handle is their number (`proto estate`). `None` if it was not granted,
    /// or is a capability instead.
    pub fn module(self, name: &str) -> Option<&'static [u8]> {
        let grant = self.get(name).filter(|grant| grant.name().starts_with(b"module:") && grant.address != 0)?;
        // SAFETY: the root task mapped the module there, read-only, before this program's first instruction, for its whole life.
        Some(unsafe { core::slice::from_raw_parts(grant.address as *const u8, grant.handle.0 as usize) })
    }

    /// The vault's memory, mapped at the start by the grant `vault`. Once only: the second caller gets `None`, as does a program without a vault.
    pub fn vault(self) -> Option<&'static mut [u8]> {
        static TAKEN: AtomicBool = AtomicBool::new(false);
        let grant = self.get("vault").filter(|grant| grant.address != 0)?;
        let length = sal_sys::memory::memory_info(grant.handle).ok()?.length;
        if TAKEN.swap(true, Ordering::AcqRel) {
            return None;
        }
        // SAFETY: the root task mapped the whole memory there for good, for this process alone: its predecessor is gone (fence). `TAKEN` makes this
        // the only reference.
        Some(unsafe { core::slice::from_raw_parts_mut(grant.address as *mut u8, length as usize) })
    }
}
