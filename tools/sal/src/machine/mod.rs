//! The emulated machine and the host's end of its console.

pub(crate) mod log;
pub(crate) mod outcome;
pub(crate) mod qemu;
pub(crate) mod session;
pub(crate) mod terminal;
