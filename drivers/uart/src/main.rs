//! The serial port, and the framed link to the host.
fn main() {}
