//! A service that dies at each start, in a function whose name its backtrace must show: for tests of what becomes of it and of its callers.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
sal_rt::entry!(main);

#[cfg(target_os = "none")]
fn main(startup: &'static sal_rt::abi::boot::Startup) {
    sal_rt::log::info!("incarnation {}: about to die", startup.incarnation);
    reads_what_is_not_there(startup.incarnation);
}

/// A page fault, at an address that tells it from others.
#[cfg(target_os = "none")]
#[inline(never)]
#[allow(unsafe_code, reason = "the fault is what the program is for")]
fn reads_what_is_not_there(incarnation: u64) {
    // SAFETY: nothing is mapped in the first page of a native space: the processor refuses, and the process dies. That is the test.
    let word = unsafe { (0x5a0 as *const u64).read_volatile() };
    sal_rt::log::error!("incarnation {incarnation} read {word}");
}

#[cfg(not(target_os = "none"))]
fn main() {}
