//! An error with the step that it stopped.

use alloc::string::String;
use core::fmt::Debug;

/// Names the step that the kernel refused.
pub(crate) trait Step<T> {
    /// The value, or the step's name with the error.
    fn step(self, what: &str) -> Result<T, String>;
}

impl<T, E: Debug> Step<T> for Result<T, E> {
    fn step(self, what: &str) -> Result<T, String> {
        self.map_err(|error| alloc::format!("{what}: {error:?}"))
    }
}
