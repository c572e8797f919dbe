//! The boot image: one file with every program, the manifest and the RAM disk.
#![no_std]
