//! COM1, polled: the kernel's log before the uart driver runs, and its last words. Raw text lines.

use crate::port;
use core::fmt::{self, Write};
use spin::Mutex;

const DATA: u16 = 0x3f8;
const LINE_STATUS: u16 = DATA + 5;
const CAN_SEND: u8 = 0x20;
/// Polls before a byte is given up: a machine without COM1 must not hang.
const PATIENCE: u32 = 100_000;

static COM1: Mutex<Com1> = Mutex::new(Com1);

/// 115,200 baud, 8N1, FIFO on, interrupts off.
pub fn init() {
    for (register, value) in [(1, 0), (3, 0x80), (0, 1), (1, 0), (3, 3), (2, 7), (4, 0x0b)] {
        port::write::<u8>(DATA + register, value);
    }
}

/// Sends bytes as they are.
pub fn send(bytes: &[u8]) {
    for byte in bytes {
        let mut left = PATIENCE;
        while port::read::<u8>(LINE_STATUS) & CAN_SEND == 0 && left > 0 {
            left -= 1;
            core::hint::spin_loop();
        }
        port::write::<u8>(DATA, *byte);
    }
}

struct Com1;

impl Write for Com1 {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        send(text.as_bytes());
        Ok(())
    }
}

/// Writes a line; lines of several CPUs don't mix.
pub fn line(text: fmt::Arguments<'_>) {
    let _ = writeln!(COM1.lock(), "{text}");
}

/// Writes a line without waiting for anybody: for a kernel that is about to end.
pub fn last_words(text: fmt::Arguments<'_>) {
    let _ = writeln!(Com1, "{text}");
}

/// Writes a line to the kernel's log on COM1.
#[macro_export]
macro_rules! log {
    ($($arg:tt)*) => { $crate::uart::line(::core::format_args!($($arg)*)) };
}
