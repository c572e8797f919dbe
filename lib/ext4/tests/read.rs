//! Images of every default and many odd shapes, held against the folder they were made of, against debugfs, and against
//! the crate `ext4-view`.

mod common;

use common::*;
use sal_ext4::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;

/// Options of `mke2fs`, by what they are about.
const SHAPES: [(&str, &str); 21] = [
    ("default 1k", "-t ext4 -b 1024"),
    ("default 2k", "-t ext4 -b 2048"),
    ("default 4k", "-t ext4 -b 4096"),
    ("64k", "-t ext4 -b 65536"),
    ("no checksums", "-t ext4 -b 1024 -O ^metadata_csum"),
    ("32 bit", "-t ext4 -b 4096 -O ^64bit"),
    ("neither", "-t ext4 -b 2048 -O ^metadata_csum,^64bit"),
    ("crc16", "-t ext4 -b 4096 -O ^metadata_csum,^64bit,uninit_bg"),
    ("crc16 64 bit", "-t ext4 -b 1024 -O ^metadata_csum,uninit_bg"),
    ("seed", "-t ext4 -b 1024 -O metadata_csum_seed"),
    ("meta_bg", "-t ext4 -b 1024 -g 1024 -O meta_bg,^resize_inode"),
    ("meta_bg, all superblocks", "-t ext4 -b 1024 -g 1024 -O meta_bg,^resize_inode,^sparse_super"),
    ("no flex_bg", "-t ext4 -b 1024 -O ^flex_bg -g 1024"),
    ("meta_bg, two superblocks", "-t ext4 -b 1024 -g 1024 -O meta_bg,^resize_inode,sparse_super2"),
    ("bigalloc", "-t ext4 -b 4096 -O bigalloc -C 16384"),
    ("small inodes", "-t ext4 -b 1024 -I 128"),
    ("large inodes", "-t ext4 -b 4096 -I 1024"),
    ("linear", "-t ext4 -b 1024 -O ^dir_index"),
    ("no filetype", "-t ext4 -b 1024 -O ^filetype"),
    ("ext2", "-t ext2 -b 1024"),
    ("ext3", "-t ext3 -b 4096"),
];

/// Access lists are stored in another form than they are given: owner rw, user 1000 r, group r, mask rw, others none.
const ACCESS_LIST: [u8; 44] = [
    2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 0xe8, 3, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255, 16, 0, 6, 0,
    255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255,
];

/// An image of the source folder, half of them with indexed directories.
fn image(options: &str) -> Image {
    // Of 17 groups the last has a superblock if two groups have, and the second block of descriptors.
    let sizes = [("sparse_super2", "17M"), ("65536", "48M"), ("", "24M")];
    let size = sizes.into_iter().find(|(option, _)| options.contains(option)).map_or("", |(_, size)| size);
    let image = Image::make(options, source(), size);
    image.debugfs(
        "mknod pipe p\nmknod tty c 4 300\nmknod disk b 259 60000\nmknod old c 5 1\n\
         ea_set \"/file 0\" user.comment short\nea_set \"/file 0\" security.thing \"with spaces\"\n\
         ea_set /links/1000 trusted.x y\nea_set /links/59 trusted.x y\n",
    );
    let value = image.path.with_extension("value");
    fs::write(&value, Random(7).bytes(700)).unwrap();
    let list = image.path.with_extension("list");
    fs::write(&list, ACCESS_LIST).unwrap();
    image.debugfs(format!("ea_set -f {} \"/file 1024\" system.posix_acl_access\n", list.display()));
    image.debugfs(format!("ea_set -f {} \"/file 4096\" user.large\n", value.display()));
    image
}

