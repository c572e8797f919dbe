//! Guests: foreign code that runs on a thread until it traps.
//!
//! While a guest runs, the save pointer names its registers in the thread's message page (through the physical map), and the thread's
//! own frame waits. The block is writable by user mode at any time, so nothing in it is believed: the way out of the kernel checks rip
//! and flags in registers, and segment bases are checked here.
#![allow(unsafe_code)]

use crate::frame::Frame;
use crate::{percpu, trap};
use core::arch::asm;
use core::ptr::null_mut;
use sal_abi::x86_64::GUEST_END;

/// A segment base outside the guest half.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadBase;

/// Is what trapped (or will go on) a guest?
pub fn inside() -> bool {
    !percpu::current().thread.get().is_null()
}

/// From here on this CPU's current thread runs its guest; the caller loads the guest's root.
///
/// # Errors
/// `BadBase`: nothing has changed.
///
/// # Safety
/// No guest runs here; `block` is in the physical map, in a frame that stays pinned until [`leave`].
pub unsafe fn enter(block: *mut Frame) -> Result<(), BadBase> {
    // SAFETY: pinned and mapped by the caller's promise; volatile, since user mode may write at the same time.
    let (fs, gs) =
        unsafe { ((&raw const (*block).fs_base).read_volatile(), (&raw const (*block).gs_base).read_volatile()) };
    if fs >= GUEST_END || gs >= GUEST_END {
        return Err(BadBase);
    }
    let area = percpu::current();
    let thread = area.save.get();
    // SAFETY: the current frame is this CPU's own.
    unsafe { (*thread).fs_base = trap::read_fs_base() };
    area.thread.set(thread);
    area.save.set(block);
    trap::load_fs_base(fs);
    // SAFETY: the kernel's gs comes back at once; interrupts are off and the paranoid entries don't look at it.
    unsafe { asm!("swapgs", "wrgsbase {}", "swapgs", in(reg) gs, options(nostack, preserves_flags)) }
    Ok(())
}

/// From here on this CPU's current thread is itself again; the caller loads its root.
///
/// # Safety
/// A guest runs here ([`inside`]).
pub unsafe fn leave() -> *mut Frame {
    let area = percpu::current();
    let (block, thread, gs) = (area.save.get(), area.thread.get(), user_gs_base());
    // SAFETY: `enter` put both there; the block is pinned until now.
    unsafe {
        (&raw mut (*block).fs_base).write_volatile(trap::read_fs_base());
        (&raw mut (*block).gs_base).write_volatile(gs);
        trap::load_fs_base((*thread).fs_base);
    }
    area.save.set(thread);
    area.thread.set(null_mut());
    thread
}

fn user_gs_base() -> u64 {
    let base;
    // SAFETY: as in `enter`.
    unsafe { asm!("swapgs", "rdgsbase {}", "swapgs", out(reg) base, options(nostack, preserves_flags)) }
    base
}
