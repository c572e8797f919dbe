//! What the kernel needs of an x86_64 machine.
#![no_std]