/// The entries of the source that mke2fs copies are all there, with the same contents; nothing else is.
fn must_be_the_source(tree: &Tree, name: &str) {
    let mut found = BTreeSet::from([b"/lost+found".to_vec(), b"/pipe".to_vec(), b"/tty".to_vec()]);
    found.extend([b"/disk".to_vec(), b"/old".to_vec()]);
    let mut open = vec![source().to_owned()];
    while let Some(path) = open.pop() {
        let below = path.strip_prefix(source()).unwrap().as_os_str().as_bytes();
        let key = if below.is_empty() { Vec::new() } else { [b"/", below].concat() };
        let node = tree.get(&key).unwrap_or_else(|| panic!("{name}: {path:?} is missing"));
        let host = fs::symlink_metadata(&path).unwrap();
        assert_eq!(u32::from(node.inode.mode), host.mode(), "{name}: mode of {path:?}");
        // In the source folder itself the lost+found is missing; the host may count links of directories otherwise.
        if !host.is_dir() {
            assert_eq!(u64::from(node.inode.links), host.nlink(), "{name}: links of {path:?}");
            assert_eq!(node.inode.size, host.size(), "{name}: size of {path:?}");
            assert_eq!((node.inode.uid, node.inode.gid), (host.uid(), host.gid()), "{name}: owner of {path:?}");
            assert_eq!(node.inode.modified.seconds, host.mtime(), "{name}: time of {path:?}");
        }
        if host.is_file() {
            assert!(node.contents == host_contents(&path), "{name}: contents of {path:?}");
        } else if host.is_symlink() {
            assert_eq!(node.target, Some(fs::read_link(&path).unwrap().into_os_string().into_vec()), "{name}");
        } else {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        found.insert(key);
    }
    let extra = tree.keys().filter(|key| !found.contains(*key)).collect::<Vec<_>>();
    assert!(extra.is_empty(), "{name}: {extra:?}");
}

fn must_have_attributes(tree: &Tree, name: &str) {
    let node = &tree[&b"/file 0"[..]];
    let expected = [("security.thing", "with spaces"), ("user.comment", "short")];
    let expected = expected.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
    assert_eq!(node.xattrs, BTreeMap::from(expected), "{name}");
    let large = &tree[&b"/file 4096"[..]].xattrs[&b"user.large"[..]];
    assert!(*large == Random(7).bytes(700), "{name}");
    assert_eq!(tree[&b"/links/59"[..]].xattrs.len(), 1, "{name}");
    assert_eq!(tree[&b"/file 1024"[..]].xattrs[&b"system.posix_acl_access"[..]], ACCESS_LIST, "{name}");
    let device = |path: &str| (tree[path.as_bytes()].inode.kind(), tree[path.as_bytes()].inode.device());
    assert_eq!(device("/tty"), (Kind::CharDevice, Some((4, 300))), "{name}");
    assert_eq!(device("/disk"), (Kind::BlockDevice, Some((259, 60000))), "{name}");
    assert_eq!(device("/old"), (Kind::CharDevice, Some((5, 1))), "{name}");
    assert_eq!(device("/pipe"), (Kind::Fifo, None), "{name}");
}

/// Every name is found by lookup, and names that aren't there aren't.
fn must_find_all(fs: &FileSystem, blocks: &mut Memory<'_>, tree: &Tree, name: &str) {
    for (path, node) in tree.iter().filter(|(path, _)| !path.is_empty()) {
        let slash = path.iter().rposition(|byte| *byte == b'/').unwrap();
        let dir = &tree[&path[..slash]].inode;
        let found = fs.lookup(blocks, dir, &path[slash + 1..]).unwrap();
        assert_eq!(found, Some(node.inode.number), "{name}: {}", String::from_utf8_lossy(path));
        if node.inode.number % 4 == 0 {
            assert_eq!(fs.lookup(blocks, dir, &[&path[slash + 1..], b"~"].concat()), Ok(None), "{name}");
        }
        if node.inode.kind() == Kind::Directory {
            assert_eq!(fs.lookup(blocks, &node.inode, b"."), Ok(Some(node.inode.number)), "{name}");
            assert_eq!(fs.lookup(blocks, &node.inode, b".."), Ok(Some(dir.number)), "{name}");
        }
    }
}

fn must_have_sound_groups(fs: &FileSystem, blocks: &mut Memory<'_>, name: &str) {
    for number in 0..fs.groups() {
        let group = fs.group(blocks, number).unwrap();
        for bitmap in [Bitmap::Blocks, Bitmap::Inodes] {
            fs.check_bitmap(blocks, &group, bitmap).unwrap_or_else(|stop| panic!("{name}: {stop}"));
        }
    }
    let free = fs.count_free(blocks, 0..u32::MAX).unwrap();
    let said = fs.statfs();
    assert_eq!((free.blocks, free.inodes), (said.free_blocks, u64::from(said.free_inodes)), "{name}");
}

/// The source, absent blocks, all lookups, groups: everything of one image. Returns what is on it.
fn check(image: &Image, name: &str) -> Tree {
    let bytes = image.bytes();
    let tree = whole(&bytes);
    must_be_the_source(&tree, name);
    must_have_attributes(&tree, name);
    let (fs, mut blocks) = mount(&bytes).unwrap_or_else(|stop| panic!("{name}: {stop}"));
    must_find_all(&fs, &mut blocks, &tree, name);
    must_have_sound_groups(&fs, &mut blocks, name);
    // Every block is absent at first, and the sink has room for few entries.
    let (lazy, mut blocks) = mount_with(&bytes, Some(BTreeSet::new())).unwrap();
    assert_eq!(lazy, fs, "{name}");
    let again = walk(&lazy, &mut blocks, 3, &mut |_, stop| panic!("{name}: {stop}"));
    assert!(again == tree, "{name}: absent blocks change what is read");
    // From a vault.
    let (superblock, replayed) = fs.parts();
    assert_eq!(FileSystem::from_parts(superblock, replayed, bytes.len() as u64), Ok(fs.clone()));
    tree
}

/// Images of these shapes, as mke2fs leaves them and with indexed directories.
fn check_shapes(shapes: &[(&str, &str)]) {
    for (name, options) in shapes {
        let image = image(options);
        if name.contains("default") || *name == "linear" {
            let linear = check(&image, name);
            compare_with_ext4_view(&image, &linear, name);
        }
        if *name == "linear" {
            continue;
        }
        image.index_directories();
        let indexed = check(&image, name);
        let many = indexed[&b"/many"[..]].inode;
        assert!(many.flags.contains(InodeFlags::INDEX), "{name}: no index to test");
        compare_with_ext4_view(&image, &indexed, name);
    }
}

#[test]
fn images_of_default_shapes_hold_what_the_source_folder_holds() {
    check_shapes(&SHAPES[..9]);
}

#[test]
fn images_of_odd_shapes_hold_what_the_source_folder_holds() {
    check_shapes(&SHAPES[9..]);
}

/// A UUID that was changed leaves checksums as they are if the superblock keeps their seed.
#[test]
fn checksums_go_by_the_seed_that_the_superblock_keeps() {
    let image = image("-t ext4 -b 1024 -O metadata_csum_seed");
    image.tune("-U 11111111-2222-3333-4444-555555555555");
    check(&image, "changed UUID");
}

#[test]
fn names_are_found_by_all_hashes() {
    for algorithm in ["legacy", "half_md4", "tea"] {
        // Flags of the superblock: 1 signed, 2 unsigned.
        for flags in [1, 2] {
            let image = image("-t ext4 -b 1024");
            image.tune(&format!("-E hash_alg={algorithm}"));
            image.debugfs(format!("set_super_value flags {flags}\n"));
            image.index_directories();
            let name = format!("{algorithm} {flags}");
            let tree = check(&image, &name);
            assert!(tree[&b"/many"[..]].inode.flags.contains(InodeFlags::INDEX), "{name}");
            let dump = image.debugfs("htree_dump /many\n");
            assert!(dump.contains("Indirect levels: 1"), "{name}: a shallow index");
        }
    }
}

#[test]
fn a_directory_of_ten_thousand_names_is_read_in_hash_order_by_cookies() {
    const NAMES: usize = 10_000;
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("big")).unwrap();
    for number in 0..NAMES {
        fs::write(dir.path().join(format!("big/name {number}")), b"").unwrap();
    }
    let image = Image::make("-t ext4 -b 4096 -N 11000", dir.path(), "48M");
    let linear = whole(&image.bytes());
    image.index_directories();
    let bytes = image.bytes();
    let (fs, mut blocks) = mount(&bytes).unwrap();
    let root = fs.inode(&mut blocks, 2).unwrap();
    let number = fs.lookup(&mut blocks, &root, b"big").unwrap().unwrap();
    let big = fs.inode(&mut blocks, number).unwrap();
    assert!(big.flags.contains(InodeFlags::INDEX));
    for room in [1, 7, usize::MAX] {
        let list = names(&fs, &mut blocks, &big, room).unwrap();
        assert_eq!(list.len(), NAMES + 2);
        let set = list.iter().map(|(name, ..)| name.clone()).collect::<BTreeSet<_>>();
        assert_eq!(set.len(), NAMES + 2, "a name twice");
        assert!((0..NAMES).all(|number| set.contains(format!("name {number}").as_bytes())));
    }
    assert_eq!(linear.len(), NAMES + 3);
    // One node of the index, one leaf, both mapped without blocks of their own.
    blocks.reads = 0;
    assert!(fs.lookup(&mut blocks, &big, b"name 9999").unwrap().is_some());
    assert!(blocks.reads <= 4, "{} reads", blocks.reads);
}

