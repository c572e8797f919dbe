//! The named handles of the start-up page.

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
}
