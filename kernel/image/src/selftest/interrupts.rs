//! Timer, interrupts between CPUs, device lines.

use super::harness::go;
use core::sync::atomic::{AtomicU64, Ordering};
use sal_arch_x86_64::irq::{self, Interrupt};
use sal_arch_x86_64::layout::MAX_CPUS;
use sal_arch_x86_64::{Machine, apic, log, percpu, port, time, trap};

const MS: u64 = 1_000_000;
const COM1_LINE: u32 = 4;
const COM1_INTERRUPTS: u16 = 0x3f9;
const COM1_IDENTIFY: u16 = 0x3fa;
const TRANSMITTER_EMPTY: u8 = 2;

/// Kicks that each CPU has taken.
static KICKS: [AtomicU64; MAX_CPUS] = [const { AtomicU64::new(0) }; MAX_CPUS];

/// What other CPUs do with an event: count a kick and kick the boot CPU back.
pub(super) fn count(found: &Machine, event: u64) {
    if irq::accept(found, event) == Interrupt::Kick
        && let Some(kicks) = KICKS.get(percpu::index())
    {
        kicks.fetch_add(1, Ordering::Release);
        apic::send(found.cpu_ids[0], apic::KICK_VECTOR);
    }
}

/// Idles until an interrupt comes.
fn next_interrupt(found: &Machine) -> Interrupt {
    // SAFETY: no guest runs.
    unsafe { trap::set_current(core::ptr::null_mut()) };
    irq::accept(found, go().event)
}

pub(super) fn the_clock_and_the_timer_agree(found: &Machine) {
    let (mut early, mut late) = (0, 0);
    for wait in [MS, MS / 10, 5 * MS] {
        let due = time::now_ns() + wait;
        time::set_timer(Some(due));
        assert_eq!(next_interrupt(found), Interrupt::Timer);
        let now = time::now_ns();
        early = early.max(due.saturating_sub(now));
        late = late.max(now.saturating_sub(due));
    }
    assert!(early < MS / 20, "{early} ns early");
    time::set_timer(Some(time::now_ns().saturating_sub(1)));
    assert_eq!(next_interrupt(found), Interrupt::Timer, "a deadline that has passed comes at once");
    log!("selftest: timer interrupts arrive, at most {early} ns early, {late} ns late");
}

pub(super) fn every_cpu_answers_a_kick(found: &Machine, cpus: usize) {
    for (cpu, kicks) in KICKS.iter().enumerate().take(cpus).skip(1) {
        for round in 1..=3 {
            apic::send(found.cpu_ids[cpu], apic::KICK_VECTOR);
            time::set_timer(Some(time::now_ns() + 5000 * MS));
            assert_eq!(next_interrupt(found), Interrupt::Kick, "CPU {cpu} does not kick back");
            assert_eq!(kicks.load(Ordering::Acquire), round);
        }
    }
    time::set_timer(None);
    log!("selftest: {} other CPUs answer kicks", cpus - 1);
}

pub(super) fn the_uart_line_arrives(found: &Machine) {
    for _ in 0..2 {
        irq::unmask(found, COM1_LINE, apic::id()).expect("COM1 has a line");
        port::write::<u8>(COM1_INTERRUPTS, TRANSMITTER_EMPTY);
        assert_eq!(next_interrupt(found), Interrupt::Line(COM1_LINE));
        port::write::<u8>(COM1_INTERRUPTS, 0);
        port::read::<u8>(COM1_IDENTIFY);
    }
    time::set_timer(Some(time::now_ns() + MS));
    port::write::<u8>(COM1_INTERRUPTS, TRANSMITTER_EMPTY);
    assert_eq!(next_interrupt(found), Interrupt::Timer, "a line stays masked until it is unmasked");
    port::write::<u8>(COM1_INTERRUPTS, 0);
    log!("selftest: line {COM1_LINE} arrives, and is masked until answered");
}
