//! `system/NAME.toml`: read, checked, made compact.

use crate::workspace::Workspace;
use anyhow::{Context, Result};
use sal_bootimage::{MANIFEST, RAM_DISK, SYMBOLS};
use sal_manifest::Manifest;
use sal_manifest::grant::COMMAND_LINE;

/// A checked manifest.
pub(crate) struct Checked {
    /// What it says.
    pub(crate) manifest: Manifest,
    /// Its compact form.
    pub(crate) compact: Vec<u8>,
}

impl Checked {
    /// The programs that it starts, each once, by name.
    pub(crate) fn programs(&self) -> Vec<&str> {
        let services = self.manifest.services.iter().map(|service| service.program.as_str());
        let mut names = services.chain([self.manifest.root.program.as_str()]).collect::<Vec<_>>();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// Reads and checks the manifest `system/NAME.toml`.
pub(crate) fn read(workspace: &Workspace, name: &str) -> Result<Checked> {
    let file = format!("system/{name}.toml");
    let text = std::fs::read_to_string(workspace.root.join(&file)).with_context(|| format!("cannot read {file}"))?;
    let programs = workspace.programs.iter().map(|program| program.name.as_str());
    let modules = programs.chain([MANIFEST, RAM_DISK, SYMBOLS, COMMAND_LINE]).collect::<Vec<_>>();
    let manifest = sal_manifest::text::read(&file, &text, &modules)?;
    Ok(Checked { compact: sal_manifest::encode(&manifest), manifest })
}
