//! Path prefixes and who serves them.
fn main() {}
