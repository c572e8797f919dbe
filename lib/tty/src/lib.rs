//! A terminal line discipline.
#![no_std]
