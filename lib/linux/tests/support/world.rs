//! The personality on that machine: threads that are only registers, calls made one at a time.

use super::machine::{Fake, Machine, Memory, SharedContents};
use super::program::{program, put_file};
use super::{AT_FDCWD, PAGE, nr};
use sal_abi::x86_64::GuestRegisters;
use sal_linux_core::job::TtyEvent;
use sal_linux_core::{Config, Linux, RemoteCall, RemoteResult, SpaceId, Step, Store, TaskId, UserMemory};
use sal_vfs::{HeapContents, MountKind};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

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
    /// How often it let others go first.
    pub yields: u32,
}

pub struct World {
    pub linux: Linux,
    pub fake: Fake,
    pub threads: BTreeMap<u64, Thread>,
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
        self.threads.get_mut(&task.to_raw()).unwrap()
    }

    fn step(&mut self, task: TaskId, go: impl FnOnce(&mut Linux, &mut GuestRegisters, &mut Memory, &mut Fake) -> Step) {
        let thread = self.threads.get_mut(&task.to_raw()).unwrap();
        let fake = self.fake.clone();
        let mut mem = Memory(&fake, thread.space);
        let mut platform = fake.clone();
        let step = go(&mut self.linux, &mut thread.regs, &mut mem, &mut platform);
        match step {
            Step::Return => thread.at = At::Guest,
            Step::Yield => {
                thread.at = At::Guest;
                thread.yields += 1;
            }
            Step::Block(wait) => thread.at = At::Blocked(wait.deadline),
            Step::Remote(call) => {
                thread.at = At::Remote;
                thread.remote = Some(call);
            }
            Step::Exit => thread.at = At::Gone,
        }
        for (task, space) in self.fake.m.borrow_mut().switched.drain(..) {
            if let Some(thread) = self.threads.get_mut(&task.to_raw()) {
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
                self.threads.insert(task.to_raw(), Thread { regs, space, at: At::Guest, remote: None, yields: 0 });
                self.step(task, |l, r, m, p| l.start(task, r, m, p));
            }
            for task in woken {
                if matches!(self.threads[&task.to_raw()].at, At::Blocked(_)) {
                    self.step(task, |l, r, m, p| l.resume(task, r, m, p));
                }
            }
            for task in kicked {
                if self.threads[&task.to_raw()].at == At::Guest {
                    self.step(task, |l, r, m, p| l.kicked(task, r, m, p));
                }
            }
            for task in interrupted {
                if self.threads[&task.to_raw()].at == At::Remote {
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
        let due: Vec<u64> = self
            .threads
            .iter()
            .filter(|(_, t)| matches!(t.at, At::Blocked(Some(d)) if d <= now))
            .map(|(i, _)| *i)
            .collect();
        for id in due {
            let task = TaskId::from_raw(id);
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
