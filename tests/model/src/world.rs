//! Small worlds: processes, capabilities and threads made by hand, and system calls one by one.

use crate::emu::{Emu, PAGE_WORDS, Registers, all, new_thread};
use sal_abi::op::{Op, flags};
use sal_abi::{CapArg, Error, Handle, Loan, MessagePage, Rights, Words, error};
use sal_kernel_core::create::NewThread;
use sal_kernel_core::emulated::{Machine, Sizes};
use sal_kernel_core::hw::Hardware;
use sal_kernel_core::location::Location;
use sal_kernel_core::object::{After, Args};
use sal_kernel_core::objects::Object;
use sal_kernel_core::step::Event;
use sal_kernel_core::table::{Cap, Kind};
use sal_kernel_core::thread::Wait;
use sal_kernel_core::threads::NONE;
use std::mem::offset_of;
use std::sync::atomic::Ordering;

/// A machine, and what the tests know of it.
pub struct World {
    /// The kernel and its CPUs.
    pub machine: Machine<Emu>,
}

/// What a finished call said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Status, or the error.
    pub status: Result<u64, Error>,
    /// Second result.
    pub badge: u64,
    /// Words.
    pub words: Words,
}

/// The sizes of small worlds.
pub const SMALL: Sizes = Sizes { threads: 6, endpoints: 3, notifications: 3, replies: 2, processes: 4, chunks: 5 };

impl World {
    /// An empty world.
    pub fn new(cpus: u32) -> World {
        World::sized(cpus, SMALL)
    }

    /// An empty world of other sizes.
    pub fn sized(cpus: u32, sizes: Sizes) -> World {
        World { machine: Machine::new(Emu::new(), sizes, cpus, ()) }
    }

    /// A copy.
    pub fn duplicate(&mut self) -> World {
        World { machine: self.machine.duplicate() }
    }

    /// A process; its index. `death`: raw id of a notification and bits.
    pub fn process(&mut self, death: [u64; 2]) -> u32 {
        let kernel = &self.machine.kernel;
        let mut registry = kernel.registry.lock();
        kernel.new_process(&mut registry, 0, death).expect("a process slot").index()
    }

    /// The object behind a handle.
    pub fn object(&self, process: u32, handle: Handle) -> u64 {
        self.cap(process, handle).expect("a valid handle").object
    }

    /// The capability behind a handle.
    pub fn cap(&self, process: u32, handle: Handle) -> Result<Cap, Error> {
        let kernel = &self.machine.kernel;
        kernel.processes.table(process).ok_or(Error::BadHandle)?.look(&kernel.slots, handle)
    }

    /// Gives a process a capability.
    pub fn endow(&mut self, process: u32, cap: Cap) -> Handle {
        let kernel = &self.machine.kernel;
        let mut registry = kernel.registry.lock();
        kernel.endow(&mut registry, process, cap).expect("room in the table")
    }

    /// A capability for process `target`, all rights.
    pub fn process_cap(&mut self, holder: u32, target: u32) -> Handle {
        let generation = self.machine.kernel.processes.slot(target).expect("a process").head().generation();
        self.endow(holder, all(Kind::Process, (generation as u64) << 32 | target as u64))
    }

    /// A capability for thread `target`, all rights.
    pub fn thread_cap(&mut self, holder: u32, target: u32) -> Handle {
        let generation = self.machine.kernel.threads.slot(target).expect("a thread").head().generation();
        self.endow(holder, all(Kind::Thread, (generation as u64) << 32 | target as u64))
    }

    /// A thread (number = its message page) that is ready on a CPU; its index.
    pub fn thread(&mut self, process: u32, priority: u8, cpu: Option<u32>) -> u32 {
        self.new_thread(new_thread(process, 0, priority, cpu))
    }

    /// The same, with a frame for its FPU state.
    pub fn thread_with_fpu(&mut self, process: u32, priority: u8, cpu: Option<u32>, fpu_page: u32) -> u32 {
        self.new_thread(NewThread { fpu_page, ..new_thread(process, 0, priority, cpu) })
    }

    /// Starts such a thread, on its CPU or the first, with a message page of its own.
    pub fn new_thread(&mut self, mut new: NewThread) -> u32 {
        let on = new.cpu.unwrap_or(0) as usize;
        let kernel = &self.machine.kernel;
        let id = {
            let mut registry = kernel.registry.lock();
            new.page = self.next_page();
            kernel.new_thread(&mut registry, &new, on as u32).expect("a thread slot")
        };
        let cpu = &mut self.machine.cpus[on];
        kernel.start_thread(cpu, id).expect("not started yet");
        if cpu.resched || cpu.current == NONE {
            kernel.schedule(cpu);
            let busy = cpu.current == NONE;
            kernel.posts[on].idle.store(busy, Ordering::Release);
        }
        id.index()
    }

