//! The kernel core on an emulated machine: directed tests of the message rules, and every interleaving of small worlds.
//!
//! What must always hold: nothing here decides what the kernel does; a world is a value, so that exploring can copy it.
#![forbid(unsafe_code)]

pub mod emu;
pub mod explore;

pub mod world;
