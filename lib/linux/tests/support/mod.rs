//! An emulated machine: spaces of pages, threads that are only registers, calls made one at a time.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use sal_abi::x86_64::GuestRegisters;
use sal_linux_core::job::TtyEvent;
use sal_linux_core::mm::Area;
use sal_linux_core::{
    Backing, Config, Errno, Linux, MemoryFigures, ObjectId, Platform, PowerState, Protection, RemoteCall, RemoteResult,
    SpaceId, Step, Store, TaskId, UserMemory,
};
use sal_vfs::{Capacity, ContentId, Contents, Dest, Extent, HeapContents, MountKind, SliceDest, SliceSource, Source};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

pub const PAGE: u64 = 4096;
pub const AT_FDCWD: u64 = -100i64 as u64;

/// File bytes that both the file system and the emulated page tables reach.
#[derive(Clone)]
pub struct SharedContents(Arc<Mutex<HeapContents>>);

type F<T> = Result<T, sal_vfs::Errno>;

impl Contents for SharedContents {
    fn create(&mut self) -> F<ContentId> {
        self.0.lock().unwrap().create()
    }
    fn destroy(&mut self, id: ContentId) {
        self.0.lock().unwrap().destroy(id);
    }
    fn resize(&mut self, id: ContentId, old: u64, size: u64) -> F<()> {
        self.0.lock().unwrap().resize(id, old, size)
    }
    fn read(&mut self, id: ContentId, offset: u64, len: usize, to: &mut dyn Dest) -> F<usize> {
        self.0.lock().unwrap().read(id, offset, len, to)
    }
    fn write(&mut self, id: ContentId, offset: u64, len: usize, from: &mut dyn Source) -> F<usize> {
        self.0.lock().unwrap().write(id, offset, len, from)
    }
    fn punch(&mut self, id: ContentId, offset: u64, len: u64) -> F<()> {
        self.0.lock().unwrap().punch(id, offset, len)
    }
    fn reserve(&mut self, id: ContentId, offset: u64, len: u64) -> F<()> {
        self.0.lock().unwrap().reserve(id, offset, len)
    }
    fn allocated(&self, id: ContentId) -> u64 {
        self.0.lock().unwrap().allocated(id)
    }
    fn seek(&self, id: ContentId, offset: u64, what: Extent) -> Option<u64> {
        self.0.lock().unwrap().seek(id, offset, what)
    }
    fn capacity(&self) -> Capacity {
        self.0.lock().unwrap().capacity()
    }
}

#[derive(Clone, Default)]
pub struct Space {
    /// Mappings by page.
    pub map: BTreeMap<u64, (Protection, Backing)>,
    /// The space's own pages.
    pub own: BTreeMap<u64, Vec<u8>>,
}

#[derive(Default)]
pub struct Machine {
    pub now: u64,
    pub spaces: BTreeMap<u32, Space>,
    pub shared: BTreeMap<u64, BTreeMap<u64, Vec<u8>>>,
    pub next: u32,
    pub spawned: Vec<(TaskId, SpaceId, GuestRegisters)>,
    pub switched: Vec<(TaskId, SpaceId)>,
    pub woken: Vec<TaskId>,
    pub kicked: Vec<TaskId>,
    pub interrupted: Vec<TaskId>,
    pub alarm: Option<u64>,
    pub power: Option<PowerState>,
    pub fpu: Vec<u8>,
    pub seed: u64,
    pub refuse_spawn: bool,
}

/// The machine as platform and as memory.
#[derive(Clone)]
pub struct Fake {
    pub m: Rc<RefCell<Machine>>,
    pub files: SharedContents,
}

fn shift(backing: Backing, by: u64) -> Backing {
    match backing {
        Backing::Anonymous => Backing::Anonymous,
        Backing::Private { object, offset } => Backing::Private { object, offset: offset + by },
        Backing::Shared { object, offset } => Backing::Shared { object, offset: offset + by },
    }
}

