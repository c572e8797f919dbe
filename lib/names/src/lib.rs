//! The name server as a value: path prefixes and who serves them, kept in a vault.
//!
//! What must always hold here: prefixes are whole components ([`path`]), each mounted at most once; the table's generation grows with every change
//! and so does the changed prefix's; a death at any store leaves the table as it was before a change or after it. A capability is a number here:
//! whoever runs this puts it into a table that outlives him *before* it is committed, and closes what [`Names`] says is not used any more.
//!
//! No operation needs a memory of its answer: mounting the same server again changes nothing, and the rest says how the table is.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod path;
mod table;
#[cfg(test)]
mod tests;

pub use table::{Capabilities, Error, MOUNTS, Names, Resolved, VAULT_VERSION, Vault, WATCHERS};
