//! Tests of what is built: it comes out the same twice, and damage is noticed.

use super::Lab;
use super::cases::{Case, text};
use crate::build;
use crate::bundle::digest;
use crate::iso;
use crate::toolchain;
use crate::workspace::Workspace;
use anyhow::Result;
use std::path::Path;

/// They need the kernel only.
pub(crate) const CASES: &[Case] = &[
    Case { name: "image/kernel-built-twice", rows: &["Q10"], exists, run: |lab| built_twice(lab).map_err(text)? },
    Case { name: "image/iso-made-twice", rows: &["Q10"], exists, run: |lab| made_twice(lab).map_err(text)? },
];

fn exists(lab: &Lab) -> bool {
    lab.workspace.root.join("kernel/image/link.ld").exists()
}

/// Figures, or why the test failed; outside of it, what kept the test from being made.
type Verdict = Result<Result<Option<String>, String>>;

/// Are these files the same?
fn same(first: &Path, second: &Path) -> Verdict {
    let hash = |file: &Path| anyhow::Ok(digest(&std::fs::read(file)?));
    let (first, second) = (hash(first)?, hash(second)?);
    let same = first == second;
    Ok(if same { Ok(Some(format!("sha256 {}", &first[..16]))) } else { Err(format!("sha256 {first}, then {second}")) })
}

/// Makes two ISO images of the same files, at different times.
fn made_twice(lab: &Lab) -> Verdict {
    let (kernel, image) = lab.build_kernel()?;
    let folder = tempfile::tempdir()?;
    let files = ["first.iso", "second.iso"].map(|name| folder.path().join(name));
    for file in &files {
        iso::make((&kernel, &image), "selftest", file)?;
    }
    same(&files[0], &files[1])
}

/// Builds the kernel again in an empty folder: the same bytes must come out.
fn built_twice(lab: &Lab) -> Verdict {
    let (first, _) = lab.build_kernel()?;
    let folder = tempfile::tempdir()?;
    let other =
        Workspace { root: lab.workspace.root.clone(), target: folder.path().to_path_buf(), programs: Vec::new() };
    let second = build::kernel(&other, &toolchain::bare_metal()?)?;
    same(&first, &second)
}