impl Fake {
    fn page(&self, space: SpaceId, page: u64) -> Vec<u8> {
        let m = self.m.borrow();
        let space = &m.spaces[&space.0];
        if let Some((_, Backing::Shared { object: ObjectId::Shared(id), offset })) = space.map.get(&page) {
            return m.shared[id].get(offset).cloned().unwrap_or(vec![0; PAGE as usize]);
        }
        if let Some((_, Backing::Shared { object: ObjectId::File(id), offset })) = space.map.get(&page) {
            return self.file_page(*id, *offset);
        }
        if let Some(own) = space.own.get(&page) {
            return own.clone();
        }
        match space.map.get(&page) {
            Some((_, Backing::Private { object: ObjectId::File(id), offset })) => self.file_page(*id, *offset),
            _ => vec![0; PAGE as usize],
        }
    }

    fn file_page(&self, id: ContentId, offset: u64) -> Vec<u8> {
        let mut bytes = vec![0; PAGE as usize];
        let mut to = SliceDest::new(&mut bytes);
        self.files.clone().read(id, offset, PAGE as usize, &mut to).unwrap();
        bytes
    }

    fn put_page(&self, space: SpaceId, page: u64, bytes: Vec<u8>) {
        let backing = self.m.borrow().spaces[&space.0].map.get(&page).map(|p| p.1);
        match backing {
            Some(Backing::Shared { object: ObjectId::Shared(id), offset }) => {
                self.m.borrow_mut().shared.get_mut(&id).unwrap().insert(offset, bytes);
            }
            Some(Backing::Shared { object: ObjectId::File(id), offset }) => {
                self.files.clone().write(id, offset, PAGE as usize, &mut SliceSource(&bytes)).unwrap();
            }
            _ => {
                self.m.borrow_mut().spaces.get_mut(&space.0).unwrap().own.insert(page, bytes);
            }
        }
    }

    /// One access that stays in the page.
    fn access(&self, space: SpaceId, address: u64, wants: Protection) -> Result<Vec<u8>, Errno> {
        let page = address / PAGE * PAGE;
        let allowed = self.m.borrow().spaces[&space.0].map.get(&page).is_some_and(|p| p.0.contains(wants));
        if allowed { Ok(self.page(space, page)) } else { Err(Errno::EFAULT) }
    }
}

pub struct Memory<'a>(pub &'a Fake, pub SpaceId);

fn pieces(address: u64, length: usize) -> Vec<(u64, usize, usize)> {
    let mut out = vec![];
    let mut done = 0;
    while done < length {
        let at = address.wrapping_add(done as u64);
        let here = ((PAGE - at % PAGE) as usize).min(length - done);
        out.push((at, done, here));
        done += here;
    }
    out
}

impl UserMemory for Memory<'_> {
    fn read(&mut self, address: u64, buffer: &mut [u8]) -> Result<(), Errno> {
        for (at, from, n) in pieces(address, buffer.len()) {
            let page = self.0.access(self.1, at, Protection::READ)?;
            let o = (at % PAGE) as usize;
            buffer[from..from + n].copy_from_slice(&page[o..o + n]);
        }
        Ok(())
    }
    fn write(&mut self, address: u64, data: &[u8]) -> Result<(), Errno> {
        for (at, from, n) in pieces(address, data.len()) {
            let mut page = self.0.access(self.1, at, Protection::WRITE)?;
            let o = (at % PAGE) as usize;
            page[o..o + n].copy_from_slice(&data[from..from + n]);
            self.0.put_page(self.1, at / PAGE * PAGE, page);
        }
        Ok(())
    }
    fn load_u32(&mut self, address: u64) -> Result<u32, Errno> {
        let mut b = [0; 4];
        self.read(address, &mut b)?;
        Ok(u32::from_le_bytes(b))
    }
    fn compare_exchange_u32(&mut self, address: u64, expected: u32, new: u32) -> Result<u32, Errno> {
        let old = self.load_u32(address)?;
        if old == expected {
            self.write(address, &new.to_le_bytes())?;
        }
        Ok(old)
    }
}

