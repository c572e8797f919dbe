//! What the tests share: images made by e2fsprogs, blocks that count how often they are read and may be absent at
//! first, and a walk over a whole file system that can be held against another one.
#![allow(dead_code, unreachable_pub, missing_docs)]

use sal_ext4::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use tempfile::TempDir;

/// A program of e2fsprogs. If it is missing, Debian's package is installed by root; others are told what to run.
pub fn tool(name: &str) -> Command {
    static INSTALL: OnceLock<()> = OnceLock::new();
    let find =
        || ["/usr/sbin", "/sbin", "/usr/bin"].map(|dir| Path::new(dir).join(name)).into_iter().find(|p| p.exists());
    let path = find().or_else(|| {
        INSTALL.get_or_init(install);
        find()
    });
    let mut command = Command::new(path.unwrap_or_else(|| panic!("{name} is missing though e2fsprogs is installed")));
    // No output may depend on where the test runs.
    command.env("TZ", "UTC").env("LC_ALL", "C").env("DEBUGFS_PAGER", "cat").env("E2FSPROGS_FAKE_TIME", "1700000000");
    command
}

fn install() {
    const HINT: &str = "missing packages; please run: sudo apt-get install -y --no-install-recommends e2fsprogs";
    assert!(Path::new("/etc/debian_version").exists(), "this is not Debian: please install e2fsprogs");
    assert!(rustix::process::geteuid().is_root(), "{HINT}");
    let _ = Command::new("apt-get").args(["-q", "update"]).output();
    let arguments = ["-q", "install", "-y", "--no-install-recommends", "e2fsprogs"];
    let done = Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(arguments).output();
    assert!(done.is_ok_and(|output| output.status.success()), "{HINT}");
}

/// Runs a command that must succeed; what it printed.
pub fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    // e2fsck says 1 when it has changed something, as it was told to.
    let fine = if command.get_program().to_string_lossy().ends_with("e2fsck") { 0..=1 } else { 0..=0 };
    assert!(
        output.status.code().is_some_and(|code| fine.contains(&code)),
        "{command:?}: {} {text} {errors}",
        output.status
    );
    text
}

/// An image file, gone with the value.
pub struct Image {
    pub path: PathBuf,
    _dir: TempDir,
}

impl Image {
    /// `mke2fs OPTIONS -d SOURCE IMAGE SIZE`.
    pub fn make(options: &str, source: &Path, size: &str) -> Image {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image");
        // A hash seed and UUID of its own for every image would make no two runs alike.
        let fixed = "-F -q -U 6d0f0c1e-8a0b-4c5d-9e2f-1a2b3c4d5e6f -E hash_seed=0a1b2c3d-4e5f-4a6b-8c7d-8e9fa0b1c2d3";
        let mut command = tool("mke2fs");
        command.args(fixed.split(' ')).args(options.split_whitespace()).arg("-d").arg(source).arg(&path).arg(size);
        output(&mut command);
        Image { path, _dir: dir }
    }

    pub fn copy(&self) -> Image {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image");
        fs::copy(&self.path, &path).unwrap();
        Image { path, _dir: dir }
    }

    pub fn from_bytes(bytes: &[u8]) -> Image {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image");
        fs::write(&path, bytes).unwrap();
        Image { path, _dir: dir }
    }

    /// Runs commands of debugfs that may change the image; what they printed.
    pub fn debugfs(&self, commands: impl AsRef<[u8]>) -> String {
        let list = self.path.with_extension("commands");
        fs::write(&list, commands).unwrap();
        let mut command = tool("debugfs");
        command.arg("-w").arg("-f").arg(&list).arg(&self.path);
        output(&mut command)
    }

    /// Indexes all directories, as a kernel would have.
    pub fn index_directories(&self) {
        output(tool("e2fsck").arg("-fyD").arg(&self.path));
    }

    pub fn tune(&self, options: &str) {
        output(tool("tune2fs").args(options.split_whitespace()).arg(&self.path));
    }

    pub fn bytes(&self) -> Vec<u8> {
        fs::read(&self.path).unwrap()
    }
}

/// Blocks of an image in memory.
pub struct Memory<'a> {
    pub image: &'a [u8],
    pub block_size: usize,
    /// How often a block was read.
    pub reads: usize,
    /// The blocks that were read.
    pub seen: BTreeSet<u64>,
    /// Blocks that must be asked for once before they are there; none: all are.
    pub fetched: Option<BTreeSet<u64>>,
    /// Blocks that the device can't read.
    pub unreadable: BTreeSet<u64>,
}

