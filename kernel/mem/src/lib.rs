//! Frames, page tables, memory objects and mappings as a value.
#![no_std]