impl Platform for Fake {
    fn now(&mut self) -> u64 {
        self.m.borrow().now
    }
    fn realtime_offset(&mut self) -> u64 {
        1_700_000_000_000_000_000
    }
    fn set_realtime_offset(&mut self, _: u64) -> Result<(), Errno> {
        Ok(())
    }
    fn random(&mut self, buffer: &mut [u8]) {
        let mut m = self.m.borrow_mut();
        for b in buffer {
            m.seed = m.seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            *b = (m.seed >> 33) as u8;
        }
    }
    fn log(&mut self, _: &str) {}
    fn space_create(&mut self) -> Result<SpaceId, Errno> {
        let mut m = self.m.borrow_mut();
        m.next += 1;
        let id = m.next;
        m.spaces.insert(id, Space::default());
        Ok(SpaceId(id))
    }
    fn space_fork(&mut self, from: SpaceId, areas: &mut dyn Iterator<Item = &Area>) -> Result<SpaceId, Errno> {
        let to = self.space_create()?;
        let own = self.m.borrow().spaces[&from.0].own.clone();
        self.m.borrow_mut().spaces.get_mut(&to.0).unwrap().own = own;
        for area in areas {
            self.map(to, area)?;
        }
        Ok(to)
    }
    fn space_destroy(&mut self, space: SpaceId) {
        assert!(self.m.borrow_mut().spaces.remove(&space.0).is_some(), "a space is destroyed once");
    }
    fn map(&mut self, space: SpaceId, area: &Area) -> Result<(), Errno> {
        if area.len() > 64 << 20 {
            return Err(Errno::ENOMEM);
        }
        let mut m = self.m.borrow_mut();
        let space = m.spaces.get_mut(&space.0).unwrap();
        for page in (area.start..area.end).step_by(PAGE as usize) {
            let old = space.map.insert(page, (area.protection, shift(area.backing, page - area.start)));
            assert!(old.is_none(), "something is mapped at {page:x}");
        }
        Ok(())
    }
    fn unmap(&mut self, space: SpaceId, start: u64, length: u64) {
        let mut m = self.m.borrow_mut();
        let space = m.spaces.get_mut(&space.0).unwrap();
        for page in (start..start + length).step_by(PAGE as usize) {
            assert!(space.map.remove(&page).is_some(), "nothing is mapped at {page:x}");
            space.own.remove(&page);
        }
    }
    fn protect(&mut self, space: SpaceId, start: u64, length: u64, protection: Protection) {
        let mut m = self.m.borrow_mut();
        let space = m.spaces.get_mut(&space.0).unwrap();
        for page in (start..start + length).step_by(PAGE as usize) {
            space.map.get_mut(&page).expect("mapped").0 = protection;
        }
    }
    fn discard(&mut self, space: SpaceId, start: u64, length: u64) {
        let mut m = self.m.borrow_mut();
        m.spaces.get_mut(&space.0).unwrap().own.retain(|p, _| !(start..start + length).contains(p));
    }
    fn move_pages(&mut self, space: SpaceId, from: u64, to: u64, length: u64) -> Result<(), Errno> {
        let mut m = self.m.borrow_mut();
        let space = m.spaces.get_mut(&space.0).unwrap();
        for page in (0..length).step_by(PAGE as usize) {
            if let Some(bytes) = space.own.remove(&(from + page)) {
                space.own.insert(to + page, bytes);
            }
        }
        Ok(())
    }
    fn space_write(&mut self, space: SpaceId, address: u64, data: &[u8]) -> Result<(), Errno> {
        let mut m = self.m.borrow_mut();
        let space = m.spaces.get_mut(&space.0).unwrap();
        for (at, from, n) in pieces(address, data.len()) {
            let page = space.own.entry(at / PAGE * PAGE).or_insert(vec![0; PAGE as usize]);
            let o = (at % PAGE) as usize;
            page[o..o + n].copy_from_slice(&data[from..from + n]);
        }
        Ok(())
    }
    fn space_read(&mut self, space: SpaceId, address: u64, buffer: &mut [u8]) -> Result<(), Errno> {
        for (at, from, n) in pieces(address, buffer.len()) {
            let page = self.page(space, at / PAGE * PAGE);
            let o = (at % PAGE) as usize;
            buffer[from..from + n].copy_from_slice(&page[o..o + n]);
        }
        Ok(())
    }
    fn space_resident(&mut self, space: SpaceId) -> u64 {
        self.m.borrow().spaces.get(&space.0).map_or(0, |s| s.own.len() as u64 * PAGE)
    }
    fn shared_create(&mut self, _: u64) -> Result<ObjectId, Errno> {
        let mut m = self.m.borrow_mut();
        m.next += 1;
        let id = m.next as u64;
        m.shared.insert(id, BTreeMap::new());
        Ok(ObjectId::Shared(id))
    }
    fn shared_destroy(&mut self, object: ObjectId) {
        let ObjectId::Shared(id) = object else { panic!("a file") };
        assert!(self.m.borrow_mut().shared.remove(&id).is_some());
    }
    fn spawn(&mut self, task: TaskId, space: SpaceId, r: &GuestRegisters, _: Option<TaskId>) -> Result<(), Errno> {
        let mut m = self.m.borrow_mut();
        if m.refuse_spawn {
            return Err(Errno::EAGAIN);
        }
        m.spawned.push((task, space, *r));
        Ok(())
    }
    fn switch_space(&mut self, task: TaskId, space: SpaceId) {
        self.m.borrow_mut().switched.push((task, space));
    }
    fn wake(&mut self, task: TaskId) {
        self.m.borrow_mut().woken.push(task);
    }
    fn kick(&mut self, task: TaskId) {
        self.m.borrow_mut().kicked.push(task);
    }
    fn interrupt(&mut self, task: TaskId) {
        self.m.borrow_mut().interrupted.push(task);
    }
    fn set_alarm(&mut self, at: Option<u64>) {
        self.m.borrow_mut().alarm = at;
    }
    fn fpu_size(&mut self) -> usize {
        832
    }
    fn fpu_features(&mut self) -> u64 {
        7
    }
    fn fpu_save(&mut self, buffer: &mut [u8]) {
        let m = self.m.borrow();
        for (to, from) in buffer.iter_mut().zip(&m.fpu) {
            *to = *from;
        }
    }
    fn fpu_restore(&mut self, buffer: &[u8]) -> Result<(), Errno> {
        self.m.borrow_mut().fpu = buffer.to_vec();
        Ok(())
    }
    fn cpus(&mut self) -> u32 {
        2
    }
    fn cpu(&mut self) -> u32 {
        1
    }
    fn hwcap(&mut self) -> u64 {
        0x1f8b_fbff
    }
    fn cpu_name(&mut self) -> &str {
        "emulated"
    }
    fn memory(&mut self) -> MemoryFigures {
        MemoryFigures { total: 1 << 30, free: 1 << 29, files: 1 << 20 }
    }
    fn cpu_time(&mut self, _: TaskId) -> u64 {
        30_000_000
    }
    fn set_nice(&mut self, _: TaskId, _: i8) {}
    fn power(&mut self, state: PowerState) {
        self.m.borrow_mut().power = Some(state);
    }
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum At {
    Guest,
    Blocked(Option<u64>),
    Remote,
    Gone,
}

pub struct Thread {
    pub regs: GuestRegisters,
    pub space: SpaceId,
    pub at: At,
    pub remote: Option<RemoteCall>,
}

pub struct World {
    pub linux: Linux,
    pub fake: Fake,
    pub threads: BTreeMap<u32, Thread>,
    pub init: TaskId,
    pub newest: TaskId,
}

impl World {
    pub fn new() -> World {
        World::with(&[(b"/bin/prog", program())], Config { protect_init: false, randomize: false, ..Config::default() })
    }

