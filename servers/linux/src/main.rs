//! The Linux personality.
fn main() {}