/// Numbers that make names of one hash, two by two, with the seed that all images here have and `half_md4`.
const SAME_HASH: [(u32, u32); 40] = [
    (106803, 222310),
    (242212, 675290),
    (375469, 522637),
    (150486, 237157),
    (441783, 697745),
    (419089, 541506),
    (33540, 638457),
    (200, 147350),
    (115896, 502265),
    (483326, 537072),
    (457628, 549302),
    (97553, 387418),
    (397256, 490665),
    (25352, 662556),
    (505022, 652560),
    (994, 478516),
    (356749, 678457),
    (47096, 82096),
    (424713, 431877),
    (86573, 572219),
    (253474, 417158),
    (562229, 625115),
    (150490, 305222),
    (206846, 282835),
    (481850, 662024),
    (274075, 389654),
    (264193, 646747),
    (302853, 505717),
    (14869, 671321),
    (204104, 610374),
    (427041, 441741),
    (390356, 465924),
    (42493, 639061),
    (56891, 473888),
    (293487, 354502),
    (499370, 643722),
    (44688, 236374),
    (210766, 679178),
    (3411, 521104),
    (88606, 367927),
];

/// Leaves hold four such names each. A single one, number 174, comes before all pairs: so half of them end in the next leaf.
#[test]
fn names_of_one_hash_in_two_leaves_are_all_found() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("same")).unwrap();
    let names_of = SAME_HASH.iter().flat_map(|(one, other)| [one, other]).chain(&[174]);
    let all = names_of.map(|number| format!("{}{number}", "c".repeat(235))).collect::<BTreeSet<_>>();
    all.iter().for_each(|name| fs::write(dir.path().join("same").join(name), name).unwrap());
    let image = Image::make("-t ext4 -b 1024", dir.path(), "16M");
    image.index_directories();
    let dump = image.debugfs("htree_dump /same\n");
    let split = dump.matches("(**), block").count();
    assert!(split >= 5, "only {split} hashes are split");
    let bytes = image.bytes();
    for fetched in [None, Some(BTreeSet::new())] {
        let (fs, mut blocks) = mount_with(&bytes, fetched).unwrap();
        let root = repeat(&mut blocks, |blocks| fs.inode(blocks, 2)).unwrap();
        let number = repeat(&mut blocks, |blocks| fs.lookup(blocks, &root, b"same")).unwrap().unwrap();
        let same = repeat(&mut blocks, |blocks| fs.inode(blocks, number)).unwrap();
        for room in [1, 2, 3, 50] {
            let list = names(&fs, &mut blocks, &same, room).unwrap();
            assert_eq!(list.len(), all.len() + 2, "names twice or lost");
            let read = list.into_iter().skip(2).map(|(name, ..)| String::from_utf8(name).unwrap()).collect();
            assert_eq!(all, read);
        }
        for name in &all {
            let found = repeat(&mut blocks, |blocks| fs.lookup(blocks, &same, name.as_bytes())).unwrap();
            assert!(found.is_some(), "{name}");
        }
    }
}

