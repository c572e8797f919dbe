//! Start-up: what the CPUs do once they run on the final page tables.

use core::sync::atomic::{AtomicU64, Ordering};
use sal_arch_x86_64::{Machine, log, machine, smp, start};

#[unsafe(no_mangle)]
extern "Rust" fn kernel_main(found: &'static Machine) -> ! {
    log!("salamandra {}", env!("CARGO_PKG_VERSION"));
    start::report(found);
    let cpus = smp::start_all(found);
    log!("cpus: {cpus} of {}", found.cpu_ids.len());
    machine::end(machine::End::Order)
}

#[unsafe(no_mangle)]
extern "Rust" fn ap_main(_cpu: usize) -> ! {
    // SAFETY: this CPU has no frame: it idles until it is kicked.
    unsafe { sal_arch_x86_64::trap::resume() }
}

pub(crate) static EVENTS: AtomicU64 = AtomicU64::new(0);
#[unsafe(no_mangle)]
extern "C" fn kernel_entry(_event: u64, _error: u64, _address: u64) {
    EVENTS.fetch_add(1, Ordering::Relaxed);
}
