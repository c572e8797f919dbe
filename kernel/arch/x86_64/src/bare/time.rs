//! The clock and each CPU's one timer.
//!
//! Nanoseconds since the start, from the time-stamp counter, which all CPUs are taken to share (a CPU without an invariant one is named
//! on the log). It is measured against ACPI's power-management timer: exact under an emulator that counts instructions, and within
//! some parts in 100,000 elsewhere, preempted emulators included, since a reading counts only if it was quick.

use crate::{Machine, apic, cpu, port};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Ticks of the power-management timer per second.
const PM_HZ: u64 = 3_579_545;
const PM_MASK: u32 = 0x00ff_ffff;
/// How long to measure: about 10 ms.
const PM_TICKS: u32 = 35_795;
const NS: u64 = 1_000_000_000;

static ZERO: AtomicU64 = AtomicU64::new(0);
static TSC_HZ: AtomicU64 = AtomicU64::new(NS);
/// Nanoseconds per tick, times 2^32.
static SCALE: AtomicU64 = AtomicU64::new(1 << 32);
/// Ticks of the local APIC's timer per nanosecond, times 2^32.
static TIMER_SCALE: AtomicU64 = AtomicU64::new(1 << 32);
static USE_DEADLINE: AtomicBool = AtomicBool::new(false);

/// Why there is no clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoClock {
    /// ACPI names no power-management timer.
    NoReference,
    /// It stands still.
    Stopped,
}

/// All three clocks at one moment.
#[derive(Clone, Copy)]
struct Moment {
    pm: u32,
    tsc: u64,
    timer: u32,
}

/// A moment right after a tick of the reference, the quickest reading of several.
fn moment(port: u16) -> Result<Moment, NoClock> {
    let mut best: Option<(u64, Moment)> = None;
    for _ in 0..8 {
        let start = port::read::<u32>(port) & PM_MASK;
        let mut patience = 1_000_000u32;
        let (took, now) = loop {
            let before = cpu::tsc();
            let pm = port::read::<u32>(port) & PM_MASK;
            let tsc = cpu::tsc();
            let timer = apic::timer_left();
            if pm != start {
                break (cpu::tsc() - before, Moment { pm, tsc, timer });
            }
            patience = patience.checked_sub(1).ok_or(NoClock::Stopped)?;
        };
        if best.is_none_or(|(quickest, _)| took < quickest) {
            best = Some((took, now));
        }
    }
    best.map(|(_, now)| now).ok_or(NoClock::Stopped)
}

/// Measures the clocks, on the boot CPU; nanosecond 0 is when it returns.
pub(crate) fn calibrate(machine: &Machine) -> Result<(), NoClock> {
    let port = machine.acpi.pm_timer.ok_or(NoClock::NoReference)?;
    apic::timer_measure();
    let first = moment(port)?;
    while (port::read::<u32>(port) & PM_MASK).wrapping_sub(first.pm) & PM_MASK < PM_TICKS {
        core::hint::spin_loop();
    }
    let last = moment(port)?;
    apic::timer_after(0);
    let pm = u64::from(last.pm.wrapping_sub(first.pm) & PM_MASK);
    let tsc_hz = whole_mhz((last.tsc - first.tsc) * PM_HZ / pm);
    let timer_hz = whole_mhz(u64::from(first.timer - last.timer) * PM_HZ / pm);
    if tsc_hz == 0 || timer_hz == 0 {
        return Err(NoClock::Stopped);
    }
    TSC_HZ.store(tsc_hz, Ordering::Relaxed);
    SCALE.store(((u128::from(NS) << 32) / u128::from(tsc_hz)) as u64, Ordering::Relaxed);
    TIMER_SCALE.store(((u128::from(timer_hz) << 32) / u128::from(NS)) as u64, Ordering::Relaxed);
    USE_DEADLINE.store(cpu::TSC_DEADLINE.exists(), Ordering::Relaxed);
    ZERO.store(cpu::tsc(), Ordering::Relaxed);
    Ok(())
}

/// A measured frequency, rounded to whole MHz where it is within 100 parts in a million of one: clocks are made so.
fn whole_mhz(hz: u64) -> u64 {
    let rounded = (hz + 500_000) / 1_000_000 * 1_000_000;
    if rounded.abs_diff(hz) * 10_000 <= hz { rounded } else { hz }
}

fn scale(value: u64, by: &AtomicU64) -> u64 {
    ((u128::from(value) * u128::from(by.load(Ordering::Relaxed))) >> 32) as u64
}

/// Nanoseconds since the start.
pub fn now_ns() -> u64 {
    scale(cpu::tsc().wrapping_sub(ZERO.load(Ordering::Relaxed)), &SCALE)
}

/// Ticks of the time-stamp counter per second, and its value at nanosecond 0.
pub fn tsc_rate() -> (u64, u64) {
    (TSC_HZ.load(Ordering::Relaxed), ZERO.load(Ordering::Relaxed))
}

/// Interrupts this CPU at `at` (nanoseconds since the start), or somewhat before if that is far away: look at the clock and set it
/// again. `None`: never.
pub fn set_timer(at: Option<u64>) {
    if USE_DEADLINE.load(Ordering::Relaxed) {
        let (hz, zero) = tsc_rate();
        let tsc = |at| zero.saturating_add((u128::from(at) * u128::from(hz) / u128::from(NS)) as u64).max(1);
        return apic::timer_at(at.map_or(0, tsc));
    }
    let ticks = |at: u64| scale(at.saturating_sub(now_ns()), &TIMER_SCALE).clamp(1, u64::from(u32::MAX)) as u32;
    apic::timer_after(at.map_or(0, ticks));
}
