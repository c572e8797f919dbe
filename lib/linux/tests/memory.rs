//! Mappings against a model of pages, and the other memory calls.

mod support;
use sal_linux_core::mm::{Growth, Label, MapRequest, Mm, Place};
use sal_linux_core::{Backing, Config, Errno, Platform, Protection, UserMemory};
use std::collections::BTreeMap;
use support::*;

fn errno(e: Errno) -> i64 {
    e.to_result() as i64
}

#[test]
fn mappings_are_those_of_the_program_and_of_its_files() {
    let files: Vec<(&[u8], Vec<u8>)> = vec![(b"/bin/prog", program()), (b"/tmp/f", vec![7; 5000])];
    let mut w = World::with(&files, Config { randomize: false, ..Default::default() });
    let (t, at) = (w.init, w.scratch(0));
    w.string(t, at, "/tmp/f");
    let fd = w.call(t, nr::OPENAT, &[AT_FDCWD, at, 2, 0]) as u64;
    let private = w.call(t, nr::MMAP, &[0, 8192, 3, 2, fd, 0]) as u64;
    let shared = w.call(t, nr::MMAP, &[0, 8192, 3, 1, fd, 0]) as u64;
    assert_eq!(w.read(t, private + 4990, 20), [vec![7; 10], vec![0; 10]].concat());
    w.write(t, private, b"mine");
    w.write(t, shared + 10, b"ours");
    assert_eq!(w.read(t, shared, 4), [7; 4]);
    assert_eq!(w.call(t, 17, &[fd, at, 20, 0]), 20, "pread64");
    assert_eq!(&w.read(t, at, 20)[10..14], b"ours");
    assert_eq!(w.call(t, nr::CLOSE, &[fd]), 0);
    assert!(w.cat(t, "/proc/self/maps").contains("/tmp/f\n"));
    assert_eq!(w.call(t, nr::MUNMAP, &[private, 8192]), 0);
    assert_eq!(w.call(t, nr::MUNMAP, &[shared, 8192]), 0);
    w.string(t, at, "/tmp/f");
    let fd = w.call(t, nr::OPENAT, &[AT_FDCWD, at, 0, 0]) as u64;
    assert_eq!(w.call(t, nr::MMAP, &[0, 8192, 3, 1, fd, 0]), errno(Errno::EACCES), "read-only, shared, writable");
    let shared = w.call(t, nr::MMAP, &[0, 8192, 1, 1, fd, 0]) as u64;
    assert_eq!(w.call(t, nr::MPROTECT, &[shared, 4096, 3]), errno(Errno::EACCES));
    assert_eq!(w.call(t, nr::MMAP, &[0, 0, 3, 0x22, u64::MAX, 0]), errno(Errno::EINVAL));
    assert_eq!(w.call(t, nr::MMAP, &[0, 1 << 40, 3, 0x22, u64::MAX, 0]), errno(Errno::ENOMEM));
    assert_eq!(w.call(t, nr::MMAP, &[0, 4096, 3, 0x22, u64::MAX, 1]), errno(Errno::EINVAL));
    assert_eq!(w.call(t, nr::MMAP, &[shared, 4096, 3, 0x10_0022, u64::MAX, 0]), errno(Errno::EEXIST));
    assert_eq!(w.call(t, nr::MMAP, &[0x1000, 4096, 3, 0x32, u64::MAX, 0]), errno(Errno::EPERM));
}

#[test]
fn the_heap_grows_shrinks_and_stops_at_what_is_in_the_way() {
    let mut w = World::new();
    let t = w.init;
    let start = w.call(t, nr::BRK, &[0]) as u64;
    assert_eq!(start, 0x60_5000, "behind the zeroed data");
    assert_eq!(w.call(t, nr::BRK, &[start + 5000]) as u64, start + 5000);
    w.write(t, start + 4990, b"heap");
    assert_eq!(w.call(t, nr::BRK, &[start + 100]) as u64, start + 100);
    assert_eq!(w.call(t, nr::BRK, &[start + 5000]) as u64, start + 5000);
    w.write(t, start + 4096, b"x");
    assert_eq!(w.call(t, nr::BRK, &[start + 4096]) as u64, start + 4096);
    assert_eq!(w.call(t, nr::BRK, &[start + 5000]) as u64, start + 5000);
    assert_eq!(w.read(t, start + 4096, 1), [0], "pages given back come again as zeros");
    assert_eq!(w.call(t, nr::MMAP, &[start + 8192, 4096, 3, 0x32, u64::MAX, 0]) as u64, start + 8192);
    assert_eq!(w.call(t, nr::BRK, &[start + 20000]) as u64, start + 5000, "something is in the way");
    assert!(w.cat(t, "/proc/self/maps").contains("[heap]\n"));
}

#[test]
fn remap_keeps_the_bytes_and_discard_drops_them() {
    let mut w = World::new();
    let t = w.init;
    let above = w.call(t, nr::MMAP, &[0, 4096, 1, 0x22, u64::MAX, 0]) as u64;
    let at = w.call(t, nr::MMAP, &[0, 8192, 3, 0x22, u64::MAX, 0]) as u64;
    assert_eq!(at + 8192, above);
    w.write(t, at + 4094, b"across");
    assert_eq!(w.call(t, nr::MREMAP, &[at, 8192, 1 << 16, 0]), errno(Errno::ENOMEM), "no room in place");
    let moved = w.call(t, nr::MREMAP, &[at, 8192, 1 << 16, 1]) as u64;
    assert_ne!(moved, at);
    assert_eq!(w.read(t, moved + 4094, 6), b"across");
    assert_eq!(w.call(t, nr::MUNMAP, &[at, 8192]), 0);
    assert_eq!(w.call(t, nr::MREMAP, &[moved, 1 << 16, 4096, 0]) as u64, moved);
    assert_eq!(w.call(t, nr::MADVISE, &[moved, 4096, 4]), 0);
    assert_eq!(w.read(t, moved + 4094, 2), [0, 0]);
    assert_eq!(w.call(t, nr::MADVISE, &[moved, 8192, 4]), errno(Errno::ENOMEM));
    assert_eq!(w.call(t, nr::MREMAP, &[moved, 4096, 0, 1]), errno(Errno::EINVAL));
}

