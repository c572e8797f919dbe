//! The run-time of native programs: start-up, heap, owned handles, mappings, threads, locks, the server loop and the client's retry.
//!
//! A program is `#![no_std] #![no_main]`, names its main function with [`entry!`], and finds everything it may touch in its
//! [`Startup`](sal_abi::boot::Startup) page ([`grants`]).
//!
//! What must always hold here: every `unsafe` block is about this program's own address space and says why it is sound; servers built on
//! this crate need none of their own. Each thread lives in an area of `abi::boot::THREAD_AREA` bytes (message page, hole, stack), so that
//! its message page is found from the stack pointer.
#![no_std]
#![allow(unsafe_code)]

extern crate alloc;

pub mod clock;
pub mod connection;
pub mod grants;
pub mod guest;
pub mod handle;
mod heap;
pub mod lock;
pub mod logger;
pub mod map;
pub mod server;
pub mod start;
pub mod table;
pub mod thread;

pub use connection::Connection;
pub use grants::Grants;
pub use lock::Mutex;
pub use log;
pub use sal_abi as abi;
pub use sal_sys as sys;
