//! Self-tests of the machine layer, by the word `selftest` on the command line: each prints a line, the first that fails ends the
//! machine as a bug. `overflow` runs over the kernel stack's end instead, which must end as a bug that names the guard page.
//!
//! They run on a stack of their own: every trap starts at the top of the CPU's kernel stack.

mod arenas;
mod bench;
mod float;
mod guest;
mod harness;
mod interrupts;
mod stacks;
mod user;
mod world;

use sal_arch_x86_64::{Machine, log, machine, percpu, start};
use world::World;

/// Every trap and interrupt until the core stands; with what `kernel_entry` is called.
pub(crate) fn entered(event: u64, error: u64, address: u64) {
    if bench::handled(event) {
        return;
    }
    if percpu::index() == 0 {
        harness::trapped(event, error, address);
    }
    interrupts::count(start::machine(), event);
}

/// Runs what the command line asks for, and ends the machine; returns if it asks for nothing.
pub(crate) fn run_if_asked(found: &'static Machine, cpus: usize) {
    if found.boot.has_word("overflow") {
        stacks::overflow();
    }
    if found.boot.has_word("selftest") {
        harness::on_own_stack(found, cpus, run);
    }
}

fn run(found: &'static Machine, cpus: usize) -> ! {
    let mut world = World::new(found);
    stacks::guards_are_unmapped(&mut world, found);
    stacks::the_image_is_never_writable_and_executable(&mut world, found);
    arenas::regions_grow_by_frames(&mut world, found);
    interrupts::the_clock_and_the_timer_agree(found);
    interrupts::every_cpu_answers_a_kick(found, cpus);
    interrupts::the_uart_line_arrives(found);
    user::a_syscall_keeps_registers(&mut world);
    user::exceptions_are_caught(&mut world);
    user::the_timer_preempts(&mut world, found);
    guest::a_guest_runs_and_stops(&mut world);
    guest::hostile_registers_do_no_harm(&mut world);
    float::state_is_kept(&mut world);
    bench::guest_round_trip(&mut world);
    log!("selftest: all passed");
    machine::end(machine::End::Order)
}
