//! Ports, interrupts, the log, time, the machine.

use crate::raw::{syscall1, syscall4};
use sal_abi::{Error, Handle, Op};

/// Nanoseconds since boot.
pub fn clock() -> u64 {
    // SAFETY: no memory of this program is touched.
    unsafe { syscall1(Op::Clock, 0) }.status().unwrap_or(0)
}

/// Width of a port access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// One byte.
    Byte = 1,
    /// Two.
    Word = 2,
    /// Four.
    Long = 4,
}

/// Reads a port.
///
/// # Errors
/// `BadArgument` outside the range, `NoRight`.
pub fn port_in(ports: Handle, port: u16, width: Width) -> Result<u32, Error> {
    // SAFETY: whoever holds the ports answers for what the device does; no memory of this program is touched.
    let raw = unsafe { syscall4(Op::PortIn, ports.0, [u64::from(port), width as u64, 0, 0]) };
    let [value, ..] = raw.words;
    raw.status().map(|_| value as u32)
}

/// Writes a port.
///
/// # Errors
/// As [`port_in`].
pub fn port_out(ports: Handle, port: u16, width: Width, value: u32) -> Result<(), Error> {
    // SAFETY: as `port_in`.
    let raw = unsafe { syscall4(Op::PortOut, ports.0, [u64::from(port), width as u64, u64::from(value), 0]) };
    raw.status().map(drop)
}

/// Writes bytes to one port, one after the other. How many were written.
///
/// # Errors
/// As [`port_in`].
pub fn port_out_string(ports: Handle, port: u16, bytes: &[u8]) -> Result<usize, Error> {
    let words = [u64::from(port), bytes.as_ptr() as u64, bytes.len() as u64, 0];
    // SAFETY: the kernel reads `bytes`.
    unsafe { syscall4(Op::PortOutString, ports.0, words) }.status().map(|n| n as usize)
}

/// A capability to `count` ports from `first` on.
///
/// # Errors
/// `BadArgument` if they are not all in `ports`; `TableFull`.
pub fn ports_narrow(ports: Handle, first: u16, count: u64) -> Result<Handle, Error> {
    // SAFETY: no memory of this program is touched.
    let raw = unsafe { syscall4(Op::PortsNarrow, ports.0, [u64::from(first), count, 0, 0]) };
    raw.status().map(|_| Handle(raw.second))
}

/// A capability to one line.
///
/// # Errors
/// `BadArgument`, `TableFull`.
pub fn interrupt_narrow(interrupts: Handle, line: u64) -> Result<Handle, Error> {
    // SAFETY: no memory of this program is touched.
    let raw = unsafe { syscall4(Op::InterruptNarrow, interrupts.0, [line, 0, 0, 0]) };
    raw.status().map(|_| Handle(raw.second))
}

/// Each interrupt of the line raises `bits` and masks it until [`interrupt_ack`].
///
/// # Errors
/// `Occupied`, `NoRight`.
pub fn interrupt_bind(interrupt: Handle, notification: Handle, bits: u64) -> Result<(), Error> {
    // SAFETY: no memory of this program is touched.
    unsafe { syscall4(Op::InterruptBind, interrupt.0, [notification.0, bits, 0, 0]) }.status().map(drop)
}

/// Unmasks the line.
///
/// # Errors
/// `NoRight`.
pub fn interrupt_ack(interrupt: Handle) -> Result<(), Error> {
    // SAFETY: no memory of this program is touched.
    unsafe { syscall1(Op::InterruptAck, interrupt.0) }.status().map(drop)
}

/// A line for the kernel's log.
///
/// # Errors
/// `NoRight`.
pub fn log_write(log: Handle, line: &[u8]) -> Result<(), Error> {
    // SAFETY: the kernel reads `line`.
    unsafe { syscall4(Op::LogWrite, log.0, [line.as_ptr() as u64, line.len() as u64, 0, 0]) }.status().map(drop)
}

/// Reads the log from `position` on. Bytes copied and the next position.
///
/// # Errors
/// `NoRight`.
pub fn log_read(log: Handle, to: &mut [u8], position: u64) -> Result<(usize, u64), Error> {
    let words = [to.as_mut_ptr() as u64, to.len() as u64, position, 0];
    // SAFETY: the kernel writes at most `to.len()` bytes at `to`.
    let raw = unsafe { syscall4(Op::LogRead, log.0, words) };
    let [next, ..] = raw.words;
    raw.status().map(|n| (n as usize, next))
}

/// Ends the machine with a status.
///
/// # Errors
/// `NoRight`; it does not return otherwise.
pub fn power_off(log: Handle, status: u64) -> Result<(), Error> {
    // SAFETY: no memory of this program is touched.
    unsafe { syscall4(Op::PowerOff, log.0, [status, 0, 0, 0]) }.status().map(drop)
}

/// The machine's figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineInfo {
    /// Frames free.
    pub frames_free: u64,
    /// Frames in all.
    pub frames: u64,
    /// Processors.
    pub cpus: u64,
    /// Counter ticks per microsecond.
    pub ticks_per_us: u64,
}

/// Reads the machine's figures.
///
/// # Errors
/// `NoRight`.
pub fn machine_info(log: Handle) -> Result<MachineInfo, Error> {
    // SAFETY: no memory of this program is touched.
    let raw = unsafe { syscall4(Op::MachineInfo, log.0, [0; 4]) };
    let [frames_free, frames, cpus, ticks_per_us, ..] = raw.words;
    raw.status().map(|_| MachineInfo { frames_free, frames, cpus, ticks_per_us })
}
