//! The RAM disk: a tar archive of the root file system. The same folder gives the same bytes.

mod busybox;
mod pack;

use anyhow::{Context, Result};
use std::path::Path;

/// The archive of this folder; without one, of the default root: Debian's busybox.
pub(crate) fn make(root: Option<&Path>) -> Result<Vec<u8>> {
    match root {
        Some(folder) => pack::folder(folder),
        None => busybox::archive(),
    }
}

/// Lays the default root out in a folder, for those who want to add to it.
pub(crate) fn unpack_default(folder: &Path) -> Result<()> {
    let archive = busybox::archive()?;
    tar::Archive::new(&archive[..])
        .unpack(folder)
        .with_context(|| format!("cannot lay the default root out in {}", folder.display()))
}
