//! The memory of the guest that the calling thread has attached, as the core sees it.

use sal_linux_core::{Errno, UserMemory};
use sal_rt::guest;

/// Plain loads and stores with a fixup.
pub(crate) struct GuestMemory;

impl UserMemory for GuestMemory {
    fn read(&mut self, address: u64, buffer: &mut [u8]) -> Result<(), Errno> {
        let length = buffer.len();
        whole(guest::copy_in(buffer, address) == length)
    }

    fn write(&mut self, address: u64, data: &[u8]) -> Result<(), Errno> {
        whole(guest::copy_out(address, data) == data.len())
    }

    fn load_u32(&mut self, address: u64) -> Result<u32, Errno> {
        guest::load_u32(address).ok_or(Errno::EFAULT)
    }

    fn compare_exchange_u32(&mut self, address: u64, expected: u32, new: u32) -> Result<u32, Errno> {
        guest::compare_exchange_u32(address, expected, new).ok_or(Errno::EFAULT)
    }
}

fn whole(all: bool) -> Result<(), Errno> {
    if all { Ok(()) } else { Err(Errno::EFAULT) }
}
