//! What this CPU can do, and switching its protections on.
#![allow(unsafe_code)]

use core::arch::x86_64::{__cpuid, __cpuid_count};
use x86_64::instructions::random::RdRand;
use x86_64::registers::control::{Cr0, Cr0Flags, Cr4, Cr4Flags};

/// An output register of `cpuid`.
#[derive(Clone, Copy)]
enum Output {
    Ebx,
    Ecx,
    Edx,
}

/// A feature that the kernel uses: its name, and the leaf, register and bit where the processor says that it has it.
#[derive(Clone, Copy)]
pub struct Feature(pub &'static str, u32, Output, u32);

const BASIC: u32 = 1;
const STRUCTURED: u32 = 7;
const EXTENDED: u32 = 0x8000_0001;
const POWER: u32 = 0x8000_0007;

pub(crate) const X2APIC: Feature = Feature("x2APIC", BASIC, Output::Ecx, 21);
pub(crate) const PCID: Feature = Feature("PCID", BASIC, Output::Ecx, 17);
pub(crate) const TSC_DEADLINE: Feature = Feature("TSC deadline", BASIC, Output::Ecx, 24);
pub(crate) const GIB_PAGES: Feature = Feature("pages of 1 GiB", EXTENDED, Output::Edx, 26);
pub(crate) const INVARIANT_TSC: Feature = Feature("invariant TSC", POWER, Output::Edx, 8);
const SMEP: Feature = Feature("SMEP", STRUCTURED, Output::Ebx, 7);
const SMAP: Feature = Feature("SMAP", STRUCTURED, Output::Ebx, 20);
const UMIP: Feature = Feature("UMIP", STRUCTURED, Output::Ecx, 2);

/// What the kernel can't do without.
const REQUIRED: [Feature; 4] = [
    Feature("NX", EXTENDED, Output::Edx, 20),
    Feature("SYSCALL", EXTENDED, Output::Edx, 11),
    Feature("FSGSBASE", STRUCTURED, Output::Ebx, 0),
    Feature("XSAVE", BASIC, Output::Ecx, 26),
];

impl Feature {
    /// Asks the processor.
    pub(crate) fn exists(self) -> bool {
        let Feature(_, leaf, output, bit) = self;
        if __cpuid(leaf & 0x8000_0000).eax < leaf {
            return false;
        }
        let all = __cpuid_count(leaf, 0);
        let word = match output {
            Output::Ebx => all.ebx,
            Output::Ecx => all.ecx,
            Output::Edx => all.edx,
        };
        word >> bit & 1 == 1
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
#[inline(always)]
pub fn tsc() -> u64 {
    // SAFETY: reads a counter.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Switches on what this CPU has: write protection, global pages, no execution or access of user pages in the kernel, and so on.
///
/// # Safety
/// The final page tables must be loaded (root with PCID 0): user pages are out of the kernel's reach from here on.
pub(crate) unsafe fn protect() {
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
    four.set(Four::USER_MODE_INSTRUCTION_PREVENTION, UMIP.exists());
    four.set(Four::SUPERVISOR_MODE_EXECUTION_PROTECTION, SMEP.exists());
    four.set(Four::SUPERVISOR_MODE_ACCESS_PREVENTION, SMAP.exists());
    four.set(Four::PCID, PCID.exists());
    // SAFETY: every bit set is one that CPUID reports or that long mode implies; the caller's promise covers SMEP and SMAP.
    unsafe {
        Cr0::write_raw(zero.bits());
        Cr4::write_raw(four.bits());
    }
}
