//! The kernel core on an emulated machine: directed tests of the message rules, and every interleaving of small worlds.
//!
//! `cargo test -p sal-model` explores what one processor core does in some seconds; `SAL_MODEL_LONG=1` adds the big worlds and a longer storm on real
//! threads; `planted.sh` plants bugs and shows that they are found (`planted.md` is what it said).
//!
//! What must always hold: nothing here decides what the kernel does; a world is a value, so that exploring can copy it.
#![forbid(unsafe_code)]

pub mod emu;
pub mod explore;

pub mod world;
