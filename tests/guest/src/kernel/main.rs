//! Tests of the kernel, run as the root task of a boot image that holds nothing else: no service stands between a test and the kernel.
//!
//! The command line names a group (`arg=NAME`); each of its tests says `test GROUP/NAME ok [figures]` or `test GROUP/NAME FAILED reason` on the log. A
//! test that needs another address space starts this same program again from the boot image, as a child with a [`roles::Role`].
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
mod child;
#[cfg(target_os = "none")]
mod crew;
#[cfg(target_os = "none")]
mod handles;
#[cfg(target_os = "none")]
mod harness;
#[cfg(target_os = "none")]
mod heir;
#[cfg(target_os = "none")]
mod memory;
#[cfg(target_os = "none")]
mod message;
#[cfg(target_os = "none")]
mod order;
#[cfg(target_os = "none")]
mod roles;
#[cfg(target_os = "none")]
mod step;
#[cfg(target_os = "none")]
mod stress;

#[cfg(target_os = "none")]
sal_rt::entry!(harness::main);

#[cfg(not(target_os = "none"))]
fn main() {}
