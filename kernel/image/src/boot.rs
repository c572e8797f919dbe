//! Start-up: what the CPUs do once they run on the final page tables, and the door to the kernel core.
#![allow(unsafe_code)]

use crate::hardware::Hw;
use crate::{entry, local, make, root, selftest};
use core::sync::atomic::{AtomicPtr, Ordering};
use sal_arch_x86_64::{Machine, log, machine, percpu, smp, start, trap};
use sal_kernel_core::cpu::CPUS;
use sal_kernel_core::{Cpu, Event};
use spin::Mutex;

static MACHINE: AtomicPtr<Machine> = AtomicPtr::new(core::ptr::null_mut());

/// The CPUs' own states, until each CPU has taken its own.
static STATES: Mutex<[Option<Cpu<Hw>>; CPUS]> = Mutex::new([const { None }; CPUS]);

#[unsafe(no_mangle)]
extern "Rust" fn kernel_main(found: &'static Machine) -> ! {
    MACHINE.store(core::ptr::from_ref(found).cast_mut(), Ordering::Release);
    log!("salamandra {}", env!("CARGO_PKG_VERSION"));
    start::report(found);
    let cpus = smp::start_all(found).min(CPUS);
    log!("cpus: {cpus} of {}", found.cpu_ids.len());
    selftest::run_if_asked(found, cpus);
    run(found, cpus)
}

/// Makes the core and the root task, and lets all CPUs at it.
fn run(found: &'static Machine, cpus: usize) -> ! {
    let made = make::kernel(found, cpus, &mut |n, cpu| {
        if let Some(place) = STATES.lock().get_mut(n) {
            *place = Some(cpu);
        }
    });
    let kernel = match made {
        Ok(kernel) => kernel,
        Err(error) => refuse(format_args!("too little memory for the kernel's own tables: {error:?}")),
    };
    for post in kernel.posts.iter().take(cpus) {
        post.up.store(true, Ordering::Relaxed);
    }
    entry::open(kernel);
    take_state();
    for n in 1..cpus {
        sal_kernel_core::Hardware::interrupt_cpu(&kernel.hw, n);
    }
    // SAFETY: the boot CPU's state, once before its first trap.
    let Some(local) = (unsafe { local::local() }) else { refuse(format_args!("no state for the boot CPU")) };
    if let Err(error) = root::start(kernel, &mut local.cpu, found, cpus) {
        refuse(format_args!("{error}"));
    }
    kernel.step(&mut local.cpu, Event::Post);
    local.load(kernel);
    // SAFETY: `load` has set root and frame.
    unsafe { trap::resume() }
}

/// Ends the start with one line.
fn refuse(why: core::fmt::Arguments<'_>) -> ! {
    log!("salamandra: can't start: {why}");
    machine::end(machine::End::Refused)
}

/// This CPU takes its own state.
fn take_state() {
    let state = STATES.lock().get_mut(percpu::index()).and_then(Option::take);
    if let Some(cpu) = state {
        local::init(cpu);
    }
}

#[unsafe(no_mangle)]
extern "Rust" fn ap_main(_cpu: usize) -> ! {
    // SAFETY: this CPU has no frame: it idles until it is kicked.
    unsafe { trap::resume() }
}

/// Every `syscall`.
#[unsafe(no_mangle)]
extern "C" fn kernel_syscall() {
    if let Some(kernel) = entry::kernel()
        // SAFETY: once per entry.
        && let Some(local) = unsafe { local::local() }
    {
        return entry::syscall(kernel, local);
    }
    kernel_entry(trap::SYSCALL, 0, 0);
}

/// Every other trap from user mode and every interrupt. Until the core stands, only self-tests trap.
#[unsafe(no_mangle)]
extern "C" fn kernel_entry(event: u64, error: u64, address: u64) {
    if let Some(kernel) = entry::kernel() {
        return entry::enter(kernel, event, error, address);
    }
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

/// A CPU's first interrupt after the core stands: it takes its state.
pub(crate) fn first_entry() {
    take_state();
}
