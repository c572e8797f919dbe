//! Gives out memory objects: a thin main over `sal-ledger`.
//!
//! Start-up page: `endpoint`, `budget` (pays for every object), `vault`, `table`.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod objects;
#[cfg(target_os = "none")]
mod program;

#[cfg(target_os = "none")]
sal_rt::entry!(program::main);

/// Servers run on the bare target alone.
#[cfg(not(target_os = "none"))]
fn main() {}