    pub fn with(files: &[(&[u8], Vec<u8>)], config: Config) -> World {
        let contents = SharedContents(Arc::new(Mutex::new(HeapContents::new(100_000))));
        let machine = Machine { fpu: vec![0x5a; 832], seed: 7, ..Machine::default() };
        let mut fake = Fake { m: Rc::new(RefCell::new(machine)), files: contents.clone() };
        let mut linux = Linux::new(config, Store(Box::new(contents)), &mut fake).unwrap();
        linux
            .with_files(&mut fake, |vfs, ctx| {
                for dir in [b"/dev" as &[u8], b"/proc", b"/bin", b"/tmp"] {
                    vfs.mkdir(ctx, -100, dir, 0o755).unwrap();
                }
                vfs.mount(ctx, b"dev", b"/dev", MountKind::Dev).unwrap();
                vfs.mount(ctx, b"proc", b"/proc", MountKind::Proc).unwrap();
                for (path, bytes) in files {
                    put_file(vfs, ctx, path, bytes);
                }
            })
            .unwrap();
        let init = linux
            .start_init(b"/bin/prog", vec![b"prog".to_vec(), b"arg".to_vec()], vec![b"A=1".to_vec()], &mut fake)
            .unwrap();
        let mut world = World { linux, fake, threads: BTreeMap::new(), init, newest: init };
        world.run();
        world
    }

