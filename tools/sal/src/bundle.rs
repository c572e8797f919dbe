//! The boot image and the kernel, built and put together.

use crate::build;
use crate::cli::{Build, Contents};
use crate::elf;
use crate::manifest::{self, Checked};
use crate::ramdisk;
use crate::say::say;
use crate::toolchain;
use crate::workspace::Workspace;
use anyhow::{Context, Result, anyhow};
use sal_bootimage::{ImageWriter, KERNEL, Kind, MANIFEST, Name, Order, Program, RAM_DISK, SYMBOLS};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

/// What the machine boots.
pub(crate) struct Bundle {
    /// The kernel: ELF.
    pub(crate) kernel: PathBuf,
    /// The boot image.
    pub(crate) image: PathBuf,
    /// Bytes in the boot image.
    pub(crate) image_size: u64,
    /// Bytes of the RAM disk in it.
    pub(crate) ram_disk_size: u64,
    /// What it starts.
    pub(crate) manifest: sal_manifest::Manifest,
}

/// Functions of the kernel or a program.
type FunctionList = (Name, Vec<(u64, String)>);

/// Builds all that the contents need. The files lie in the target folder, under a name made of what is in them: so two machines with
/// different contents can be built at the same time.
pub(crate) fn make(workspace: &Workspace, contents: &Contents) -> Result<Bundle> {
    let checked = manifest::read(workspace, &contents.system)?;
    let ram_disk = ramdisk::make(contents.root.as_deref())?;
    let toolchain = toolchain::bare_metal()?;
    let kernel = build::kernel(workspace, &toolchain)?;
    let sources = checked.programs().into_iter().filter_map(|name| workspace.program(name)).collect::<Vec<_>>();
    let built = build::programs(workspace, &toolchain, &sources)?;
    let programs =
        sources.iter().filter_map(|source| Some((source.name.as_str(), built.get(&source.binary)?.as_path())));
    let order = contents.shuffle.map_or(Order::Sorted, Order::Shuffled);
    let image = assemble(&checked, &kernel, &programs.collect::<Vec<_>>(), &ram_disk, order)?;
    let folder = workspace.target.join("bare").join("images");
    Ok(Bundle {
        kernel: store(&folder, "kernel", &fs::read(&kernel)?)?,
        image: store(&folder, "image", &image)?,
        image_size: image.len() as u64,
        ram_disk_size: ram_disk.len() as u64,
        manifest: checked.manifest,
    })
}

/// The boot image from all that goes into it.
fn assemble(
    checked: &Checked,
    kernel: &Path,
    programs: &[(&str, &Path)],
    ram_disk: &[u8],
    order: Order,
) -> Result<Vec<u8>> {
    let mut writer = ImageWriter::new();
    let mut functions = vec![functions(KERNEL, &read(kernel)?, kernel)?];
    for (name, file) in programs {
        let bytes = read(file)?;
        let module = elf::program(&bytes).with_context(|| file.display().to_string())?;
        functions.push(program_functions(name, &bytes, file, &module)?);
        writer.add(Kind::Program, name, module)?;
    }
    writer.add(Kind::Symbols, SYMBOLS, sal_bootimage::symbols(functions)?)?;
    writer.add(Kind::Manifest, MANIFEST, checked.compact.clone())?;
    writer.add(Kind::RamDisk, RAM_DISK, ram_disk.to_vec())?;
    Ok(writer.finish(order))
}

fn functions(name: &str, bytes: &[u8], file: &Path) -> Result<FunctionList> {
    let name = Name::new(name).ok_or_else(|| anyhow!("the program name `{name}` is too long for the boot image"))?;
    Ok((name, elf::symbols(bytes).with_context(|| file.display().to_string())?))
}

/// A program's functions, and its end: what lies beyond is in none of them.
fn program_functions(name: &str, bytes: &[u8], file: &Path, module: &[u8]) -> Result<FunctionList> {
    let (name, mut list) = functions(name, bytes, file)?;
    list.push((Program::open(module)?.span, String::new()));
    Ok((name, list))
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

/// The kernel, and a boot image that holds nothing but its symbols: for what the kernel can do alone.
pub(crate) fn kernel_alone(workspace: &Workspace) -> Result<(PathBuf, PathBuf)> {
    let mut writer = ImageWriter::new();
    let (kernel, functions) = kernel_with_symbols(workspace)?;
    writer.add(Kind::Symbols, SYMBOLS, sal_bootimage::symbols(vec![functions])?)?;
    finish_alone(workspace, &kernel, writer)
}

/// The kernel, and a boot image whose root task is the program `name`, alone: for what tests and measures the kernel from user mode.
pub(crate) fn kernel_under(workspace: &Workspace, name: &str) -> Result<(PathBuf, PathBuf)> {
    const ROOT: &str = sal_manifest::ROOT;
    let source = workspace.program(name).ok_or_else(|| anyhow!("there is no program {name}"))?;
    let built = build::programs(workspace, &toolchain::bare_metal()?, &[source])?;
    let file = built.get(&source.binary).ok_or_else(|| anyhow!("cargo built no binary {}", source.binary))?;
    let bytes = read(file)?;
    let mut writer = ImageWriter::new();
    let module = elf::program(&bytes)?;
    let (kernel, functions) = kernel_with_symbols(workspace)?;
    let all = vec![functions, program_functions(ROOT, &bytes, file, &module)?];
    writer.add(Kind::Program, ROOT, module)?;
    writer.add(Kind::Symbols, SYMBOLS, sal_bootimage::symbols(all)?)?;
    finish_alone(workspace, &kernel, writer)
}

fn kernel_with_symbols(workspace: &Workspace) -> Result<(Vec<u8>, FunctionList)> {
    let kernel = build::kernel(workspace, &toolchain::bare_metal()?)?;
    let bytes = read(&kernel)?;
    let functions = functions(KERNEL, &bytes, &kernel)?;
    Ok((bytes, functions))
}

fn finish_alone(workspace: &Workspace, kernel: &[u8], writer: ImageWriter) -> Result<(PathBuf, PathBuf)> {
    let folder = workspace.target.join("bare").join("images");
    Ok((store(&folder, "kernel", kernel)?, store(&folder, "image", &writer.finish(Order::Sorted))?))
}

/// Writes a file named after its contents, unless it is there.
fn store(folder: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let file = folder.join(format!("{name}-{}", &digest(bytes)[..16]));
    if !file.exists() {
        let mut beside = tempfile::NamedTempFile::new_in(folder)?;
        std::io::Write::write_all(&mut beside, bytes)?;
        beside.persist(&file).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(file)
}

/// SHA-256 in hexadecimal.
pub(crate) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `cargo sal build`.
pub(crate) fn build(options: &Build) -> Result<u8> {
    let bundle = make(&Workspace::open()?, &options.contents)?;
    for (what, file) in [("kernel", &bundle.kernel), ("image", &bundle.image)] {
        say!("{what} {} sha256 {}", file.display(), digest(&read(file)?));
    }
    Ok(0)
}
