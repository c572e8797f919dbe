//! The repository's own layout: which packages hold programs for the machine.

use anyhow::{Context, Result};
use cargo_metadata::{Metadata, MetadataCommand, Package, Target};
use std::path::{Path, PathBuf};

/// Prefix of binary names that a program's name in the boot image lacks.
const PREFIX: &str = "sal-";

/// Folders whose packages are programs for the machine.
const PROGRAM_FOLDERS: [&str; 3] = ["servers", "drivers", "tests/guest"];

/// A native program: a binary of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProgramSource {
    /// Its name in the boot image and in manifests: its folder's; for a package's further binaries, their own without `sal-`.
    pub(crate) name: String,
    /// The cargo package.
    pub(crate) package: String,
    /// The binary.
    pub(crate) binary: String,
    /// Is it written yet? Every program for the machine is `no_main`; a placeholder is not.
    pub(crate) written: bool,
}

/// The repository.
pub(crate) struct Workspace {
    /// Its top folder.
    pub(crate) root: PathBuf,
    /// Where builds go.
    pub(crate) target: PathBuf,
    /// The programs that it can build for the machine, by name.
    pub(crate) programs: Vec<ProgramSource>,
}

impl Workspace {
    /// The repository that this tool was built in.
    pub(crate) fn open() -> Result<Workspace> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize();
        let root = root.context("the repository that this tool was built in is gone: build it again")?;
        let metadata = MetadataCommand::new().manifest_path(root.join("Cargo.toml")).no_deps().exec();
        let metadata = metadata.context("cargo cannot read the workspace")?;
        let programs = programs(&metadata, &root);
        Ok(Workspace { target: metadata.target_directory.into_std_path_buf(), root, programs })
    }

    /// The program of that name.
    pub(crate) fn program(&self, name: &str) -> Option<&ProgramSource> {
        self.programs.iter().find(|program| program.name == name)
    }
}

fn programs(metadata: &Metadata, root: &Path) -> Vec<ProgramSource> {
    let folders = PROGRAM_FOLDERS.map(|folder| root.join(folder));
    let inside = |package: &&Package| {
        let manifest = package.manifest_path.as_std_path();
        folders.iter().any(|folder| manifest.starts_with(folder))
    };
    let binaries = |package: &Package| {
        let targets = package.targets.iter().filter(|target| target.is_bin());
        targets.map(|target| source(package, target)).collect::<Vec<_>>()
    };
    let mut programs = metadata.packages.iter().filter(inside).flat_map(binaries).collect::<Vec<_>>();
    programs.sort_by(|a, b| a.name.cmp(&b.name));
    programs
}

fn source(package: &Package, target: &Target) -> ProgramSource {
    let (package_name, binary) = (package.name.to_string(), target.name.clone());
    let folder = package.manifest_path.parent().and_then(|folder| folder.file_name()).unwrap_or_default();
    let own = binary.strip_prefix(PREFIX).unwrap_or(&binary);
    let name = if binary == package_name { folder } else { own };
    let text = std::fs::read_to_string(&target.src_path).unwrap_or_default();
    ProgramSource { name: name.to_string(), package: package_name, binary, written: text.contains("no_main") }
}
