//! I/O ports. Who may use which port is decided by capabilities, not here.
#![allow(unsafe_code)]

use core::arch::asm;

/// Reads 8 bits.
#[inline(always)]
pub fn in8(port: u16) -> u8 {
    let value;
    // SAFETY: port input touches no memory of ours; what it does to the device is the caller's business.
    unsafe { asm!("in al, dx", in("dx") port, out("al") value, options(nomem, nostack, preserves_flags)) }
    value
}

/// Reads 16 bits.
#[inline(always)]
pub fn in16(port: u16) -> u16 {
    let value;
    // SAFETY: as for `in8`.
    unsafe { asm!("in ax, dx", in("dx") port, out("ax") value, options(nomem, nostack, preserves_flags)) }
    value
}

/// Reads 32 bits.
#[inline(always)]
pub fn in32(port: u16) -> u32 {
    let value;
    // SAFETY: as for `in8`.
    unsafe { asm!("in eax, dx", in("dx") port, out("eax") value, options(nomem, nostack, preserves_flags)) }
    value
}

/// Writes 8 bits.
#[inline(always)]
pub fn out8(port: u16, value: u8) {
    // SAFETY: as for `in8`.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack, preserves_flags)) }
}

/// Writes 16 bits.
#[inline(always)]
pub fn out16(port: u16, value: u16) {
    // SAFETY: as for `in8`.
    unsafe { asm!("out dx, ax", in("dx") port, in("ax") value, options(nomem, nostack, preserves_flags)) }
}

/// Writes 32 bits.
#[inline(always)]
pub fn out32(port: u16, value: u32) {
    // SAFETY: as for `in8`.
    unsafe { asm!("out dx, eax", in("dx") port, in("eax") value, options(nomem, nostack, preserves_flags)) }
}
