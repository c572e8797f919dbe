//! The operations, one file per family. Every one: decode and check (may fail, changes nothing), then perform.

pub(crate) mod dents;
pub(crate) mod io;
pub(crate) mod lock;
pub(crate) mod map;
pub(crate) mod mounts;
pub(crate) mod open;
pub(crate) mod path;
pub(crate) mod poll;
pub(crate) mod remote;
pub(crate) mod rename;
pub(crate) mod socket;
pub(crate) mod stat;
