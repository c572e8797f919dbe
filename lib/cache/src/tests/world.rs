//! Kernel, disks, file systems and readers, all as numbers. Every effect has a point before and a point after it at which the cache may die.

mod kernel;
mod systems;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::vec;
use std::vec::Vec;

use sal_vault::store;

use super::Random;
use crate::*;

pub(super) const SYSTEMS_HERE: usize = 2;
const FILES: usize = 4;
const THREADS: usize = 3;
const READERS: usize = 10;

/// A page of content, and the identity of its place: a device that was told to write there writes there, wherever the frame has gone since.
type Frame = usize;

/// A capability in the vault's table.
enum Kept {
    Object {
        id: ObjectId,
        pages: u32,
        present: BTreeMap<u32, Frame>,
    },
    /// By number.
    Staging(usize),
}

/// A file on a disk.
struct Disk {
    length: u64,
    /// While its file system tells the cache of a new length: the one before.
    resizing: Option<u64>,
    bad: BTreeSet<u32>,
    object: Option<(ObjectId, u64)>,
    closing: bool,
    wanted: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Call {
    Attach,
    Take,
    Filled(u64),
    Open(usize),
    Close(usize),
    Resize(usize, u64),
}

/// A client's call: not yet received, in service (kept), or none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Calling {
    No,
    Queued(Call),
    Kept(Call, Token),
}

/// A work item that a file-system thread has, with the state of each page.
struct Job {
    work: Work,
    done: Vec<Option<Status>>,
    /// Reads under way: page of the item, frame, content.
    reads: Vec<(u32, Frame, u64)>,
}

struct Thread {
    sequence: u32,
    calling: Calling,
}

struct FileSystem {
    incarnation: u32,
    system: Option<System>,
    attached: bool,
    /// Its staging memory.
    staging: usize,
    jobs: Vec<Job>,
    /// The first says what was filled, the others take work.
    threads: Vec<Thread>,
    /// The thread that opens, closes, resizes.
    control: Calling,
    files: Vec<Disk>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reading {
    Running,
    Faulted,
    Waiting(Token),
}

struct Reader {
    system: usize,
    file: usize,
    page: u32,
    stride: i64,
    left: u32,
    state: Reading,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Client {
    Reader(usize),
    Thread(usize, usize),
    Control(usize),
}

pub(super) struct World {
    seed: u64,
    pub(super) random: Random,
    frames: Vec<u64>,
    stagings: Vec<Vec<Option<Frame>>>,
    table: BTreeMap<u64, Kept>,
    next_kept: u64,
    next_token: u64,
    queue: VecDeque<Client>,
    systems: Vec<FileSystem>,
    readers: Vec<Reader>,
    /// Reads that devices still carry out for dead file systems.
    late: Vec<(Frame, u64)>,
    /// Pages (capability, page) for which there was no memory.
    starved: BTreeSet<(u64, u32)>,
    dummy: u64,
    pub(super) calm: bool,
    pub(super) pages_read: u64,
    pub(super) refused: u64,
    pub(super) supplies: u64,
    pub(super) system_deaths: u64,
}

/// What the page holds: file, page, and how many bytes of it are the file's.
fn content(system: usize, file: usize, page: u32, length: u64) -> u64 {
    let bytes = length.saturating_sub(u64::from(page) * PAGE).min(PAGE);
    ((system * FILES + file + 1) as u64) << 48 | u64::from(page) << 16 | bytes
}

fn pages(length: u64) -> u32 {
    length.div_ceil(PAGE) as u32
}

impl World {
    pub(super) fn new(seed: u64) -> World {
        let mut random = Random::new(seed);
        let system = |random: &mut Random| FileSystem {
            incarnation: 0,
            system: None,
            attached: false,
            staging: 0,
            jobs: Vec::new(),
            threads: Vec::new(),
            control: Calling::No,
            files: (0..FILES).map(|_| Disk::new(random)).collect(),
        };
        let systems = (0..SYSTEMS_HERE).map(|_| system(&mut random)).collect();
        let reader = |_| Reader { system: 0, file: 0, page: 0, stride: 1, left: 0, state: Reading::Running };
        let mut world = World {
            seed,
            random,
            frames: Vec::new(),
            stagings: Vec::new(),
            table: BTreeMap::new(),
            next_kept: 1,
            next_token: 1,
            queue: VecDeque::new(),
            systems,
            readers: (0..READERS).map(reader).collect(),
            late: Vec::new(),
            starved: BTreeSet::new(),
            dummy: 0,
            calm: false,
            pages_read: 0,
            refused: 0,
            supplies: 0,
            system_deaths: 0,
        };
        (0..SYSTEMS_HERE).for_each(|s| world.boot(s));
        world
    }

