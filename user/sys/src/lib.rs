//! Kernel calls: one typed function per `abi::Op`, over one inline-assembly stub per register shape.
//!
//! What must always hold here: a function that can break memory safety (it changes what is mapped under live references, starts a
//! thread at an address, or lends raw addresses) is `unsafe` and says what the caller must promise; every other function is safe with any
//! arguments, because the kernel checks them. No policy, no state, no allocation: owned handles and retry live in `sal-rt`.
//!
//! [`raw`] is the only file that names registers.
#![no_std]
#![allow(unsafe_code)]

pub mod capability;
pub mod guest;
pub mod ipc;
pub mod machine;
pub mod memory;
pub mod page;
pub mod process;
pub mod raw;

pub use ipc::{Failed, Received};
pub use sal_abi as abi;
pub use sal_abi::{Error, Handle, Op, Rights, Words};
