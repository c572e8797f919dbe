//! The house's arrows: which room may use which. Read from `cargo metadata`, so what counts is what cargo builds.
//!
//! `lib` knows nothing of the system; a server never uses another server or a driver, nor a driver a server; only `kernel/image` knows all of
//! the kernel; the tool never uses the kernel; `abi` uses nothing at all.

use anyhow::{Context, Result};
use cargo_metadata::{Metadata, Package as CargoPackage};
use std::path::Path;

/// A package of the repository, and what of the repository it uses.
pub(crate) struct Package {
    /// Its folder.
    pub(crate) folder: String,
    /// Folders of the packages that it uses, for its tests too.
    pub(crate) uses: Vec<String>,
    /// How many packages from elsewhere it uses.
    pub(crate) foreign: usize,
}

/// A room, and the folders whose packages it may use.
struct Room {
    folder: &'static str,
    may_use: &'static [&'static str],
    /// Why, as the message says it.
    rule: &'static str,
}

const ROOMS: &[Room] = &[
    Room { folder: "abi", may_use: &[], rule: "the ABI depends on nothing" },
    Room { folder: "kernel/mem", may_use: &["abi"], rule: "memory management is a value that knows the ABI alone" },
    Room { folder: "kernel/core", may_use: &["abi", "kernel/mem"], rule: "the core is a value: it knows no processor" },
    Room { folder: "kernel/arch", may_use: &["abi", "kernel/mem"], rule: "only kernel/image knows all of the kernel" },
    Room {
        folder: "kernel/image",
        may_use: &["abi", "kernel", "lib/bootimage"],
        rule: "the kernel uses of lib the boot image alone",
    },
    Room { folder: "lib", may_use: &["abi", "lib"], rule: "a library knows nothing of the system" },
    Room {
        folder: "proto",
        may_use: &["abi", "proto"],
        rule: "an interface knows neither who serves it nor who calls",
    },
    Room {
        folder: "user",
        may_use: &["abi", "user", "proto", "lib"],
        rule: "the run-time knows no server and no driver",
    },
    Room {
        folder: "servers",
        may_use: &["abi", "user", "proto", "lib"],
        rule: "a server never uses another server or a driver",
    },
    Room {
        folder: "drivers",
        may_use: &["abi", "user", "proto", "lib"],
        rule: "a driver never uses a server or another driver",
    },
    Room { folder: "tools", may_use: &["abi", "lib"], rule: "the tool never uses the kernel" },
    Room {
        folder: "tests",
        may_use: &["abi", "kernel/core", "kernel/mem", "user", "proto", "lib"],
        rule: "tests use values and the run-time: no processor, no server",
    },
];

/// The packages of the workspace.
pub(crate) fn packages(metadata: &Metadata, root: &Path) -> Result<Vec<Package>> {
    metadata.packages.iter().map(|package| read(package, root)).collect()
}

fn read(package: &CargoPackage, root: &Path) -> Result<Package> {
    let folder = |path: &Path| -> Result<String> {
        let inside = path.strip_prefix(root);
        let inside = inside.with_context(|| format!("{} is outside of the repository", path.display()))?;
        Ok(inside.display().to_string())
    };
    let manifest = package.manifest_path.as_std_path();
    let (own, foreign): (Vec<_>, Vec<_>) = package.dependencies.iter().partition(|d| d.path.is_some());
    let uses = own.iter().filter_map(|dependency| dependency.path.as_ref());
    Ok(Package {
        folder: folder(manifest.parent().unwrap_or(manifest))?,
        uses: uses.map(|path| folder(path.as_std_path())).collect::<Result<_>>()?,
        foreign: foreign.len(),
    })
}

/// Is the folder that one, or in it?
fn lies_in(folder: &str, room: &str) -> bool {
    Path::new(folder).starts_with(room)
}

/// Every arrow that should not be, one line each.
pub(crate) fn faults(packages: &[Package]) -> Vec<String> {
    packages.iter().flat_map(faults_of).collect()
}

fn faults_of(package: &Package) -> Vec<String> {
    let folder = &package.folder;
    let Some(room) = ROOMS.iter().find(|room| lies_in(folder, room.folder)) else {
        return vec![format!("{folder} is in no room of the house: tools/sal/src/check/arrows.rs names them")];
    };
    // A package's tests may use the package itself, with other features.
    let others = package.uses.iter().filter(|used| *used != folder);
    let forbidden = others.filter(|used| !room.may_use.iter().any(|may| lies_in(used, may)));
    let mut faults =
        forbidden.map(|used| format!("{folder}/Cargo.toml: uses {used}, but {}", room.rule)).collect::<Vec<_>>();
    if room.folder == "abi" && package.foreign > 0 {
        faults.push(format!("{folder}/Cargo.toml: {}", room.rule));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(folder: &str, uses: &[&str], foreign: usize) -> Package {
        Package { folder: folder.into(), uses: uses.iter().map(|used| used.to_string()).collect(), foreign }
    }

    #[test]
    fn every_forbidden_arrow_is_named() {
        let forbidden = [
            ("lib/tty", "user/sys"),
            ("lib/console", "proto/interfaces"),
            ("servers/console", "servers/names"),
            ("servers/console", "drivers/uart"),
            ("drivers/uart", "servers/console"),
            ("kernel/core", "kernel/arch/x86_64"),
            ("kernel/arch/x86_64", "kernel/core"),
            ("tools/sal", "kernel/core"),
            ("proto/idl", "user/rt"),
            ("user/rt", "servers/root"),
            ("abi", "lib/vault"),
            ("attic/old", "abi"),
        ];
        for (from, to) in forbidden {
            assert_eq!(faults(&[package(from, &[to], 0)]).len(), 1, "{from} -> {to}");
        }
        assert_eq!(faults(&[package("abi", &[], 1)]).len(), 1);
    }

    #[test]
    fn the_message_says_what_where_and_why() {
        let faults = faults(&[package("lib/tty", &["lib/tty", "abi", "user/sys"], 3)]);
        assert_eq!(faults, ["lib/tty/Cargo.toml: uses user/sys, but a library knows nothing of the system"]);
    }
}
