//! Building the kernel and the programs for the bare machine, with cargo.
//!
//! The same sources and toolchain give the same bytes: no path of this computer gets into them. The kernel and the programs need
//! different code models, so each has a target folder of its own.

use crate::command::last_lines;
use crate::progress::Step;
use crate::toolchain::{TARGET, Toolchain};
use crate::workspace::{ProgramSource, Workspace};
use anyhow::{Context, Result, anyhow, bail};
use cargo_metadata::Message;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{ChildStderr, Command, Stdio};

const KERNEL: &str = "salamandra-kernel";

/// The kernel is linked at fixed addresses in the highest 2 GiB.
const KERNEL_FLAGS: [&str; 2] = ["-Crelocation-model=static", "-Ccode-model=kernel"];

/// Backtraces walk the frames.
const COMMON_FLAGS: [&str; 1] = ["-Cforce-frame-pointers=yes"];

/// Lines of cargo's complaints that are shown.
const SHOWN: usize = 60;

/// Builds the kernel; returns its ELF file.
pub(crate) fn kernel(workspace: &Workspace, toolchain: &Toolchain) -> Result<PathBuf> {
    let mut command = cargo(workspace, toolchain, "kernel", &KERNEL_FLAGS);
    command.args(["--package", KERNEL]);
    let mut built = build(command, "building the kernel")?;
    built.remove(KERNEL).ok_or_else(|| anyhow!("cargo built no binary {KERNEL}"))
}

/// Builds these programs; returns their ELF files by binary name.
pub(crate) fn programs(
    workspace: &Workspace,
    toolchain: &Toolchain,
    list: &[&ProgramSource],
) -> Result<BTreeMap<String, PathBuf>> {
    if list.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut command = cargo(workspace, toolchain, "programs", &[]);
    let mut packages = list.iter().map(|program| program.package.as_str()).collect::<Vec<_>>();
    packages.sort_unstable();
    packages.dedup();
    packages.iter().for_each(|package| {
        command.args(["--package", package]);
    });
    list.iter().for_each(|program| {
        command.args(["--bin", &program.binary]);
    });
    build(command, "building the servers and drivers")
}

fn cargo(workspace: &Workspace, toolchain: &Toolchain, folder: &str, flags: &[&str]) -> Command {
    let mut command = toolchain.cargo();
    command.current_dir(&workspace.root);
    command.args(["build", "--release", "--target", TARGET, "--message-format=json-render-diagnostics"]);
    command.arg("--target-dir").arg(workspace.target.join("bare").join(folder));
    let mut all = flags.iter().chain(&COMMON_FLAGS).map(|flag| flag.to_string()).collect::<Vec<_>>();
    all.extend(remaps(workspace, toolchain));
    command.env("CARGO_ENCODED_RUSTFLAGS", all.join("\x1f"));
    for variable in ["RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_MAKEFLAGS", "CARGO_PROFILE_RELEASE_DEBUG"] {
        command.env_remove(variable);
    }
    command
}

/// Flags that replace this computer's paths.
fn remaps(workspace: &Workspace, toolchain: &Toolchain) -> Vec<String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let mut folders = vec![(workspace.root.clone(), "/salamandra"), (toolchain.sysroot.clone(), "/rust")];
    folders.extend(home.map(|home| (home, "/cargo")));
    let remap = |(from, to): &(PathBuf, &str)| format!("--remap-path-prefix={}={to}", from.display());
    folders.iter().map(remap).collect()
}

/// Runs cargo to its end; returns the executables by binary name. Nothing is said where nothing is to be built.
fn build(mut command: Command, what: &str) -> Result<BTreeMap<String, PathBuf>> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("{what}: cannot run cargo"))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let said = what.to_string();
    let watcher = std::thread::spawn(move || stderr.map(|stderr| watch(stderr, &said)).unwrap_or_default());
    let executables = stdout.map(executables).transpose()?.unwrap_or_default();
    let status = child.wait()?;
    let complaints = watcher.join().unwrap_or_default();
    if !status.success() {
        bail!("{what}: cargo failed{}", last_lines(&complaints, SHOWN));
    }
    Ok(executables)
}

/// Shows what cargo compiles; returns all that it said.
fn watch(stderr: ChildStderr, what: &str) -> String {
    let (mut all, mut step) = (String::new(), None);
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        if ["Compiling", "Downloading"].iter().any(|word| line.trim_start().starts_with(word)) {
            step.get_or_insert_with(|| Step::start(what)).detail(line.trim());
        }
        all.push_str(&line);
        all.push('\n');
    }
    all
}

fn executables(stdout: impl Read) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    for message in Message::parse_stream(BufReader::new(stdout)) {
        if let Message::CompilerArtifact(artifact) = message.context("cargo's messages cannot be read")?
            && let Some(file) = artifact.executable
        {
            found.insert(artifact.target.name, file.into_std_path_buf());
        }
    }
    Ok(found)
}
