//! Kernel call stubs.
#![no_std]
