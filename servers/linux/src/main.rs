//! The Linux personality: a thin, multi-threaded shell around `sal-linux-core`.
//!
//! One native thread per guest thread: it enters the guest, takes the lock, asks the core, lets go, and does what the core's step says. The
//! first thread stays behind as the [`door`]: terminal events, mounted prefixes, timers, the end. What must always hold here: under the lock
//! nobody waits for another server than the kernel; a native thread is attached to the address space that the core believes its task in.
//!
//! Start-up page: `endpoint`, `budget`, `memory` (files; without it the budget pays), `console`, `names`, `supervisor`, `module:ramdisk` (a tar archive: the root file system),
//! `module:manifest` (the command to run), `module:cmdline` (another one).
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
mod bank;
#[cfg(target_os = "none")]
mod counts;
#[cfg(target_os = "none")]
mod door;
#[cfg(target_os = "none")]
mod files;
#[cfg(target_os = "none")]
mod machine;
#[cfg(target_os = "none")]
mod mounts;
#[cfg(target_os = "none")]
mod pool;
#[cfg(target_os = "none")]
mod remote;
#[cfg(target_os = "none")]
mod shared;
#[cfg(target_os = "none")]
mod source;
#[cfg(target_os = "none")]
mod spaces;
#[cfg(target_os = "none")]
mod start;
#[cfg(target_os = "none")]
mod store;
#[cfg(target_os = "none")]
mod task;
#[cfg(target_os = "none")]
mod terminal;
#[cfg(target_os = "none")]
mod user;

#[cfg(target_os = "none")]
sal_rt::entry!(start::main);

/// Servers run on the bare target alone.
#[cfg(not(target_os = "none"))]
fn main() {}