#[test]
fn trees_of_all_depths_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = fs::File::create(dir.path().join("deep")).unwrap();
    // Every other block of 1 KiB, the rest zeros, which mke2fs leaves out: a tree of three levels under the root.
    let teeth =
        (0..29_000_u32).flat_map(|tooth| [[1 + (tooth % 255) as u8; 1024], [0; 1024]].concat()).collect::<Vec<_>>();
    std::os::unix::fs::FileExt::write_all_at(&file, &teeth, 0).unwrap();
    for (options, dump) in [("-t ext4 -b 1024", " 3/ 3"), ("-t ext2 -b 1024", "TIND")] {
        let image = Image::make(options, dir.path(), "64M");
        let command = if dump == "TIND" { "stat /deep\n" } else { "ex /deep\n" };
        let listed = image.debugfs(command);
        assert!(dump == "TIND" || listed.contains(dump), "the tree isn't deep");
        assert!(dump != "TIND" || listed.contains("(DIND)"), "the lists aren't deep");
        let tree = whole(&image.bytes());
        assert!(tree[&b"/deep"[..]].contents == host_contents(&dir.path().join("deep")), "{options}");
    }
}

/// Blocks far behind the end of all others: three levels of lists, the largest extents.
#[test]
fn the_last_blocks_of_the_largest_files_are_mapped() {
    let dir = tempfile::tempdir().unwrap();
    let file = fs::File::create(dir.path().join("far")).unwrap();
    let last = 16_000_000_000;
    std::os::unix::fs::FileExt::write_all_at(&file, b"far away", last).unwrap();
    for options in ["-t ext2 -b 1024", "-t ext4 -b 1024", "-t ext3 -b 4096"] {
        let image = Image::make(options, dir.path(), "16M");
        let tree = whole(&image.bytes());
        assert!(tree[&b"/far"[..]].contents == host_contents(&dir.path().join("far")), "{options}");
        if options.contains("ext2") {
            assert!(image.debugfs("stat /far\n").contains("(TIND)"));
        }
    }
}