    /// A point at which the cache may die.
    fn point(&mut self) {
        store::word64(&mut self.dummy, 0);
    }

    fn keep(&mut self, kept: Kept) -> u64 {
        let number = self.next_kept;
        self.next_kept += 1;
        self.table.insert(number, kept);
        number
    }

    /// A new incarnation of a file system: knows nothing.
    fn boot(&mut self, s: usize) {
        self.queue.retain(|client| !matches!(client, Client::Thread(t, _) | Client::Control(t) if *t == s));
        // Its staging memory is a new one, or the one before, where devices may still write.
        let before = self.systems[s].incarnation > 0 && self.random.one_in(2);
        if !before {
            let pages = 48 + self.random.below(3) as usize * 40;
            self.stagings.push(vec![None; pages]);
            self.systems[s].staging = self.stagings.len() - 1;
        }
        let late = &mut self.late;
        let system = &mut self.systems[s];
        for job in system.jobs.drain(..) {
            late.extend(job.reads.iter().map(|&(_, frame, value)| (frame, value)));
        }
        system.threads = (0..THREADS).map(|_| Thread { sequence: 1, calling: Calling::No }).collect();
        system.incarnation += 1;
        system.attached = false;
        // The successor tells the cache of its open files, whatever was under way with them.
        for file in &mut system.files {
            file.wanted |= file.object.is_some();
        }
        system.control = Calling::Queued(Call::Attach);
        self.queue.push_back(Client::Control(s));
    }

    pub(super) fn kill_system(&mut self, s: usize, cache: &mut Cache<'_>) {
        self.system_deaths += 1;
        self.boot(s);
        if self.random.one_in(2)
            && let Some(system) = self.systems[s].system
        {
            cache.died(system, self).unwrap();
        }
    }

    /// The cache is dead: what it had kept is asked again, and every capability that it did not commit is closed by its successor.
    pub(super) fn cache_died(&mut self) {
        for (n, reader) in self.readers.iter_mut().enumerate() {
            // A fault that was not received stays in the queue.
            if reader.state != Reading::Running && !self.queue.contains(&Client::Reader(n)) {
                reader.state = Reading::Running;
            }
        }
        for s in 0..SYSTEMS_HERE {
            for t in 0..self.systems[s].threads.len() {
                self.ask_again(s, t);
            }
            let control = Client::Control(s);
            if self.systems[s].control != Calling::No && !self.queue.contains(&control) {
                self.queue.push_back(control);
            }
        }
    }

    fn ask_again(&mut self, s: usize, t: usize) {
        let thread = &mut self.systems[s].threads[t];
        if let Calling::Kept(call, _) = thread.calling {
            thread.calling = Calling::Queued(call);
        }
        let client = Client::Thread(s, t);
        if thread.calling != Calling::No && !self.queue.contains(&client) {
            self.queue.push_back(client);
        }
    }

