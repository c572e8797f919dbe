//! What this CPU can do, and switching its protections on.
#![allow(unsafe_code)]

use core::arch::asm;
use core::arch::x86_64::{__cpuid, __cpuid_count};

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

/// Reads a model-specific register.
///
/// # Safety
/// The register must exist.
#[inline(always)]
pub unsafe fn read_msr(register: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: the caller says that it exists.
    unsafe {
        asm!("rdmsr", in("ecx") register, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags))
    }
    u64::from(high) << 32 | u64::from(low)
}

/// Writes a model-specific register.
///
/// # Safety
/// The register must exist, and what the value does must be sound.
#[inline(always)]
pub unsafe fn write_msr(register: u32, value: u64) {
    // SAFETY: the caller's promise.
    unsafe {
        asm!("wrmsr", in("ecx") register, in("eax") value as u32, in("edx") (value >> 32) as u32,
            options(nostack, preserves_flags));
    }
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

const CR0: u64 = 1 << 31 | 1 << 18 | 1 << 16 | 1 << 5 | 1 << 4 | 1 << 1 | 1; // PG AM WP NE ET MP PE
const CR4_BASE: u64 = 1 << 5 | 1 << 6 | 1 << 7 | 1 << 9 | 1 << 10 | 1 << 16 | 1 << 18; // PAE MCE PGE OSFXSR OSXMMEXCPT FSGSBASE OSXSAVE
const CR4_UMIP: u64 = 1 << 11;
const CR4_PCIDE: u64 = 1 << 17;
const CR4_SMEP: u64 = 1 << 20;
const CR4_SMAP: u64 = 1 << 21;

/// Switches on what `features` has: write protection, global pages, no execution or access of user pages in the kernel, and so on.
///
/// # Safety
/// The final page tables must be loaded (root with PCID 0): user pages are out of the kernel's reach from here on.
pub unsafe fn protect(features: &Features) {
    let mut cr4 = CR4_BASE;
    for (has, bits) in
        [(features.umip, CR4_UMIP), (features.smep, CR4_SMEP), (features.smap, CR4_SMAP), (features.pcid, CR4_PCIDE)]
    {
        if has {
            cr4 |= bits;
        }
    }
    // SAFETY: every bit set is one that CPUID reports or that long mode implies; the caller's promise covers SMEP and SMAP.
    unsafe {
        asm!("mov cr0, {}", in(reg) CR0, options(nostack));
        asm!("mov cr4, {}", in(reg) cr4, options(nostack));
    }
}
