//! The compact form: a fixed header, then `postcard`.
//!
//! The header holds what the *root task* needs to start the supervisor, at fixed places, because the root task has no parser. All
//! numbers are little-endian. The boot image's checksum covers the whole module, so there is none here.

use crate::{Manifest, SUPERVISOR};
use alloc::vec::Vec;

/// "SALMANI1".
pub const MAGIC: u64 = u64::from_le_bytes(*b"SALMANI1");
/// Bytes of the header.
pub const HEADER: usize = 32;

/// What the root task reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The supervisor's budget, KiB.
    pub memory_kib: u32,
    /// The supervisor's vault, KiB.
    pub vault_kib: u32,
    /// The supervisor's priority.
    pub priority: u32,
    /// Services in the manifest, the supervisor included.
    pub services: u32,
}

impl Header {
    /// Of a module; `None` if it isn't a manifest of this version.
    pub fn read(module: &[u8]) -> Option<Header> {
        let word = |at: usize| Some(u32::from_le_bytes(module.get(at..at + 4)?.try_into().ok()?));
        let magic = u64::from_le_bytes(module.get(..8)?.try_into().ok()?);
        let header = Header { memory_kib: word(8)?, vault_kib: word(12)?, priority: word(16)?, services: word(20)? };
        (magic == MAGIC && module.len() >= HEADER).then_some(header)
    }
}

/// Why a module is not a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Too short, or another magic.
    Header,
    /// The body ends early or holds a value that no manifest has.
    Body,
}

/// The compact form of a manifest.
///
/// # Panics
/// Never: serialising plain data into a growing vector can't fail; the empty body that a failure would give does not decode.
pub fn encode(manifest: &Manifest) -> Vec<u8> {
    let supervisor = manifest.find(SUPERVISOR).map(|(_, s)| s);
    let words = [
        supervisor.map_or(0, |s| s.memory_kib),
        supervisor.map_or(0, |s| s.vault_kib),
        supervisor.map_or(0, |s| u32::from(s.priority)),
        manifest.services.len() as u32,
        0,
        0,
    ];
    let mut out = Vec::new();
    out.extend_from_slice(&MAGIC.to_le_bytes());
    words.iter().for_each(|w| out.extend_from_slice(&w.to_le_bytes()));
    out.extend(postcard::to_allocvec(manifest).unwrap_or_default());
    out
}

/// The manifest in a module of the boot image.
///
/// # Errors
/// [`Broken`], if it isn't one.
pub fn decode(module: &[u8]) -> Result<Manifest, Broken> {
    Header::read(module).ok_or(Broken::Header)?;
    let body = module.get(HEADER..).ok_or(Broken::Header)?;
    postcard::from_bytes(body).map_err(|_| Broken::Body)
}
