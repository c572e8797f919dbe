//! Starts, watches and restarts every service.
fn main() {}
