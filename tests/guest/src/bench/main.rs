//! What the kernel's operations cost, run as the root task of a boot image that holds nothing else. Each figure is a line
//! `bench NAME TICKS cr3 LOADS wall NANOSECONDS`: ticks of the time-stamp counter per operation, which are instructions under `-icount shift=0`; loads of the
//! page-table root per operation, by the path that the operation takes; and the shortest of the rounds in nanoseconds.
//!
//! A partner in another address space is this same program again, as a child with a role.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
#[path = "../kernel/child.rs"]
#[allow(dead_code, reason = "shared with the tests, which use all of it")]
mod child;
#[cfg(target_os = "none")]
#[path = "../kernel/step.rs"]
mod harness;
#[cfg(target_os = "none")]
mod measure;
#[cfg(target_os = "none")]
mod partners;
#[cfg(target_os = "none")]
mod roles;

#[cfg(target_os = "none")]
sal_rt::entry!(measure::main);

#[cfg(not(target_os = "none"))]
fn main() {}
