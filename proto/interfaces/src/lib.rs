//! The interfaces between the system's parts, one file each: what is asked, what comes back, what each error means.
//!
//! What must always hold here: every operation may be repeated after `ServerDied`. Where repeating would do something twice, its text says
//! *remembered*: the server keeps slot, sequence number and answer under the same commit as the effect (`sal_idl::header`).
#![no_std]
#![forbid(unsafe_code)]

pub mod console;
pub mod estate;
pub mod file;
pub mod memory;
pub mod names;
pub mod service;
pub mod supervisor;
pub mod uart;