    /// A successor: tells what is present, closes what is nobody's, and finishes.
    pub(super) fn adopt<'a>(&mut self, mut adoption: Adoption<'a>) -> Cache<'a> {
        let kept: BTreeSet<u64> = adoption.kept().collect();
        self.table.retain(|number, _| kept.contains(number));
        let all: Vec<_> = adoption.objects().collect();
        let mut last = None;
        for &(id, number, _) in &all {
            assert_eq!(adoption.next_object(last).map(|next| next.0), Some(id));
            last = Some(id);
            let Some(Kept::Object { present, id: badge, .. }) = self.table.get(&number) else {
                panic!("seed {}: the object {id:?} has lost its memory", self.seed)
            };
            assert_eq!(*badge, id);
            let mut bitmap = [0_u64; 4];
            present.keys().for_each(|&page| bitmap[page as usize / 64] |= 1 << (page % 64));
            // In two pieces, as a shell with a small buffer would.
            adoption.present(id, 0, &bitmap[..1], self);
            adoption.present(id, 64, &bitmap[1..], self);
        }
        assert_eq!(adoption.next_object(last), None);
        let cache = adoption.finish(self).unwrap();
        self.check(&cache);
        cache
    }

    /// The cache and the kernel agree on every page, and the table holds what is in use.
    pub(super) fn check(&self, cache: &Cache<'_>) {
        let mut pages = 0;
        for kept in self.table.values() {
            if let Kept::Object { id, present, pages: length } = kept {
                pages += present.len();
                for &page in present.keys() {
                    assert!(page < *length && cache.is_present(*id, page), "seed {}: {id:?} page {page}", self.seed);
                }
            }
        }
        let usage = cache.usage();
        assert_eq!(usage.pages, pages, "seed {}: a page is thought present and isn't", self.seed);
        assert!(usage.pages <= usage.most);
        let kept: BTreeSet<u64> = cache.kept().collect();
        assert_eq!(kept, self.table.keys().copied().collect(), "seed {}: capabilities", self.seed);
    }

    /// One thing happens somewhere.
    pub(super) fn step(&mut self, cache: &mut Cache<'_>) {
        match self.random.below(16) {
            0..4 => self.deliver(cache),
            4..9 => self.reader(),
            9..13 => self.thread(),
            13 if !self.late.is_empty() => {
                let (frame, value) = self.late.swap_remove(0);
                self.frames[frame] = value;
            }
            14 => self.control(),
            15 if !self.calm => self.trouble(cache),
            _ => {}
        }
    }

    fn trouble(&mut self, cache: &mut Cache<'_>) {
        match self.random.below(40) {
            0..4 => {
                let frames = self.random.below(20) as u32;
                let before = cache.usage().pages;
                let given = cache.pressure(frames, self);
                assert_eq!(given as usize, (frames as usize).min(before), "seed {}", self.seed);
            }
            4 => {
                let s = self.random.below(SYSTEMS_HERE as u64) as usize;
                self.kill_system(s, cache);
            }
            5 => {
                // A reader is interrupted: nobody waits with its token any more.
                let n = self.random.below(READERS as u64) as usize;
                if matches!(self.readers[n].state, Reading::Waiting(_)) {
                    self.readers[n].state = Reading::Running;
                    self.readers[n].left = 0;
                }
            }
            6 => {
                for kept in self.table.values() {
                    if let Kept::Object { id, .. } = kept {
                        cache.referenced(*id, 0, &[0x5555_5555_5555_5555]);
                    }
                }
            }
            _ => {}
        }
    }

    /// The cache receives a message.
    fn deliver(&mut self, cache: &mut Cache<'_>) {
        let Some(&client) = self.queue.front() else { return };
        self.queue.pop_front();
        match client {
            Client::Reader(n) => self.deliver_fault(n, cache),
            Client::Thread(s, t) => self.deliver_thread(s, t, cache),
            Client::Control(s) => self.deliver_control(s, cache),
        }
    }

    fn token(&mut self) -> Token {
        self.next_token += 1;
        Token(self.next_token)
    }

    fn deliver_fault(&mut self, n: usize, cache: &mut Cache<'_>) {
        let token = self.token();
        let reader = &mut self.readers[n];
        let Some((id, _)) = self.systems[reader.system].files[reader.file].object else {
            // Its memory is gone, and its fault with it.
            reader.state = Reading::Running;
            return;
        };
        reader.state = Reading::Waiting(token);
        let page = reader.page;
        if cache.fault(id, u64::from(page), token, self).is_err() {
            self.readers[n].state = Reading::Running;
        }
    }