const BASE: u64 = 0x1000_0000;
const PAGES: u64 = 24;

/// What the model says of a page.
type Page = (Protection, u8);

struct Tried {
    mm: Mm,
    fake: Fake,
    model: BTreeMap<u64, Page>,
}

impl Tried {
    fn range(&self, random: &mut Seeded) -> (u64, u64) {
        let first = random.below(PAGES);
        let count = 1 + random.below(PAGES - first);
        (BASE + first * PAGE, count * PAGE)
    }

    fn pages(start: u64, length: u64) -> impl Iterator<Item = u64> {
        (start..start + length).step_by(PAGE as usize)
    }

    fn map(&mut self, random: &mut Seeded) {
        let (start, length) = self.range(random);
        let protection = Protection::from_bits_truncate(random.below(8) as u8);
        let fixed = random.below(2) == 0;
        let request = MapRequest {
            place: if fixed { Place::Fixed(start) } else { Place::FixedNoReplace(start) },
            length,
            protection,
            allowed: Protection::all(),
            backing: Backing::Anonymous,
            label: Label::None,
        };
        let free = Self::pages(start, length).all(|p| !self.model.contains_key(&p));
        let result = self.mm.map(request, u64::MAX, &mut self.fake);
        if !fixed && !free {
            assert_eq!(result, Err(Errno::EEXIST));
            return;
        }
        assert_eq!(result, Ok(start));
        self.model.extend(Self::pages(start, length).map(|p| (p, (protection, 0))));
    }

    fn unmap(&mut self, random: &mut Seeded) {
        let (start, length) = self.range(random);
        self.mm.unmap(start, length, &mut self.fake).unwrap();
        self.model.retain(|p, _| !(start..start + length).contains(p));
    }

    fn protect(&mut self, random: &mut Seeded) {
        let (start, length) = self.range(random);
        let protection = Protection::from_bits_truncate(random.below(8) as u8);
        let result = self.mm.protect(start, length, protection, &mut self.fake);
        for page in Self::pages(start, length) {
            match self.model.get_mut(&page) {
                Some(known) => known.0 = protection,
                None => {
                    assert_eq!(result, Err(Errno::ENOMEM));
                    return;
                }
            }
        }
        assert_eq!(result, Ok(()));
    }

    fn remap(&mut self, random: &mut Seeded) {
        let ((from, old), (to, new)) = (self.range(random), self.range(random));
        let apart = to + new <= from || from + old <= to;
        let first = self.model.get(&from).map(|p| p.0);
        let same = Self::pages(from, old).all(|p| self.model.get(&p).map(|p| p.0) == first && first.is_some());
        let result = self.mm.remap(from, old, new, Growth::Fixed(to), u64::MAX, &mut self.fake);
        if !same || !apart {
            assert!(result.is_err(), "{result:?}");
            return;
        }
        assert_eq!(result, Ok(to));
        let kept: Vec<Page> = Self::pages(from, old).map(|p| self.model.remove(&p).unwrap()).collect();
        for (i, page) in Self::pages(to, new).enumerate() {
            let value = kept.get(i).copied().unwrap_or((first.unwrap(), 0));
            self.model.insert(page, value);
        }
    }

    fn store(&mut self, random: &mut Seeded) {
        let page = BASE + random.below(PAGES) * PAGE;
        let byte = random.next() as u8;
        let wrote = Memory(&self.fake, self.mm.space).write(page, &[byte]).is_ok();
        let may = self.model.get(&page).is_some_and(|p| p.0.contains(Protection::WRITE));
        assert_eq!(wrote, may);
        if let (true, Some(known)) = (may, self.model.get_mut(&page)) {
            known.1 = byte;
        }
    }

    fn check(&self) {
        self.mm.areas.check().unwrap();
        for i in 0..PAGES {
            let page = BASE + i * PAGE;
            let area = self.mm.areas.find(page).map(|a| a.protection);
            let model = self.model.get(&page);
            assert_eq!(area, model.map(|p| p.0));
            let told = self.fake.m.borrow().spaces[&self.mm.space.0].map.get(&page).map(|p| p.0);
            assert_eq!(told, area, "the platform was told the same");
            if let Some((_, byte)) = model {
                let mut got = [0];
                self.fake.clone().space_read(self.mm.space, page, &mut got).unwrap();
                assert_eq!(got[0], *byte);
            }
        }
    }
}

#[test]
fn any_sequence_of_changes_agrees_with_a_table_of_pages() {
    for seed in 1..=40u64 {
        let mut random = Seeded(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let world = World::new();
        let mut fake = world.fake.clone();
        let space = fake.space_create().unwrap();
        let mut tried = Tried { mm: Mm::new(space), fake, model: BTreeMap::new() };
        for _ in 0..150 {
            match random.below(6) {
                0 | 1 => tried.map(&mut random),
                2 => tried.unmap(&mut random),
                3 => tried.protect(&mut random),
                4 => tried.remap(&mut random),
                _ => tried.store(&mut random),
            }
            tried.check();
        }
    }
}
