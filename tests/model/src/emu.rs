//! An emulated machine: time is a number, interrupts between CPUs are a set of bits, message pages are a few words.

use sal_abi::op::{Op, thread};
use sal_abi::{Error, Rights, Words};
use sal_kernel_core::cpu::Cpu;
use sal_kernel_core::create::NewThread;
use sal_kernel_core::hw::{Frame, Hardware};
use sal_kernel_core::kernel::Kernel;
use sal_kernel_core::object::{After, Args};
use sal_kernel_core::table::{Cap, Kind};
use sal_kernel_core::timer::Entry;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Message pages that there are.
pub const PAGES: usize = 16;
/// Words of a message page that the core uses.
pub const PAGE_WORDS: usize = 64;

/// Saved registers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// Operation and flags.
    pub operation: u64,
    /// First argument.
    pub argument: u64,
    /// Words, in and out.
    pub words: Words,
    /// Status.
    pub status: i64,
    /// Second result.
    pub badge: u64,
    /// The system call instruction runs again.
    pub repeat: bool,
}

impl Frame for Registers {
    fn operation(&self) -> u64 {
        self.operation
    }
    fn argument(&self) -> u64 {
        self.argument
    }
    fn words(&self) -> Words {
        self.words
    }
    fn set_words(&mut self, words: Words) {
        self.words = words;
    }
    fn set_status(&mut self, status: i64) {
        self.status = status;
    }
    fn set_badge(&mut self, badge: u64) {
        self.badge = badge;
    }
    fn start(&mut self, _entry: u64, _stack: u64, argument: u64, _page: u64) {
        self.argument = argument;
    }
    fn jump(&mut self, _to: u64) {}
    fn position(&self) -> [u64; 3] {
        [0; 3]
    }
    fn repeat_call(&mut self) {
        self.repeat = true;
    }
}

/// The machine.
#[derive(Debug)]
pub struct Emu {
    /// Nanoseconds since boot.
    pub now: AtomicU64,
    /// CPUs that have been interrupted.
    pub interrupted: AtomicU32,
    /// Interrupt lines that are open.
    pub open: AtomicU32,
    /// FPU state frames that were saved, as bits.
    pub saved: AtomicU32,
    pages: Vec<AtomicU64>,
}

impl Emu {
    /// At time 1, nothing pending.
    pub fn new() -> Emu {
        Emu {
            now: AtomicU64::new(1),
            interrupted: AtomicU32::new(0),
            open: AtomicU32::new(0),
            saved: AtomicU32::new(0),
            pages: (0..PAGES * PAGE_WORDS).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl Default for Emu {
    fn default() -> Self {
        Emu::new()
    }
}

impl Clone for Emu {
    fn clone(&self) -> Emu {
        let copy = |w: &AtomicU64| AtomicU64::new(w.load(Ordering::Relaxed));
        Emu {
            now: copy(&self.now),
            interrupted: AtomicU32::new(self.interrupted.load(Ordering::Relaxed)),
            open: AtomicU32::new(self.open.load(Ordering::Relaxed)),
            saved: AtomicU32::new(self.saved.load(Ordering::Relaxed)),
            pages: self.pages.iter().map(copy).collect(),
        }
    }
}

impl Hardware for Emu {
    type Frame = Registers;
    type Timers = Vec<Entry>;
    type Vm = ();

    fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }
    fn flush(&self, _what: sal_kernel_mem::Shootdown) {}
    fn save_fpu(&self, state: u32) {
        self.saved.fetch_or(1 << state, Ordering::AcqRel);
    }
    fn interrupt_cpu(&self, cpu: usize) {
        self.interrupted.fetch_or(1 << cpu, Ordering::AcqRel);
    }
    fn read_word(&self, frame: u32, index: usize) -> u64 {
        self.pages[frame as usize * PAGE_WORDS + index].load(Ordering::Relaxed)
    }
    fn write_word(&self, frame: u32, index: usize, value: u64) {
        self.pages[frame as usize * PAGE_WORDS + index].store(value, Ordering::Relaxed);
    }
    fn set_line(&self, line: u32, open: bool) {
        if open {
            self.open.fetch_or(1 << line, Ordering::AcqRel);
        } else {
            self.open.fetch_and(!(1 << line), Ordering::AcqRel);
        }
    }

    /// Processes and threads, without memory: a thread's page is given as the number of a message page.
    fn memory_call(&self, kernel: &Kernel<Self>, cpu: &mut Cpu<Self>, op: Op, args: &Args) -> Result<After, Error> {
        match op {
            Op::ProcessCreate => {
                kernel.need(args.process, args.handle(), Kind::Budget, Rights::SPEND)?;
                let death = kernel.death_argument(args)?;
                kernel.create(args, Kind::Process, |registry| Ok(kernel.new_process(registry, 0, death)?.word()))
            }
            Op::ThreadCreate => {
                let process = kernel.need(args.process, args.handle(), Kind::Process, Rights::MANAGE)?;
                let (page, priority) = (args.word(3) as u32, args.word(4) as u8);
                let own_priority = args.word(6) & thread::OWN_PRIORITY != 0;
                let new = NewThread { own_priority, ..new_thread(process.object as u32, page, priority, None) };
                let on = cpu.number();
                kernel.create(args, Kind::Thread, |registry| Ok(kernel.new_thread(registry, &new, on)?.word()))
            }
            _ => Err(Error::BadCall),
        }
    }
}

/// A capability with all rights.
pub fn all(kind: Kind, object: u64) -> Cap {
    Cap { kind, rights: Rights::ALL, object, badge: 0 }
}

/// A thread of a process, with a message page, a priority, and perhaps a CPU.
pub fn new_thread(process: u32, page: u32, priority: u8, cpu: Option<u32>) -> NewThread {
    NewThread {
        process,
        entry: 0,
        stack: 0,
        argument: 0,
        page_address: 0,
        page,
        root: 0,
        priority,
        cpu,
        fpu_page: 0,
        own_priority: false,
    }
}
