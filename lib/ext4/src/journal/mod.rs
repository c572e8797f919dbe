//! The journal: what jbd2 left for whoever mounts next. Source: `journal.rst`; checksums there and in `checksums.rst`.
//!
//! [`format`] has the blocks' shapes, [`replay`] the three passes over them.

mod format;
mod replay;

pub(crate) use format::{MAGIC, write_features};
pub(crate) use replay::{Begun, Replay};
