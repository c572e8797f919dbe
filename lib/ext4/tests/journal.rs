//! Unclean journals, written by debugfs and replayed both here and by e2fsck: the same file system comes out.

mod common;

use common::*;
use sal_ext4::*;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;

/// Three states of one file system, and how its journal leads from each to the next.
struct Story {
    block_size: usize,
    /// The first state, with a journal that isn't replayed: both following transactions, and one that isn't whole.
    unclean: Vec<u8>,
    states: [Tree; 3],
    /// The journal's blocks behind its superblock.
    ring: Vec<u64>,
    /// A block that the first transaction writes and the second one revokes.
    revoked: u64,
}

/// Blocks that differ.
fn changed(before: &[u8], after: &[u8], size: usize) -> Vec<u64> {
    let pairs = before.chunks(size).zip(after.chunks(size)).zip(0..);
    pairs.filter(|((before, after), _)| before != after).map(|(_, number)| number).collect()
}

/// A command of debugfs that writes a transaction with these blocks of an image.
fn transaction(image: &Image, name: &str, blocks: &[u64], bytes: &[u8], size: usize, options: &str) -> String {
    let path = image.path.with_extension(name);
    let copies = blocks.iter().flat_map(|block| &bytes[*block as usize * size..][..size]).copied().collect::<Vec<_>>();
    fs::write(&path, copies).unwrap();
    let list = blocks.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
    format!("jw -b {list} {options} {}\n", path.display())
}

/// The journal's superblock, by its place in the image.
fn journal_at(image: &[u8]) -> usize {
    let magic = [0xc0, 0x3b, 0x39, 0x98, 0, 0, 0, 4];
    (0..image.len()).step_by(1024).find(|place| image[*place..].starts_with(&magic)).expect("a journal")
}

fn word(bytes: &mut [u8], at: usize) -> &mut [u8; 4] {
    bytes[at..].first_chunk_mut::<4>().unwrap()
}

impl Story {
    fn new(options: &str, journal: &str) -> Story {
        let dir = tempfile::tempdir().unwrap();
        let mut random = Random(11);
        fs::create_dir(dir.path().join("dir")).unwrap();
        for number in 0..30 {
            fs::write(
                dir.path().join(format!("dir/file {number}")),
                random.bytes(if number == 9 { 9000 } else { 3000 }),
            )
            .unwrap();
        }
        let image = Image::make(&format!("{options} -J size=4"), dir.path(), "24M");
        let bytes = image.bytes();
        let first = Image::from_bytes(&bytes);
        let (fs, _) = mount(&bytes).unwrap();
        let size = fs.block_size();

        // A file whose blocks start with the journal's magic number: they are escaped in it.
        let magic = first.path.with_extension("magic");
        let piece = [&JOURNAL_MAGIC[..], &[5; 1020]].concat();
        fs::write(&magic, piece.repeat(size / 1024 * 3)).unwrap();
        let second = first.copy();
        let commands = format!(
            "write {} magic\nrm \"/dir/file 3\"\nmkdir /new\nsif \"/dir/file 4\" mode 0100600\nsymlink /new/link ",
            magic.display()
        );
        // Its target's block is escaped too: that one is read by the library, not by us.
        second.debugfs([commands.as_bytes(), &JOURNAL_MAGIC, "to/".repeat(100).as_bytes(), b"\n"].concat());
        let third = second.copy();
        third.debugfs("rm \"/dir/file 7\"\nln \"/dir/file 8\" /new/hard\nea_set /new user.a b\nsif /magic uid 77\n");
        let (one, two, three) = (bytes, second.bytes(), third.bytes());
        let base = whole(&one);

        // The first transaction also writes a block that the second one revokes, and doesn't own.
        let (fs, mut blocks) = mount(&one).unwrap();
        let file = base[&b"/dir/file 9"[..]].inode;
        let Target::Blocks(revoked) = fs.map(&mut blocks, &file, 1, 1).unwrap().target else { panic!("a hole") };
        let mut spoilt = two.clone();
        spoilt[revoked as usize * size..][..size].fill(0xaa);
        let states = [base, whole(&spoilt), whole(&three)];
        let mut commands = format!("jo {journal}\n");
        let first_blocks = changed(&one, &spoilt, size);
        assert!(first_blocks.contains(&revoked));
        commands += &transaction(&first, "t1", &first_blocks, &spoilt, size, "");
        commands += &transaction(&first, "t2", &changed(&two, &three, size), &three, size, &format!("-r {revoked}"));
        // Not committed: never happened. After a transaction that revokes, debugfs only finds the end by a new look.
        writeln!(commands, "jc\njo {journal}").unwrap();
        commands += &transaction(&first, "t3", &first_blocks, &one, size, "-c");
        writeln!(commands, "jc").unwrap();
        first.debugfs(&commands);
        let unclean = first.bytes();
        assert!(unclean[1024 + 0x60] & 4 != 0, "the journal is clean");
        let journal = fs.inode(&mut blocks, 8).unwrap();
        let block = |logical| match fs.map(&mut blocks, &journal, logical, 1).unwrap().target {
            Target::Blocks(block) => block,
            other => panic!("{other:?}"),
        };
        let ring = (1..(journal.size / size as u64) as u32).map(block).collect::<Vec<_>>();
        Story { block_size: size, unclean, states, ring, revoked }
    }

