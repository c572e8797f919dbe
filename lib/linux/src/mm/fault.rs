//! What a page fault of the guest means, when the kernel could not settle it.

use super::Mm;
use crate::platform::Protection;

/// The processor's error code: the access was a write.
const WRITE: u64 = 2;
/// The processor's error code: an instruction fetch.
const FETCH: u64 = 16;

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The mappings allow it: another thread was just changing them. Try again.
    Retry,
    /// SIGSEGV, `SEGV_MAPERR`.
    Unmapped,
    /// SIGSEGV, `SEGV_ACCERR`.
    Refused,
}

/// Judges an access to `address` with the processor's error code.
pub fn verdict(mm: &Mm, address: u64, error: u64) -> Verdict {
    let Some(area) = mm.areas.find(address) else {
        return Verdict::Unmapped;
    };
    let needs = if error & FETCH != 0 {
        Protection::EXECUTE
    } else if error & WRITE != 0 {
        Protection::WRITE
    } else {
        Protection::READ
    };
    // x86_64 cannot withhold loads from what may be stored to or executed.
    let readable = needs == Protection::READ && !area.protection.is_empty();
    if readable || area.protection.contains(needs) { Verdict::Retry } else { Verdict::Refused }
}
