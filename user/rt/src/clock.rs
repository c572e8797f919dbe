//! Time without a kernel call where the processor's counter can be trusted.

use sal_abi::boot::Startup;

/// Nanoseconds since boot.
///
/// The counter is used if the start-up page says how fast it runs; else the kernel is asked.
pub fn now() -> u64 {
    match crate::start::own::startup() {
        Some(startup) if startup.ticks_per_us != 0 => from_ticks(sal_sys::raw::ticks(), startup),
        _ => sal_sys::machine::clock(),
    }
}

/// Nanoseconds at counter value `ticks`.
fn from_ticks(ticks: u64, startup: &Startup) -> u64 {
    let passed = ticks.saturating_sub(startup.tick_zero);
    let whole = passed / startup.ticks_per_us;
    let rest = passed % startup.ticks_per_us;
    whole
        .saturating_mul(1000)
        .saturating_add(rest * 1000 / startup.ticks_per_us)
}
