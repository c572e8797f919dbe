//! Address-space roots and what the CPU remembers of page tables. Other CPUs are told by the kernel core (shootdown).
#![allow(unsafe_code)]

use core::arch::asm;

/// Loads a root: its physical address.
///
/// # Safety
/// The root must hold the kernel's shared entries, and stay allocated as long as a CPU has it loaded.
pub unsafe fn load_root(root: u64) {
    // SAFETY: the caller's promise: kernel code and data stay mapped where they are.
    unsafe { asm!("mov cr3, {}", in(reg) root, options(nostack, preserves_flags)) }
}

/// The root in use.
pub fn root() -> u64 {
    let root;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, cr3", out(reg) root, options(nomem, nostack, preserves_flags)) }
    root
}

/// Forgets one page of the current space.
pub fn flush_page(address: u64) {
    // SAFETY: forgetting a translation is always right.
    unsafe { asm!("invlpg [{}]", in(reg) address, options(nostack, preserves_flags)) }
}

/// Forgets every page of the current space that is not the kernel's.
pub fn flush_space() {
    // SAFETY: the same root again.
    unsafe { load_root(root()) }
}
