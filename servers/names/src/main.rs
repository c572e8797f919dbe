//! Path prefixes and who serves them: a thin main over `sal-names-core`.
//!
//! Start-up page: `endpoint`, `vault`, `table`, and every statically mounted prefix under the prefix itself (its server's endpoint).
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod program;
#[cfg(target_os = "none")]
mod table;

#[cfg(target_os = "none")]
sal_rt::entry!(program::main);

/// Servers run on the bare target alone.
#[cfg(not(target_os = "none"))]
fn main() {}
