//! Kernel objects, capabilities, messages and scheduling as a value.
#![no_std]