    /// The file system as e2fsck replays it.
    fn replayed_by_e2fsck(bytes: &[u8]) -> Tree {
        let image = Image::from_bytes(bytes);
        output(tool("e2fsck").args(["-y", "-E", "journal_only"]).arg(&image.path));
        let bytes = image.bytes();
        assert!(bytes[1024 + 0x60] & 4 == 0, "e2fsck left the journal");
        whole(&bytes)
    }

    fn must_come_out(&self, bytes: &[u8], name: &str) {
        let ours = whole(bytes);
        let third = &self.states[2];
        for (path, node) in third {
            assert!(
                ours.get(path) == Some(node),
                "{name}: {} {:?} {:?}",
                String::from_utf8_lossy(path),
                ours.get(path).map(|n| n.inode),
                node.inode
            );
        }
        assert!(ours == self.states[2], "{name}: not the third state");
        let target = ours[&b"/new/link"[..]].target.as_ref().unwrap();
        assert!(target.len() == 304 && target.starts_with(&JOURNAL_MAGIC), "{name}: {target:x?}");
        assert!(ours == Self::replayed_by_e2fsck(bytes), "{name}: not what e2fsck makes of it");
        let (fs, _) = mount(bytes).unwrap();
        assert!(fs.replayed().iter().any(|entry| entry.escaped.get() == 1), "{name}: nothing was escaped");
        assert!(!fs.replayed().iter().any(|entry| entry.block.get() == self.revoked), "{name}: revoked");
        let (lazy, mut blocks) = mount_with(bytes, Some(BTreeSet::new())).unwrap();
        assert_eq!(lazy, fs, "{name}: absent blocks change the replay");
        let again = walk(&lazy, &mut blocks, 2, &mut |_, stop| panic!("{name}: {stop}"));
        assert!(again == ours, "{name}: absent blocks change what is read");
        let (superblock, replayed) = fs.parts();
        assert_eq!(FileSystem::from_parts(superblock, replayed, bytes.len() as u64), Ok(fs.clone()));
    }

    /// The same journal, but starting so near the ring's end that it goes on at its beginning.
    fn turned(&self, by: usize) -> Vec<u8> {
        let mut bytes = self.unclean.clone();
        let at = journal_at(&bytes);
        let length = u32::from_be_bytes(*word(&mut bytes, at + 0x10)) as usize;
        let start = u32::from_be_bytes(*word(&mut bytes, at + 0x1c)) as usize;
        let mut from = self.ring.clone();
        from.rotate_right(by);
        for (from, to) in from.iter().zip(&self.ring) {
            let block = &self.unclean[*from as usize * self.block_size..][..self.block_size];
            bytes[*to as usize * self.block_size..][..self.block_size].copy_from_slice(block);
        }
        let start = 1 + (start - 1 + by) % (length - 1);
        *word(&mut bytes, at + 0x1c) = (start as u32).to_be_bytes();
        seal(&mut bytes[at..at + 1024]);
        bytes
    }
}

/// Writes the checksum of a journal's superblock, if it has one.
fn seal(superblock: &mut [u8]) {
    static RAW: crc::Algorithm<u32> = crc::Algorithm { xorout: 0, ..crc::CRC_32_ISCSI };
    if u32::from_be_bytes(*word(superblock, 0x28)) & 0x18 != 0 {
        *word(superblock, 0xfc) = [0; 4];
        let sum = crc::Crc::<u32>::new(&RAW).checksum(superblock);
        *word(superblock, 0xfc) = sum.to_be_bytes();
    }
}

const REVOKE: u32 = 1;
const WIDE: u32 = 2;
const CHECKSUM_V2: u32 = 8;
const CHECKSUM_V3: u32 = 16;

