//! I/O ports, of 8, 16 or 32 bits. Who may use which port is decided by capabilities, not here.
#![allow(unsafe_code)]

use x86_64::structures::port::{PortRead, PortWrite};

/// Reads.
pub fn read<T: PortRead>(port: u16) -> T {
    // SAFETY: port input touches no memory of ours; what it does to the device is the caller's business.
    unsafe { T::read_from_port(port) }
}

/// Writes.
pub fn write<T: PortWrite>(port: u16, value: T) {
    // SAFETY: as for `read`.
    unsafe { T::write_to_port(port, value) }
}
