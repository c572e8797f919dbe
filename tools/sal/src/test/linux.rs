//! Roots for tests of Linux programs: the default root in a folder of its own, and what a test adds.

use super::Lab;
use super::lab::Finished;
use crate::cli::{Contents, Run};
use crate::ramdisk;
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The manifest that starts Linux programs.
pub(super) const SYSTEM: &str = "default";

/// A folder that becomes a root file system. It goes when this is dropped.
pub(super) struct Root {
    folder: tempfile::TempDir,
}

impl Root {
    /// The default root: busybox and its links.
    pub(super) fn new() -> Result<Root> {
        let folder = tempfile::tempdir()?;
        ramdisk::unpack_default(folder.path())?;
        Ok(Root { folder })
    }

    /// Adds a file that can be run.
    pub(super) fn add(&self, path: &str, contents: &[u8]) -> Result<PathBuf> {
        let file = self.path().join(path);
        let parent = file.parent().context("a file has a folder")?;
        fs::create_dir_all(parent)?;
        fs::write(&file, contents)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
        Ok(file)
    }

    /// The folder.
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Options for a run with this root.
    pub(super) fn options(&self, command: &[&str], limit: u64) -> Run {
        options(Some(self.path()), command, limit)
    }

    /// Boots with this root and runs a command.
    pub(super) fn run(&self, lab: &Lab, command: &[&str], limit: u64) -> Result<Finished> {
        lab.run(&self.options(command, limit), Vec::new())
    }
}

/// Options of `cargo sal run` for a command; without a root: the default one. `limit` in seconds.
pub(super) fn options(root: Option<&Path>, command: &[&str], limit: u64) -> Run {
    let contents = Contents { root: root.map(Path::to_path_buf), system: SYSTEM.into(), shuffle: None };
    Run { timeout: Some(limit), command: command.iter().map(|word| word.to_string()).collect(), ..Run::of(contents) }
}
