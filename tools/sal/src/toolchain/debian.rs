//! A toolchain folder made from Debian's `rustc-web`, with the bare-metal target built from `rust-web-src`. It is cached under a name
//! made of the compiler's version, since Debian's moves, and of this recipe's.

use super::TARGET;
use crate::cache;
use crate::command::output;
use crate::progress::Step;
use anyhow::{Context, Result, anyhow};
use sha2::{Digest, Sha256};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

const RUSTC: &str = "/usr/bin/rustc";
const LINKER: &str = "/usr/bin/ld.lld-22";
const HOST: &str = "x86_64-unknown-linux-gnu";

/// Raise it when what is made here changes.
const RECIPE: &str = "2";

/// Programs are linked with link-time optimisation, which needs the libraries' bitcode, and backtraces walk their frames too.
const FLAGS: &str = "-Cembed-bitcode=yes\x1f-Cforce-frame-pointers=yes";

/// The libraries that programs without an operating system use.
const LIBRARIES: [&str; 3] = ["core", "alloc", "compiler_builtins"];

/// The cached toolchain folder; made if it is missing.
pub(crate) fn sysroot() -> Result<PathBuf> {
    let version = output(Command::new(RUSTC).arg("-vV"), "asking Debian's compiler for its version")?;
    let digest = Sha256::digest(format!("{version}\n{RECIPE}"));
    let key = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect::<String>();
    let name = format!("toolchain-{key}");
    let place = cache::folder()?.join(&name);
    cache::entry(&name, |folder| {
        let _step = Step::start("building Rust's libraries for the bare machine (once)");
        make(folder, &place)
    })
}

/// Makes the toolchain in `folder`; it will lie at `place`.
fn make(folder: &Path, place: &Path) -> Result<()> {
    let debian = output(Command::new(RUSTC).args(["--print", "sysroot"]), "finding Debian's compiler")?;
    let debian = Path::new(debian.trim()).join("lib/rustlib");
    let rustlib = folder.join("lib/rustlib");
    let tools = rustlib.join(HOST).join("bin");
    for made in [&folder.join("bin"), &tools] {
        fs::create_dir_all(made)?;
    }
    link(&debian.join("src"), &rustlib.join("src"))?;
    link(&debian.join("etc"), &rustlib.join("etc"))?;
    link(&debian.join(HOST).join("lib"), &rustlib.join(HOST).join("lib"))?;
    link(Path::new(LINKER), &tools.join("rust-lld"))?;
    for tool in ["rustc", "rustdoc"] {
        wrap(&folder.join("bin").join(tool), tool, place)?;
    }
    link(&cargo()?, &folder.join("bin/cargo"))?;
    build_libraries(&rustlib)
}

fn link(to: &Path, at: &Path) -> Result<()> {
    symlink(to, at).with_context(|| format!("cannot make the link {}", at.display()))
}

/// A script that runs Debian's tool with the sysroot at `place`.
fn wrap(at: &Path, tool: &str, place: &Path) -> Result<()> {
    let place = place.display().to_string().replace('\'', "'\\''");
    fs::write(at, format!("#!/bin/sh\nexec /usr/bin/{tool} --sysroot '{place}' \"$@\"\n"))?;
    fs::set_permissions(at, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// The cargo that runs this tool: it works with Debian's compiler as well.
fn cargo() -> Result<PathBuf> {
    let running = std::env::var_os("CARGO").map(PathBuf::from).filter(|path| path.is_absolute());
    running.or_else(|| crate::host::find("cargo")).ok_or_else(|| anyhow!("there is no cargo on the PATH"))
}

/// Builds the libraries from Debian's sources and puts them where a toolchain has them.
fn build_libraries(rustlib: &Path) -> Result<()> {
    let work = tempfile::tempdir().context("no room for a temporary folder")?;
    let manifest = "[package]\nname = \"libraries\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\
                    [profile.release]\nopt-level = 3\ndebug = false\npanic = \"abort\"\n";
    fs::write(work.path().join("Cargo.toml"), manifest)?;
    fs::create_dir(work.path().join("src"))?;
    fs::write(work.path().join("src/lib.rs"), "#![no_std]\nextern crate alloc;\n")?;
    let mut build = Command::new(cargo()?);
    build.args(["build", "--release", "--target", TARGET, "-Zbuild-std-features=compiler-builtins-mem"]);
    build.arg(format!("-Zbuild-std={}", LIBRARIES.join(",")));
    for variable in ["RUSTFLAGS", "CARGO_BUILD_TARGET", "RUSTC_WRAPPER", "RUSTUP_TOOLCHAIN"] {
        build.env_remove(variable);
    }
    build
        .current_dir(work.path())
        .env("RUSTC", RUSTC)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS);
    build.env("CARGO_TARGET_DIR", work.path().join("target"));
    output(&mut build, "building Rust's libraries for the bare machine")?;
    let place = rustlib.join(TARGET).join("lib");
    fs::create_dir_all(&place)?;
    copy_libraries(&work.path().join("target").join(TARGET).join("release/deps"), &place)
}

fn copy_libraries(from: &Path, to: &Path) -> Result<()> {
    for file in fs::read_dir(from).context("the libraries were not built")? {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        let wanted = LIBRARIES.iter().any(|library| name.starts_with(&format!("lib{library}-")));
        if wanted && name.ends_with(".rlib") {
            fs::copy(file.path(), to.join(name))?;
        }
    }
    Ok(())
}
