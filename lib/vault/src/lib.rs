//! State that outlives a server: records that are whole or were never written.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "kill-points"))]
extern crate std;

pub mod store;