#[test]
fn unclean_journals_of_all_shapes_are_replayed_as_e2fsck_does() {
    // The last number: the features that the journal must come to have, so that each format is there.
    for (options, journal, expected) in [
        ("-t ext4 -b 1024", "-c -v 3", REVOKE | WIDE | CHECKSUM_V3),
        ("-t ext4 -b 4096 -O ^64bit", "-c -v 3", REVOKE | CHECKSUM_V3),
        ("-t ext4 -b 2048", "-c -v 2", REVOKE | WIDE | CHECKSUM_V2),
        ("-t ext4 -b 1024 -O ^64bit", "-c -v 2", REVOKE | CHECKSUM_V2),
        ("-t ext4 -b 1024 -O ^metadata_csum,^64bit", "", REVOKE),
        ("-t ext4 -b 4096 -O ^metadata_csum", "", REVOKE | WIDE),
        ("-t ext3 -b 1024", "", REVOKE),
    ] {
        let name = format!("{options} {journal}");
        let story = Story::new(options, journal);
        story.must_come_out(&story.unclean, &name);
        let mut bytes = story.unclean.clone();
        let at = journal_at(&bytes);
        let features = u32::from_be_bytes(*word(&mut bytes, at + 0x28));
        assert_eq!(features, expected, "{name}: another format than meant");
        let length = u32::from_be_bytes(*word(&mut bytes, at + 0x10)) as usize;
        for by in [length - 2, length - 5, length - 20] {
            story.must_come_out(&story.turned(by), &format!("{name} turned by {by}"));
        }
    }
}

/// With checksums a flipped bit in the journal is found, or makes it end after an earlier transaction as if the later
/// one had never been: what a reader can't tell from a crash.
#[test]
fn flipped_bits_in_a_journal_give_a_whole_state_or_name_the_block() {
    let story = Story::new("-t ext4 -b 1024", "-c -v 3");
    let mut bytes = story.unclean.clone();
    let at = journal_at(&bytes);
    let used = (0..200).take_while(|block| bytes[at + block * 1024..][..1024].iter().any(|byte| *byte != 0)).count();
    let mut random = Random(5);
    let (mut told, mut earlier) = (0, 0);
    for _ in 0..rounds(250) {
        let place = at + random.below(used * 1024);
        bytes[place] ^= 1 << random.below(8);
        match mount(&bytes) {
            Ok((fs, mut blocks)) => {
                let tree = walk(&fs, &mut blocks, 50, &mut |_, stop| panic!("at {place}: {stop}"));
                let known = story.states.iter().position(|state| *state == tree);
                assert!(known.is_some(), "at {place}: a state that never was");
                // A block that is none of the journal's any more ends it, and so does a commit that seems to be left from
                // an older journal: a crash leaves just that. Then e2fsck must see it so, too.
                if known != Some(2) {
                    assert!(Story::replayed_by_e2fsck(&bytes) == tree, "at {place}: not where e2fsck sees the end");
                    earlier += 1;
                }
            }
            Err(Stop::Corrupt(corrupt)) => {
                let first = at as u64 / 1024;
                assert!(corrupt.owner == Owner::Journal, "{corrupt}");
                assert!((first..first + used as u64).contains(&corrupt.block), "{corrupt}");
                told += 1;
            }
            Err(Stop::Refused(_)) => assert!(place < at + 1024),
            Err(other) => panic!("at {place}: {other}"),
        }
        bytes[place] = story.unclean[place];
    }
    assert!(told > 50 && earlier < told / 10, "only {told} found, {earlier} taken for the end");
}

/// Behind its end a journal has what an older one left there: of the same numbers, perhaps, but written earlier.
#[test]
fn what_an_older_journal_left_is_not_replayed() {
    let story = Story::new("-t ext4 -b 1024", "-c -v 3");
    let mut bytes = story.unclean.clone();
    let commit = [&JOURNAL_MAGIC[..], &2_u32.to_be_bytes(), &2_u32.to_be_bytes()].concat();
    let is_commit = |block: &&u64| bytes[**block as usize * 1024..].starts_with(&commit);
    let block = *story.ring.iter().find(is_commit).expect("the second commit");
    // Its time is 0, and its checksum is that of another journal.
    bytes[block as usize * 1024 + 48..][..8].fill(0);
    let tree = whole(&bytes);
    assert!(tree == story.states[1], "not the second state");
    assert!(tree == Story::replayed_by_e2fsck(&bytes), "not what e2fsck makes of it");
    // With a time that goes on from the first it is damage.
    bytes[block as usize * 1024 + 48..][..8].fill(0x7f);
    let said = mount(&bytes).map(drop).unwrap_err().to_string();
    assert_eq!(said, format!("ext4: journal: journal commit block {block}: checksum is wrong"));
}

