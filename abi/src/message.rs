//! The message page, and what a receive says.

use crate::Handle;

/// Loans that one call can carry.
pub const LOANS: usize = 4;
/// Capabilities that one message can carry.
pub const CAPS: usize = 4;

/// A buffer lent for the time of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Loan {
    /// Where it starts in the caller's space (native or guest half).
    pub address: u64,
    /// Bytes.
    pub length: u64,
    /// `Rights::READ`: the server may read it; `Rights::WRITE`: it may write it.
    pub rights: u32,
    /// Zero.
    pub reserved: u32,
}

/// A capability given in a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct CapArg {
    /// Of the sender's table.
    pub handle: Handle,
    /// The receiver gets these rights at most.
    pub rights: u32,
    /// 1: the sender's handle goes (and comes back if the server dies); 0: a copy.
    pub moved: u32,
}

/// A thread's message page: one pinned frame, written by the thread, read and written by the kernel.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(4096))]
pub struct MessagePage {
    /// Absolute nanoseconds since boot; counts only with the flag `DEADLINE`.
    pub deadline: u64,
    /// Where the thread goes on when its access to the guest half is refused; 0: the access is a fault.
    pub fixup: u64,
    /// Capabilities to send.
    pub send: [CapArg; CAPS],
    /// Handles received.
    pub received: [Handle; CAPS],
    /// Buffers to lend.
    pub loans: [Loan; LOANS],
    /// Lengths (bytes) of the buffers that the caller in service lent; written by the kernel.
    pub lent: [u64; LOANS],
    /// The run-time's own; the kernel never looks.
    pub user: [u64; 32],
    /// Zero.
    pub reserved: [u64; 2],
    /// Guest registers, for `GuestEnter`.
    pub guest: crate::x86_64::GuestRegisters,
    /// Zero.
    pub more_reserved: [u64; 12],
    /// Guest FPU state, for `GuestFpu`: XSAVE standard format.
    pub fpu: crate::x86_64::FpuState,
}

/// What arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// A call; answer it.
    Message = 0,
    /// Notification bits in word 0.
    Notified = 1,
    /// A page fault of a memory that this endpoint pages; `Supply` or `Refuse`, then answer it.
    Fault = 2,
}

/// The status of a successful receive (or of a call, whose kind is `Message`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Arrival(pub u64);

impl Arrival {
    /// From its parts.
    #[inline(always)]
    pub const fn new(kind: Kind, loans: usize, caps: usize) -> Arrival {
        Arrival(kind as u64 | (loans as u64) << 8 | (caps as u64) << 12)
    }

    /// What it is.
    #[inline(always)]
    pub const fn kind(self) -> Kind {
        match self.0 & 0xff {
            1 => Kind::Notified,
            2 => Kind::Fault,
            _ => Kind::Message,
        }
    }

    /// Buffers lent with it.
    #[inline(always)]
    pub const fn loans(self) -> usize {
        (self.0 >> 8 & 0xf) as usize
    }

    /// Capabilities that came with it.
    #[inline(always)]
    pub const fn caps(self) -> usize {
        (self.0 >> 12 & 0xf) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::{offset_of, size_of};

    #[test]
    fn the_message_page_is_one_page_with_aligned_fpu_state() {
        assert_eq!(size_of::<MessagePage>(), 4096);
        assert_eq!(offset_of!(MessagePage, guest) % 64, 0);
        assert_eq!(offset_of!(MessagePage, fpu) % 64, 0);
    }

    #[test]
    fn an_arrival_keeps_its_parts() {
        let a = Arrival::new(Kind::Fault, 4, 3);
        assert_eq!((a.kind(), a.loans(), a.caps()), (Kind::Fault, 4, 3));
    }
}
