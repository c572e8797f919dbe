//! A 16550 (PC16550D data sheet): registers, and how to take it over without losing a byte.
//!
//! What must hold: a restarted driver leaves both FIFOs as they are. The kernel has set the speed for its own log and may write a line at
//! any moment, so the divisor latch, which shares a port with the data, is never opened here.

/// The eight ports.
pub trait Ports {
    /// Reads a register.
    fn read(&mut self, register: u8) -> u8;
    /// Writes a register.
    fn write(&mut self, register: u8, value: u8);
    /// Writes bytes to the data register, one after the other.
    fn write_data(&mut self, bytes: &[u8]);
}

/// Bytes that the transmitter's FIFO takes when it is empty.
pub const FIFO: usize = 16;

/// Registers, without the divisor latch.
pub mod register {
    /// Received and transmitted bytes.
    pub const DATA: u8 = 0;
    /// Which interrupts are on.
    pub const INTERRUPTS: u8 = 1;
    /// FIFO control, when written.
    pub const FIFO_CONTROL: u8 = 2;
    /// Word length; bit 7 opens the divisor latch.
    pub const LINE_CONTROL: u8 = 3;
    /// Modem lines; bit 4 is loop-back.
    pub const MODEM_CONTROL: u8 = 4;
    /// What is ready.
    pub const LINE_STATUS: u8 = 5;
}

/// Bits of the registers.
pub mod bit {
    /// Interrupt: bytes have come.
    pub const ON_RECEIVED: u8 = 1;
    /// Interrupt: the transmitter is empty.
    pub const ON_EMPTY: u8 = 2;
    /// FIFO control: on, interrupt at 8 bytes; without the two bits that would empty them.
    pub const FIFO_ON: u8 = 0x81;
    /// Eight bits, no parity, one stop bit.
    pub const EIGHT_BITS: u8 = 3;
    /// DTR, RTS, and OUT2, which lets interrupts out.
    pub const MODEM_ON: u8 = 0x0b;
    /// Status: a byte waits.
    pub const RECEIVED: u8 = 1;
    /// Status: the transmitter's FIFO is empty.
    pub const EMPTY: u8 = 0x20;
}

/// The device.
#[derive(Debug)]
pub struct Device<P> {
    ports: P,
}

impl<P: Ports> Device<P> {
    /// Takes the device over: from the kernel, or from a predecessor.
    pub fn adopt(ports: P) -> Self {
        let mut device = Device { ports };
        device.ports.write(register::INTERRUPTS, 0);
        device.ports.write(register::LINE_CONTROL, bit::EIGHT_BITS);
        device.ports.write(register::FIFO_CONTROL, bit::FIFO_ON);
        device.ports.write(register::MODEM_CONTROL, bit::MODEM_ON);
        device
    }

    /// Takes received bytes; returns how many.
    pub fn receive(&mut self, out: &mut [u8]) -> usize {
        let mut length = 0;
        for place in out.iter_mut() {
            if self.status() & bit::RECEIVED == 0 {
                break;
            }
            *place = self.ports.read(register::DATA);
            length += 1;
        }
        length
    }

    /// Whether [`FIFO`] bytes can be sent.
    pub fn is_empty(&mut self) -> bool {
        self.status() & bit::EMPTY != 0
    }

    /// Sends at most [`FIFO`] bytes after [`Device::is_empty`].
    pub fn send(&mut self, bytes: &[u8]) {
        self.ports.write_data(bytes);
    }

    /// Turns interrupts on, for a line that tells edges: whatever is ready already makes a new one.
    pub fn rearm(&mut self, on_empty: bool) {
        let when_empty = if on_empty { bit::ON_EMPTY } else { 0 };
        self.ports.write(register::INTERRUPTS, 0);
        self.ports.write(register::INTERRUPTS, bit::ON_RECEIVED | when_empty);
    }

    fn status(&mut self) -> u8 {
        self.ports.read(register::LINE_STATUS)
    }
}
