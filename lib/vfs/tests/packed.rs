//! Small files packed together: against plain contents, and what comes back.

use proptest::prelude::*;
use sal_vfs::*;
use std::cell::Cell;
use std::rc::Rc;

/// Lends chunks of some pages, full of rubbish, up to a limit.
struct Chunks {
    pages: usize,
    limit: usize,
    lent: Rc<Cell<usize>>,
}

impl Bank for Chunks {
    type Chunk = Vec<u8>;

    fn lend(&mut self) -> Result<Vec<u8>, Errno> {
        if self.lent.get() + self.pages > self.limit {
            return Err(Errno::ENOSPC);
        }
        self.lent.set(self.lent.get() + self.pages);
        Ok(vec![0xaa; self.pages * PAGE])
    }

    fn take_back(&mut self, chunk: Vec<u8>) {
        self.lent.set(self.lent.get() - chunk.len() / PAGE);
    }
}

/// A store whose chunks have `pages` pages, `limit` in all; large files have as much again. And what is lent.
fn store(pages: usize, limit: usize) -> (Packed<Chunks, HeapContents>, Rc<Cell<usize>>) {
    let lent = Rc::new(Cell::new(0));
    let bank = Chunks { pages, limit, lent: lent.clone() };
    (Packed::new(bank, HeapContents::new(limit as u64)), lent)
}

fn write(c: &mut impl Contents, id: ContentId, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
    c.write(id, offset, bytes.len(), &mut SliceSource(bytes))
}

fn read(c: &mut impl Contents, id: ContentId, offset: u64, len: usize) -> Vec<u8> {
    let mut buffer = vec![0x55; len];
    assert_eq!(c.read(id, offset, len, &mut SliceDest::new(&mut buffer)), Ok(len));
    buffer
}

#[derive(Clone, Debug)]
enum Step {
    Write(u64, usize),
    Punch(u64, u64),
    Resize(u64),
    Reserve(u64, u64),
    Map,
    Remake,
}

fn step() -> impl Strategy<Value = (usize, Step)> {
    let place = || prop_oneof![0u64..3000, 0u64..SMALL_MOST + 9000];
    let one = prop_oneof![
        8 => (place(), 1usize..6000).prop_map(|(at, n)| Step::Write(at, n)),
        3 => (0u64..200, 1usize..300).prop_map(|(at, n)| Step::Write(at, n)),
        3 => (place(), 1u64..9000).prop_map(|(at, n)| Step::Punch(at, n)),
        3 => place().prop_map(Step::Resize),
        1 => (place(), 1u64..9000).prop_map(|(at, n)| Step::Reserve(at, n)),
        1 => Just(Step::Map),
        1 => Just(Step::Remake),
    ];
    (0usize..4, one)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]
    /// The same bytes as in plain pages, whatever is done; and all that was lent comes back.
    #[test]
    fn like_plain_contents(steps in prop::collection::vec(step(), 1..60)) {
        let ((mut packed, lent), mut plain) = (store(8, 4096), HeapContents::new(1 << 20));
        let mut files: Vec<_> = (0..4).map(|_| (packed.create().unwrap(), plain.create().unwrap(), 0u64)).collect();
        for (salt, (which, step)) in steps.iter().enumerate() {
            let (a, b, size) = files[*which];
            let mut new = (a, b, size);
            match *step {
                Step::Write(at, n) => {
                    let bytes: Vec<u8> = (0..n).map(|i| (i * 3 + salt) as u8 | 1).collect();
                    prop_assert_eq!(write(&mut packed, a, at, &bytes), Ok(n));
                    prop_assert_eq!(write(&mut plain, b, at, &bytes), Ok(n));
                    new.2 = size.max(at + n as u64);
                }
                Step::Punch(at, n) => {
                    prop_assert_eq!(packed.punch(a, at, n), Ok(()));
                    prop_assert_eq!(plain.punch(b, at, n), Ok(()));
                }
                Step::Resize(to) => {
                    prop_assert_eq!(packed.resize(a, size, to), Ok(()));
                    prop_assert_eq!(plain.resize(b, size, to), Ok(()));
                    new.2 = to;
                }
                Step::Reserve(at, n) => {
                    prop_assert_eq!(packed.reserve(a, at, n), Ok(()));
                    prop_assert_eq!(plain.reserve(b, at, n), Ok(()));
                    new.2 = size.max(at + n);
                }
                Step::Map => {
                    let object = packed.object(a, size).unwrap();
                    prop_assert_eq!(packed.object(a, size), Ok(object), "it stays there");
                }
                Step::Remake => {
                    packed.destroy(a);
                    plain.destroy(b);
                    new = (packed.create().unwrap(), plain.create().unwrap(), 0);
                }
            }
            files[*which] = new;
            for (a, b, size) in &files {
                let (len, zeros) = (*size as usize, *size);
                prop_assert!(read(&mut packed, *a, 0, len) == read(&mut plain, *b, 0, len), "after {:?}", step);
                if zeros > 10 {
                    prop_assert!(read(&mut packed, *a, 7, len - 9) == read(&mut plain, *b, 7, len - 9));
                }
            }
        }
        for (a, _, _) in files {
            packed.destroy(a);
        }
        prop_assert!(lent.get() <= 8, "one chunk may stay: {} pages", lent.get());
        prop_assert_eq!(packed.capacity().free, 4096 + lent.get() as u64);
    }
}

