//! The kernel: start-up and glue.
//!
//! Build: `cargo build --release --target x86_64-unknown-none -p salamandra-kernel`. Run (exit status 33 = ended in order):
//! `qemu-system-x86_64 -M q35 -cpu max -m 256 -display none -serial stdio -monitor none -no-reboot -device
//! isa-debug-exit,iobase=0xf4,iosize=4 -kernel target/x86_64-unknown-none/release/salamandra-kernel -append selftest -smp 4`.
//!
//! Words of the command line: `selftest` tests the machine layer and ends; `overflow` must end with 255 and name the guard page.
//! Exit statuses: 33 in order, 35 the machine or the boot image is unfit, 255 a bug of the kernel (registers and backtrace on COM1).
//!
//! On the host it is an empty program, so that the workspace builds there.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![allow(unsafe_code)]

#[cfg(not(target_os = "none"))]
fn main() {}

#[cfg(target_os = "none")]
mod boot;
#[cfg(target_os = "none")]
mod entry;
#[cfg(target_os = "none")]
mod frame;
#[cfg(target_os = "none")]
mod hardware;
#[cfg(target_os = "none")]
mod klog;
#[cfg(target_os = "none")]
mod local;
#[cfg(target_os = "none")]
mod make;
#[cfg(target_os = "none")]
mod root;
#[cfg(target_os = "none")]
mod selftest;
