//! A service that keeps a note: a new server at a path, for tests of what `names`, the manifest and the vault promise.
//!
//! Its folder, wherever it is mounted, has three files: `text` is the note, kept in the vault; `ctl` takes `lead PREFIX PATH`, which has
//! the name server lead PREFIX to whoever serves PATH from now on; `news` counts how often the name server told of a change since this incarnation began.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
mod files;
#[cfg(target_os = "none")]
mod program;

#[cfg(target_os = "none")]
sal_rt::entry!(program::main);

#[cfg(not(target_os = "none"))]
fn main() {}