    fn next_page(&self) -> u32 {
        let threads = &self.machine.kernel.threads;
        let free = |n: &u32| threads.slot(*n).is_some_and(|s| s.location().at() == Location::Free);
        // The lowest free slot's number is the page: at most one thread per slot lives.
        (0..threads.count()).find(free).unwrap_or(0)
    }

    /// FPU state frames that were saved, as bits.
    pub fn saved_fpu(&self) -> u32 {
        self.machine.kernel.hw.saved.load(Ordering::Relaxed)
    }

    /// Registers of a thread.
    pub fn registers(&mut self, thread: u32) -> Registers {
        self.machine.kernel.threads.body(thread).expect("a thread").frame.clone()
    }

    /// Where a thread is.
    pub fn at(&self, thread: u32) -> Location {
        self.machine.kernel.threads.slot(thread).expect("a thread").location().at()
    }

    /// What a thread waits for.
    pub fn wait(&mut self, thread: u32) -> Wait {
        self.machine.kernel.threads.body(thread).expect("a thread").wait
    }

    /// A thread's present priority.
    pub fn priority(&mut self, thread: u32) -> u8 {
        self.machine.kernel.threads.body(thread).expect("a thread").priority
    }

    /// Who runs on a CPU.
    pub fn current(&self, cpu: usize) -> Option<u32> {
        let current = self.machine.cpus[cpu].current;
        (current != NONE).then_some(current)
    }

    /// What a thread's last call returned.
    pub fn outcome(&mut self, thread: u32) -> Outcome {
        let r = self.registers(thread);
        Outcome { status: error::from_status(r.status), badge: r.badge, words: r.words }
    }

    /// A word of a thread's message page.
    pub fn page(&mut self, thread: u32, offset: usize) -> u64 {
        let page = self.machine.kernel.threads.body(thread).expect("a thread").page;
        self.machine.kernel.hw.read_word(page, offset / 8)
    }

    /// Sets a word of a thread's message page.
    pub fn set_page(&mut self, thread: u32, offset: usize, value: u64) {
        assert!(offset / 8 < PAGE_WORDS);
        let page = self.machine.kernel.threads.body(thread).expect("a thread").page;
        self.machine.kernel.hw.write_word(page, offset / 8, value);
    }

    /// Capabilities that the thread's next message carries.
    pub fn set_caps(&mut self, thread: u32, caps: &[CapArg]) {
        for (n, cap) in caps.iter().enumerate() {
            let base = offset_of!(MessagePage, send) + n * size_of::<CapArg>();
            self.set_page(thread, base, cap.handle.0);
            self.set_page(thread, base + 8, u64::from(cap.rights) | u64::from(cap.moved) << 32);
        }
    }

    /// Handles that a thread received.
    pub fn received(&mut self, thread: u32, n: usize) -> Handle {
        Handle(self.page(thread, offset_of!(MessagePage, received) + 8 * n))
    }

    /// A loan of the thread's next call.
    pub fn set_loan(&mut self, thread: u32, n: usize, loan: Loan) {
        let base = offset_of!(MessagePage, loans) + n * size_of::<Loan>();
        self.set_page(thread, base, loan.address);
        self.set_page(thread, base + 8, loan.length);
        self.set_page(thread, base + 16, u64::from(loan.rights));
    }

    /// The deadline of the thread's next call.
    pub fn set_deadline(&mut self, thread: u32, at: u64) {
        self.set_page(thread, offset_of!(MessagePage, deadline), at);
    }

    /// Lets the thread that runs on `cpu` make a system call.
    pub fn issue(&mut self, cpu: usize, operation: u64, argument: u64, words: Words) {
        let me = self.machine.cpus[cpu].current;
        let c = &mut self.machine.cpus[cpu];
        let t = self.machine.kernel.threads.own(&mut c.hold, me).expect("somebody runs");
        t.frame.operation = operation;
        t.frame.argument = argument;
        t.frame.words = words;
        t.frame.repeat = false;
        self.step(cpu, Event::Call);
    }

    /// An event.
    pub fn step(&mut self, cpu: usize, event: Event) {
        if event == Event::Post {
            self.machine.kernel.hw.interrupted.fetch_and(!(1 << cpu), Ordering::AcqRel);
        }
        self.machine.kernel.step(&mut self.machine.cpus[cpu], event);
    }

