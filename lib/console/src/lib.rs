//! The console server as a value.
#![no_std]
