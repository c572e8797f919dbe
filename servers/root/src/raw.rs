//! The three places where the root task handles raw addresses.
#![allow(
    unsafe_code,
    reason = "it lays out other programs' spaces, and reads the boot image where the kernel mapped it"
)]

use sal_abi::boot::Grant;
use sal_sys::process::ThreadStart;
use sal_sys::{Error, Handle, memory, process};

/// The bytes of a memory that the kernel mapped for the root task.
///
/// # Errors
/// The kernel's.
pub(crate) fn mapped(grant: &Grant) -> Result<&'static [u8], Error> {
    let length = memory::memory_info(grant.handle)?.length as usize;
    // SAFETY: the kernel mapped the whole memory there, read-only, for the root task's whole life; nobody can write it.
    Ok(unsafe { core::slice::from_raw_parts(grant.address as *const u8, length) })
}

/// Writes all of `from` to a memory.
///
/// # Errors
/// The kernel's; `NoBudget` also for a write that came to nothing.
pub(crate) fn write(memory: Handle, mut offset: u64, mut from: &[u8]) -> Result<(), Error> {
    while !from.is_empty() {
        // SAFETY: the root task maps none of the memories that it writes.
        let done = unsafe { memory::memory_write(memory, offset, from) }?;
        from = from.get(done.max(1)..).unwrap_or(&[]);
        offset += done as u64;
        if done == 0 {
            return Err(Error::NoBudget);
        }
    }
    Ok(())
}

/// A thread of another process.
///
/// # Errors
/// The kernel's.
pub(crate) fn thread(of: Handle, start: &ThreadStart) -> Result<Handle, Error> {
    // SAFETY: it runs in a space of its own, which shares no writable byte with the root task.
    unsafe { process::thread_create(of, start) }
}
