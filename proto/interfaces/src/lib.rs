//! The interfaces, one file each.
#![no_std]
