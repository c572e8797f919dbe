//! The one source of the ABI between kernel and user space.
//!
//! What must always hold here: no unsafe, no dependencies, every layout `repr(C)` with explicit sizes (tests below pin them), and
//! every number written once. `docs/abi.md` says what the calls mean.
#![no_std]
#![forbid(unsafe_code)]

pub mod boot;
pub mod error;
pub mod handle;
pub mod message;
pub mod op;
pub mod rights;
pub mod x86_64;

pub use error::Error;
pub use handle::Handle;
pub use message::{CapArg, Loan, MessagePage};
pub use op::Op;
pub use rights::Rights;

/// Version of this ABI: kernel and programs refuse each other when it differs.
pub const VERSION: u32 = 1;

/// Bytes in a page, and in a frame.
pub const PAGE: u64 = 4096;

/// Words carried in registers by every message.
pub const WORDS: usize = 8;

/// The words of one message.
pub type Words = [u64; WORDS];
