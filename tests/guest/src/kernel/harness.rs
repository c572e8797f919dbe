//! Which tests there are, and how they are run and reported.

use crate::{handles, heir, memory, message, order, roles, stress};
use alloc::string::{String, ToString};
use sal_rt::abi::Handle;
use sal_rt::abi::boot::Startup;
use sal_rt::{Grants, logger, start};

pub(crate) use crate::step::Step;

/// What came out of a test: figures worth printing (may be empty), or why it failed.
pub(crate) type Verdict = Result<String, String>;

/// A test.
pub(crate) struct Test {
    /// Its name in its group.
    pub(crate) name: &'static str,
    /// Runs it.
    pub(crate) run: fn() -> Verdict,
}

impl Test {
    /// By its parts.
    pub(crate) const fn new(name: &'static str, run: fn() -> Verdict) -> Test {
        Test { name, run }
    }
}

/// All groups: `tools/sal` boots a machine for each.
const GROUPS: &[(&str, &[Test])] = &[
    ("handles", handles::TESTS),
    ("heir", heir::TESTS),
    ("memory", memory::TESTS),
    ("message", message::TESTS),
    ("order", order::TESTS),
    ("stress", stress::TESTS),
];

/// Fails the test unless it holds.
macro_rules! ensure {
    ($what:expr, $($text:tt)+) => {
        if !$what {
            return Err(alloc::format!($($text)+));
        }
    };
}
pub(crate) use ensure;

/// Fails the test unless both are equal.
macro_rules! same {
    ($left:expr, $right:expr, $($text:tt)+) => {
        match (&$left, &$right) {
            (left, right) if left == right => {}
            (left, right) => return Err(alloc::format!("{}: {:?}, expected {:?}", alloc::format!($($text)+), left, right)),
        }
    };
}
pub(crate) use same;

/// Start of the root task, and of every child.
pub(crate) fn main(startup: &'static Startup) {
    if Grants(startup).get(crate::child::ROLE).is_some() {
        return roles::play(startup);
    }
    let asked = value("arg=").unwrap_or_default();
    let failed = match GROUPS.iter().find(|(name, _)| *name == asked) {
        Some((name, tests)) => tests.iter().filter(|test| !report(name, test)).count(),
        None => {
            logger::line(format_args!("test {asked} FAILED there is no such group"));
            1
        }
    };
    let _ = sal_sys::machine::power_off(start::own::log(), failed as u64);
}

fn report(group: &str, test: &Test) -> bool {
    let verdict = (test.run)();
    match &verdict {
        Ok(figures) => logger::line(format_args!("test {group}/{} ok {figures}", test.name)),
        Err(reason) => logger::line(format_args!("test {group}/{} FAILED {reason}", test.name)),
    }
    verdict.is_ok()
}

/// The command line.
fn command_line() -> String {
    let handle = start::own::startup().map_or(Handle::NONE, |startup| Grants(startup).find("cmdline"));
    let mut text = [0; 256];
    let _ = sal_sys::memory::memory_read(handle, 0, &mut text);
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    core::str::from_utf8(text.get(..end).unwrap_or(&[])).unwrap_or("").to_string()
}

/// What follows this key in the command line.
fn value(key: &str) -> Option<String> {
    let line = command_line();
    let mut words = line.split(' ').filter_map(|word| word.strip_prefix(key));
    words.next().map(ToString::to_string)
}

/// The number that follows this key in the command line.
pub(crate) fn word(key: &str) -> Option<u64> {
    value(key)?.parse().ok()
}

/// Processors of this machine.
pub(crate) fn cpus() -> u64 {
    start::own::startup().map_or(1, |startup| startup.cpus)
}