impl<'a> Memory<'a> {
    pub fn new(image: &'a [u8], block_size: usize) -> Self {
        let (seen, unreadable) = Default::default();
        Memory { image, block_size, reads: 0, seen, fetched: None, unreadable }
    }
}

impl Blocks for Memory<'_> {
    fn read(&mut self, block: u64) -> Result<&[u8], Unread> {
        self.reads += 1;
        if self.unreadable.contains(&block) {
            return Err(Unread::Io);
        }
        if self.fetched.as_mut().is_some_and(|fetched| fetched.insert(block)) {
            return Err(Unread::Absent);
        }
        self.seen.insert(block);
        let start = usize::try_from(block).unwrap().checked_mul(self.block_size).ok_or(Unread::Io)?;
        self.image.get(start..start + self.block_size).ok_or(Unread::Io)
    }
}

/// The most blocks that an operation may read on the images of these tests.
pub const MAX_READS: usize = 20_000;

/// Repeats an operation until no block is absent.
pub fn repeat<'a, T>(
    blocks: &mut Memory<'a>,
    mut operation: impl FnMut(&mut Memory<'a>) -> Result<T, Stop>,
) -> Result<T, Stop> {
    let mut last = None;
    loop {
        let before = blocks.reads;
        let result = operation(blocks);
        assert!(blocks.reads - before <= MAX_READS, "{} blocks in one operation", blocks.reads - before);
        match result {
            Err(Stop::Absent(block)) => {
                assert!(blocks.fetched.is_some() && last != Some(block), "block {block} is absent again");
                last = Some(block);
            }
            done => return done,
        }
    }
}

/// Mounts an image in memory.
pub fn mount<'a>(image: &'a [u8]) -> Result<(FileSystem, Memory<'a>), Stop> {
    mount_with(image, None)
}

pub fn mount_with<'a>(image: &'a [u8], fetched: Option<BTreeSet<u64>>) -> Result<(FileSystem, Memory<'a>), Stop> {
    let superblock = &image[SUPERBLOCK_OFFSET as usize..][..SUPERBLOCK_BYTES];
    let mut mount = Mount::begin(superblock, image.len() as u64)?;
    let mut blocks = Memory::new(image, mount.block_size());
    blocks.fetched = fetched;
    for _ in 0..100_000 {
        if let Some(fs) = repeat(&mut blocks, |blocks| mount.step(blocks))? {
            return Ok((fs, blocks));
        }
    }
    panic!("a mount that never ends");
}

pub const PIECE: u64 = 1024;

/// A file's contents: its pieces that aren't all zeros.
pub type Contents = BTreeMap<u64, Vec<u8>>;

/// A file system as a value: everything that users see, by path.
pub type Tree = BTreeMap<Vec<u8>, Node>;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    pub inode: Inode,
    pub contents: Contents,
    pub target: Option<Vec<u8>>,
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

fn add_pieces(contents: &mut Contents, offset: u64, bytes: &[u8]) {
    for (number, piece) in (offset / PIECE..).zip(bytes.chunks(PIECE as usize)) {
        if piece.iter().any(|byte| *byte != 0) {
            contents.insert(number, piece.to_vec());
        }
    }
}

/// The contents of a file on a file system.
pub fn contents(fs: &FileSystem, blocks: &mut Memory<'_>, inode: &Inode) -> Result<Contents, Stop> {
    let size = fs.block_size() as u64;
    let mut contents = Contents::new();
    let (mut logical, end) = (0, inode.size.div_ceil(size));
    // A damaged size may be anything: a test looks at a prefix.
    let mut runs = 0;
    while logical < end.min(1 << 32) && runs < 100_000 {
        runs += 1;
        let first = u32::try_from(logical).unwrap();
        let count = u32::try_from(end - logical).unwrap_or(u32::MAX);
        let run = repeat(blocks, |blocks| fs.map(blocks, inode, first, count))?;
        assert!(run.logical == first && (1..=count).contains(&run.length), "{run:?} for {first} {count}");
        let (from, magic) = match run.target {
            Target::Blocks(block) => (Some(block), false),
            Target::Escaped(block) => (Some(block), true),
            Target::Hole | Target::Unwritten => (None, false),
        };
        if let Some(block) = from {
            let place = usize::try_from(block * size).unwrap();
            let bytes = blocks.image.get(place..place + run.length as usize * size as usize);
            let mut bytes = bytes.expect("a run outside the image").to_vec();
            if magic {
                assert_eq!((run.length, &bytes[..4]), (1, &[0; 4][..]));
                bytes[..4].copy_from_slice(&JOURNAL_MAGIC);
            }
            bytes.truncate(usize::try_from((inode.size - logical * size).min(bytes.len() as u64)).unwrap());
            add_pieces(&mut contents, logical * size, &bytes);
        }
        logical += u64::from(run.length);
    }
    Ok(contents)
}

