//! Damaged and foreign file systems: never a panic, never endless; with checksums the right contents or an error.

mod common;

use common::*;
use sal_ext4::*;
use std::collections::BTreeSet;
use std::fs;

/// A small file system with everything: an indexed directory, a deep file, links, attributes in inode and block.
fn small(options: &str) -> Image {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let mut random = Random(23);
    fs::create_dir_all(root.join("a/b")).unwrap();
    fs::write(root.join("a/b/file"), random.bytes(5000)).unwrap();
    fs::write(root.join("a/empty"), b"").unwrap();
    fs::create_dir(root.join("many")).unwrap();
    for number in 0..24 {
        fs::write(root.join(format!("many/{number}{}", "y".repeat(180))), [number]).unwrap();
    }
    let comb = fs::File::create(root.join("comb")).unwrap();
    (0..100).for_each(|tooth| std::os::unix::fs::FileExt::write_all_at(&comb, &[9; 4096], tooth * 8192).unwrap());
    std::os::unix::fs::symlink("short", root.join("a/short")).unwrap();
    std::os::unix::fs::symlink("long/".repeat(30), root.join("a/long")).unwrap();
    let image = Image::make(&format!("{options} -N 200"), root, "8M");
    let value = image.path.with_extension("value");
    fs::write(&value, random.bytes(600)).unwrap();
    let value = value.display();
    image.debugfs(format!("ea_set /a/empty user.small x\nea_set -f {value} /a/empty user.large\nmknod /dev c 1 2\n"));
    image.index_directories();
    image
}

/// The blocks that reading everything reads, but for those of long links, which have no checksum.
fn metadata(bytes: &[u8]) -> Vec<u64> {
    let (fs, mut blocks) = mount(bytes).unwrap();
    let tree = walk(&fs, &mut blocks, 50, &mut |_, stop| panic!("{stop}"));
    for number in 0..fs.groups() {
        let group = fs.group(&mut blocks, number).unwrap();
        for bitmap in [Bitmap::Blocks, Bitmap::Inodes] {
            fs.check_bitmap(&mut blocks, &group, bitmap).unwrap();
        }
    }
    let link = tree[&b"/a/long"[..]].inode;
    let mut seen = blocks.seen.clone();
    match fs.map(&mut blocks, &link, 0, 1).unwrap().target {
        Target::Blocks(block) => assert!(seen.remove(&block), "a long link without a block"),
        other => panic!("{other:?}"),
    }
    seen.insert(SUPERBLOCK_OFFSET / fs.block_size() as u64);
    seen.into_iter().collect()
}

/// Mounts and reads all there is; what was found and what went wrong where. A failed mount is a fault of the root.
fn read_all(bytes: &[u8]) -> (Tree, Vec<(Vec<u8>, Stop)>) {
    let mut faults = Vec::new();
    match mount(bytes) {
        Err(stop) => (Tree::new(), vec![(Vec::new(), stop)]),
        Ok((fs, mut blocks)) => {
            let tree = walk(&fs, &mut blocks, 50, &mut |path, stop| faults.push((path.to_vec(), stop)));
            for number in 0..fs.groups().min(100) {
                let sound = repeat(&mut blocks, |blocks| {
                    let group = fs.group(blocks, number)?;
                    fs.check_bitmap(blocks, &group, Bitmap::Blocks)?;
                    fs.check_bitmap(blocks, &group, Bitmap::Inodes)
                });
                faults.extend(sound.err().map(|stop| (format!("group {number}").into_bytes(), stop)));
            }
            for (path, node) in tree.iter().filter(|(_, node)| node.inode.kind() == Kind::Directory) {
                for name in [&b".."[..], b"file", b"no such name"] {
                    if let Err(stop) = repeat(&mut blocks, |blocks| fs.lookup(blocks, &node.inode, name)) {
                        faults.push((path.clone(), stop));
                    }
                }
            }
            (tree, faults)
        }
    }
}

#[test]
fn with_checksums_flipped_bits_give_the_right_contents_or_an_error_that_names_the_block() {
    for options in ["-t ext4 -b 1024", "-t ext4 -b 4096 -I 128"] {
        let sound = small(options).bytes();
        let (whole, faults) = read_all(&sound);
        assert!(faults.is_empty(), "{faults:?}");
        let blocks = metadata(&sound);
        let size = mount(&sound).unwrap().0.block_size();
        let mut random = Random(99);
        let mut bytes = sound.clone();
        let mut told = 0;
        for round in 0..rounds(250) {
            let block = blocks[random.below(blocks.len())] as usize;
            // Up to three bits of one block: crc32c finds all of those.
            let flips = (0..1 + random.below(3)).map(|_| (block * size + random.below(size), 1 << random.below(8)));
            let flips = flips.collect::<BTreeSet<_>>();
            flips.iter().for_each(|(place, bit)| bytes[*place] ^= bit);
            let (tree, faults) = read_all(&bytes);
            must_be_right(&whole, &tree, &faults, block as u64, &format!("{options}: round {round}, {flips:?}"));
            told += usize::from(!faults.is_empty());
            bytes[block * size..][..size].copy_from_slice(&sound[block * size..][..size]);
        }
        assert!(told > 20, "{options}: only {told} found");
    }
}

