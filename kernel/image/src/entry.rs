//! The kernel's entry: what the processor reports becomes an event of the core; what the core decided is loaded. Until the core stands, only
//! self-tests trap.
#![allow(unsafe_code)]

use crate::hardware::Hw;
use crate::local::{self, Local};
use crate::selftest;
use core::sync::atomic::{AtomicPtr, Ordering};
use sal_arch_x86_64::{guest, irq, trap};
use sal_kernel_core::memory::Trap;
use sal_kernel_core::{Event, Kernel};
use sal_kernel_mem::Access;

static KERNEL: AtomicPtr<Kernel<Hw>> = AtomicPtr::new(core::ptr::null_mut());

/// From now on traps go to the core.
pub(crate) fn open(kernel: &'static Kernel<Hw>) {
    KERNEL.store(core::ptr::from_ref(kernel).cast_mut(), Ordering::Release);
}

/// The core, if it stands.
fn kernel() -> Option<&'static Kernel<Hw>> {
    // SAFETY: null, or what `open` was given: it stays.
    unsafe { KERNEL.load(Ordering::Acquire).as_ref() }
}

/// The core and this CPU's state, once they stand.
///
/// # Safety
/// One at a time: at the kernel's entry, once.
#[inline(always)]
unsafe fn opened() -> Option<(&'static Kernel<Hw>, &'static mut Local)> {
    // SAFETY: the caller's promise.
    Some((kernel()?, unsafe { local::local()? }))
}

/// Every `syscall`: a guest's, or a thread's own.
#[unsafe(no_mangle)]
extern "C" fn kernel_syscall() {
    // SAFETY: once per entry.
    let Some((kernel, local)) = (unsafe { opened() }) else { return selftest::entered(trap::SYSCALL, 0, 0) };
    if guest::inside() {
        kernel.step(&mut local.cpu, Event::GuestCall);
        local.load(kernel);
    } else {
        kernel.step(&mut local.cpu, Event::Call);
        local.load_native(kernel);
    }
}

/// Every other trap from user mode and every interrupt.
#[unsafe(no_mangle)]
extern "C" fn kernel_entry(event: u64, error: u64, address: u64) {
    // SAFETY: once per entry.
    let Some((kernel, local)) = (unsafe { opened() }) else { return selftest::entered(event, error, address) };
    match event {
        vector if vector < trap::FIRST_INTERRUPT => exception(kernel, local, vector, error, address),
        vector => interrupt(kernel, local, vector),
    }
    local.load(kernel);
}

/// Bits of a page fault's error code (Intel SDM volume 3, 4.7).
const WRITE: u64 = 1 << 1;
const FETCH: u64 = 1 << 4;

#[inline(never)]
fn exception(kernel: &Kernel<Hw>, local: &mut Local, vector: u64, error: u64, address: u64) {
    let trap = match vector {
        trap::PAGE_FAULT if error & FETCH != 0 => Trap::Page(address, Access::Execute, error),
        trap::PAGE_FAULT if error & WRITE != 0 => Trap::Page(address, Access::Write, error),
        trap::PAGE_FAULT => Trap::Page(address, Access::Read, error),
        _ => Trap::Exception(vector, error),
    };
    kernel.trap(&mut local.cpu, trap);
}

#[inline(never)]
fn interrupt(kernel: &Kernel<Hw>, local: &mut Local, vector: u64) {
    let event = match irq::accept(kernel.hw.found, vector) {
        irq::Interrupt::Timer => {
            local.timer_came();
            Event::Timer
        }
        irq::Interrupt::Kick => Event::Post,
        irq::Interrupt::Line(line) => Event::Line(line),
        irq::Interrupt::Spurious => return,
    };
    kernel.step(&mut local.cpu, event);
}
