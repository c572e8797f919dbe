//! The two places where memory that the root task mapped becomes a Rust value.
#![allow(unsafe_code, reason = "the grants say where vault and modules are mapped")]

use crate::estate::Vault;
use sal_abi::boot::Grant;

/// The bytes of a module of the boot image: the grant's handle is their number.
pub(crate) fn module(grant: &'static Grant) -> &'static [u8] {
    // SAFETY: the root task mapped the module there, read-only, before this program's first instruction, for its whole life.
    unsafe { core::slice::from_raw_parts(grant.address as *const u8, grant.handle.0 as usize) }
}

/// The vault. To be called once.
pub(crate) fn vault(address: u64, length: u64) -> Option<&'static mut Vault> {
    if length < size_of::<Vault>() as u64 {
        return None;
    }
    let at = address as *mut Vault;
    // SAFETY: mapped there, writable, page-aligned, for this program's whole life; any bytes are a Vault; nobody else maps it now (the
    // predecessor is dead), and the one caller calls once.
    Some(unsafe { &mut *at })
}