/// One flipped bit in any byte that a checksum covers is found by that checksum.
#[test]
fn every_checksum_covers_what_it_should() {
    let sound = small("-t ext4 -b 1024").bytes();
    let (fs, mut blocks) = mount(&sound).unwrap();
    let whole = walk(&fs, &mut blocks, 50, &mut |_, stop| panic!("{stop}"));
    let group = fs.group(&mut blocks, 0).unwrap();
    let (many, empty) = (whole[&b"/many"[..]].inode, whole[&b"/a/empty"[..]].inode);
    let [index, leaf] = [0, 1].map(|logical| match fs.map(&mut blocks, &many, logical, 1).unwrap().target {
        Target::Blocks(block) => block,
        other => panic!("{other:?}"),
    });
    let inode = u64::from(empty.number - 1) * 256 + group.inode_table * 1024;
    let statfs = fs.statfs();
    let inodes = u64::from(statfs.inodes / fs.groups() / 8);
    // The root of the index is covered as far as it has entries, from the end of which on it is empty.
    let cases: [(Part, u64, u64); 7] = [
        (Part::Superblock, 1024, 1024),
        (Part::Descriptors, 2048, 64),
        (Part::BlockBitmap, group.block_bitmap * 1024, 1024),
        (Part::InodeBitmap, group.inode_bitmap * 1024, inodes),
        (Part::InodeTable, inode, 256),
        (Part::IndexBlock, index * 1024, 40),
        (Part::DirectoryBlock, leaf * 1024, 1012),
    ];
    let mut random = Random(31);
    for (part, start, length) in cases {
        let (mut found, mut bytes) = (0, sound.clone());
        for place in start..start + length {
            bytes[place as usize] ^= 1 << random.below(8);
            let (_, faults) = read_all(&bytes);
            let is_it = |stop: &Stop| matches!(stop, Stop::Corrupt(corrupt) if corrupt.part == part);
            let odd = |stop: &Stop| matches!(stop, Stop::Refused(_));
            let told = faults.iter().any(|(_, stop)| is_it(stop) || odd(stop));
            // The feature of checksums is a bit, too: without it nothing is wrong.
            assert!(told || place == 1024 + 0x65, "{part} at {place}: {faults:?}");
            let checksum = |stop: &Stop| matches!(stop, Stop::Corrupt(corrupt) if corrupt.fault == Fault::Checksum);
            found += u64::from(faults.iter().any(|(_, stop)| is_it(stop) && checksum(stop)));
            bytes[place as usize] = sound[place as usize];
        }
        // What tells a structure from others is looked at first: magic numbers, lengths.
        assert!(found + 20 >= length, "{part}: {found} of {length} by the checksum");
    }
}

/// What was read is what was there; what wasn't read is under a fault.
fn must_be_right(whole: &Tree, tree: &Tree, faults: &[(Vec<u8>, Stop)], block: u64, what: &str) {
    for (path, node) in tree {
        let sound = whole.get(path).unwrap_or_else(|| panic!("{what}: new: {}", String::from_utf8_lossy(path)));
        assert!(node == sound, "{what}: wrong: {}", String::from_utf8_lossy(path));
    }
    for path in whole.keys().filter(|path| !tree.contains_key(*path)) {
        let told = faults.iter().any(|(fault, _)| path.starts_with(fault));
        assert!(told, "{what}: lost without a word: {}", String::from_utf8_lossy(path));
    }
    for (_, stop) in faults {
        match stop {
            // The superblock's place is known in bytes; how large blocks are may be the very thing that is wrong.
            Stop::Corrupt(corrupt) if corrupt.part == Part::Superblock => assert!(block <= 1, "{what}: {stop}"),
            Stop::Corrupt(corrupt) => assert_eq!(corrupt.block, block, "{what}: blames another: {stop}"),
            Stop::Refused(Refusal::NotExt4 | Refusal::ChecksumType(_)) => {}
            other => panic!("{what}: {other}"),
        }
    }
}

/// Without checksums much goes unseen. What must hold is that reading ends, and says so if it can't.
#[test]
fn without_checksums_no_bytes_make_it_panic_or_never_end() {
    for options in
        ["-t ext4 -b 1024 -O ^metadata_csum", "-t ext2 -b 1024", "-t ext4 -b 2048 -O ^metadata_csum,uninit_bg"]
    {
        let sound = small(options).bytes();
        let blocks = metadata(&sound);
        let size = mount(&sound).unwrap().0.block_size();
        let mut random = Random(1234);
        let mut bytes = sound.clone();
        for _ in 0..rounds(200) {
            let touched = (0..1 + random.below(3)).map(|_| blocks[random.below(blocks.len())] as usize * size);
            let touched = touched.collect::<Vec<_>>();
            for start in &touched {
                for _ in 0..1 + random.below(4) {
                    damage(&mut bytes[*start..][..size], &mut random);
                }
            }
            let _ = read_all(&bytes);
            touched.iter().for_each(|start| bytes[*start..][..size].copy_from_slice(&sound[*start..][..size]));
        }
    }
}

