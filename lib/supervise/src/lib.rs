//! The supervisor as a value.
#![no_std]
