//! How large the kernel is: lines of code as the machine gets them, without blanks, comments, tests and what only the host has.

use super::page::Section;
use super::source;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// The kernel's crates, by their first file.
const CRATES: [&str; 4] =
    ["kernel/core/src/lib.rs", "kernel/mem/src/lib.rs", "kernel/arch/x86_64/src/lib.rs", "kernel/image/src/main.rs"];
/// Assembly lies beside them.
const ASSEMBLY: [&str; 2] = ["kernel/arch/x86_64/src", "kernel/image/src"];
/// Tests that run in the kernel itself, at the command line `selftest`: tests all the same.
const SELFTEST: &str = "kernel/image/src/selftest";
/// What else is linked into the kernel.
const SHARED: [&str; 2] = ["abi/src/lib.rs", "lib/bootimage/src/lib.rs"];

/// Lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Kernel {
    rust: usize,
    assembly: usize,
    selftest: usize,
    shared: usize,
}

impl Kernel {
    /// Counts.
    pub(crate) fn count(root: &Path) -> Result<Kernel> {
        let mut kernel = Kernel { rust: 0, assembly: 0, selftest: 0, shared: 0 };
        let selftest = root.join(SELFTEST);
        for first in CRATES {
            for source in source::of_crate(&root.join(first))? {
                let test = source.path.starts_with(&selftest);
                *(if test { &mut kernel.selftest } else { &mut kernel.rust }) += source.lines();
            }
        }
        for first in SHARED {
            let sources = source::of_crate(&root.join(first))?;
            kernel.shared += sources.iter().map(source::Source::lines).sum::<usize>();
        }
        for folder in ASSEMBLY {
            for file in assembly(&root.join(folder))? {
                let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
                kernel.assembly += assembly_lines(&text);
            }
        }
        Ok(kernel)
    }

    /// All of the kernel's own.
    pub(crate) fn lines(&self) -> usize {
        self.rust + self.assembly
    }

    /// To the nearest hundred, so that not every change is one of the README.
    pub(crate) fn sentence(&self) -> String {
        let round = |lines: usize| (lines + 50) / 100 * 100;
        format!(
            "The kernel is {} lines of code today ({} of them assembly; no blanks, comments or tests; to the nearest hundred). It shares {} more with user \
             space (`abi`, `lib/bootimage`), and has {} of self-tests that only run when asked for.",
            round(self.lines()),
            round(self.assembly),
            round(self.shared),
            round(self.selftest)
        )
    }
}

/// The README's section.
pub(crate) fn section(root: &Path) -> Result<Section> {
    Ok(Section { page: "README.md", name: "size", text: Kernel::count(root)?.sentence() })
}

/// The assembly files in a folder itself.
fn assembly(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let files = entries.flatten().map(|entry| entry.path());
    Ok(files.filter(|file| file.extension().is_some_and(|end| end == "s")).collect())
}

fn assembly_lines(text: &str) -> usize {
    let code = |line: &&str| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with('#')
    };
    text.lines().filter(code).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assembly_comments_are_no_code() {
        assert_eq!(assembly_lines("# Head.\n\n.text\n  mov rax, rbx # why\n"), 2);
    }
}