    pub fn thread(&mut self, task: TaskId) -> &mut Thread {
        self.threads.get_mut(&task.index()).unwrap()
    }

    fn step(&mut self, task: TaskId, go: impl FnOnce(&mut Linux, &mut GuestRegisters, &mut Memory, &mut Fake) -> Step) {
        let thread = self.threads.get_mut(&task.index()).unwrap();
        let fake = self.fake.clone();
        let mut mem = Memory(&fake, thread.space);
        let mut platform = fake.clone();
        let step = go(&mut self.linux, &mut thread.regs, &mut mem, &mut platform);
        match step {
            Step::Return => thread.at = At::Guest,
            Step::Block(wait) => thread.at = At::Blocked(wait.deadline),
            Step::Remote(call) => {
                thread.at = At::Remote;
                thread.remote = Some(call);
            }
            Step::Exit => thread.at = At::Gone,
        }
        for (task, space) in self.fake.m.borrow_mut().switched.drain(..) {
            if let Some(thread) = self.threads.get_mut(&task.index()) {
                thread.space = space;
            }
        }
    }

    /// Does what the platform was told until nothing is left.
    pub fn run(&mut self) {
        self.fake.m.borrow_mut().switched.clear();
        loop {
            let spawned: Vec<_> = self.fake.m.borrow_mut().spawned.drain(..).collect();
            let woken: Vec<_> = self.fake.m.borrow_mut().woken.drain(..).collect();
            let kicked: Vec<_> = self.fake.m.borrow_mut().kicked.drain(..).collect();
            let interrupted: Vec<_> = self.fake.m.borrow_mut().interrupted.drain(..).collect();
            if spawned.is_empty() && woken.is_empty() && kicked.is_empty() && interrupted.is_empty() {
                return;
            }
            for (task, space, regs) in spawned {
                self.newest = task;
                self.threads.insert(task.index(), Thread { regs, space, at: At::Guest, remote: None });
                self.step(task, |l, r, m, p| l.start(task, r, m, p));
            }
            for task in woken {
                if matches!(self.threads[&task.index()].at, At::Blocked(_)) {
                    self.step(task, |l, r, m, p| l.resume(task, r, m, p));
                }
            }
            for task in kicked {
                if self.threads[&task.index()].at == At::Guest {
                    self.step(task, |l, r, m, p| l.kicked(task, r, m, p));
                }
            }
            for task in interrupted {
                if self.threads[&task.index()].at == At::Remote {
                    self.step(task, |l, r, m, p| l.complete(task, RemoteResult::Interrupted, r, m, p));
                }
            }
        }
    }

    /// Makes a call; `None`: it did not come back yet (see `result`).
    pub fn try_call(&mut self, task: TaskId, number: u64, args: &[u64]) -> Option<i64> {
        let mut a = [0; 6];
        a[..args.len()].copy_from_slice(args);
        let thread = self.thread(task);
        assert_eq!(thread.at, At::Guest, "the thread is not in the guest");
        let r = &mut thread.regs;
        (r.rax, r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9) = (number, a[0], a[1], a[2], a[3], a[4], a[5]);
        r.rip += 2;
        self.step(task, |l, r, m, p| l.syscall(task, r, m, p));
        self.run();
        (self.thread(task).at == At::Guest).then(|| self.result(task))
    }

    /// Makes a call that comes back.
    pub fn call(&mut self, task: TaskId, number: u64, args: &[u64]) -> i64 {
        self.try_call(task, number, args).unwrap_or_else(|| panic!("call {number} did not come back"))
    }

    pub fn result(&mut self, task: TaskId) -> i64 {
        self.thread(task).regs.rax as i64
    }

    pub fn at(&mut self, task: TaskId) -> At {
        self.thread(task).at
    }

    pub fn write(&mut self, task: TaskId, address: u64, bytes: &[u8]) {
        let space = self.thread(task).space;
        Memory(&self.fake, space).write(address, bytes).unwrap();
    }

    pub fn read(&mut self, task: TaskId, address: u64, length: usize) -> Vec<u8> {
        let space = self.thread(task).space;
        let mut bytes = vec![0; length];
        Memory(&self.fake, space).read(address, &mut bytes).unwrap();
        bytes
    }

