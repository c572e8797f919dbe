//! The serial port's driver: ties `sal_uart` to ports, interrupt and messages.
//!
//! What must hold: every call can be repeated (byte numbers), so there are no client slots; the watcher's notification lies in the vault's
//! table before its caller is answered.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod serve;

#[cfg(target_os = "none")]
sal_rt::entry!(serve::main);

#[cfg(not(target_os = "none"))]
fn main() {}
