//! What this CPU can do, and switching its protections on.
#![allow(unsafe_code)]

use core::arch::x86_64::{__cpuid, __cpuid_count};
use x86_64::instructions::random::RdRand;
use x86_64::registers::control::{Cr0, Cr4, Cr4Flags};

/// A feature that the kernel uses: its name, and the leaf, output register and bit where the processor says that it has it.
#[derive(Clone, Copy)]
pub(crate) struct Feature(&'static str, u32, usize, u32);

/// Places of the output registers of `cpuid`.
const EBX: usize = 1;
const ECX: usize = 2;
const EDX: usize = 3;
const BASIC: u32 = 1;
const STRUCTURED: u32 = 7;
const EXTENDED: u32 = 0x8000_0001;
const POWER: u32 = 0x8000_0007;

pub(crate) const X2APIC: Feature = Feature("x2APIC", BASIC, ECX, 21);
pub(crate) const TSC_DEADLINE: Feature = Feature("TSC deadline", BASIC, ECX, 24);
pub(crate) const GIB_PAGES: Feature = Feature("pages of 1 GiB", EXTENDED, EDX, 26);
pub(crate) const INVARIANT_TSC: Feature = Feature("invariant TSC", POWER, EDX, 8);
const SMEP: Feature = Feature("SMEP", STRUCTURED, EBX, 7);
const SMAP: Feature = Feature("SMAP", STRUCTURED, EBX, 20);
const UMIP: Feature = Feature("UMIP", STRUCTURED, ECX, 2);

/// What the kernel can't do without.
const REQUIRED: [Feature; 4] = [
    Feature("NX", EXTENDED, EDX, 20),
    Feature("SYSCALL", EXTENDED, EDX, 11),
    Feature("FSGSBASE", STRUCTURED, EBX, 0),
    Feature("XSAVE", BASIC, ECX, 26),
];

impl Feature {
    /// Asks the processor.
    pub(crate) fn exists(self) -> bool {
        let Feature(_, leaf, register, bit) = self;
        if __cpuid(leaf & 0x8000_0000).eax < leaf {
            return false;
        }
        let all = __cpuid_count(leaf, 0);
        [all.eax, all.ebx, all.ecx, all.edx].get(register).is_some_and(|word| word >> bit & 1 == 1)
    }
}

/// The first feature that the kernel can't do without and this CPU lacks.
pub(crate) fn missing() -> Option<&'static str> {
    REQUIRED.into_iter().find(|feature| !feature.exists()).map(|feature| feature.0)
}

/// Protections that the kernel would use and this CPU lacks.
pub(crate) fn unprotected() -> impl Iterator<Item = &'static str> {
    [SMEP, SMAP, UMIP].into_iter().filter(|feature| !feature.exists()).map(|feature| feature.0)
}

/// The id of this CPU's interrupt controller at power-on.
pub(crate) fn initial_apic_id() -> u32 {
    __cpuid(BASIC).ebx >> 24
}

/// A random word: the processor's where it has RDRAND, else as good as the time-stamp counter's low bits are.
pub fn random() -> u64 {
    let word = RdRand::new().and_then(|source| (0..10).find_map(|_| source.get_u64()));
    word.unwrap_or_else(|| {
        let mixed = (tsc() ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ mixed >> 31
    })
}

/// Time-stamp counter; not ordered with other instructions.
pub fn tsc() -> u64 {
    // SAFETY: reads a counter.
    unsafe { core::arch::x86_64::_rdtsc() }
}

const CR0: u64 = 1 << 31 | 1 << 18 | 1 << 16 | 1 << 5 | 1 << 4 | 1 << 1 | 1; // PG AM WP NE ET MP PE
const CR4: u64 = 1 << 5 | 1 << 6 | 1 << 7 | 1 << 9 | 1 << 10 | 1 << 16 | 1 << 18; // PAE MCE PGE OSFXSR OSXMMEXCPT FSGSBASE OSXSAVE

/// Switches on what this CPU has: write protection, global pages, no execution or access of user pages in the kernel, and so on.
///
/// # Safety
/// The final page tables must be loaded: user pages are out of the kernel's reach from here on.
pub(crate) unsafe fn protect() {
    let mut cr4 = Cr4Flags::from_bits_retain(CR4);
    cr4.set(Cr4Flags::USER_MODE_INSTRUCTION_PREVENTION, UMIP.exists());
    cr4.set(Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION, SMEP.exists());
    cr4.set(Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION, SMAP.exists());
    // SAFETY: every bit set is one that CPUID reports or that long mode implies; the caller's promise covers SMEP and SMAP.
    unsafe {
        Cr0::write_raw(CR0);
        Cr4::write_raw(cr4.bits());
    }
}
