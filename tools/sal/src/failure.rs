//! Errors that end the tool with a status of their own. Every other error ends it with 1.

use std::fmt;

/// Bad usage, or a machine that cannot hold what it is asked to boot.
pub(crate) const USAGE: u8 = 2;
/// The kernel panicked, or the machine ended in disorder.
pub(crate) const PANIC: u8 = 70;
/// `--timeout` passed; as `timeout(1)` has it.
pub(crate) const TIMEOUT: u8 = 124;

/// An error with a status; its text is one line: what, where, what to do.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The tool's exit status.
    pub(crate) status: u8,
    /// The line to print after `sal: `.
    pub(crate) line: String,
}

impl Failure {
    /// With that status.
    pub(crate) fn new(status: u8, line: impl Into<String>) -> Failure {
        Failure { status, line: line.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

impl std::error::Error for Failure {}

/// The status that an error ends the tool with.
pub(crate) fn status(error: &anyhow::Error) -> u8 {
    error.downcast_ref::<Failure>().map_or(1, |failure| failure.status)
}
