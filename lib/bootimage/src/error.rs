//! What can be wrong with a boot image.

use crate::{Kind, Name};
use core::fmt;

/// What is wrong, and where. Its text is one line that stands alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// Shorter than it must be: (bytes that it needs, bytes there are).
    Truncated(u64, u64),
    /// It does not start as a boot image does.
    NotAnImage,
    /// Another version of the format: the one that it says.
    Version(u32),
    /// The checksum over header and table does not match.
    Head,
    /// The header or the table contradicts itself: what.
    Table(&'static str),
    /// A module's checksum does not match.
    Damaged(Name),
    /// No such module.
    Missing(Kind, Name),
    /// The name asked for cannot be a module's.
    BadName,
    /// A program module contradicts itself: what.
    Program(&'static str),
    /// A symbol module contradicts itself: what.
    Symbols(&'static str),
    /// A module that was to be written cannot be: what.
    Write(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Truncated(need, have) => write!(f, "boot image: cut short: {have} of {need} bytes"),
            Error::NotAnImage => f.write_str("boot image: this is no boot image (no SALIMAGE at its start)"),
            Error::Version(found) => {
                write!(f, "boot image: format version {found}, this reads version {}", crate::VERSION)
            }
            Error::Head => f.write_str("boot image: damaged: the header's checksum does not match"),
            Error::Table(what) => write!(f, "boot image: bad table: {what}"),
            Error::Damaged(name) => write!(f, "boot image: damaged: the checksum of module `{name}` does not match"),
            Error::Missing(kind, name) => write!(f, "boot image: no {kind} `{name}` in it"),
            Error::BadName => f.write_str("boot image: a module's name has 1 to 31 bytes, none of them zero"),
            Error::Program(what) => write!(f, "boot image: bad program: {what}"),
            Error::Symbols(what) => write!(f, "boot image: bad symbols: {what}"),
            Error::Write(what) => write!(f, "boot image: cannot be written: {what}"),
        }
    }
}

impl core::error::Error for Error {}
