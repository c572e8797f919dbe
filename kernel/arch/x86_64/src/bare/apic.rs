//! The local interrupt controller of each CPU: end of interrupt, timer, interrupts to other CPUs.
//!
//! By memory-mapped registers, or as x2APIC by model-specific registers where the processor has it (QEMU without KVM has not: that path
//! is untested there).
#![allow(unsafe_code)]

use crate::Machine;
use crate::cpu::X2APIC;
use crate::layout::PHYSMAP;
use core::sync::atomic::{AtomicU64, Ordering};
use x86_64::registers::model_specific::Msr;

/// Vectors of the kernel's own interrupts.
pub const TIMER_VECTOR: u8 = 0xf0;
/// Another CPU wants attention.
pub const KICK_VECTOR: u8 = 0xf1;
/// Delivered by the controller for nothing.
pub const SPURIOUS_VECTOR: u8 = 0xff;

const MSR_BASE: u32 = 0x1b;
const ID: u32 = 0x20;
const END_OF_INTERRUPT: u32 = 0xb0;
const SPURIOUS: u32 = 0xf0;
const COMMAND: u32 = 0x300;
const COMMAND_HIGH: u32 = 0x310;
const TIMER: u32 = 0x320;
const LINT0: u32 = 0x350;
const LINT1: u32 = 0x360;
const INITIAL_COUNT: u32 = 0x380;
const CURRENT_COUNT: u32 = 0x390;
const DIVIDE: u32 = 0x3e0;
const MASKED: u32 = 1 << 16;
const TSC_DEADLINE: u32 = 2 << 17;
const MSR_TSC_DEADLINE: u32 = 0x6e0;

/// Address of the registers in the physical map; 0: x2APIC; [`OFF`] until the first `init`.
static REGISTERS: AtomicU64 = AtomicU64::new(OFF);
const OFF: u64 = u64::MAX;

fn is_x2apic() -> bool {
    REGISTERS.load(Ordering::Relaxed) == 0
}

fn read(register: u32) -> u32 {
    match REGISTERS.load(Ordering::Relaxed) {
        // SAFETY: x2APIC is on; the register exists there.
        0 => unsafe { Msr::new(0x800 + (register >> 4)).read() as u32 },
        // SAFETY: the registers are mapped, uncached, for ever.
        base => unsafe { ((base + u64::from(register)) as *const u32).read_volatile() },
    }
}

fn write(register: u32, value: u32) {
    match REGISTERS.load(Ordering::Relaxed) {
        // SAFETY: as for `read`.
        0 => unsafe { Msr::new(0x800 + (register >> 4)).write(u64::from(value)) },
        // SAFETY: as for `read`.
        base => unsafe { ((base + u64::from(register)) as *mut u32).write_volatile(value) },
    }
}

/// Switches this CPU's controller on; its timer is masked until set.
pub(crate) fn init(machine: &Machine) {
    let (mode, registers) = if X2APIC.exists() { (3 << 10, 0) } else { (1 << 11, PHYSMAP + machine.acpi.local_apic) };
    let mut base = Msr::new(MSR_BASE);
    // SAFETY: the register exists on every CPU with a local APIC; enabling it changes nothing that is in use.
    unsafe { base.write(base.read() | mode) }
    REGISTERS.store(registers, Ordering::Relaxed);
    write(LINT0, MASKED);
    write(LINT1, MASKED);
    write(TIMER, MASKED | u32::from(TIMER_VECTOR));
    write(DIVIDE, 0b1011);
    write(SPURIOUS, 0x100 | u32::from(SPURIOUS_VECTOR));
    end_of_interrupt();
}

/// This CPU's id among the controllers.
pub fn id() -> u32 {
    if is_x2apic() { read(ID) } else { read(ID) >> 24 }
}

/// The interrupt in service is done with.
pub fn end_of_interrupt() {
    write(END_OF_INTERRUPT, 0);
}

/// Sends a vector to the CPU whose controller has this id.
pub fn send(id: u32, vector: u8) {
    command(id, 0x4000 | u32::from(vector));
}

/// INIT, for `smp`.
pub(crate) const INIT: u32 = 0x4500;
/// Start-up, at the number of a page below 1 MiB that is added.
pub(crate) const STARTUP: u32 = 0x4600;

/// Makes every other CPU take a non-maskable interrupt; nothing before the first `init`.
pub(crate) fn interrupt_others() {
    if REGISTERS.load(Ordering::Relaxed) != OFF {
        command(0, 0xc_4400);
    }
}

/// Writes the command register: a message to the CPU whose controller has this id.
pub(crate) fn command(id: u32, what: u32) {
    if is_x2apic() {
        // SAFETY: x2APIC's command register; one write sends. The fences order it behind earlier stores (SDM 11.12.3).
        unsafe {
            core::arch::asm!("mfence", "lfence", options(nostack, preserves_flags));
            Msr::new(0x830).write(u64::from(id) << 32 | u64::from(what));
        }
        return;
    }
    while read(COMMAND) & 1 << 12 != 0 {
        core::hint::spin_loop();
    }
    write(COMMAND_HIGH, id << 24);
    write(COMMAND, what);
}

/// Interrupts once after `count` ticks of the controller's timer; 0 never.
pub(crate) fn timer_after(count: u32) {
    write(TIMER, u32::from(TIMER_VECTOR));
    write(INITIAL_COUNT, count);
}

/// Interrupts when the time-stamp counter reaches `tsc`; 0 never.
pub(crate) fn timer_at(tsc: u64) {
    write(TIMER, TSC_DEADLINE | u32::from(TIMER_VECTOR));
    // SAFETY: the caller checked the feature; the fence orders the mode before the deadline (SDM 11.5.4.1).
    unsafe {
        core::arch::asm!("mfence", options(nostack, preserves_flags));
        Msr::new(MSR_TSC_DEADLINE).write(tsc);
    }
}

/// Starts the timer at its highest count without an interrupt, to measure it.
pub(crate) fn timer_measure() {
    write(TIMER, MASKED);
    write(INITIAL_COUNT, u32::MAX);
}

/// Ticks left.
pub(crate) fn timer_left() -> u32 {
    read(CURRENT_COUNT)
}