    fn deliver_thread(&mut self, s: usize, t: usize, cache: &mut Cache<'_>) {
        let token = self.token();
        let system = self.systems[s].system.expect("attached");
        let thread = &mut self.systems[s].threads[t];
        match thread.calling {
            Calling::Queued(Call::Take) => {
                let request = Request { slot: t as u32, sequence: thread.sequence };
                thread.calling = Calling::Kept(Call::Take, token);
                cache.take_work(system, request, token, self).unwrap();
            }
            Calling::Queued(Call::Filled(number)) => {
                let job = self.systems[s].jobs.iter().find(|job| job.work.number == number).expect("a job");
                let runs: Vec<_> = job.done.iter().map(|done| (1, done.expect("all done"))).collect();
                cache.filled(system, number, Filled::from_runs(runs), self).unwrap();
                self.point();
                self.systems[s].jobs.retain(|job| job.work.number != number);
                self.systems[s].threads[t].calling = Calling::No;
            }
            other => panic!("seed {}: {other:?}", self.seed),
        }
        self.point();
    }

    fn deliver_control(&mut self, s: usize, cache: &mut Cache<'_>) {
        let Calling::Queued(call) = self.systems[s].control else { return };
        match call {
            Call::Attach => {
                let memory = self.systems[s].staging;
                let slots = self.stagings[memory].len();
                let staging = self.keep(Kept::Staging(memory));
                self.point();
                let incarnation = self.systems[s].incarnation;
                let system = cache.attach(100 + s as u64, incarnation, (staging, slots as u32), self).unwrap();
                self.point();
                assert!(self.systems[s].system.is_none_or(|known| known == system));
                self.systems[s].system = Some(system);
                self.systems[s].attached = true;
            }
            Call::Open(f) => {
                let system = self.systems[s].system.unwrap();
                let length = self.systems[s].files[f].length;
                let file = File { file: (s * FILES + f + 1) as u64, generation: 5 };
                let make = |id, pages| {
                    let kept = self.keep(Kept::Object { id, pages, present: BTreeMap::new() });
                    self.point();
                    Some(kept)
                };
                let id = cache.object(system, file, length, make).unwrap();
                // The length is told again: a predecessor may have died over telling it.
                cache.resize(system, id, length, self).unwrap();
                let (kept, known) = cache.open(system, id).unwrap();
                assert_eq!(known, length);
                self.point();
                let disk = &mut self.systems[s].files[f];
                (disk.object, disk.wanted, disk.closing, disk.resizing) = (Some((id, kept)), false, false, None);
            }
            Call::Close(f) => {
                let system = self.systems[s].system.unwrap();
                let Some((id, _)) = self.systems[s].files[f].object else { panic!("closes what isn't open") };
                let _ = cache.close(system, id, self);
                assert_eq!(cache.close(system, id, self), Err(Error::NotFound));
                self.point();
                let disk = &mut self.systems[s].files[f];
                (disk.object, disk.closing) = (None, false);
            }
            Call::Resize(f, length) => {
                let system = self.systems[s].system.unwrap();
                let (id, _) = self.systems[s].files[f].object.expect("open");
                cache.resize(system, id, length, self).unwrap();
                self.point();
                self.systems[s].files[f].resizing = None;
            }
            _ => panic!("seed {}: {call:?}", self.seed),
        }
        self.systems[s].control = Calling::No;
        self.point();
    }

