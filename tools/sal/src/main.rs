//! The host tool: run, test, bench, disk, image, trace.
fn main() {}
