//! Starts, watches and restarts every service; `/svc`. The rules are `lib/supervise`'s; here they are tied to the kernel:
//!
//! - its one thread receives notifications, calls and its own ticks at one point;
//! - estate calls go down to the root task, which never waits; nobody else is ever called;
//! - the state lies in the vault; what is committed there is what a successor goes on from.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
mod estate;
#[cfg(target_os = "none")]
mod files;
#[cfg(target_os = "none")]
mod orders;
#[cfg(target_os = "none")]
mod raw;
#[cfg(target_os = "none")]
mod watch;

#[cfg(target_os = "none")]
sal_rt::entry!(watch::main);

#[cfg(not(target_os = "none"))]
fn main() {}