#[test]
fn what_is_no_ext4_is_said_to_be_none() {
    let said = |bytes: &[u8]| mount(bytes).map(drop).unwrap_err().to_string();
    assert_eq!(said(&[0; 4096]), "ext4: there is no ext4 file system here");
    assert_eq!(Mount::begin(&[0x53; 10], 10).map(drop), Err(Stop::Refused(Refusal::NotExt4)));
    let bytes = small("-t ext4 -b 1024").bytes();
    let cut = said(&bytes[..bytes.len() - 1]);
    let (needs, has) = (bytes.len(), bytes.len() - 1);
    assert_eq!(cut, format!("ext4: the file system takes {needs} bytes, the device has {has}"));
    let mut bad = bytes.clone();
    bad[1024 + 0x78] ^= 1;
    assert_eq!(said(&bad), "ext4: file system: superblock 1: checksum is wrong");
}

#[test]
fn unknown_features_are_refused_by_name_and_those_for_writers_are_named() {
    let dir = tempfile::tempdir().unwrap();
    for feature in ["inline_data", "encrypt", "casefold", "ea_inode"] {
        let bytes = Image::make(&format!("-t ext4 -O {feature}"), dir.path(), "8M").bytes();
        let said = mount(&bytes).map(drop).unwrap_err().to_string();
        assert_eq!(said, format!("ext4: unknown features: {feature}"));
    }
    let bytes = Image::make("-t ext4 -O quota,verity", dir.path(), "8M").bytes();
    let (fs, _) = mount(&bytes).unwrap();
    assert_eq!(fs.ro_compat().difference(RoCompat::KNOWN).to_string(), "quota, verity");
}

#[test]
fn a_block_that_the_device_cannot_read_is_named_and_the_rest_is_read() {
    let bytes = small("-t ext4 -b 1024").bytes();
    let (fs, mut blocks) = mount(&bytes).unwrap();
    let whole = walk(&fs, &mut blocks, 50, &mut |_, stop| panic!("{stop}"));
    let leaf = fs.map(&mut blocks, &whole[&b"/a/b"[..]].inode, 0, 1).unwrap();
    let Target::Blocks(leaf) = leaf.target else { panic!("{leaf:?}") };
    blocks.unreadable.insert(leaf);
    let mut faults = Vec::new();
    let tree = walk(&fs, &mut blocks, 50, &mut |path, stop| faults.push((path.to_vec(), stop)));
    assert_eq!(faults, [(b"/a/b".to_vec(), Stop::Io(leaf))]);
    assert_eq!(tree.len(), whole.len() - 1);
}

/// A node of an extent tree that is its own child, a record of no length, an index that is its own leaf.
#[test]
fn structures_that_lead_back_into_themselves_are_found_out() {
    let sound = small("-t ext4 -b 1024 -O ^metadata_csum").bytes();
    let (fs, mut blocks) = mount(&sound).unwrap();
    let whole = walk(&fs, &mut blocks, 50, &mut |_, stop| panic!("{stop}"));
    blocks.seen.clear();
    let comb = whole[&b"/comb"[..]].inode;
    fs.map(&mut blocks, &comb, 0, 1).unwrap();
    let node = *blocks.seen.first().unwrap();
    let mut bytes = sound.clone();
    let place = node as usize * 1024;
    // One level higher, and the first entry (block 0, low half at 4) is the node itself.
    bytes[place + 6] = 1;
    bytes[place + 12 + 4..][..4].copy_from_slice(&(node as u32).to_le_bytes());
    bytes[place + 12 + 8..][..2].fill(0);
    let (fs, mut blocks) = mount(&bytes).unwrap();
    let said = fs.map(&mut blocks, &comb, 0, 1).unwrap_err().to_string();
    assert_eq!(said, format!("ext4: inode {}: extent block {node}: depth is wrong", comb.number));

    let many = whole[&b"/many"[..]].inode;
    let (fs, mut blocks) = mount(&sound).unwrap();
    let block = |blocks: &mut Memory<'_>, logical| match fs.map(blocks, &many, logical, 1).unwrap().target {
        Target::Blocks(block) => block as usize,
        other => panic!("{other:?}"),
    };
    let (root, leaf) = (block(&mut blocks, 0), block(&mut blocks, 1));
    let mut bytes = sound.clone();
    bytes[leaf * 1024 + 4..][..2].fill(0);
    let (damaged, mut blocks) = mount(&bytes).unwrap();
    let said = names(&damaged, &mut blocks, &many, 50).unwrap_err().to_string();
    assert_eq!(said, format!("ext4: inode {}: directory block {leaf}: directory entry is broken", many.number));

    let mut bytes = sound.clone();
    // The first entry's block is the root; the root's level says that it leads to another node.
    bytes[root * 1024 + 0x1e] = 1;
    bytes[root * 1024 + 0x24..][..4].fill(0);
    let (damaged, mut blocks) = mount(&bytes).unwrap();
    assert!(names(&damaged, &mut blocks, &many, 50).is_err());
    assert!(blocks.reads < 100);
}