    pub fn words(&mut self, task: TaskId, address: u64, words: &[u64]) {
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        self.write(task, address, &bytes);
    }

    pub fn word(&mut self, task: TaskId, address: u64) -> u64 {
        u64::from_le_bytes(self.read(task, address, 8).try_into().unwrap())
    }

    pub fn u32(&mut self, task: TaskId, address: u64) -> u32 {
        u32::from_le_bytes(self.read(task, address, 4).try_into().unwrap())
    }

    /// Memory for a test's own use, far below the stack pointer; `n`: which 4 KiB of it.
    pub fn scratch(&mut self, n: u64) -> u64 {
        0x7fff_ff00_0000 + 0x80_0000 + n * PAGE
    }

    pub fn string(&mut self, task: TaskId, address: u64, text: &str) -> u64 {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        self.write(task, address, &bytes);
        address
    }

    /// The newest thread.
    pub fn newest(&self) -> TaskId {
        self.newest
    }

    /// fork; returns the child's task and pid.
    pub fn fork(&mut self, task: TaskId) -> (TaskId, u64) {
        let pid = self.call(task, nr::FORK, &[]);
        assert!(pid > 0, "fork: {pid}");
        (self.newest, pid as u64)
    }

    pub fn advance(&mut self, ns: u64) {
        self.fake.m.borrow_mut().now += ns;
        let now = self.fake.m.borrow().now;
        if self.fake.m.borrow().alarm.is_some_and(|a| a <= now) {
            let mut platform = self.fake.clone();
            self.linux.timers_due(&mut platform);
        }
        let due: Vec<u32> = self
            .threads
            .iter()
            .filter(|(_, t)| matches!(t.at, At::Blocked(Some(d)) if d <= now))
            .map(|(i, _)| *i)
            .collect();
        for id in due {
            let task = TaskId::new(id);
            self.step(task, |l, r, m, p| l.resume(task, r, m, p));
        }
        self.run();
    }

    pub fn tty(&mut self, event: TtyEvent) {
        let mut platform = self.fake.clone();
        self.linux.tty_event(0, event, &mut platform);
        self.run();
    }

    pub fn complete(&mut self, task: TaskId, result: RemoteResult) {
        assert_eq!(self.at(task), At::Remote);
        self.step(task, |l, r, m, p| l.complete(task, result, r, m, p));
        self.run();
    }

    pub fn fault(&mut self, task: TaskId, address: u64, error: u64) {
        self.step(task, |l, r, m, p| l.page_fault(task, address, error, r, m, p));
        self.run();
    }

    /// rt_sigaction
    pub fn on_signal(&mut self, task: TaskId, signal: u64, handler: u64, flags: u64, mask: u64) {
        let at = self.scratch(30);
        self.words(task, at, &[handler, flags | 0x0400_0000, 0x40_1000, mask]);
        assert_eq!(self.call(task, nr::RT_SIGACTION, &[signal, at, 0, 8]), 0);
    }

