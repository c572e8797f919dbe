//! The name server as a value.
#![no_std]
