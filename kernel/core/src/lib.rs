//! Kernel objects, capabilities, messages and scheduling as a value.
//!
//! [`Kernel`] is the whole of it, [`Kernel::step`] the one door: an event comes in, the machine is asked through [`hw::Hardware`]. Who may touch
//! what is said in docs/architecture.md ("Kernel"); it is decided in `threads.rs`, by each thread's location word.
//!
//! What must always hold: no unsafe but in `region.rs` and `threads.rs`; nothing blocks; every operation is short or runs again from the
//! caller's registers; the lock order is registry, then endpoint; the message path takes no lock but the endpoint's.
#![no_std]

mod caps;
pub mod cell;
#[cfg(feature = "check")]
pub mod check;
pub mod cpu;
pub mod create;
#[cfg(not(target_os = "none"))]
pub mod emulated;
pub mod endpoint;
mod fast;
mod guest;
pub mod hw;
pub mod kernel;
mod lifecycle;
pub mod line;
pub mod location;
pub mod memory;
mod message;
pub mod notification;
pub mod object;
pub mod objects;
mod page;
mod poke;
pub mod process;
pub mod ready;
pub mod region;
pub mod registry;
pub mod reply;
mod shoot;
pub mod step;
pub mod table;
pub mod thread;
pub mod threads;
pub mod timer;

pub use cpu::{Cpu, Post};
pub use hw::{Backing, Frame, Hardware};
pub use kernel::{Kernel, KernelParts};
pub use sal_kernel_mem::Id;
pub use step::Event;
