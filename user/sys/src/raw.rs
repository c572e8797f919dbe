//! The `syscall` instruction, once per register shape. `docs/abi.md`, "Entry".
//!
//! In: `rax` operation and flags, `rdi` first argument, `rsi rdx r10 r8 r9 r12 r13 r14` words 0..7. Out: the same registers; `rcx` and
//! `r11` are destroyed. Words that a shape does not take go in as zero. No stub is `nomem`: the kernel reads and writes the message
//! page and whatever buffer an argument names.

use core::arch::asm;
use sal_abi::{Error, Op, Words, error};

/// What the registers hold after a call.
#[derive(Clone, Copy, Debug)]
pub struct Raw {
    /// Status register.
    pub status: i64,
    /// Second result register (badge, new handle).
    pub second: u64,
    /// Words; a shape that does not give them all leaves the rest zero.
    pub words: Words,
}

impl Raw {
    /// The status as a result.
    ///
    /// # Errors
    /// The kernel's.
    #[inline(always)]
    pub const fn status(&self) -> Result<u64, Error> {
        error::from_status(self.status)
    }
}

/// All eight words in and out: messages and calls with many arguments.
///
/// # Safety
/// What the operation does to this program's memory and mappings is the caller's to answer for.
#[inline(always)]
pub unsafe fn syscall8(operation: u64, a0: u64, w: &Words) -> Raw {
    let (status, second): (i64, u64);
    let [mut w0, mut w1, mut w2, mut w3, mut w4, mut w5, mut w6, mut w7] = *w;
    // SAFETY: the register contract of docs/abi.md is spelled out; the effects are promised by the caller.
    unsafe {
        asm!("syscall",
            inlateout("rax") operation => status, inlateout("rdi") a0 => second,
            inlateout("rsi") w0, inlateout("rdx") w1, inlateout("r10") w2, inlateout("r8") w3,
            inlateout("r9") w4, inlateout("r12") w5, inlateout("r13") w6, inlateout("r14") w7,
            lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    Raw { status, second, words: [w0, w1, w2, w3, w4, w5, w6, w7] }
}

/// Up to four words in and out.
///
/// # Safety
/// As [`syscall8`].
#[inline(always)]
pub unsafe fn syscall4(operation: Op, a0: u64, w: [u64; 4]) -> Raw {
    let (status, second): (i64, u64);
    let [mut w0, mut w1, mut w2, mut w3] = w;
    // SAFETY: as in `syscall8`.
    unsafe {
        asm!("syscall",
            inlateout("rax") operation as u64 => status, inlateout("rdi") a0 => second,
            inlateout("rsi") w0, inlateout("rdx") w1, inlateout("r10") w2, inlateout("r8") w3,
            inlateout("r9") 0u64 => _, inlateout("r12") 0u64 => _, inlateout("r13") 0u64 => _,
            inlateout("r14") 0u64 => _,
            lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    Raw { status, second, words: [w0, w1, w2, w3, 0, 0, 0, 0] }
}

/// The first argument alone; no word comes back.
///
/// # Safety
/// As [`syscall8`].
#[inline(always)]
pub unsafe fn syscall1(operation: Op, a0: u64) -> Raw {
    let (status, second): (i64, u64);
    // SAFETY: as in `syscall8`.
    unsafe {
        asm!("syscall",
            inlateout("rax") operation as u64 => status, inlateout("rdi") a0 => second,
            inlateout("rsi") 0u64 => _, inlateout("rdx") 0u64 => _, inlateout("r10") 0u64 => _,
            inlateout("r8") 0u64 => _, inlateout("r9") 0u64 => _, inlateout("r12") 0u64 => _,
            inlateout("r13") 0u64 => _, inlateout("r14") 0u64 => _,
            lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    Raw { status, second, words: [0; 8] }
}

/// The calling thread's stack pointer.
#[inline(always)]
pub fn stack_pointer() -> u64 {
    let sp: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, rsp", out(reg) sp, options(nomem, nostack, preserves_flags)) };
    sp
}

/// The processor's time-stamp counter.
#[inline(always)]
pub fn ticks() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a counter; the kernel leaves CR4.TSD clear.
    unsafe { asm!("rdtsc", out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags)) };
    u64::from(high) << 32 | u64::from(low)
}
