//! Bugs of the kernel: registers and a backtrace on COM1, then the machine ends with its own status.
#![allow(unsafe_code)]

use crate::frame::Frame;
use crate::layout::{self, MAX_CPUS, STACK_PAGES};
use crate::{apic, machine, percpu, uart};
use core::arch::asm;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

/// What `trap.s` pushes. Of the frame it fills the general registers but `rsp`.
#[repr(C)]
pub(crate) struct KernelTrap {
    registers: Frame,
    /// Vector, error code, `rip`, `cs`, `rflags`, `rsp`, `ss`.
    rest: [u64; 7],
}

/// The machine ends: a CPU that takes a non-maskable interrupt now stays where it is.
pub(crate) static ENDING: AtomicBool = AtomicBool::new(false);

/// Ends the machine for `what`, with the calls that led to `frame_pointer`. A second bug on the way ends it without words.
pub fn end(what: fmt::Arguments<'_>, frame_pointer: u64) -> ! {
    if !ENDING.swap(true, Ordering::AcqRel) {
        apic::interrupt_others();
        uart::last_words(format_args!("salamandra: kernel bug: {what}"));
        backtrace(frame_pointer);
    }
    machine::end(machine::End::Bug)
}

/// Ends the machine for a panic.
pub fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
    let frame_pointer;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, rbp", out(reg) frame_pointer, options(nomem, nostack, preserves_flags)) }
    end(format_args!("{info}"), frame_pointer)
}

/// An exception in kernel mode.
pub(crate) extern "C" fn kernel_trap(t: &KernelTrap) -> ! {
    let cr2: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, cr2", out(reg) cr2, options(nomem, nostack, preserves_flags)) }
    let ([vector, error, rip, _, rflags, rsp, _], cpu) = (t.rest, percpu::index());
    let above = stack_of(cr2.wrapping_add(layout::PAGE));
    let in_guard = matches!(vector, 8 | 14) && above.is_some() && stack_of(cr2).is_none();
    let guard = if in_guard { " (guard page of a kernel stack)" } else { "" };
    let registers = Frame { rip, rsp, rflags, fs_base: 0, gs_base: 0, ..t.registers };
    let what =
        format_args!("exception {vector} error {error:#x} cpu {cpu} address {cr2:#x}{guard}\n{registers:#018x?}");
    end(what, registers.rbp)
}

/// The stack that holds `address`, as bottom and top.
fn stack_of(address: u64) -> Option<(u64, u64)> {
    let cpu = (address.checked_sub(layout::STACKS)? >> layout::STACK_WINDOW_SHIFT) as usize;
    let mut stacks = (0..STACK_PAGES.len()).map(|which| layout::stack(cpu, which));
    stacks.find(|(bottom, top)| cpu < MAX_CPUS && (*bottom..*top).contains(&address))
}

/// Prints return addresses, as far as frame pointers stay on one stack and go up it.
fn backtrace(mut frame_pointer: u64) {
    let Some((_, top)) = stack_of(frame_pointer) else {
        return;
    };
    for _ in 0..32 {
        if frame_pointer & 7 != 0 || frame_pointer + 16 > top {
            return;
        }
        // SAFETY: two words inside a mapped stack.
        let (next, address) =
            unsafe { ((frame_pointer as *const u64).read(), (frame_pointer as *const u64).add(1).read()) };
        uart::last_words(format_args!("  at {address:#x}"));
        if next <= frame_pointer {
            return;
        }
        frame_pointer = next;
    }
}
