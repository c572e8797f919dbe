//! Starting the other CPUs, one after the other, through a page below 1 MiB that is mapped there only in a root of its own.
#![allow(unsafe_code)]

use crate::layout::{self, PHYSMAP, TRAMPOLINE};
use crate::{Machine, apic, log, machine, start, time, tlb, trap};
use core::sync::atomic::{AtomicUsize, Ordering};

unsafe extern "C" {
    static trampoline_start: u8;
    static trampoline_end: u8;
}

/// A CPU that doesn't come up in this time is left out.
const PATIENCE_NS: u64 = 500_000_000;
const INIT_NS: u64 = 10_000_000;
const STARTUP_NS: u64 = 200_000;

/// Who may come in: twice the number of the CPU that is being started; one more when it has come in; 0: nobody. One that comes in too
/// late finds it shut.
static DOOR: AtomicUsize = AtomicUsize::new(0);

/// Starts every CPU; says how many run, this one included. CPUs are numbered in the order of [`Machine::cpu_ids`].
pub fn start_all(machine: &'static Machine) -> usize {
    let page = TRAMPOLINE..TRAMPOLINE + layout::PAGE;
    if machine.boot.module.is_some_and(|m| m.start < page.end && m.end > page.start) {
        log!("the loader put the boot image where other CPUs must start; going on with 1");
        return 1;
    }
    copy_trampoline();
    let mut running = 1;
    for (cpu, id) in machine.cpu_ids.iter().enumerate().skip(1) {
        if !start_one(machine, cpu, *id) {
            log!("cpu {cpu} (APIC {id}) does not start; going on with {running}");
            return running;
        }
        running += 1;
    }
    running
}

/// What `ap.s` reads, at its offset 8.
#[repr(C)]
struct Words {
    root: u64,
    stack: u64,
    number: u64,
}

fn copy_trampoline() {
    let start = &raw const trampoline_start;
    let length = &raw const trampoline_end as usize - start as usize;
    // SAFETY: the first MiB is mapped and nobody's; the code is shorter than a page.
    unsafe { core::ptr::copy_nonoverlapping(start, (PHYSMAP + TRAMPOLINE) as *mut u8, length) }
}

fn start_one(machine: &Machine, cpu: usize, id: u32) -> bool {
    let words = Words { root: machine.start_root, stack: layout::stack(cpu, 0).1, number: cpu as u64 };
    // SAFETY: as above, and no CPU is in the trampoline now: the one before has come up.
    unsafe { ((PHYSMAP + TRAMPOLINE + 8) as *mut Words).write_volatile(words) }
    let startup = apic::STARTUP + (TRAMPOLINE / layout::PAGE) as u32;
    DOOR.store(2 * cpu, Ordering::Release);
    apic::command(id, apic::INIT);
    wait(cpu, INIT_NS);
    apic::command(id, startup);
    if wait(cpu, STARTUP_NS) {
        return true;
    }
    apic::command(id, startup);
    wait(cpu, PATIENCE_NS) || DOOR.compare_exchange(2 * cpu, 0, Ordering::AcqRel, Ordering::Acquire).is_err()
}

/// Waits until the CPU has come in, at most `ns`.
fn wait(cpu: usize, ns: u64) -> bool {
    let end = time::now_ns() + ns;
    while DOOR.load(Ordering::Acquire) != 2 * cpu + 1 {
        if time::now_ns() > end {
            return false;
        }
        core::hint::spin_loop();
    }
    true
}

pub(crate) extern "C" fn ap_rust(cpu: usize) -> ! {
    let found = start::machine();
    // SAFETY: the kernel's own root maps all that this CPU uses; first thing on this CPU, whose number is its own.
    unsafe {
        tlb::load_root(found.root);
        start::init_cpu(found, cpu);
    }
    match DOOR.compare_exchange(2 * cpu, 2 * cpu + 1, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: this CPU has no frame: it idles until it is interrupted.
        Ok(_) => unsafe { trap::resume() },
        Err(_) => machine::halt(),
    }
}