/// Without checksums a damaged journal may lead to anything but a panic, a loop, or a block outside the device.
#[test]
fn damaged_journals_without_checksums_end() {
    let story = Story::new("-t ext4 -b 1024 -O ^metadata_csum", "");
    let at = journal_at(&story.unclean);
    let used = (0..200).take_while(|block| story.unclean[at + block * 1024..][..1024].iter().any(|b| *b != 0)).count();
    let special = (0..used).filter(|block| story.unclean[at + block * 1024..].starts_with(&JOURNAL_MAGIC));
    let special = special.collect::<Vec<_>>();
    assert!(special.len() >= 6, "superblock, three descriptors, revocation, commits: {special:?}");
    let mut random = Random(77);
    let mut bytes = story.unclean.clone();
    let (mut mounted, mut refused) = (0, 0);
    for _ in 0..rounds(250) {
        let place = at + special[random.below(special.len())] * 1024;
        (0..1 + random.below(4)).for_each(|_| damage(&mut bytes[place..][..1024], &mut random));
        match mount(&bytes) {
            Ok((fs, mut blocks)) => {
                walk(&fs, &mut blocks, 50, &mut |_, _| {});
                mounted += 1;
            }
            Err(_) => refused += 1,
        }
        bytes[place..][..1024].copy_from_slice(&story.unclean[place..][..1024]);
    }
    assert!(mounted > 20 && refused > 20, "{mounted} mounted, {refused} refused");
}

#[test]
fn journals_that_cannot_be_replayed_are_refused_by_name() {
    let story = Story::new("-t ext4 -b 1024 -O ^metadata_csum", "");
    let at = journal_at(&story.unclean);
    let refusal = |place: usize, value: u32| {
        let mut bytes = story.unclean.clone();
        *word(&mut bytes, at + place) = value.to_be_bytes();
        mount(&bytes).map(drop).unwrap_err().to_string()
    };
    let message = "ext4: the journal must be replayed, but has unknown features:";
    assert_eq!(refusal(0x28, 0x25), format!("{message} async_commit fast_commit"));
    assert_eq!(refusal(0x28, 0x8000_0001), format!("{message} 0x80000000"));
    assert!(refusal(0x24, 1).contains("transaction checksums of the first kind"));
    let journal = at / 1024;
    let field = format!("ext4: journal: journal superblock {journal}: a field is impossible");
    for (place, value) in [(0xc, 4096), (0x14, 0), (0x14, 5000), (0x1c, 5000)] {
        assert_eq!(refusal(place, value), field);
    }
    assert_eq!(refusal(0, 0), format!("ext4: journal: journal superblock {journal}: magic number is wrong"));
    assert_eq!(refusal(0x10, u32::MAX), format!("ext4: journal: journal superblock {journal}: size is wrong"));
    let mut bytes = story.unclean.clone();
    bytes[1024 + 0xe0..][..4].fill(0);
    let external = "ext4: the journal must be replayed, but lies on another device";
    assert_eq!(mount(&bytes).map(drop).unwrap_err().to_string(), external);
}

/// Every block of the ring belongs to the same transaction, which nothing ends.
#[test]
fn a_ring_without_an_end_is_found_out() {
    let story = Story::new("-t ext4 -b 1024 -O ^metadata_csum", "");
    let mut bytes = story.unclean.clone();
    let at = journal_at(&bytes);
    let length = u32::from_be_bytes(*word(&mut bytes, at + 0x10)) as usize;
    let sequence = *word(&mut bytes, at + 0x18);
    for block in 1..length {
        let place = at + block * 1024;
        bytes[place..][..1024].fill(0);
        *word(&mut bytes, place) = JOURNAL_MAGIC;
        *word(&mut bytes, place + 4) = 5_u32.to_be_bytes();
        *word(&mut bytes, place + 8) = sequence;
        // A list that says it is longer than its block.
        *word(&mut bytes, place + 12) = u32::MAX.to_be_bytes();
    }
    let message = mount(&bytes).map(drop).unwrap_err().to_string();
    assert_eq!(message, format!("ext4: journal: journal superblock {}: never ends", at / 1024));
}