/// 100,000 files, of 1 to 500 bytes, in 48 MiB; and the other way round.
#[test]
fn a_hundred_thousand_small_files_and_back() {
    let (mut c, lent) = store(CHUNK_PAGES, 12 << 10);
    let bytes = |n: usize| vec![n as u8 | 1; 1 + n % 500];
    let files: Vec<_> = (0..100_000)
        .map(|n| {
            let id = c.create().unwrap();
            assert_eq!(write(&mut c, id, 0, &bytes(n)), Ok(1 + n % 500));
            id
        })
        .collect();
    assert!(lent.get() <= 11 << 10, "{} pages", lent.get());
    for (n, id) in files.iter().enumerate().step_by(97) {
        assert_eq!(read(&mut c, *id, 0, 1 + n % 500), bytes(n));
    }
    files.into_iter().for_each(|id| c.destroy(id));
    assert_eq!(lent.get(), CHUNK_PAGES);
}

#[test]
fn when_all_is_full_nothing_is_lost_and_room_comes_back() {
    let (mut c, _) = store(4, 8);
    let ids: Vec<_> = (0..8).map(|_| c.create().unwrap()).collect();
    for id in &ids {
        assert_eq!(write(&mut c, *id, 0, &[7; PAGE]), Ok(PAGE));
    }
    let tiny = c.create().unwrap();
    assert_eq!(write(&mut c, tiny, 0, b"x"), Err(Errno::ENOSPC));
    assert_eq!(write(&mut c, ids[0], PAGE as u64, b"x"), Err(Errno::ENOSPC));
    assert_eq!(c.reserve(ids[0], 0, 2 * PAGE as u64), Err(Errno::ENOSPC));
    assert_eq!(c.allocated(ids[0]), PAGE as u64);
    assert!(ids.iter().all(|id| read(&mut c, *id, 0, PAGE) == [7; PAGE]));
    c.destroy(ids[3]);
    assert_eq!(write(&mut c, tiny, 0, b"x"), Ok(1));
    assert_eq!(write(&mut c, tiny, 1, &[1; 62]), Ok(62));
    // A cell needs a larger one before the old one goes; the page has both.
    assert_eq!(write(&mut c, tiny, 63, &[2; 60]), Err(Errno::ENOSPC), "another class needs a page of its own");
    assert_eq!(read(&mut c, tiny, 0, 63)[..2], [b'x', 1]);
}

/// A program's memory that ends after some bytes.
struct Faulty(usize);

impl Source for Faulty {
    fn left(&self) -> usize {
        usize::MAX
    }

    fn take(&mut self, out: &mut [u8]) -> Result<usize, Errno> {
        let n = out.len().min(self.0);
        out[..n].fill(0x77);
        self.0 -= n;
        if n == 0 { Err(Errno::EFAULT) } else { Ok(n) }
    }
}

#[test]
fn a_fault_shows_nothing_of_who_had_the_page_before() {
    let (mut c, _) = store(4, 8);
    let id = c.create().unwrap();
    assert_eq!(c.write(id, 0, 2 * PAGE, &mut Faulty(PAGE + 10)), Ok(PAGE + 10));
    let mut want = vec![0x77; PAGE + 10];
    want.resize(2 * PAGE, 0);
    assert_eq!(read(&mut c, id, 0, 2 * PAGE), want);
    let other = c.create().unwrap();
    assert_eq!(c.write(other, 0, PAGE, &mut Faulty(0)), Err(Errno::EFAULT));
    assert_eq!((c.allocated(other), read(&mut c, other, 0, PAGE)), (0, vec![0; PAGE]));
}

#[test]
fn data_and_holes() {
    let (mut c, _) = store(16, 64);
    let id = c.create().unwrap();
    let page = PAGE as u64;
    write(&mut c, id, 2 * page, &[1; 10]).unwrap();
    assert_eq!((c.seek(id, 0, Extent::Data), c.seek(id, 0, Extent::Hole)), (Some(2 * page), Some(0)));
    assert_eq!(
        (c.seek(id, 2 * page + 5, Extent::Data), c.seek(id, 2 * page, Extent::Hole)),
        (Some(2 * page + 5), Some(3 * page))
    );
    assert_eq!((c.seek(id, 3 * page, Extent::Data), c.allocated(id)), (None, page));
    let tiny = c.create().unwrap();
    write(&mut c, tiny, 0, b"x").unwrap();
    assert_eq!(
        (c.seek(tiny, 0, Extent::Data), c.seek(tiny, 0, Extent::Hole), c.allocated(tiny)),
        (Some(0), Some(page), page)
    );
}
