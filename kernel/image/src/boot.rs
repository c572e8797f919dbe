//! Start-up: what the boot CPU does once it runs on the final page tables.

use sal_arch_x86_64::{Machine, log, machine, start};

#[unsafe(no_mangle)]
extern "Rust" fn kernel_main(found: &'static Machine) -> ! {
    log!("salamandra {}", env!("CARGO_PKG_VERSION"));
    start::report(found);
    machine::end(machine::End::Order)
}