#[test]
fn unwritten_extents_and_holes_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), [7; 4096]).unwrap();
    let image = Image::make("-t ext4 -b 1024", dir.path(), "16M");
    image.debugfs("fallocate /file 10 19\nsif /file size 40960\n");
    let bytes = image.bytes();
    let (fs, mut blocks) = mount(&bytes).unwrap();
    let root = fs.inode(&mut blocks, 2).unwrap();
    let number = fs.lookup(&mut blocks, &root, b"file").unwrap().unwrap();
    let file = fs.inode(&mut blocks, number).unwrap();
    let mut map = |first, count| {
        let run = fs.map(&mut blocks, &file, first, count).unwrap();
        (run.length, run.target)
    };
    assert!(matches!(map(0, 100), (4, Target::Blocks(_))));
    assert_eq!(map(4, 100), (6, Target::Hole));
    assert_eq!(map(4, 2), (2, Target::Hole));
    assert_eq!(map(12, 100), (8, Target::Unwritten));
    assert_eq!(map(20, 100), (100, Target::Hole));
    assert_eq!(map(u32::MAX, u32::MAX), (1, Target::Hole));
    assert!(matches!(map(3, 0), (1, Target::Blocks(_))));
}

/// The table of `inodes.rst`: what the two bits of epoch make of the 32 of seconds.
#[test]
fn times_before_1970_and_after_2038_are_right() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), b"").unwrap();
    let image = Image::make("-t ext4 -b 1024", dir.path(), "16M");
    let cases = [
        (0x8000_0000_u32, 0, 5, -0x8000_0000_i64),
        (0xffff_ffff, 0, 999_999_999, -1),
        (0x7fff_ffff, 0, 0, 0x7fff_ffff),
        (0x8000_0000, 1, 0, 0x8000_0000),
        (0x0000_0000, 1, 1, 0x1_0000_0000),
        (0x8000_0000, 2, 0, 0x1_8000_0000),
        (0x7fff_ffff, 3, 0, 0x3_7fff_ffff),
    ];
    for (raw, epoch, nanoseconds, seconds) in cases {
        let extra = nanoseconds << 2 | epoch;
        for field in ["atime", "mtime", "ctime", "crtime"] {
            image.debugfs(format!("sif /file {field} @{raw}\nsif /file {field}_extra {extra}\n"));
        }
        let tree = whole(&image.bytes());
        let inode = &tree[&b"/file"[..]].inode;
        let expected = Time { seconds, nanoseconds };
        assert_eq!([inode.accessed, inode.modified, inode.changed], [expected; 3]);
        assert_eq!(inode.created, Some(expected));
    }
}

