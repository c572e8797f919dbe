//! The one place where the root task handles a raw address.
#![allow(unsafe_code, reason = "it reads the boot image where the kernel mapped it")]

use sal_abi::boot::Grant;
use sal_sys::{Error, memory};

/// The bytes of a memory that the kernel mapped for the root task.
///
/// # Errors
/// The kernel's.
pub(crate) fn mapped(grant: &Grant) -> Result<&'static [u8], Error> {
    let length = memory::memory_info(grant.handle)?.length as usize;
    // SAFETY: the kernel mapped the whole memory there, read-only, for the root task's whole life; nobody can write it.
    Ok(unsafe { core::slice::from_raw_parts(grant.address as *const u8, length) })
}
