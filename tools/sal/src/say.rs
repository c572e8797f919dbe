//! Lines on standard output. A reader that has gone (`cargo sal test | head`) is no reason to end: the work goes on, and its status counts.

use std::fmt::Arguments;
use std::io::Write;

/// As `println!`, to a reader that may have gone; colours only on a terminal.
macro_rules! say {
    ($($text:tt)*) => { $crate::say::line(format_args!($($text)*)) };
}
pub(crate) use say;

/// Prints a line.
pub(crate) fn line(text: Arguments<'_>) {
    let _ = writeln!(anstream::stdout().lock(), "{text}");
}
