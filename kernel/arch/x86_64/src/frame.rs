//! The registers of what runs in user mode, as the entry code saves them.
//!
//! A thread's [`Frame`] begins exactly as the guest registers of the message page do, so that one entry path saves into either: the
//! per-CPU save pointer alone decides.

use core::mem::offset_of;
use sal_abi::x86_64::GuestRegisters;

/// Flags that user mode may have: CF PF AF ZF SF TF DF OF RF excluded, AC ID.
pub const USER_FLAGS: u64 = 0x0024_0dd5;
/// Flags that user mode always has: IF and the bit that is always 1.
pub const FIXED_FLAGS: u64 = 0x202;

/// User registers of a thread. `gs_base` is not kept for native threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
#[allow(missing_docs, reason = "the names are the processor's")]
pub struct Frame {
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

macro_rules! same_offsets {
    ($($field:ident)*) => { $(const _: () = assert!(offset_of!(Frame, $field) == offset_of!(GuestRegisters, $field));)* };
}
same_offsets!(rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip rflags fs_base gs_base);

impl Frame {
    /// A thread that has not run: at `entry` with stack pointer `stack` and two arguments.
    pub fn start(entry: u64, stack: u64, first: u64, second: u64) -> Frame {
        Frame {
            rip: entry,
            rcx: entry,
            rflags: FIXED_FLAGS,
            r11: FIXED_FLAGS,
            rsp: stack,
            rdi: first,
            rsi: second,
            ..Frame::default()
        }
    }

    /// Sends the thread to `address` at its next run (the message page's fixup).
    pub fn jump(&mut self, address: u64) {
        self.rip = address;
    }
}
