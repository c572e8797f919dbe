//! The kernel: start-up and glue.
fn main() {}
