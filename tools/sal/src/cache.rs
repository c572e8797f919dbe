//! The tool's cache: `$XDG_CACHE_HOME/salamandra` or `~/.cache/salamandra`. Entries are made beside and renamed into place, so that one
//! that is there is whole; making one is under a lock.

use anyhow::{Context, Result, anyhow};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// The cache's folder; made if it is missing.
pub(crate) fn folder() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = base.or_else(|| std::env::home_dir().map(|home| home.join(".cache")));
    let folder = base.ok_or_else(|| anyhow!("no home folder for the cache: set HOME"))?.join("salamandra");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make the cache folder {}", folder.display()))?;
    Ok(folder)
}

/// The entry `name`; `make` fills a fresh folder with it if it is missing.
pub(crate) fn entry(name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let folder = folder()?;
    let entry = folder.join(name);
    if entry.exists() {
        return Ok(entry);
    }
    let lock = File::create(folder.join(format!("{name}.lock"))).context("cannot lock the cache")?;
    lock.lock().context("cannot lock the cache")?;
    if !entry.exists() {
        let beside = tempfile::Builder::new().prefix(&format!("{name}.new-")).tempdir_in(&folder)?;
        make(beside.path())?;
        fs::rename(beside.keep(), &entry).with_context(|| format!("cannot put {} in place", entry.display()))?;
    }
    Ok(entry)
}
