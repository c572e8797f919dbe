//! Gives out memory objects.
fn main() {}
