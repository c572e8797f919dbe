//! From the first instruction to `main`, and the way out.
//!
//! The order is fixed: check the start-up page, publish what the rest of the run-time needs ([`own`]), install the logger, call `main`. The
//! heap fills itself at the first allocation.

use core::sync::atomic::{AtomicU64, Ordering};
use sal_abi::boot::{ExitReason, STARTUP_MAGIC, Startup};
use sal_abi::{Handle, VERSION};

/// Names `main`: `fn(&'static Startup)`. When it returns the process exits in order.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        /// First instruction of the program; the kernel or the root task has laid out registers and stack as after a call.
        ///
        /// The symbol is what the linker looks for; no other of this name is in the program.
        #[allow(unsafe_code, reason = "an exported symbol counts as unsafe")]
        #[unsafe(no_mangle)]
        extern "C" fn _start(startup: *const $crate::abi::boot::Startup, _message_page: u64) -> ! {
            $crate::start::run(startup, $main)
        }
    };
}

/// Handles that the run-time itself uses, `NONE` until start-up has set them or if they were not granted.
struct Own {
    startup: AtomicU64,
    process: AtomicU64,
    space: AtomicU64,
    budget: AtomicU64,
    log: AtomicU64,
}

static OWN: Own = Own {
    startup: AtomicU64::new(0),
    process: AtomicU64::new(0),
    space: AtomicU64::new(0),
    budget: AtomicU64::new(0),
    log: AtomicU64::new(0),
};

/// This program's own objects.
pub mod own {
    use super::{Handle, ORDER, OWN, Startup};

    /// Its process.
    pub fn process() -> Handle {
        Handle(OWN.process.load(ORDER))
    }
    /// Its address space.
    pub fn space() -> Handle {
        Handle(OWN.space.load(ORDER))
    }
    /// The budget that pays for what it makes.
    pub fn budget() -> Handle {
        Handle(OWN.budget.load(ORDER))
    }
    /// Where its lines go.
    pub fn log() -> Handle {
        Handle(OWN.log.load(ORDER))
    }
    /// Its start-up page; `None` before start-up has checked it.
    pub fn startup() -> Option<&'static Startup> {
        let address = OWN.startup.load(ORDER) as *const Startup;
        // SAFETY: null, or the page that `run` checked; it is mapped read-only for the program's whole life.
        unsafe { address.as_ref() }
    }
}

/// Set once before there is a second thread.
const ORDER: Ordering = Ordering::Relaxed;

/// Called by [`entry!`] alone.
pub fn run(startup: *const Startup, main: fn(&'static Startup)) -> ! {
    let Some(startup) = checked(startup) else { exit(ExitReason::BadStartup as u64) };
    let grants = crate::grants::Grants(startup);
    OWN.process.store(grants.find("self").0, ORDER);
    OWN.space.store(grants.find("space").0, ORDER);
    OWN.budget.store(grants.find("budget").0, ORDER);
    OWN.log.store(grants.find("log").0, ORDER);
    OWN.startup.store(core::ptr::from_ref(startup) as u64, ORDER);
    crate::logger::install();
    main(startup);
    exit(ExitReason::Done as u64)
}

/// The start-up page if it is one of this version.
fn checked(startup: *const Startup) -> Option<&'static Startup> {
    // SAFETY: whoever started the program mapped the page for good and passed its address; the checks below catch another version's.
    let startup = unsafe { startup.as_ref() }?;
    (startup.magic == STARTUP_MAGIC && startup.version == VERSION).then_some(startup)
}

/// Ends the process; the supervisor reads the reason.
pub fn exit(reason: u64) -> ! {
    sal_sys::process::exit(reason)
}

/// Says what went wrong and ends the process.
pub fn die(reason: ExitReason, what: core::fmt::Arguments<'_>) -> ! {
    crate::logger::line(what);
    exit(reason as u64)
}

#[cfg(target_os = "none")]
#[panic_handler]
fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
    die(ExitReason::Panic, format_args!("{info}"))
}
