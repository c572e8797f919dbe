//! Whose vault it is. The header is written once, after everything else was made ready: a vault without a valid
//! one is blank.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::check::{Fault, check};
use crate::store;

const HEADER: u64 = 0x7661_756c_7431; // "vault1"

/// What an adopter expects to find.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expected {
    /// The type of the state (four letters, by custom).
    pub kind: u32,
    /// The service's number in the estate.
    pub owner: u32,
    /// The version of the layout.
    pub version: u32,
    /// Bytes of the whole state.
    pub length: u64,
}

/// The first record of a vault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Header {
    kind: u32,
    owner: u32,
    version: u32,
    /// crc32c of the other fields but `generation`. Stored last; 0: the vault is blank.
    check: u32,
    length: u64,
    /// How many instances have adopted the vault.
    pub(crate) generation: u64,
}

impl Header {
    /// Makes the vault one of `expected`: to be called when the rest of the state is ready.
    pub fn stamp(&mut self, expected: Expected) {
        store::word32(&mut self.check, 0);
        store::word32(&mut self.kind, expected.kind);
        store::word32(&mut self.owner, expected.owner);
        store::word32(&mut self.version, expected.version);
        store::word64(&mut self.length, expected.length);
        store::word64(&mut self.generation, 0);
        let check = self.compute();
        store::word32(&mut self.check, check);
    }

    /// Whether this is the expected vault. [`Fault::Blank`]: make it one.
    pub fn verify(&self, expected: Expected) -> Result<(), Fault> {
        if self.check == 0 {
            return Err(Fault::Blank);
        }
        if self.check != self.compute() {
            return Err(Fault::Header);
        }
        match *self {
            Header { kind, .. } if kind != expected.kind => Err(Fault::Kind(kind)),
            Header { owner, .. } if owner != expected.owner => Err(Fault::Owner(owner)),
            Header { version, .. } if version != expected.version => Err(Fault::Version(version)),
            Header { length, .. } if length != expected.length => Err(Fault::Length(length)),
            _ => Ok(()),
        }
    }

    /// Counts one more adoption; returns how many there were, this one included.
    pub fn adopted(&mut self) -> u64 {
        let generation = self.generation.wrapping_add(1);
        store::word64(&mut self.generation, generation);
        generation
    }

    fn compute(&self) -> u32 {
        let words = [self.kind, self.owner, self.version, 0];
        let mut bytes = [0; 24];
        bytes[..16].copy_from_slice(words.as_bytes());
        bytes[16..].copy_from_slice(&self.length.to_le_bytes());
        check(HEADER, &bytes)
    }
}
