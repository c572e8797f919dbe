//! What this CPU can do, and switching its protections on.
#![allow(unsafe_code)]

use core::arch::asm;
use core::arch::x86_64::{__cpuid, __cpuid_count};
use x86_64::registers::control::{Cr0, Cr0Flags, Cr4, Cr4Flags};

/// Features that this kernel uses. Required ones are checked by [`Features::missing`].
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs, reason = "the names are the processor's")]
pub struct Features {
    pub nx: bool,
    pub fsgsbase: bool,
    pub syscall: bool,
    pub xsave: bool,
    pub smep: bool,
    pub smap: bool,
    pub umip: bool,
    pub pages_1g: bool,
    pub pcid: bool,
    pub x2apic: bool,
    pub tsc_deadline: bool,
    pub avx: bool,
    pub avx512: bool,
    pub invariant_tsc: bool,
}

const fn bit(value: u32, n: u32) -> bool {
    value >> n & 1 == 1
}

impl Features {
    /// Asks the processor.
    pub fn read() -> Features {
        let highest = __cpuid(0x8000_0000).eax;
        let one = __cpuid(1);
        let (seven_ebx, seven_ecx) = match __cpuid(0).eax {
            0..7 => (0, 0),
            _ => (__cpuid_count(7, 0).ebx, __cpuid_count(7, 0).ecx),
        };
        let seven = |n| bit(seven_ebx, n);
        let extended = __cpuid(0x8000_0001).edx;
        let xsave = bit(one.ecx, 26);
        Features {
            nx: bit(extended, 20),
            syscall: bit(extended, 11),
            pages_1g: bit(extended, 26),
            fsgsbase: seven(0),
            smep: seven(7),
            smap: seven(20),
            avx512: seven(16),
            umip: bit(seven_ecx, 2),
            xsave,
            avx: bit(one.ecx, 28),
            pcid: bit(one.ecx, 17),
            x2apic: bit(one.ecx, 21),
            tsc_deadline: bit(one.ecx, 24),
            invariant_tsc: highest >= 0x8000_0007 && bit(__cpuid(0x8000_0007).edx, 8),
        }
    }

    /// The first feature that the kernel can't do without and this CPU lacks.
    pub fn missing(&self) -> Option<&'static str> {
        let required = [(self.nx, "NX"), (self.syscall, "SYSCALL"), (self.fsgsbase, "FSGSBASE"), (self.xsave, "XSAVE")];
        required.iter().find(|(has, _)| !has).map(|(_, name)| *name)
    }

    /// Protections that the kernel would use and this CPU lacks.
    pub fn unprotected(&self) -> impl Iterator<Item = &'static str> {
        let wanted = [(self.smep, "SMEP"), (self.smap, "SMAP"), (self.umip, "UMIP")];
        wanted.into_iter().filter(|(has, _)| !has).map(|(_, name)| name)
    }
}

/// The id of this CPU's interrupt controller at power-on.
pub(crate) fn initial_apic_id() -> u32 {
    __cpuid(1).ebx >> 24
}

/// A random word: the processor's where it has RDRAND, else as good as the time-stamp counter's low bits are.
pub fn random() -> u64 {
    if bit(__cpuid(1).ecx, 30) {
        for _ in 0..10 {
            let (word, ok): (u64, u8);
            // SAFETY: the processor has the instruction.
            unsafe { asm!("rdrand {}", "setc {}", out(reg) word, out(reg_byte) ok, options(nomem, nostack)) }
            if ok == 1 {
                return word;
            }
        }
    }
    let mixed = (tsc() ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ mixed >> 31
}

/// Time-stamp counter; not ordered with other instructions.
#[inline(always)]
pub fn tsc() -> u64 {
    // SAFETY: reads a counter.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Switches on what `features` has: write protection, global pages, no execution or access of user pages in the kernel, and so on.
///
/// # Safety
/// The final page tables must be loaded (root with PCID 0): user pages are out of the kernel's reach from here on.
pub unsafe fn protect(features: &Features) {
    use Cr0Flags as Zero;
    use Cr4Flags as Four;
    let zero = Zero::PAGING
        | Zero::ALIGNMENT_MASK
        | Zero::WRITE_PROTECT
        | Zero::NUMERIC_ERROR
        | Zero::EXTENSION_TYPE
        | Zero::MONITOR_COPROCESSOR
        | Zero::PROTECTED_MODE_ENABLE;
    let mut four = Four::PHYSICAL_ADDRESS_EXTENSION
        | Four::MACHINE_CHECK_EXCEPTION
        | Four::PAGE_GLOBAL
        | Four::OSFXSR
        | Four::OSXMMEXCPT_ENABLE
        | Four::FSGSBASE
        | Four::OSXSAVE;
    four.set(Four::USER_MODE_INSTRUCTION_PREVENTION, features.umip);
    four.set(Four::SUPERVISOR_MODE_EXECUTION_PROTECTION, features.smep);
    four.set(Four::SUPERVISOR_MODE_ACCESS_PREVENTION, features.smap);
    four.set(Four::PCID, features.pcid);
    // SAFETY: every bit set is one that CPUID reports or that long mode implies; the caller's promise covers SMEP and SMAP.
    unsafe {
        Cr0::write_raw(zero.bits());
        Cr4::write_raw(four.bits());
    }
}
