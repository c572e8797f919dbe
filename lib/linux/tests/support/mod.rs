//! An emulated machine, and the personality on it.
#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test file uses its part")]

mod machine;
pub mod nr;
mod program;
mod world;

pub use machine::{Fake, Machine, Memory, SharedContents, Space};
pub use program::{program, put, put_file};
pub use world::{At, Thread, World};

pub const PAGE: u64 = 4096;
pub const AT_FDCWD: u64 = -100i64 as u64;

/// A seeded stream of numbers (xorshift).
pub struct Seeded(pub u64);
impl Seeded {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}
