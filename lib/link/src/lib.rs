//! Frames over a serial line that lose and double nothing.
#![no_std]
