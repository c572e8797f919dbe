//! FPU state: x87, SSE, AVX, and AVX-512 where the whole fits in `FPU_BYTES`. Standard XSAVE format (Intel SDM volume 1, 13.4).
//!
//! The kernel and servers never use these registers; a guest's stay in them until another thread with FPU state runs on the CPU.
#![cfg_attr(target_os = "none", allow(unsafe_code))]

use sal_abi::x86_64::{FPU_BYTES, FpuState};

const MXCSR_AT: usize = 24;
const HEADER_AT: usize = 512;
const HEADER_END: usize = 576;
/// Bits that every processor with SSE2 and denormals-are-zero takes.
const MXCSR_VALID: u32 = 0xffff;

/// The state of a program that has just started: all exceptions masked in MXCSR.
pub static INITIAL: FpuState = {
    let mut state = FpuState([0; FPU_BYTES]);
    state.0[MXCSR_AT] = 0x80;
    state.0[MXCSR_AT + 1] = 0x1f;
    state
};

/// Makes state that user mode wrote one that the processor takes without a fault. `components` as in XCR0.
pub fn sanitise(state: &mut FpuState, components: u64) {
    if let Some(header) = state.0.get_mut(HEADER_AT..HEADER_END)
        && let Some((present, rest)) = header.split_first_chunk_mut::<8>()
    {
        *present = (u64::from_le_bytes(*present) & components).to_le_bytes();
        rest.fill(0);
    }
    if let Some(mxcsr) = state.0.get_mut(MXCSR_AT..).and_then(|s| s.first_chunk_mut::<4>()) {
        *mxcsr = (u32::from_le_bytes(*mxcsr) & MXCSR_VALID).to_le_bytes();
    }
}

#[cfg(target_os = "none")]
pub use target::*;

#[cfg(target_os = "none")]
mod target {
    use super::{FPU_BYTES, FpuState};
    use core::arch::asm;
    use core::arch::x86_64::__cpuid_count;
    use x86_64::registers::xcontrol::XCr0;

    const BASE: u64 = 3;
    const AVX: u64 = 1 << 2;
    const AVX512: u64 = 7 << 5;

    /// Switches the components on that this CPU has and that fit.
    pub(crate) fn init() {
        let supported = __cpuid_count(0xd, 0);
        let supported = u64::from(supported.eax) | u64::from(supported.edx) << 32;
        let mut components = BASE;
        for more in [AVX, AVX512] {
            if supported & more != more {
                continue;
            }
            // SAFETY: OSXSAVE is on and the components are ones that the CPU reported.
            unsafe { XCr0::write_raw(components | more) }
            if __cpuid_count(0xd, 0).ebx as usize <= FPU_BYTES {
                components |= more;
            }
        }
        // SAFETY: as above.
        unsafe { XCr0::write_raw(components) }
    }

    /// The components in use, as in XCR0.
    pub fn components() -> u64 {
        XCr0::read_raw()
    }

    /// Writes the registers' state to `to`.
    pub fn save(to: &mut FpuState) {
        // SAFETY: aligned, and large enough for all components that `init` left on.
        unsafe {
            asm!("xsave64 [{}]", in(reg) to.0.as_mut_ptr(), in("eax") u32::MAX, in("edx") u32::MAX, options(nostack))
        }
    }

    /// Loads the registers.
    ///
    /// # Safety
    /// `from` was written by [`save`], [`super::INITIAL`] or went through [`super::sanitise`], and user mode can't write to it.
    pub unsafe fn restore(from: &FpuState) {
        // SAFETY: the caller's.
        unsafe {
            asm!("xrstor64 [{}]", in(reg) from.0.as_ptr(), in("eax") u32::MAX, in("edx") u32::MAX, options(nostack, readonly))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rubbish_becomes_loadable() {
        let mut state = FpuState([0xff; FPU_BYTES]);
        sanitise(&mut state, 7);
        assert_eq!(state.0[HEADER_AT..HEADER_AT + 8], 7u64.to_le_bytes());
        assert!(state.0[HEADER_AT + 8..HEADER_END].iter().all(|b| *b == 0));
        assert_eq!(state.0[MXCSR_AT..MXCSR_AT + 4], [0xff, 0xff, 0, 0]);
    }

    #[test]
    fn a_new_program_has_its_exceptions_masked() {
        assert_eq!(INITIAL.0[MXCSR_AT..MXCSR_AT + 4], [0x80, 0x1f, 0, 0]);
    }
}
