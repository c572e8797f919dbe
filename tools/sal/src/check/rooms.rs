//! Where `unsafe` may stand, and how much of it there is: docs/unsafe.md.

use super::page::Section;
use super::source::{self, Source};
use anyhow::{Context, Result};
use cargo_metadata::{Metadata, Package};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// A file or folder where `unsafe` may stand.
struct Room {
    path: &'static str,
    /// Why.
    because: &'static str,
}

const ROOMS: &[Room] = &[
    Room { path: "kernel/arch", because: "registers, page tables, traps: what the processor does" },
    Room { path: "kernel/image", because: "start-up, each CPU's own state, copies between spaces" },
    Room { path: "kernel/core/src/region.rs", because: "object slots lie in memory that grows under them" },
    Room { path: "kernel/core/src/threads.rs", because: "a thread's slot belongs to whom its location word names" },
    Room { path: "kernel/core/src/emulated.rs", because: "the same memory for tests on the host" },
    Room { path: "user/sys", because: "the `syscall` instruction, the message page" },
    Room { path: "user/rt", because: "heap, threads, loans and guest memory by address" },
    Room { path: "user/load", because: "it fills other programs' memories and starts threads in them" },
    Room { path: "servers/root/src/raw.rs", because: "the boot image, where the kernel mapped it" },
    Room { path: "servers/supervisor/src/raw.rs", because: "its vault and modules, where the root task mapped them" },
    Room { path: "tests/linux/src/registers.rs", because: "it fills the processor's registers around a system call" },
    Room { path: "tests/guest", because: "it provokes what safe calls can't" },
];

/// What stands in a crate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Count {
    blocks: usize,
    functions: usize,
    impls: usize,
    /// `unsafe(no_mangle)` and its kin.
    attributes: usize,
}

impl Count {
    fn of(code: TokenStream) -> Count {
        let mut count = Count::default();
        count.add(code);
        count
    }

    fn add(&mut self, code: TokenStream) {
        let mut after_unsafe = false;
        for token in code {
            if after_unsafe {
                match &token {
                    TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => self.blocks += 1,
                    TokenTree::Group(_) => self.attributes += 1,
                    TokenTree::Ident(word) if word == "impl" || word == "trait" => self.impls += 1,
                    _ => self.functions += 1,
                }
            }
            after_unsafe = matches!(&token, TokenTree::Ident(word) if word == "unsafe");
            if let TokenTree::Group(group) = token {
                self.add(group.stream());
            }
        }
    }

    fn total(&self) -> usize {
        self.blocks + self.functions + self.impls + self.attributes
    }
}

/// Files with `unsafe` outside its rooms, tests included; rooms that are not needed any more.
pub(crate) fn faults(root: &Path) -> Result<Vec<String>> {
    let mut used = vec![false; ROOMS.len()];
    let mut faults = Vec::new();
    for file in sources(root)? {
        if Count::of(Source::whole(&file)?.code).total() == 0 {
            continue;
        }
        let inside = file.strip_prefix(root).unwrap_or(&file);
        match ROOMS.iter().position(|room| inside.starts_with(room.path)) {
            Some(room) => used[room] = true,
            None => faults.push(format!(
                "{}: `unsafe` outside its rooms, which tools/sal/src/check/rooms.rs names",
                inside.display()
            )),
        }
    }
    let unused = ROOMS.iter().zip(used).filter(|(_, used)| !used);
    faults.extend(unused.map(|(room, _)| format!("{}: no `unsafe` there any more: drop the room", room.path)));
    Ok(faults)
}

/// Every Rust file of the repository.
pub(crate) fn sources(root: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for top in ["abi", "drivers", "kernel", "lib", "proto", "servers", "tests", "tools", "user"] {
        collect(&root.join(top), &mut files)?;
    }
    files.sort();
    Ok(files)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// The table of docs/unsafe.md.
pub(crate) fn section(root: &Path, metadata: &Metadata) -> Result<Section> {
    let mut rows = metadata.packages.iter().map(|package| row(package, root)).collect::<Result<Vec<_>>>()?;
    rows.sort();
    let mut text =
        String::from("| crate | lines of code | blocks | functions | impls | attributes |\n|---|---|---|---|---|---|");
    let mut without = Vec::new();
    for (folder, lines, count) in rows {
        if count.total() == 0 {
            without.push(folder);
            continue;
        }
        let Count { blocks, functions, impls, attributes } = count;
        write!(text, "\n| `{folder}` | {lines} | {blocks} | {functions} | {impls} | {attributes} |")?;
    }
    write!(text, "\n\nNone at all in: {}.\n\n| room | why |\n|---|---|", without.join(", "))?;
    for room in ROOMS {
        write!(text, "\n| `{}` | {} |", room.path, room.because)?;
    }
    Ok(Section { page: "docs/unsafe.md", name: "unsafe", text })
}

impl PartialOrd for Count {
    fn partial_cmp(&self, other: &Count) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Count {
    fn cmp(&self, other: &Count) -> std::cmp::Ordering {
        self.total().cmp(&other.total())
    }
}

/// A package's folder, its lines, its `unsafe`, as the kernel's target compiles it.
fn row(package: &Package, root: &Path) -> Result<(String, usize, Count)> {
    let folder = package.manifest_path.parent().and_then(|folder| folder.strip_prefix(root).ok());
    let folder = folder.map(|folder| folder.to_string()).unwrap_or_default();
    let shipped = package.targets.iter().filter(|target| target.is_lib() || target.is_bin());
    let (mut lines, mut all) = (0, TokenStream::new());
    for target in shipped {
        for source in source::of_crate(target.src_path.as_std_path())? {
            lines += source.lines();
            all.extend(source.code);
        }
    }
    Ok((folder, lines, Count::of(all)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_unsafe_is_counted_in_macros_too() {
        let code = "unsafe fn a() {} unsafe impl S for T {} #[unsafe(no_mangle)] extern \"C\" fn b() { unsafe { c() } } m!(unsafe { d() });";
        let count = Count::of(code.parse().unwrap());
        let expected = Count { blocks: 2, functions: 1, impls: 1, attributes: 1 };
        assert_eq!((count, count.total()), (expected, 5));
        assert_eq!(Count::of("#![deny(unsafe_code)] fn a() { \"unsafe\"; }".parse().unwrap()).total(), 0);
    }
}
