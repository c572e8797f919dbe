//! Lines for the kernel's log: the `log` facade and the raw line that a panic writes.
//!
//! A line is put together in a buffer on the stack, so that logging works without a heap and from inside the allocator. What does not fit is cut.

use core::fmt::{Arguments, Write};

/// Longest line in bytes.
const LINE: usize = 480;

/// What the kernel takes at once, with room for what it adds.
const PIECE: usize = 240;

/// A line being put together.
struct Line {
    bytes: [u8; LINE],
    used: usize,
}

impl Line {
    /// Ends the line, however long it was.
    fn end(&mut self) {
        let last = self.used.min(LINE - 1);
        if let Some(place) = self.bytes.get_mut(last) {
            *place = b'\n';
        }
        self.used = last + 1;
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let room = LINE - self.used;
        let taken = text.len().min(room);
        let (Some(to), Some(from)) = (self.bytes.get_mut(self.used..self.used + taken), text.as_bytes().get(..taken))
        else {
            return Err(core::fmt::Error);
        };
        to.copy_from_slice(from);
        self.used += taken;
        Ok(())
    }
}

/// Writes one line to the log that this program was granted; nothing if it was granted none.
pub fn line(what: Arguments<'_>) {
    let mut line = Line { bytes: [0; LINE], used: 0 };
    let _ = line.write_fmt(what);
    line.end();
    let text = line.bytes.get(..line.used).unwrap_or(&[]);
    for part in text.chunks(PIECE) {
        let _ = sal_sys::machine::log_write(crate::start::own::log(), part);
    }
}

/// The facade's end.
struct KernelLog;

impl log::Log for KernelLog {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            line(format_args!("{} {}: {}", record.level(), record.target(), record.args()));
        }
    }

    fn flush(&self) {}
}

static KERNEL_LOG: KernelLog = KernelLog;

/// Makes `log::info!` and its siblings write to the kernel's log.
pub(crate) fn install() {
    if log::set_logger(&KERNEL_LOG).is_ok() {
        log::set_max_level(log::LevelFilter::Info);
    }
}
