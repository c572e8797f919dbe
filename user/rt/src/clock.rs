//! Time without a kernel call where the processor's counter can be trusted.

use sal_abi::boot::Startup;
use sal_abi::{Error, Handle};
use sal_idl::TransportError;
use sal_sys::ipc::{self, Extras};
use sal_sys::page;

/// Word of `MessagePage::user` that holds the endpoint at which this thread sleeps; 0 until it first does.
const SLEEP_WORD: usize = 3;

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
    whole.saturating_mul(1000).saturating_add(rest * 1000 / startup.ticks_per_us)
}

/// Waits until `deadline` (nanoseconds since boot), at an endpoint of this thread's own that nobody else knows.
///
/// # Errors
/// `Interrupted`; the kernel's if there is no room for the endpoint.
pub fn sleep_until(deadline: u64) -> Result<(), TransportError> {
    let failed = |error| TransportError { error, code: 0 };
    let endpoint = match page::user(SLEEP_WORD) {
        0 => {
            let made = ipc::endpoint_create(crate::start::own::budget()).map_err(failed)?;
            page::set_user(SLEEP_WORD, made.0);
            made
        }
        word => Handle(word),
    };
    page::set_deadline(deadline);
    match ipc::receive(endpoint, Extras::NONE.with_deadline()) {
        Ok(_) => Ok(()),
        Err(e) if e.error == Error::DeadlinePassed => Ok(()),
        Err(e) => Err(failed(e.error)),
    }
}

/// Closes this thread's sleeping endpoint, if it has one: before the thread ends.
pub(crate) fn forget_sleep() {
    let word = page::user(SLEEP_WORD);
    if word != 0 {
        page::set_user(SLEEP_WORD, 0);
        let _ = sal_sys::capability::close(Handle(word));
    }
}
