//! `system/NAME.toml` → [`Manifest`], or one line that says what is wrong, in which file and line, at which key.
//!
//! Three passes, each may assume what the one before has checked: [`entry`] turns tables into entries (keys, types, ranges),
//! [`check`] looks at them together (names, double grants, budgets), [`order`] builds the wait-for graph and sorts.

mod check;
mod entry;
mod order;
mod table;

use crate::Manifest;
use alloc::string::{String, ToString};
use core::fmt;

/// Why a manifest is refused. Its `Display` is the line to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The file, as the caller named it.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// Dotted path of the key, or empty.
    pub key: String,
    /// What is wrong and what to do.
    pub what: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.what)
    }
}

impl std::error::Error for Refusal {}

/// A refusal before file and line are known: byte offset in the text, key, what.
#[derive(Debug)]
struct Wrong {
    at: usize,
    key: String,
    what: String,
}

impl Wrong {
    fn new(at: usize, key: impl Into<String>, what: impl Into<String>) -> Wrong {
        Wrong { at, key: key.into(), what: what.into() }
    }
}

/// Reads and checks a manifest. `file` is its name for messages, `modules` the names of everything that the boot image will hold
/// (programs and other modules).
///
/// # Errors
/// The first thing that is wrong.
pub fn read(file: &str, text: &str, modules: &[&str]) -> Result<Manifest, Refusal> {
    parse(text, modules).map_err(|w| Refusal {
        file: file.to_string(),
        line: 1 + text.as_bytes().iter().take(w.at).filter(|b| **b == b'\n').count(),
        key: w.key,
        what: w.what,
    })
}

fn parse(text: &str, modules: &[&str]) -> Result<Manifest, Wrong> {
    let draft = entry::draft(text)?;
    check::check(&draft, modules)?;
    order::sorted(draft)
}
