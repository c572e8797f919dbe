//! Native programs that test the kernel from inside the machine.
fn main() {}
