//! What the kernel needs of an x86_64 machine: start-up, address spaces, traps, guests, interrupts, time, other CPUs, FPU state, ports.
//!
//! # What the image must supply
//! `extern "Rust"` symbols, named with `#[unsafe(no_mangle)]`:
//! - `fn kernel_main(machine: &'static Machine) -> !`: on the boot CPU, on its own kernel stack, final page tables, interrupts off. Every other CPU
//!   that [`smp::start_all`] starts idles until it is interrupted.
//! - `fn kernel_entry(event: u64, error: u64, address: u64)` (`extern "C"`): every trap from user mode, every interrupt; see [`trap`].
//!
//! # What must always hold
//! Interrupts are off in the kernel, except in the idle loop, which holds nothing. A per-CPU area belongs to its CPU alone. Nothing
//! above this crate names a register or a page-table bit. Parsers are pure and run on the host; the rest is the bare target's.
#![no_std]

#[cfg(test)]
#[macro_use]
extern crate std;

pub mod acpi;
pub mod bootinfo;
pub mod fpu;
pub mod frame;
pub mod layout;
pub mod paging;
pub mod spans;

#[cfg(target_os = "none")]
mod bare;
#[cfg(target_os = "none")]
pub use bare::*;
