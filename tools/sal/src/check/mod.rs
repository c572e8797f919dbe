//! `cargo sal check`: what the documents say of the sources, and what the house's rules ask of them.
//!
//! Everything here is a plain function of the files, so the same checks run as tests of a bare `cargo test`. What must always hold: a page that
//! is made from the sources is either true or the check fails; `--write` makes it true.

mod abi;
mod arrows;
mod links;
mod page;
mod rooms;
mod size;
mod source;

use crate::cli::Check;
use crate::say::say;
use crate::workspace::Workspace;
use anyhow::{Result, bail};
use cargo_metadata::{Metadata, MetadataCommand};
use page::Section;
use std::path::Path;

/// Checks, and says what it found; with `--write`, mends the made sections first.
pub(crate) fn check(options: &Check) -> Result<u8> {
    let workspace = Workspace::open()?;
    let root = &workspace.root;
    let metadata = metadata(root)?;
    let mut faults = arrows::faults(&arrows::packages(&metadata, root)?);
    faults.extend(rooms::faults(root)?);
    faults.extend(links::faults(root)?);
    for section in sections(root, &metadata)? {
        if options.write && section.write(root)? {
            say!("{}: {} written", section.page, section.name);
        }
        faults.extend(section.fault(root)?);
    }
    say!("{}", size::Kernel::count(root)?.sentence());
    if faults.is_empty() {
        return Ok(0);
    }
    bail!("{} faults:\n  {}", faults.len(), faults.join("\n  "))
}

/// Every section of a page that is made from the sources.
fn sections(root: &Path, metadata: &Metadata) -> Result<Vec<Section>> {
    let mut all = abi::sections(root)?;
    all.push(rooms::section(root, metadata)?);
    all.push(size::section(root)?);
    Ok(all)
}

fn metadata(root: &Path) -> Result<Metadata> {
    Ok(MetadataCommand::new().manifest_path(root.join("Cargo.toml")).no_deps().exec()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
    }

    fn none(faults: &[String]) {
        assert!(faults.is_empty(), "\n  {}", faults.join("\n  "));
    }

    #[test]
    fn arrows_run_one_way() {
        let root = root();
        none(&arrows::faults(&arrows::packages(&metadata(&root).unwrap(), &root).unwrap()));
    }

    #[test]
    fn unsafe_code_stays_in_its_rooms() {
        none(&rooms::faults(&root()).unwrap());
    }

    #[test]
    fn links_of_the_documents_lead_somewhere() {
        none(&links::faults(&root()).unwrap());
    }

    #[test]
    fn pages_made_from_the_sources_are_current() {
        let root = root();
        let sections = sections(&root, &metadata(&root).unwrap()).unwrap();
        let faults = sections.iter().filter_map(|section| section.fault(&root).unwrap());
        none(&faults.collect::<Vec<_>>());
    }

    /// The design's first promise.
    #[test]
    fn the_kernel_stays_under_its_size() {
        const MOST: usize = 10_000;
        let kernel = size::Kernel::count(&root()).unwrap();
        assert!(kernel.lines() <= MOST, "{} At most {MOST}.", kernel.sentence());
    }
}
