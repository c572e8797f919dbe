//! What can be wrong with a vault, and the check sum that finds it.

use core::fmt;

use crc::{CRC_32_ISCSI, Crc, Table};

static CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// crc32c of `number` and `bytes`, never 0, so that memory of zeros is no valid record.
pub(crate) fn check(number: u64, bytes: &[u8]) -> u32 {
    let mut digest = CRC.digest();
    digest.update(&number.to_le_bytes());
    digest.update(bytes);
    digest.finalize().max(1)
}

/// Why a vault cannot be taken over as it is. The text is one line for the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// All zero: nobody has used it yet.
    Blank,
    /// The header fails its check.
    Header,
    /// The vault is of another kind, by number.
    Kind(u32),
    /// The vault is another service's, by number.
    Owner(u32),
    /// The vault has the layout of another version.
    Version(u32),
    /// The vault has another length in bytes.
    Length(u64),
    /// The record with that number fails its check.
    Record(u64),
    /// The log of a committed change fails its check.
    Log(u64),
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Blank => write!(out, "vault: empty"),
            Fault::Header => write!(out, "vault: header fails its check"),
            Fault::Kind(kind) => write!(out, "vault: is of kind {kind:#x}"),
            Fault::Owner(owner) => write!(out, "vault: belongs to service {owner}"),
            Fault::Version(version) => write!(out, "vault: has layout version {version}"),
            Fault::Length(length) => write!(out, "vault: has a layout of {length} bytes"),
            Fault::Record(number) => write!(out, "vault: record {number} fails its check"),
            Fault::Log(number) => write!(out, "vault: logged change {number} fails its check"),
        }
    }
}

impl core::error::Error for Fault {}