    /// A reader goes on: reads a page that is there, or faults.
    fn reader(&mut self) {
        let n = self.random.below(READERS as u64) as usize;
        if self.readers[n].state != Reading::Running {
            return;
        }
        if self.readers[n].left == 0 {
            self.new_target(n);
            return;
        }
        let Reader { system: s, file: f, page, .. } = self.readers[n];
        let disk = &mut self.systems[s].files[f];
        let Some((_, kept)) = disk.object else {
            disk.wanted = true;
            return;
        };
        let Some(Kept::Object { pages, present, .. }) = self.table.get(&kept) else {
            assert!(disk.closing, "seed {}: a memory is gone", self.seed);
            return;
        };
        match present.get(&page) {
            _ if page >= *pages => self.next_page(n),
            Some(&frame) => {
                self.verify(s, f, page, frame);
                self.pages_read += 1;
                self.next_page(n);
            }
            None => {
                self.readers[n].state = Reading::Faulted;
                self.queue.push_back(Client::Reader(n));
            }
        }
    }

    fn verify(&self, s: usize, f: usize, page: u32, frame: Frame) {
        let (disk, value) = (&self.systems[s].files[f], self.frames[frame]);
        let good = value == content(s, f, page, disk.length)
            || disk.resizing.is_some_and(|before| value == content(s, f, page, before));
        assert!(good, "seed {}: system {s} file {f} page {page} reads {value:x}, length {}", self.seed, disk.length);
        assert!(!disk.bad.contains(&page), "seed {}: a bad page was read", self.seed);
    }

    fn new_target(&mut self, n: usize) {
        if self.calm {
            return;
        }
        let random = &mut self.random;
        let (system, file) = (random.below(SYSTEMS_HERE as u64) as usize, random.below(FILES as u64) as usize);
        let length = pages(self.systems[system].files[file].length);
        let page = if random.one_in(2) { 0 } else { random.below(u64::from(length) + 1) as u32 };
        let stride = [1, 1, 1, -1, 7, 0][random.below(6) as usize];
        let left = 1 + random.below(80) as u32;
        self.readers[n] = Reader { system, file, page, stride, left, state: Reading::Running };
    }

    fn next_page(&mut self, n: usize) {
        let reader = &mut self.readers[n];
        reader.left -= 1;
        reader.page = match reader.stride {
            0 => self.random.below(200) as u32,
            stride => (i64::from(reader.page) + stride).clamp(0, 250) as u32,
        };
    }

    /// Whether all readers have read what they wanted, and nobody has work.
    pub(super) fn is_quiet(&self) -> bool {
        let readers = self.readers.iter().all(|reader| reader.state == Reading::Running && reader.left == 0);
        let idle = |thread: &Thread| !matches!(thread.calling, Calling::Queued(_));
        let systems = self.systems.iter().all(|system| {
            system.attached
                && system.control == Calling::No
                && system.jobs.is_empty()
                && system.threads.iter().all(idle)
        });
        readers && systems && self.queue.is_empty() && self.late.is_empty()
    }

    /// What still waits, for a message.
    pub(super) fn waiting(&self) -> usize {
        self.readers.iter().filter(|reader| reader.left > 0).count()
    }

    /// Closes all files.
    pub(super) fn close_all(&mut self, cache: &mut Cache<'_>) {
        for s in 0..SYSTEMS_HERE {
            let system = self.systems[s].system.unwrap();
            for f in 0..FILES {
                if let Some((id, _)) = self.systems[s].files[f].object.take() {
                    cache.close(system, id, self).unwrap();
                }
            }
        }
    }

    /// Staging pages that hold a frame.
    pub(super) fn staged(&self) -> usize {
        self.systems.iter().map(|system| self.stagings[system.staging].iter().flatten().count()).sum()
    }

    /// Memories that there are.
    pub(super) fn memories(&self) -> usize {
        self.table.len()
    }
}

fn random_length(random: &mut Random) -> u64 {
    let pages = [1, 3, 20, 90, 200][random.below(5) as usize];
    let bytes = random.below(pages * PAGE) + 1;
    if random.one_in(4) { bytes / PAGE * PAGE } else { bytes }
}

impl Disk {
    fn new(random: &mut Random) -> Disk {
        let length = random_length(random);
        let bad = (0..random.below(4)).map(|_| random.below(200) as u32).collect();
        Disk { length, resizing: None, bad, object: None, closing: false, wanted: false }
    }
}
