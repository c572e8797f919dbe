//! The console: ties `sal_console_core` to messages. Above it the personality, below it the `uart` driver.
//!
//! What must hold: whatever the core has decided is in the vault before anything leaves; a caller that waits is kept here and nowhere else, so
//! that after a death it repeats its request; the driver is called, never the other way round.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
mod calls;
#[cfg(target_os = "none")]
mod ioctl;
#[cfg(target_os = "none")]
mod line;
#[cfg(target_os = "none")]
mod run;
#[cfg(target_os = "none")]
mod waiting;

#[cfg(target_os = "none")]
sal_rt::entry!(run::main);

#[cfg(not(target_os = "none"))]
fn main() {}
