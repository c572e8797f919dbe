//! The registers of what runs in user mode, as the entry code saves them: a thread's own, or its guest's in the message page. They are laid
//! out alike, so that one entry path saves into either: the per-CPU save pointer alone decides.

/// User registers of a thread. `gs_base` is not kept for native threads.
pub use sal_abi::x86_64::GuestRegisters as Frame;

/// Flags that user mode may have: CF PF AF ZF SF TF DF OF RF excluded, AC ID.
pub const USER_FLAGS: u64 = 0x0024_0dd5;
/// Flags that user mode always has: IF and the bit that is always 1.
pub const FIXED_FLAGS: u64 = 0x202;

/// A thread that has not run: at `entry` with stack pointer `stack` and two arguments.
pub fn start(entry: u64, stack: u64, first: u64, second: u64) -> Frame {
    let (rip, rcx) = (entry, entry);
    let (rflags, r11) = (FIXED_FLAGS, FIXED_FLAGS);
    Frame { rip, rcx, rflags, r11, rsp: stack, rdi: first, rsi: second, ..Frame::default() }
}
