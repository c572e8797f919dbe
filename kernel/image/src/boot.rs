//! Start-up: what the boot CPU does once it runs on the final page tables.
#![allow(unsafe_code)]

use crate::{entry, local, make, root, selftest};
use core::sync::atomic::Ordering;
use sal_arch_x86_64::{Machine, bug, log, smp, start, trap};
use sal_kernel_core::cpu::CPUS;
use sal_kernel_core::{Event, Hardware};

#[unsafe(no_mangle)]
extern "Rust" fn kernel_main(found: &'static Machine) -> ! {
    log!("salamandra {}", env!("CARGO_PKG_VERSION"));
    start::report(found);
    let cpus = smp::start_all(found).min(CPUS);
    log!("cpus: {cpus} of {}", found.cpu_ids.len());
    selftest::run_if_asked(found, cpus);
    run(found, cpus)
}

/// Makes the core and the root task, and lets all CPUs at it: they idle until they are interrupted.
fn run(found: &'static Machine, cpus: usize) -> ! {
    // SAFETY: each CPU's state once, before the core is open.
    let kernel = match make::kernel(found, cpus, &mut |hold, timers| unsafe { local::init(hold, timers) }) {
        Ok(kernel) => kernel,
        Err(error) => start::refuse(format_args!("too little memory for the kernel's own tables: {error:?}")),
    };
    for post in kernel.posts.iter().take(cpus) {
        post.up.store(true, Ordering::Relaxed);
    }
    entry::open(kernel);
    for n in 1..cpus {
        kernel.hw.interrupt_cpu(n);
    }
    // SAFETY: the boot CPU's state, once before its first trap.
    let Some(local) = (unsafe { local::local() }) else { start::refuse(format_args!("no state for the boot CPU")) };
    if let Err(error) = root::start(kernel, &mut local.cpu, found, cpus) {
        start::refuse(format_args!("{error}"));
    }
    kernel.step(&mut local.cpu, Event::Post);
    local.load(kernel);
    // SAFETY: `load` has set root and frame.
    unsafe { trap::resume() }
}

/// A bug of the kernel: say where, then end the machine.
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    bug::panicked(info)
}
