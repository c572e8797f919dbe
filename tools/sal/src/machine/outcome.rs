//! How a machine ended, and what the tool says and exits with for it.

use super::log::Log;
use crate::failure::{Failure, PANIC, TIMEOUT};
use anyhow::Result;

/// QEMU's exit statuses for the values that the kernel writes to `isa-debug-exit` (`value * 2 + 1`): `kernel/arch/x86_64`'s `End`.
const IN_ORDER: i32 = 0x10 * 2 + 1;
const REFUSED: i32 = 0x11 * 2 + 1;
const BUG: i32 = 0x7f * 2 + 1;

/// Lines of the log that are shown with a failure.
const SHOWN: usize = 25;

/// How it ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// In order; the first program's exit status, if it told one.
    Ended(Option<u8>),
    /// The kernel found the machine or the boot image unfit.
    Refused,
    /// The kernel panicked.
    Panicked,
    /// It ended without saying why.
    Vanished(String),
    /// Time ran out.
    TimedOut(u64),
    /// A signal told the tool to end.
    Signalled(u8),
    /// The user left it.
    Left,
}

/// SIGPIPE's number: what a program ends with whose reader is gone.
pub(crate) const SIGPIPE: u8 = 13;

impl Outcome {
    /// From QEMU's exit status (none: by a signal), what the first program told, and what QEMU complained about.
    pub(crate) fn of(code: Option<i32>, told: Option<u8>, complaints: &str) -> Outcome {
        match code {
            Some(IN_ORDER) => Outcome::Ended(told),
            Some(REFUSED) => Outcome::Refused,
            Some(BUG) => Outcome::Panicked,
            Some(0) => Outcome::Vanished("the machine reset or lost its power (a triple fault?)".into()),
            Some(code) => Outcome::Vanished(format!("QEMU ended with status {code}: {}", complaints.trim())),
            None => Outcome::Vanished(format!("QEMU was killed by somebody else: {}", complaints.trim())),
        }
    }

    /// The tool's exit status, or the error that says what happened.
    pub(crate) fn status(&self, log: &Log) -> Result<u8> {
        let lines = || log.last(SHOWN).iter().map(|line| format!("\n  {line}")).collect::<String>();
        let failure = match self {
            Outcome::Ended(status) => return Ok(status.unwrap_or(0)),
            Outcome::Signalled(signal) => return Ok(128 + signal),
            Outcome::Left => return Ok(0),
            Outcome::TimedOut(seconds) => Failure::new(TIMEOUT, format!("ended after {seconds} s, as --timeout says")),
            Outcome::Refused => {
                let why = log.last(1).first().map_or("it does not say why", |line| line.trim());
                Failure::new(PANIC, format!("the kernel refuses to start: {why}"))
            }
            Outcome::Panicked => Failure::new(PANIC, format!("the kernel panicked; the end of its log:{}", lines())),
            Outcome::Vanished(how) => Failure::new(PANIC, format!("{how}; the end of the log:{}", lines())),
        };
        Err(failure.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_its_status() {
        let log = Log::default();
        let failed = |outcome: Outcome| crate::failure::status(&outcome.status(&log).unwrap_err());
        assert_eq!(Outcome::of(Some(33), Some(3), "").status(&log).unwrap(), 3);
        assert_eq!(Outcome::of(Some(33), None, "").status(&log).unwrap(), 0);
        assert_eq!(Outcome::Signalled(15).status(&log).unwrap(), 143);
        assert_eq!(failed(Outcome::of(Some(35), None, "")), 70);
        assert_eq!(failed(Outcome::of(Some(255), Some(0), "")), 70);
        assert_eq!(failed(Outcome::of(Some(0), Some(0), "")), 70);
        assert_eq!(failed(Outcome::TimedOut(3)), 124);
    }
}