/// All names of a directory, read with a sink that has room for `room` entries at a time.
pub fn names(
    fs: &FileSystem,
    blocks: &mut Memory<'_>,
    dir: &Inode,
    room: usize,
) -> Result<Vec<(Vec<u8>, u32, Kind)>, Stop> {
    let mut names = Vec::new();
    let mut cookie = Some(0);
    let mut calls = 0;
    while let Some(from) = cookie {
        let mut taken = Vec::new();
        let mut last = from;
        cookie = repeat(blocks, |blocks| {
            taken.clear();
            fs.read_dir(blocks, dir, from, &mut |entry| {
                if taken.len() == room {
                    return Flow::Full;
                }
                assert!(entry.next > last || taken.is_empty() && entry.next > from, "cookies that don't ascend");
                last = entry.next;
                taken.push((entry.name.to_vec(), entry.inode, entry.kind));
                Flow::Taken
            })
        })?;
        assert!(cookie.is_none_or(|cookie| cookie > from), "a cookie that leads back: {from} {cookie:?}");
        names.append(&mut taken);
        calls += 1;
        assert!(calls < 100_000, "a directory that never ends");
    }
    Ok(names)
}

/// One thing with everything that users see of it.
pub fn node(fs: &FileSystem, blocks: &mut Memory<'_>, number: u32) -> Result<Node, Stop> {
    let inode = repeat(blocks, |blocks| fs.inode(blocks, number))?;
    let contents = if inode.kind() == Kind::File { contents(fs, blocks, &inode)? } else { Contents::new() };
    let target = match inode.kind() {
        Kind::Symlink => Some(repeat(blocks, |blocks| fs.read_link(blocks, &inode))?),
        _ => None,
    };
    let mut xattrs = BTreeMap::new();
    let list = repeat(blocks, |blocks| fs.xattr_names(blocks, &inode))?;
    for name in list.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let value = repeat(blocks, |blocks| fs.xattr(blocks, &inode, name))?;
        xattrs.insert(name.to_vec(), value.expect("an attribute that was listed"));
    }
    Ok(Node { inode, contents, target, xattrs })
}

/// What is under a path; calls `fault` for what can't be read and goes on.
pub fn walk(fs: &FileSystem, blocks: &mut Memory<'_>, room: usize, fault: &mut dyn FnMut(&[u8], Stop)) -> Tree {
    let mut tree = Tree::new();
    let mut open = vec![(Vec::new(), 2)];
    // On a damaged file system a directory may be inside itself.
    let mut directories = BTreeSet::new();
    while let Some((path, number)) = open.pop() {
        assert!(tree.len() < 100_000, "a tree that never ends");
        let node = match node(fs, blocks, number) {
            Ok(node) => node,
            Err(stop) => {
                fault(&path, stop);
                continue;
            }
        };
        if node.inode.kind() == Kind::Directory && directories.insert(number) {
            match names(fs, blocks, &node.inode, room) {
                Ok(names) => open.extend(
                    names
                        .into_iter()
                        .filter(|(name, ..)| name != b"." && name != b"..")
                        .map(|(name, number, _)| ([&path[..], b"/", &name].concat(), number)),
                ),
                Err(stop) => fault(&path, stop),
            }
        }
        tree.insert(path, node);
    }
    tree
}

/// Everything on a sound image.
pub fn whole(image: &[u8]) -> Tree {
    let (fs, mut blocks) = mount(image).unwrap_or_else(|stop| panic!("{stop}"));
    walk(&fs, &mut blocks, 50, &mut |path, stop| panic!("{}: {stop}", String::from_utf8_lossy(path)))
}

