//! Reaching the memory of the guest that the calling thread has attached.
//!
//! An absent page is brought by the kernel; a refused access ends the copy at the fixup address (`docs/abi.md`, "Guests"). Guest memory is never
//! the target of a Rust reference: other threads of the guest write it at any time.

use sal_abi::MessagePage;
use sal_abi::x86_64::GUEST_END;

/// Offset of the fixup address in the message page.
const FIXUP: usize = core::mem::offset_of!(MessagePage, fixup);

/// Copies from the guest. Bytes copied: fewer than asked for if the guest's memory ends or is refused there.
pub fn copy_in(to: &mut [u8], from: u64) -> usize {
    let length = reachable(from, to.len());
    // SAFETY: `length` bytes of `to` are writable; the source is in the guest half.
    length - unsafe { copy(to.as_mut_ptr(), from as *const u8, length) }
}

/// Copies to the guest. Bytes copied, as [`copy_in`].
pub fn copy_out(to: u64, from: &[u8]) -> usize {
    let length = reachable(to, from.len());
    // SAFETY: `length` bytes of `from` are readable; the target is in the guest half, where no Rust object lives.
    length - unsafe { copy(to as *mut u8, from.as_ptr(), length) }
}

/// How much of a range lies in the guest half.
fn reachable(address: u64, length: usize) -> usize {
    length.min(usize::try_from(GUEST_END.saturating_sub(address)).unwrap_or(0))
}

/// Copies bytes until done or until an access to the guest half is refused; bytes left. The fixup address counts only inside.
///
/// # Safety
/// `from` is readable and `to` writable for `length` bytes, or in the guest half.
unsafe fn copy(to: *mut u8, from: *const u8, length: usize) -> usize {
    let left: usize;
    // SAFETY: promised by the caller; at the fixup the registers are those of the refused access, so `rcx` counts what is left.
    unsafe {
        core::arch::asm!(
            "lea {label}, [rip + 2f]",
            "mov qword ptr [{page} + {fixup}], {label}",
            "rep movsb",
            "2:",
            "mov qword ptr [{page} + {fixup}], 0",
            label = out(reg) _,
            page = in(reg) sal_sys::page::pointer(),
            fixup = const FIXUP,
            inout("rcx") length => left,
            inout("rdi") to => _,
            inout("rsi") from => _,
            options(nostack)
        );
    }
    left
}

/// Brings a guest page in by touching it, for reading or for writing. `false` if the access is refused.
pub fn touch(address: u64, access: Access) -> bool {
    let mut byte = [0];
    if copy_in(&mut byte, address) != 1 {
        return false;
    }
    match access {
        Access::Read => true,
        Access::Write => touch_write(address),
    }
}

/// What a touched page is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To be read.
    Read,
    /// To be written.
    Write,
}

/// Adds zero to a byte, atomically: others may be writing it. `false` if the access is refused.
pub(crate) fn touch_write(address: u64) -> bool {
    let refused: u64;
    // SAFETY: the byte keeps its value, whoever it belongs to; a refused access goes on at the label.
    unsafe {
        core::arch::asm!(
            "lea {label}, [rip + 2f]",
            "mov qword ptr [{page} + {fixup}], {label}",
            "mov {refused:e}, 1",
            "lock add byte ptr [{address}], 0",
            "mov {refused:e}, 0",
            "2:",
            "mov qword ptr [{page} + {fixup}], 0",
            label = out(reg) _,
            page = in(reg) sal_sys::page::pointer(),
            fixup = const FIXUP,
            address = in(reg) address,
            refused = out(reg) refused,
            options(nostack)
        );
    }
    refused == 0
}
