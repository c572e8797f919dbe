//! What of the ABI is x86_64's own: guest registers, exits, the two halves of an address space.

/// Guest addresses are below this.
pub const GUEST_END: u64 = 0x0000_8000_0000_0000;
/// First address of the native window (one page-table root entry, 512 GiB).
pub const NATIVE_START: u64 = 0xffff_8000_0000_0000;
/// First address after the native window.
pub const NATIVE_END: u64 = NATIVE_START + (1 << 39);

/// General registers of a guest, in the message page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
#[allow(missing_docs, reason = "the names are the processor's")]
pub struct GuestRegisters {
    pub rax: u64,
    pub rbx: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub rbp: u64,
    pub rsp: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub rip: u64,
    pub rflags: u64,
    pub fs_base: u64,
    pub gs_base: u64,
}

/// FPU state: XSAVE standard format, x87, SSE, AVX and AVX-512 as far as it fits.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct FpuState(pub [u8; FPU_BYTES]);

/// Bytes of FPU state: the rest of the message page (AVX-512 needs 2,688).
pub const FPU_BYTES: usize = 3328;

/// Why a guest stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum Exit {
    /// `syscall`: the number is in the guest's `rax`; `rip` is behind the instruction.
    Syscall = 0,
    /// No mapping, or the access is not allowed: word 0 address, word 1 the processor's error code.
    PageFault = 1,
    /// Another exception: word 0 vector, word 1 error code.
    Exception = 2,
    /// Somebody kicked it.
    Kicked = 3,
}

impl Exit {
    /// From the status of `GuestEnter`.
    pub const fn from_number(n: u64) -> Option<Exit> {
        match n {
            0 => Some(Exit::Syscall),
            1 => Some(Exit::PageFault),
            2 => Some(Exit::Exception),
            3 => Some(Exit::Kicked),
            _ => None,
        }
    }
}
