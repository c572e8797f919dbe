//! The serial port's driver without its messages: the device, and the link to the host over it.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod device;
pub mod driver;
pub mod ship;
#[cfg(test)]
mod tests;
pub mod vault;
