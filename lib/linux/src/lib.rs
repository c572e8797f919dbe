//! The Linux personality as a value.
#![no_std]