/// Every field that debugfs shows of an inode, and where its blocks are.
#[test]
fn inodes_and_maps_are_as_debugfs_shows_them() {
    for options in ["-t ext4 -b 1024", "-t ext4 -b 4096", "-t ext3 -b 1024"] {
        let image = image(options);
        let tree = whole(&image.bytes());
        let bytes = image.bytes();
        let (fs, mut blocks) = mount(&bytes).unwrap();
        let nodes = tree.values().map(|node| (node.inode.number, &node.inode)).collect::<BTreeMap<_, _>>();
        let commands = nodes.keys().map(|number| format!("stat <{number}>\n")).collect::<String>();
        let shown = image.debugfs(&commands);
        let mut stats = shown.split("debugfs: stat ").skip(1);
        for (number, inode) in &nodes {
            let stat = stats.next().unwrap();
            let field = |name: &str| {
                let rest = &stat[stat.find(name).unwrap_or_else(|| panic!("{name} in {stat}")) + name.len()..];
                rest.split_whitespace().next().unwrap().to_owned()
            };
            assert_eq!(field("Inode:"), number.to_string());
            assert_eq!(field("Mode:"), format!("0{:03o}", inode.mode & 0o7777), "{options} {number}");
            assert_eq!(field("Flags:"), format!("{:#x}", inode.flags.bits()), "{options} {number}");
            assert_eq!(field("Generation:"), inode.generation.to_string(), "{options} {number}");
            assert_eq!(field("User:"), inode.uid.to_string(), "{options} {number}");
            assert_eq!(field("Group:"), inode.gid.to_string(), "{options} {number}");
            assert_eq!(field("Links:"), inode.links.to_string(), "{options} {number}");
            assert_eq!(field("Blockcount:"), inode.sectors.to_string(), "{options} {number}");
            if !matches!(inode.kind(), Kind::CharDevice | Kind::BlockDevice) {
                assert_eq!(field("Size:"), inode.size.to_string(), "{options} {number}");
            }
        }
        let mut random = Random(3);
        for (number, inode) in nodes.iter().filter(|(_, inode)| inode.kind() == Kind::File && inode.size > 0) {
            let end = inode.size.div_ceil(fs.block_size() as u64) as usize;
            let places = (0..12).map(|_| random.below(end.min(2000))).collect::<Vec<_>>();
            let commands = places.iter().map(|place| format!("bmap <{number}> {place}\n")).collect::<String>();
            let shown = image.debugfs(&commands);
            let said = shown.lines().filter(|line| !line.starts_with("debugfs")).map(|line| line.trim().to_owned());
            for (place, said) in places.iter().zip(said) {
                let run = fs.map(&mut blocks, inode, *place as u32, 1).unwrap();
                let ours = match run.target {
                    Target::Blocks(block) => block.to_string(),
                    _ => "0".to_owned(),
                };
                assert_eq!(said, ours, "{options}: block {place} of {number}");
            }
        }
    }
}