    /// Reads a whole file through the calls.
    pub fn cat(&mut self, task: TaskId, path: &str) -> String {
        let at = self.scratch(31);
        self.string(task, at, path);
        let fd = self.call(task, nr::OPENAT, &[AT_FDCWD, at, 0, 0]);
        assert!(fd >= 0, "{path}: {fd}");
        let mut text = vec![];
        loop {
            let buffer = self.scratch(32);
            let n = self.call(task, nr::READ, &[fd as u64, buffer, 4096]);
            assert!(n >= 0, "{path}: {n}");
            if n == 0 {
                break;
            }
            text.extend(self.read(task, buffer, n as usize));
        }
        assert_eq!(self.call(task, nr::CLOSE, &[fd as u64]), 0);
        String::from_utf8_lossy(&text).into_owned()
    }
}

pub fn put_file(vfs: &mut sal_vfs::Vfs<Store>, ctx: &sal_vfs::Ctx, path: &[u8], bytes: &[u8]) {
    let Ok(sal_vfs::Outcome::Done(fd)) = vfs.open(ctx, -100, path, 0o102, 0o755) else { panic!("open") };
    let Ok(sal_vfs::Outcome::Done(n)) = vfs.write(ctx, fd, &mut SliceSource(bytes), &mut Default::default()) else {
        panic!("write")
    };
    assert_eq!(n, bytes.len());
    vfs.close(ctx, fd).unwrap();
}

/// An ELF: code at 0x400000 (0x1000 bytes), data at 0x601f00 (0x80 bytes of file, 0x3000 in memory).
pub fn program() -> Vec<u8> {
    let mut b = vec![0u8; 0x2000];
    b[..16].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    put(&mut b, 16, &2u16.to_le_bytes());
    put(&mut b, 18, &62u16.to_le_bytes());
    put(&mut b, 20, &1u32.to_le_bytes());
    put(&mut b, 24, &0x40_0100u64.to_le_bytes());
    put(&mut b, 32, &64u64.to_le_bytes());
    put(&mut b, 52, &64u16.to_le_bytes());
    put(&mut b, 54, &56u16.to_le_bytes());
    put(&mut b, 56, &2u16.to_le_bytes());
    segment(&mut b, 64, 5, [0, 0x40_0000, 0x1000, 0x1000]);
    segment(&mut b, 120, 6, [0x1f00, 0x60_1f00, 0x80, 0x3000]);
    b[0x1f00..0x1f80].fill(0xd1);
    b[0x1f80..0x2000].fill(0xee);
    b
}

fn segment(b: &mut [u8], at: usize, flags: u32, [offset, address, file, memory]: [u64; 4]) {
    put(b, at, &1u32.to_le_bytes());
    put(b, at + 4, &flags.to_le_bytes());
    for (i, v) in [offset, address, address, file, memory, 4096].iter().enumerate() {
        put(b, at + 8 + i * 8, &v.to_le_bytes());
    }
}

pub fn put(b: &mut [u8], at: usize, v: &[u8]) {
    b[at..at + v.len()].copy_from_slice(v);
}

/// A seeded stream of numbers (xorshift).
pub struct Seeded(pub u64);
impl Seeded {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// Call numbers.
pub mod nr {
    pub const READ: u64 = 0;
    pub const WRITE: u64 = 1;
    pub const CLOSE: u64 = 3;
    pub const POLL: u64 = 7;
    pub const MMAP: u64 = 9;
    pub const MPROTECT: u64 = 10;
    pub const MUNMAP: u64 = 11;
    pub const BRK: u64 = 12;
    pub const RT_SIGACTION: u64 = 13;
    pub const RT_SIGPROCMASK: u64 = 14;
    pub const RT_SIGRETURN: u64 = 15;
    pub const IOCTL: u64 = 16;
    pub const PIPE: u64 = 22;
    pub const SELECT: u64 = 23;
    pub const MREMAP: u64 = 25;
    pub const MADVISE: u64 = 28;
    pub const DUP2: u64 = 33;
    pub const NANOSLEEP: u64 = 35;
    pub const ALARM: u64 = 37;
    pub const GETPID: u64 = 39;
    pub const SOCKET: u64 = 41;
    pub const SENDTO: u64 = 44;
    pub const RECVFROM: u64 = 45;
    pub const SENDMSG: u64 = 46;
    pub const RECVMSG: u64 = 47;
    pub const SHUTDOWN: u64 = 48;
    pub const GETSOCKNAME: u64 = 51;
    pub const SOCKETPAIR: u64 = 53;
    pub const GETSOCKOPT: u64 = 55;
    pub const CLONE: u64 = 56;
    pub const FORK: u64 = 57;
    pub const VFORK: u64 = 58;
    pub const EXECVE: u64 = 59;
    pub const EXIT: u64 = 60;
    pub const WAIT4: u64 = 61;
    pub const KILL: u64 = 62;
    pub const UNAME: u64 = 63;
    pub const SETPGID: u64 = 109;
    pub const GETPPID: u64 = 110;
    pub const SETSID: u64 = 112;
    pub const RT_SIGTIMEDWAIT: u64 = 128;
    pub const RT_SIGSUSPEND: u64 = 130;
    pub const SIGALTSTACK: u64 = 131;
    pub const GETTID: u64 = 186;
    pub const FUTEX: u64 = 202;
    pub const SET_TID_ADDRESS: u64 = 218;
    pub const EXIT_GROUP: u64 = 231;
    pub const TGKILL: u64 = 234;
    pub const OPENAT: u64 = 257;
    pub const SET_ROBUST_LIST: u64 = 273;
    pub const CLONE3: u64 = 435;
}