/// The contents of a file of the host.
pub fn host_contents(path: &Path) -> Contents {
    let file = fs::File::open(path).unwrap();
    let size = file.metadata().unwrap().size();
    let mut contents = Contents::new();
    let mut at = 0;
    while at < size {
        let data = match rustix::fs::seek(&file, rustix::fs::SeekFrom::Data(at)) {
            Ok(data) => data / PIECE * PIECE,
            Err(_) => break,
        };
        let end = rustix::fs::seek(&file, rustix::fs::SeekFrom::Hole(data.max(at))).unwrap_or(size);
        let mut bytes = vec![0; usize::try_from(end - data).unwrap()];
        file.read_exact_at(&mut bytes, data).unwrap();
        add_pieces(&mut contents, data, &bytes);
        at = end;
    }
    contents
}

/// Numbers that look random and are the same in every run.
#[derive(Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

/// How many names the directory has that needs two levels of index in blocks of 1 KiB.
pub const MANY: usize = 600;

/// A folder with files, directories and links of all shapes.
pub fn source() -> &'static Path {
    static SOURCE: OnceLock<TempDir> = OnceLock::new();
    SOURCE.get_or_init(make_source).path()
}

fn make_source() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let mut random = Random(42);
    for length in [0, 1, 59, 60, 1023, 1024, 1025, 4095, 4096, 4097, 65536, 300_000] {
        fs::write(root.join(format!("file {length}")), random.bytes(length)).unwrap();
    }
    let sparse = fs::File::create(root.join("sparse")).unwrap();
    for place in [0, 70_000, 5_000_000, 5_004_096, 300_000_000, 5_000_000_000] {
        sparse.write_all_at(&random.bytes(5000), place).unwrap();
    }
    sparse.set_len(6_000_000_000).unwrap();
    // Every other 4 KiB: more extents than fit into an inode, or a leaf of 1 KiB.
    let comb = fs::File::create(root.join("comb")).unwrap();
    (0..200).for_each(|tooth| comb.write_all_at(&random.bytes(4096), tooth * 8192).unwrap());
    fs::create_dir_all(root.join("a/b/c/d")).unwrap();
    fs::write(root.join("a/b/c/d/leaf"), b"deep").unwrap();
    fs::hard_link(root.join("a/b/c/d/leaf"), root.join("a/another name")).unwrap();
    fs::create_dir(root.join("empty")).unwrap();
    fs::create_dir(root.join("links")).unwrap();
    for length in [1, 58, 59, 60, 61, 255, 1000, 1023] {
        symlink("to/".repeat(400).get(..length).unwrap(), root.join(format!("links/{length}"))).unwrap();
    }
    fs::create_dir(root.join("many")).unwrap();
    for number in 0..MANY {
        let name = format!("{number} {}", if number % 5 == 0 { "ü".repeat(90) } else { "x".repeat(200) });
        fs::hard_link(root.join("file 1"), root.join("many").join(name)).unwrap();
    }
    fs::create_dir(root.join("some")).unwrap();
    for number in 0..40 {
        fs::write(root.join("some").join("n".repeat(1 + number * 254 / 39)), [number as u8]).unwrap();
    }
    fs::set_permissions(root.join("file 60"), std::os::unix::fs::PermissionsExt::from_mode(0o4711)).unwrap();
    dir
}

/// How many rounds of a loop to run: by default few.
pub fn rounds(short: usize) -> usize {
    if std::env::var_os("SAL_MODEL_LONG").is_some() { short * 100 } else { short }
}

/// Flips a bit, or writes a number that arithmetic stumbles over, or copies something from elsewhere in the block.
pub fn damage(block: &mut [u8], random: &mut Random) {
    // What is in use lies mostly at the start.
    let end = if random.below(2) == 0 { 128 } else { block.len() };
    let place = random.below(end) & !3;
    match random.below(4) {
        0 => block[place] ^= 1 << random.below(8),
        1 => {
            let odd =
                [0, 1, 0xffff, 0x8000, 0x7fff_ffff, 0x8000_0000, u32::MAX, 0xf30a, 4, 8, 12, 1024][random.below(12)];
            block[place..][..4].copy_from_slice(&odd.to_le_bytes());
        }
        2 => {
            let odd = [0, 1, 3, 0xffff, 0x8000, 0x7fff, 0xff, 12][random.below(8)] as u16;
            block[place..][..2].copy_from_slice(&odd.to_le_bytes());
        }
        _ => {
            let from = random.below(block.len()) & !3;
            block.copy_within(from..(from + 4).min(block.len()), place);
        }
    }
}