/// debugfs prints each name of a leaf with both of its hashes: names come in just that order.
#[test]
fn names_come_in_the_order_of_the_hashes_that_debugfs_prints() {
    let image = image("-t ext4 -b 1024");
    image.index_directories();
    let dump = image.debugfs("htree_dump /some\nhtree_dump /many\n");
    let mut hashes = BTreeMap::new();
    for piece in dump.split("0x").filter(|piece| piece.get(8..9) == Some("-")) {
        // "6b9a35d2-01234567 (20) name   "
        let hash =
            u64::from_str_radix(&piece[..8], 16).unwrap() << 32 | u64::from_str_radix(&piece[9..17], 16).unwrap();
        let name = piece[piece.find(") ").unwrap() + 2..].lines().next().unwrap().to_owned();
        hashes.insert(hash, name.split("   ").next().unwrap().trim().to_owned());
    }
    let bytes = image.bytes();
    let (fs, mut blocks) = mount(&bytes).unwrap();
    let root = fs.inode(&mut blocks, 2).unwrap();
    let number = fs.lookup(&mut blocks, &root, b"many").unwrap().unwrap();
    let many = fs.inode(&mut blocks, number).unwrap();
    let ours = names(&fs, &mut blocks, &many, 10).unwrap().into_iter().skip(2);
    let ours = ours.map(|(name, ..)| String::from_utf8(name).unwrap()).collect::<Vec<_>>();
    let number_of = |name: &String| name.split(' ').next().unwrap().to_owned();
    let ours = ours.iter().map(number_of).collect::<Vec<_>>();
    let theirs = hashes.values().map(number_of).filter(|name| name.parse::<usize>().is_ok()).collect::<Vec<_>>();
    assert_eq!(ours.len(), MANY);
    assert_eq!(ours, theirs);
}

/// What ext4-view reads of an image is what we read of it. It knows neither meta block groups nor
/// the smallest inodes, nor entries without types.
fn compare_with_ext4_view(image: &Image, tree: &Tree, name: &str) {
    if matches!(name, "small inodes" | "no filetype") {
        return;
    }
    let view = match ext4_view::Ext4::load_from_path(&image.path) {
        Ok(view) => view,
        Err(error) => {
            assert!(name.starts_with("meta_bg"), "{name}: {error}");
            return;
        }
    };
    // It searches the path for every file: a tenth of the large directory is enough.
    for (path, node) in tree.iter().filter(|(path, _)| !path.starts_with(b"/many/") || path.contains(&b'9')) {
        let path = if path.is_empty() { b"/".to_vec() } else { path.clone() };
        let theirs = ext4_view::Path::try_from(&path[..]).unwrap();
        let data = view.symlink_metadata(theirs).unwrap_or_else(|error| panic!("{name}: {path:?}: {error}"));
        assert_eq!(data.mode(), node.inode.mode & 0o7777, "{name}: {path:?}");
        assert_eq!((data.uid(), data.gid()), (node.inode.uid, node.inode.gid), "{name}: {path:?}");
        match node.inode.kind() {
            Kind::File if node.inode.size < 10_000_000 => {
                let bytes = view.read(theirs).unwrap();
                assert_eq!(bytes.len() as u64, node.inode.size, "{name}: {path:?}");
                let joined = |number: u64| node.contents.get(&number).cloned();
                for (number, piece) in (0..).zip(bytes.chunks(PIECE as usize)) {
                    let ours = joined(number).unwrap_or_else(|| vec![0; piece.len()]);
                    assert!(ours == piece, "{name}: {path:?}: piece {number}");
                }
            }
            Kind::Symlink => {
                let target = view.read_link(theirs).unwrap();
                assert_eq!(Some(target.as_ref()), node.target.as_deref(), "{name}: {path:?}");
            }
            Kind::Directory => {
                let prefix = if path == b"/" { b"/".to_vec() } else { [&path[..], b"/"].concat() };
                let ours = tree.keys().filter(|key| key.starts_with(&prefix) && !key[prefix.len()..].contains(&b'/'));
                let ours =
                    ours.map(|key| key[prefix.len()..].to_vec()).filter(|n| !n.is_empty()).collect::<BTreeSet<_>>();
                let entries = view.read_dir(theirs).unwrap().map(|entry| entry.unwrap().file_name().as_ref().to_vec());
                let theirs = entries.filter(|n| n != b"." && n != b"..").collect::<BTreeSet<_>>();
                assert_eq!(ours, theirs, "{name}: {path:?}");
            }
            _ => {}
        }
    }
}
