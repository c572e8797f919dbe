//! Interrupt lines: the I/O APICs; and what an interrupt vector means.
//!
//! A *line* is a global interrupt, except that numbers below 16 are ISA lines (COM1 is 4) wherever the machine wires them. A line
//! that comes in is masked until the driver has answered (`unmask`), so a driver that died leaves its line quiet.
#![allow(unsafe_code)]

use crate::acpi::{Acpi, IoApic};
use crate::layout::PHYSMAP;
use crate::{Machine, apic, port};
use spin::Mutex;

/// Lines that have a vector.
pub const LINES: u32 = 128;
const FIRST_VECTOR: u32 = 0x30;
const MASKED: u32 = 1 << 16;

/// What an interrupt was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interrupt {
    /// The deadline set last may have come: look at the clock.
    Timer,
    /// Another CPU wants attention.
    Kick,
    /// This line, masked now.
    Line(u32),
    /// Nothing.
    Spurious,
}

/// No such line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadLine;

/// Register accesses are pairs (index, data): one CPU at a time.
static REGISTERS: Mutex<()> = Mutex::new(());

/// Says what came in and lets the next one come; for every event from `trap::FIRST_INTERRUPT` to 255.
pub fn accept(machine: &Machine, vector: u64) -> Interrupt {
    let what = match vector as u8 {
        apic::SPURIOUS_VECTOR => return Interrupt::Spurious,
        apic::TIMER_VECTOR => Interrupt::Timer,
        apic::KICK_VECTOR => Interrupt::Kick,
        vector => match u32::from(vector).checked_sub(FIRST_VECTOR) {
            Some(line) if line < LINES && mask(machine, line).is_ok() => Interrupt::Line(line),
            _ => Interrupt::Spurious,
        },
    };
    apic::end_of_interrupt();
    what
}

/// Old controllers off, every line masked.
pub(crate) fn init(machine: &Machine) {
    let start = [(0x20, 0x11), (0xa0, 0x11), (0x21, 0x20), (0xa1, 0x28), (0x21, 4), (0xa1, 2), (0x21, 1), (0xa1, 1)];
    for (port, value) in start.into_iter().chain([(0x21, 0xff), (0xa1, 0xff)]) {
        port::write::<u8>(port, value);
    }
    for io in &machine.acpi.io_apics {
        for pin in 0..pins(io) {
            write(io, 0x10 + 2 * pin, MASKED);
        }
    }
}

/// Keeps a line quiet.
///
/// # Errors
/// `BadLine` if no I/O APIC has it.
pub fn mask(machine: &Machine, line: u32) -> Result<(), BadLine> {
    let (io, pin, wiring) = locate(&machine.acpi, line)?;
    write(io, 0x10 + 2 * pin, MASKED | wiring | (FIRST_VECTOR + line));
    Ok(())
}

/// Lets a line through, the next time, to the CPU whose controller has the id `to`.
///
/// # Errors
/// `BadLine` if no I/O APIC has it.
pub fn unmask(machine: &Machine, line: u32, to: u32) -> Result<(), BadLine> {
    let (io, pin, wiring) = locate(&machine.acpi, line)?;
    write(io, 0x10 + 2 * pin + 1, to << 24);
    write(io, 0x10 + 2 * pin, wiring | (FIRST_VECTOR + line));
    Ok(())
}

/// The controller and pin of a line, and its polarity and trigger bits. ISA lines are edge and high unless said otherwise, others (PCI)
/// level and low.
fn locate(acpi: &Acpi, line: u32) -> Result<(&IoApic, u32, u32), BadLine> {
    if line >= LINES {
        return Err(BadLine);
    }
    let special = acpi.overrides.iter().find(|o| u32::from(o.line) == line);
    let (global, low, level) = match special {
        Some(o) => (o.global, o.low, o.level),
        None => (line, line >= 16, line >= 16),
    };
    let io = acpi.io_apics.iter().find(|io| global.checked_sub(io.first).is_some_and(|pin| pin < pins(io)));
    let io = io.ok_or(BadLine)?;
    Ok((io, global - io.first, u32::from(low) << 13 | u32::from(level) << 15))
}

fn pins(io: &IoApic) -> u32 {
    (access(io, 1, None) >> 16 & 0xff) + 1
}

fn write(io: &IoApic, register: u32, value: u32) {
    access(io, register, Some(value));
}

fn access(io: &IoApic, register: u32, value: Option<u32>) -> u32 {
    let (index, data) = ((PHYSMAP + io.address) as *mut u32, (PHYSMAP + io.address + 16) as *mut u32);
    let _one = REGISTERS.lock();
    // SAFETY: the start mapped the registers of every I/O APIC, uncached.
    unsafe {
        index.write_volatile(register);
        match value {
            Some(value) => {
                data.write_volatile(value);
                value
            }
            None => data.read_volatile(),
        }
    }
}
