//! Owns the estate, heals the supervisor.
fn main() {}
