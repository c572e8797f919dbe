//! Traps: from user mode into the kernel and back.
//!
//! Every `syscall`, exception and interrupt saves the user's registers into the frame that the per-CPU save pointer names (the current
//! thread's, or the guest block of its message page), switches to the CPU's kernel stack, and calls what the image supplies:
//!
//! `extern "C" fn kernel_entry(event: u64, error: u64, address: u64)`
//! - `event`: [`SYSCALL`], or the vector (below 32 an exception, else an interrupt, to be given to `irq::accept`).
//! - `error`: the processor's error code; `address`: CR2, which means something for vector [`PAGE_FAULT`] alone.
//!
//! A `syscall` comes in by a door of its own, `extern "C" fn kernel_syscall()`, which is to do what `kernel_entry(SYSCALL, 0, 0)` would.
//! - [`crate::guest::inside`] tells whether it is a guest's.
//!
//! When it returns, user mode goes on with whatever frame is current then ([`set_current`], [`crate::guest`]); with none, the CPU
//! idles. An exception in kernel mode is a bug and ends the machine.
#![allow(unsafe_code)]

use crate::bug;
use crate::frame::{FIXED_FLAGS, Frame, USER_FLAGS};
use crate::layout::{STACK_WINDOW_SHIFT, STACKS};
use crate::percpu::{self, AREAS, KERNEL_CODE, PerCpu, USER_CODE, USER_DATA};
use core::arch::{asm, global_asm};
use core::mem::offset_of;
use spin::Mutex;
use x86_64::VirtAddr;
use x86_64::instructions::tables::lidt;
use x86_64::registers::model_specific::{Efer, EferFlags, LStar, SFMask, Star};
use x86_64::registers::rflags::RFlags;
use x86_64::structures::DescriptorTablePointer;

/// The event of a `syscall`; smaller ones are vectors.
pub const SYSCALL: u64 = 256;
/// Vector of a page fault.
pub const PAGE_FAULT: u64 = 14;
/// First vector that is not an exception.
pub const FIRST_INTERRUPT: u64 = 32;

global_asm!(
    include_str!("../trap.s"),
    SAVE = const offset_of!(PerCpu, save),
    STACK = const offset_of!(PerCpu, stack_top),
    USER_RSP = const offset_of!(PerCpu, user_rsp),
    AREAS = sym AREAS,
    FRAME_SIZE = const size_of::<Frame>(),
    AREA_SIZE = const size_of::<PerCpu>(),
    STACKS = const STACKS,
    STACK_WINDOW_SHIFT = const STACK_WINDOW_SHIFT,
    USER_FLAGS = const USER_FLAGS,
    FIXED_FLAGS = const FIXED_FLAGS,
    USER_DATA = const USER_DATA,
    USER_CODE = const USER_CODE,
    BUG = sym bug::kernel_trap,
    ENDING = sym bug::ENDING,
);

unsafe extern "C" {
    fn trap_syscall();
    fn trap_stubs();
    fn trap_resume() -> !;
}

/// Interrupt descriptor table, the same for all CPUs.
static GATES: Mutex<[[u64; 2]; 256]> = Mutex::new([[0; 2]; 256]);

fn gate(handler: u64, ist: u64, ring: u64) -> [u64; 2] {
    let kind = 0x8e | ring << 5;
    let low = handler & 0xffff | u64::from(KERNEL_CODE) << 16 | ist << 32 | kind << 40 | (handler >> 16 & 0xffff) << 48;
    [low, handler >> 32]
}

/// Fills the table, on the boot CPU, before any has it loaded.
pub(crate) fn make_gates() {
    for (vector, slot) in GATES.lock().iter_mut().enumerate() {
        let stub = trap_stubs as *const () as u64 + 16 * vector as u64;
        let stack = match vector {
            2 => 1,
            8 => 2,
            18 => 3,
            _ => 0,
        };
        // Programs may raise the breakpoint and the overflow by themselves.
        *slot = gate(stub, stack, if matches!(vector, 3 | 4) { 3 } else { 0 });
    }
}

/// Flags cleared by `syscall`: all that mean anything to the kernel (TF IF DF IOPL NT RF AC and the arithmetic ones).
const SYSCALL_MASK: u64 = 0x0025_7fd5;

/// Sets this CPU's entry points.
///
/// # Safety
/// After `percpu::init` on this CPU and `make_gates`.
pub(crate) unsafe fn init() {
    let gates = DescriptorTablePointer { limit: 4095, base: VirtAddr::from_ptr(GATES.lock().as_ptr()) };
    // SAFETY: the table is complete; these registers exist on every CPU with SYSCALL, which was checked.
    unsafe {
        lidt(&gates);
        Efer::update(|flags| flags.insert(EferFlags::SYSTEM_CALL_EXTENSIONS));
        Star::write_raw(USER_DATA - 8, KERNEL_CODE);
    }
    LStar::write(VirtAddr::from_ptr(trap_syscall as *const ()));
    SFMask::write(RFlags::from_bits_retain(SYSCALL_MASK));
}

/// Makes `frame` what user mode goes on with on this CPU; null: idle. FS base stays.
///
/// # Safety
/// No guest runs here ([`crate::guest::leave`]); the frame stays valid and this CPU's own until another is set.
pub unsafe fn set_current(frame: *mut Frame) {
    percpu::current().save.set(frame);
}

/// FS base of user mode.
pub fn read_fs_base() -> u64 {
    let base;
    // SAFETY: reads a register; FSGSBASE is on.
    unsafe { asm!("rdfsbase {}", out(reg) base, options(nomem, nostack, preserves_flags)) }
    base
}

/// Sets the FS base of user mode; `base` came from the processor or was checked.
pub fn load_fs_base(base: u64) {
    // SAFETY: the kernel has no use for FS.
    unsafe { asm!("wrfsbase {}", in(reg) base, options(nomem, nostack, preserves_flags)) }
}

/// Goes on in user mode with the current frame, or idles; drops this CPU's kernel stack.
///
/// # Safety
/// The root loaded is the current frame's; nothing on the stack is needed.
pub unsafe fn resume() -> ! {
    // SAFETY: the caller's.
    unsafe { trap_resume() }
}