    /// A call by thread `thread`, which must be the running one of its CPU; what it returned, or `None` if it waits.
    pub fn call(&mut self, thread: u32, op: Op, argument: u64, words: &[u64]) -> Option<Outcome> {
        self.call_flags(thread, op as u64, argument, words)
    }

    /// The same with flags.
    pub fn call_flags(&mut self, thread: u32, operation: u64, argument: u64, words: &[u64]) -> Option<Outcome> {
        let cpu = (0..self.machine.cpus.len())
            .find(|n| self.machine.cpus[*n].current == thread)
            .unwrap_or_else(|| panic!("thread {thread} does not run: it is at {:?}", self.at(thread)));
        let mut all = [0; 8];
        all[..words.len()].copy_from_slice(words);
        self.issue(cpu, operation, argument, all);
        self.verify();
        let runs = matches!(self.at(thread), Location::Cpu(_) | Location::Mail(_));
        (runs && !self.registers(thread).repeat).then(|| self.outcome(thread))
    }

    /// Lets every CPU read its post until none has any.
    pub fn settle(&mut self) {
        for _ in 0..1000 {
            let mask = self.machine.kernel.hw.interrupted.load(Ordering::Acquire);
            if mask == 0 {
                return;
            }
            self.step(mask.trailing_zeros() as usize, Event::Post);
            self.verify();
        }
        panic!("the CPUs interrupt each other for ever");
    }

    /// Advances time to `at` and interrupts a CPU's timer.
    pub fn timer(&mut self, cpu: usize, at: u64) {
        self.machine.kernel.hw.now.store(at, Ordering::Relaxed);
        self.step(cpu, Event::Timer);
        self.verify();
    }

    /// Panics if a rule of the kernel doesn't hold.
    pub fn verify(&mut self) {
        let Machine { kernel, cpus } = &mut self.machine;
        if let Err(broken) = kernel.check(cpus) {
            panic!("{}: {}", broken.rule, broken.index);
        }
    }

    /// The kernel's state in one number, without generations, wait numbers and time.
    pub fn fingerprint(&mut self) -> u128 {
        let Machine { kernel, cpus } = &mut self.machine;
        let mut print = Print::default();
        kernel.fingerprint(cpus, &mut |w| print.add(w));
        print.add(kernel.hw.interrupted.load(Ordering::Acquire).into());
        print.add(kernel.hw.open.load(Ordering::Acquire).into());
        print.0
    }
}

/// A hash of words.
#[derive(Clone, Copy, Debug)]
pub struct Print(pub u128);

impl Default for Print {
    fn default() -> Self {
        Print(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }
}

impl Print {
    /// One more word.
    pub fn add(&mut self, word: u64) {
        self.0 = (self.0 ^ u128::from(word)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        self.0 ^= self.0 >> 67;
    }
}

/// A `Call` or receive with a deadline.
pub fn with_deadline(op: Op) -> u64 {
    op as u64 | flags::DEADLINE
}

/// An operation that sends so many capabilities and accepts so many.
pub fn with_caps(op: Op, sent: u64, accepted: u64) -> u64 {
    op as u64 | sent << flags::CAPS_SHIFT | accepted << flags::ACCEPT_SHIFT
}

/// The rights of a budget's holder.
pub const SPEND: Rights = Rights::SPEND;

impl World {
    /// An endpoint; its first handle in a process's table.
    pub fn make_endpoint(&mut self, process: u32) -> Handle {
        let budget = self.endow(process, all(Kind::Budget, 0));
        let made = self.machine.kernel.endpoint_create(&args(process, budget, [0; 8]));
        made_handle(made.expect("an endpoint slot"))
    }

    /// A notification bound to an endpoint.
    pub fn make_notification(&mut self, process: u32, endpoint: Handle, badge: u64) -> Handle {
        let budget = self.endow(process, all(Kind::Budget, 0));
        let words = [endpoint.0, badge, 0, 0, 0, 0, 0, 0];
        let made = self.machine.kernel.notification_create(&args(process, budget, words));
        made_handle(made.expect("a notification slot"))
    }

    /// A Reply object.
    pub fn make_reply(&mut self, process: u32) -> Handle {
        let budget = self.endow(process, all(Kind::Budget, 0));
        let made = self.machine.kernel.reply_create(&args(process, budget, [0; 8]));
        made_handle(made.expect("a Reply slot"))
    }
}

fn made_handle(made: After) -> Handle {
    match made {
        After::Return(answer) => Handle(answer.second),
        After::Done => panic!("who makes an object goes on"),
    }
}

fn args(process: u32, first: Handle, words: Words) -> Args {
    Args { process, first: first.0, words }
}
