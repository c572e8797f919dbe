//! How the machine ends.
#![allow(unsafe_code)]

use crate::port;
use core::arch::asm;

/// QEMU's `isa-debug-exit`; other machines ignore the write.
const DEBUG_EXIT: u16 = 0xf4;

/// How it ended, as QEMU's exit status `value * 2 + 1` tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum End {
    /// In order: status 33.
    Order = 0x10,
    /// The boot image or the machine isn't fit: status 35.
    Refused = 0x11,
    /// A bug of the kernel: status 255.
    Bug = 0x7f,
}

/// Ends the machine, or halts this CPU for ever where nothing can end it.
pub fn end(how: End) -> ! {
    port::write::<u32>(DEBUG_EXIT, how as u32);
    halt()
}

/// Stops this CPU for ever.
pub fn halt() -> ! {
    loop {
        // SAFETY: stops this CPU; interrupts are off, so it stays so.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) }
    }
}
