//! The calling thread's message page, found by rounding its stack pointer down (`abi::boot::THREAD_AREA`).
//!
//! The page belongs to its thread alone; the kernel reads and writes it inside calls only. So nothing here hands out a reference that could
//! live across a call: fields are copied in and out.

use sal_abi::boot::{AREA_MESSAGE_PAGE, THREAD_AREA};
use sal_abi::message::{CAPS, LOANS};
use sal_abi::x86_64::GuestRegisters;
use sal_abi::{CapArg, Handle, Loan, MessagePage};

/// Where it lies. Dereferencing is sound on this thread as long as no reference lives across a kernel call.
#[inline(always)]
pub fn pointer() -> *mut MessagePage {
    ((crate::raw::stack_pointer() & !(THREAD_AREA - 1)) + AREA_MESSAGE_PAGE) as *mut MessagePage
}

/// Reads or writes one field place of this thread's page.
macro_rules! place {
    (read $($field:tt)+) => {
        // SAFETY: `pointer()` is this thread's own mapped page; no reference to it is alive outside this module.
        unsafe { (*pointer()).$($field)+ }
    };
    (write $value:expr => $($field:tt)+) => {
        // SAFETY: as for reading.
        unsafe { (*pointer()).$($field)+ = $value }
    };
}

/// Absolute nanoseconds since boot for the next call that carries the flag.
#[inline(always)]
pub fn set_deadline(nanoseconds: u64) {
    place!(write nanoseconds => deadline);
}

/// Where this thread goes on when an access to the guest half is refused; 0: the access is a fault.
#[inline(always)]
pub fn set_fixup(address: u64) {
    place!(write address => fixup);
}

/// Capabilities that the next message carries; more than [`CAPS`] are cut off. Returns how many.
#[inline(always)]
pub fn set_send(caps: &[CapArg]) -> usize {
    let n = caps.len().min(CAPS);
    for (i, cap) in caps.iter().take(n).enumerate() {
        place!(write *cap => send[i]);
    }
    n
}

/// Handle number `i` (below [`CAPS`]) that came with the last message; `NONE` beyond.
#[inline(always)]
pub fn received(i: usize) -> Handle {
    if i < CAPS { place!(read received[i]) } else { Handle::NONE }
}

/// Buffers that the next call lends; more than [`LOANS`] are cut off. Returns how many.
///
/// # Safety
/// Every buffer lent from the native half must stay valid, and if lent for writing unreferenced, until the call returns.
#[inline(always)]
pub unsafe fn set_loans(loans: &[Loan]) -> usize {
    let n = loans.len().min(LOANS);
    for (i, loan) in loans.iter().take(n).enumerate() {
        place!(write *loan => loans[i]);
    }
    n
}

/// Bytes of buffer `i` (below [`LOANS`]) that the caller in service lent; 0 beyond.
#[inline(always)]
pub fn lent(i: usize) -> u64 {
    if i < LOANS { place!(read lent[i]) } else { 0 }
}

/// Word `i` of the run-time's own part, 0 beyond its end.
#[inline(always)]
pub fn user(i: usize) -> u64 {
    if i < 32 { place!(read user[i]) } else { 0 }
}

/// Writes word `i` of the run-time's own part; nothing beyond its end.
#[inline(always)]
pub fn set_user(i: usize, value: u64) {
    if i < 32 {
        place!(write value => user[i]);
    }
}

/// The guest's registers as the last `GuestEnter` left them.
#[inline(always)]
pub fn guest() -> GuestRegisters {
    place!(read guest)
}

/// The guest's registers for the next `GuestEnter`.
#[inline(always)]
pub fn set_guest(registers: &GuestRegisters) {
    place!(write *registers => guest);
}

/// Changes the guest's registers in place. `change` must not call the kernel or this module.
#[inline(always)]
pub fn with_guest<R>(change: impl FnOnce(&mut GuestRegisters) -> R) -> R {
    let mut registers = guest();
    let result = change(&mut registers);
    set_guest(&registers);
    result
}
