//! Start-up: what the CPUs do once they run on the final page tables, and the door to the kernel core.

use crate::selftest;
use core::sync::atomic::{AtomicPtr, Ordering};
use sal_arch_x86_64::{Machine, log, machine, percpu, smp, start, trap};

static MACHINE: AtomicPtr<Machine> = AtomicPtr::new(core::ptr::null_mut());

#[unsafe(no_mangle)]
extern "Rust" fn kernel_main(found: &'static Machine) -> ! {
    MACHINE.store(core::ptr::from_ref(found).cast_mut(), Ordering::Release);
    log!("salamandra {}", env!("CARGO_PKG_VERSION"));
    start::report(found);
    let cpus = smp::start_all(found);
    log!("cpus: {cpus} of {}", found.cpu_ids.len());
    selftest::run_if_asked(found, cpus);
    machine::end(machine::End::Order)
}

#[unsafe(no_mangle)]
extern "Rust" fn ap_main(_cpu: usize) -> ! {
    // SAFETY: this CPU has no frame: it idles until it is kicked.
    unsafe { trap::resume() }
}

/// Every trap from user mode and every interrupt. Until the kernel core stands behind it, only self-tests trap.
#[unsafe(no_mangle)]
extern "C" fn kernel_entry(event: u64, error: u64, address: u64) {
    if selftest::handled(event) {
        return;
    }
    if percpu::index() == 0 {
        selftest::trapped(event, error, address);
    }
    // SAFETY: set before any CPU could trap, never freed.
    if let Some(found) = unsafe { MACHINE.load(Ordering::Acquire).as_ref() } {
        selftest::count(found, event);
    }
}
