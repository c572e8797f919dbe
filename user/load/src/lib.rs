//! From a program of the boot image to a running process: space, image, stack, grants, start. The root task spawns services so.
//!
//! What must always hold here: nothing is allocated; text is mapped from the boot image and shared, what is written or relocated is copied;
//! the load address is random; if a step fails, nothing of the new process is left.
#![no_std]
#![allow(unsafe_code, reason = "it lays out other programs' spaces")]

use core::mem::offset_of;
use sal_abi::boot::{AREA_MESSAGE_PAGE, AREA_STACK, Grant, STARTUP_MAGIC, Startup, THREAD_AREA, first_stack_pointer};
use sal_abi::x86_64::{NATIVE_END, NATIVE_START};
use sal_abi::{Error, Handle, MessagePage, PAGE, Rights, VERSION};
use sal_bootimage::{Image, Kind, Program, Segment};
use sal_sys::memory::{Half, Mapping};
use sal_sys::process::{Purpose, ThreadStart};
use sal_sys::{capability, memory, process};

/// Programs are loaded at a random page of this part of the window (64 GiB); everything else of theirs follows.
const LOAD_PAGES: u64 = 1 << 24;

/// Room for heap and further stacks.
const FREE: u64 = 1 << 36;

/// Bytes of a grant's name.
pub const NAME: usize = 24;

/// A name, cut to what a field holds.
pub fn name(text: &[u8]) -> [u8; NAME] {
    let mut field = [0; NAME];
    field.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
    field
}

/// The text in a field.
pub fn text(field: &[u8; NAME]) -> &str {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    field.get(..end).and_then(|bytes| core::str::from_utf8(bytes).ok()).unwrap_or("")
}

/// What a named grant is.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// A capability: the loader's handle, rights and badge of the copy.
    Capability(Handle, Rights, u64),
    /// Part of the boot image, mapped read-only: offset and bytes. It has no capability of its own: the grant's handle is its length.
    Module(u64, u64),
    /// A memory, mapped to be written, and its capability.
    Memory(Handle),
    /// Two numbers: in the place of handle and address.
    Numbers(u64, u64),
}

/// A named grant.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Padded with zeros.
    pub name: [u8; NAME],
    /// What it is.
    pub what: What,
}

impl Row {
    /// Of a name, cut to what a field holds.
    pub fn new(text: &str, what: What) -> Row {
        Row { name: name(text.as_bytes()), what }
    }
}

/// What is to run.
pub struct Spec<'a> {
    /// The boot image.
    pub image: &'a Image<'static>,
    /// The memory in which it lies.
    pub image_memory: Handle,
    /// Name of the program in it.
    pub program: &'a str,
    /// Pays for space, process, writable part, stack.
    pub budget: Handle,
    /// Raised with `death_bits` at the process's death.
    pub notice: Handle,
    /// See `notice`.
    pub death_bits: u64,
    /// Of the first thread.
    pub priority: u8,
    /// It serves at no less, whoever calls it.
    pub own_priority: bool,
    /// All pages of the writable part, and 32 of the stack, are filled at the start.
    pub wired: bool,
    /// For the start-up page.
    pub incarnation: u32,
    /// Ticks per microsecond, counter at nanosecond 0, processors.
    pub clock: [u64; 3],
}

/// A process and what belongs to it; by default none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Running {
    /// Its space.
    pub space: Handle,
    /// It.
    pub process: Handle,
    /// Its first thread.
    pub thread: Handle,
    /// First address of its image.
    pub image: u64,
    /// Address of its first thread's message page.
    pub message_page: u64,
}

/// A generator of load addresses and seeds (splitmix64): spreads the entropy that it was given, adds none.
#[derive(Clone, Copy, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

/// Frames that [`spawn`] takes of its budget, beside the page tables of what the program maps later. `None`: there is no such program.
pub fn frames(image: &Image<'_>, program: &str) -> Option<u64> {
    // The whole stack (62), message page, start-up page, page tables, objects.
    const BESIDE: u64 = 96;
    let program = image.program(program).ok()?;
    let copied =
        |s: &Segment<'_>| s.rights.has(Rights::WRITE) || program.has_relocations(s.address, s.address + s.size);
    Some(BESIDE + program.segments().filter(copied).map(|s| s.size / PAGE).sum::<u64>())
}

/// Writes all of `from` to a memory that the caller has not mapped.
///
/// # Errors
/// The kernel's; `NoBudget` also for a write that came to nothing.
fn write(memory: Handle, mut offset: u64, mut from: &[u8]) -> Result<(), Error> {
    while !from.is_empty() {
        // SAFETY: only memories made here, or not mapped by the caller, are written.
        let done = unsafe { memory::memory_write(memory, offset, from) }?;
        from = from.get(done.max(1)..).unwrap_or(&[]);
        offset += done as u64;
        if done == 0 {
            return Err(Error::NoBudget);
        }
    }
    Ok(())
}

/// Makes every page of a memory that is mapped nowhere yet present, so that no later fault can find the budget spent.
///
/// # Errors
/// The kernel's.
pub fn fill(memory: Handle, bytes: u64) -> Result<(), Error> {
    (0..bytes / PAGE).try_for_each(|page| write(memory, page * PAGE, &[0]))
}

/// A start under way.
struct Start<'a> {
    spec: &'a Spec<'a>,
    running: Running,
    /// First free address behind what is laid out so far.
    next: u64,
    /// The start-up page.
    page: [u8; PAGE as usize],
    grants: usize,
}

/// Runs a program. Beside `rows` it gets `self` and `space`.
///
/// # Errors
/// The kernel's; `BadArgument` if there is no such program. Then nothing of it is left.
pub fn spawn<'a>(spec: &Spec<'_>, rows: impl Iterator<Item = &'a Row>, random: &mut Random) -> Result<Running, Error> {
    let mut start = Start { spec, running: Running::default(), next: 0, page: [0; PAGE as usize], grants: 0 };
    match start.run(rows, random) {
        Ok(()) => Ok(start.running),
        Err(error) => {
            start.running.clear();
            Err(error)
        }
    }
}

impl Running {
    /// A word of the run-time's (`MessagePage::user`) in the first thread's message page; 0 if it can't be read. Mostly asked of the dead.
    pub fn user_word(&self, word: usize) -> u64 {
        self.word_at(self.message_page + (offset_of!(MessagePage, user) + word * 8) as u64)
    }

    /// A word of its memory; 0 if it can't be read.
    pub fn word_at(&self, address: u64) -> u64 {
        let mut bytes = [0; 8];
        match memory::space_read(self.space, address, &mut bytes) {
            Ok(8) => u64::from_le_bytes(bytes),
            _ => 0,
        }
    }

    /// Kills whatever there is of it, and gives its space back.
    pub fn clear(&mut self) {
        if !self.process.is_none() {
            // It may be dead already.
            let _ = process::kill(self.process, 0);
        }
        for handle in [self.thread, self.process, self.space] {
            if !handle.is_none() {
                // A handle that can't be closed names nothing: what closing is for.
                let _ = capability::close(handle);
            }
        }
        *self = Running::default();
    }
}

/// The kernel takes a dead space apart in pieces, some at each entry: waits until the budget of [`spawn`] is whole again, or nothing has come
/// back for so many entries that nothing will.
///
/// # Errors
/// The kernel's.
pub fn settle(budget: Handle) -> Result<(), Error> {
    const IDLE_ENTRIES: u32 = 1024;
    let (mut left, mut idle) = (0, 0);
    while idle < IDLE_ENTRIES {
        let info = capability::budget_info(budget)?;
        if info.left >= info.given {
            break;
        }
        idle = if info.left > left { 0 } else { idle + 1 };
        left = info.left;
    }
    Ok(())
}

impl Start<'_> {
    fn run<'r>(&mut self, mut rows: impl Iterator<Item = &'r Row>, random: &mut Random) -> Result<(), Error> {
        let spec = self.spec;
        let module = spec.image.find(Kind::Program, spec.program).map_err(|_| Error::BadArgument)?;
        let program = Program::open(module.bytes).map_err(|_| Error::BadArgument)?;
        self.running.space = memory::space_create(spec.budget, Half::Native)?;
        self.running.process =
            process::process_create(spec.budget, self.running.space, spec.notice, spec.death_bits, Purpose::Program)?;
        let base = NATIVE_START + THREAD_AREA + random.draw() % LOAD_PAGES * PAGE;
        self.running.image = base;
        program.segments().try_for_each(|segment| self.segment(&program, &segment, module.offset, base))?;
        let startup = base + program.span + PAGE;
        let area = (startup + 2 * PAGE).next_multiple_of(THREAD_AREA);
        self.next = area + THREAD_AREA + PAGE;
        self.stack(area)?;
        let manage = Rights::READ.or(Rights::MANAGE);
        let Running { process, space, .. } = self.running;
        self.row(&Row { name: name(b"self"), what: What::Capability(process, manage, 0) })?;
        self.row(&Row { name: name(b"space"), what: What::Capability(space, manage, 0) })?;
        rows.try_for_each(|row| self.row(row))?;
        self.startup(startup, random)?;
        self.running.message_page = area + AREA_MESSAGE_PAGE;
        let thread = ThreadStart {
            entry: base + program.entry,
            stack: first_stack_pointer(area),
            argument: startup,
            message_page: self.running.message_page,
            priority: u64::from(spec.priority),
            cpu: None,
            flags: if spec.own_priority { sal_abi::op::thread::OWN_PRIORITY } else { 0 },
        };
        // SAFETY: it runs in a space of its own, which shares no writable byte with the caller's but what was granted.
        self.running.thread = unsafe { process::thread_create(self.running.process, &thread) }?;
        process::thread_start(self.running.thread)
    }

    /// Maps a new zero-fill memory, filled by `write`. The mapping alone keeps it.
    fn fresh(
        &mut self,
        address: u64,
        length: u64,
        rights: Rights,
        write: impl FnOnce(&mut Self, Handle) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let memory = memory::memory_create(self.spec.budget, length)?;
        let result = write(self, memory).and_then(|()| self.map(address, length, memory, 0, rights));
        let closed = capability::close(memory);
        result.and(closed)
    }

    fn map(&self, address: u64, length: u64, memory: Handle, offset: u64, rights: Rights) -> Result<(), Error> {
        memory::map(self.running.space, &Mapping { address, length, memory, offset, rights, upper: None })
    }

    /// Pages of a segment that nobody changes are mapped as they lie in the boot image; others are copied and relocated.
    fn segment(&mut self, program: &Program<'_>, s: &Segment<'_>, module: u64, base: u64) -> Result<(), Error> {
        let (address, end) = (base + s.address, s.address + s.size);
        let filled = (s.bytes.len() as u64).next_multiple_of(PAGE);
        if s.rights.has(Rights::WRITE) || program.has_relocations(s.address, end) {
            let wired = self.spec.wired;
            return self.fresh(address, s.size, s.rights, |_, memory| {
                if wired {
                    fill(memory, s.size)?;
                }
                copy(program, s, memory, base)
            });
        }
        if filled > 0 {
            self.map(address, filled, self.spec.image_memory, module + s.offset, s.rights)?;
        }
        match s.size - filled {
            0 => Ok(()),
            rest => self.fresh(address + filled, rest, s.rights, |_, _| Ok(())),
        }
    }

    fn stack(&mut self, area: u64) -> Result<(), Error> {
        let rights = Rights::READ.or(Rights::WRITE);
        let wired = self.spec.wired;
        self.fresh(area + AREA_MESSAGE_PAGE, PAGE, rights, |_, memory| fill(memory, PAGE))?;
        let length = THREAD_AREA - AREA_STACK;
        // The start's budget reserves 32 frames of a wired service's stack; its top is what is used.
        self.fresh(area + AREA_STACK, length, rights, |_, memory| match wired {
            true => (length / PAGE - 32..length / PAGE).try_for_each(|page| write(memory, page * PAGE, &[0])),
            false => Ok(()),
        })
    }

    fn row(&mut self, row: &Row) -> Result<(), Error> {
        match row.what {
            What::Capability(handle, rights, badge) => {
                let theirs = capability::grant(self.running.process, handle, rights, badge)?;
                self.put(&row.name, theirs, 0)
            }
            What::Memory(handle) => {
                let rights = Rights::READ.or(Rights::WRITE);
                let theirs = capability::grant(self.running.process, handle, rights, 0)?;
                let length = memory::memory_info(handle)?.length;
                let at = self.place(length, handle, 0, rights)?;
                self.put(&row.name, theirs, at)
            }
            What::Module(offset, length) => {
                let at = self.place(length, self.spec.image_memory, offset, Rights::READ)?;
                self.put(&row.name, Handle(length), at)
            }
            What::Numbers(a, b) => self.put(&row.name, Handle(a), b),
        }
    }

    /// Maps whole pages at the next free place; where that is.
    fn place(&mut self, length: u64, memory: Handle, offset: u64, rights: Rights) -> Result<u64, Error> {
        let (at, span) = (self.next, length.next_multiple_of(PAGE));
        self.map(at, span, memory, offset, rights)?;
        self.next = at + span + PAGE;
        Ok(at)
    }

    fn put(&mut self, what: &[u8; NAME], handle: Handle, address: u64) -> Result<(), Error> {
        if self.grants >= sal_abi::boot::GRANTS {
            return Err(Error::TableFull);
        }
        let at = offset_of!(Startup, grants) + self.grants * size_of::<Grant>();
        self.bytes(at + offset_of!(Grant, name), what);
        self.bytes(at + offset_of!(Grant, handle), &handle.0.to_le_bytes());
        self.bytes(at + offset_of!(Grant, address), &address.to_le_bytes());
        self.grants += 1;
        Ok(())
    }

    fn bytes(&mut self, at: usize, bytes: &[u8]) {
        let place = self.page.get_mut(at..).unwrap_or(&mut []);
        place.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    }

    fn startup(&mut self, address: u64, random: &mut Random) -> Result<(), Error> {
        let free = self.next.next_multiple_of(THREAD_AREA);
        let [ticks, zero, cpus] = self.spec.clock;
        let words = [
            (offset_of!(Startup, magic), STARTUP_MAGIC),
            (offset_of!(Startup, version), u64::from(VERSION) | (self.grants as u64) << 32),
            (offset_of!(Startup, incarnation), u64::from(self.spec.incarnation)),
            (offset_of!(Startup, image), self.running.image),
            (offset_of!(Startup, free_start), free),
            (offset_of!(Startup, free_end), (free + FREE).min(NATIVE_END)),
            (offset_of!(Startup, ticks_per_us), ticks),
            (offset_of!(Startup, tick_zero), zero),
            (offset_of!(Startup, cpus), cpus),
        ];
        words.iter().for_each(|(at, word)| self.bytes(*at, &word.to_le_bytes()));
        for i in 0..4 {
            let random = random.draw();
            self.bytes(offset_of!(Startup, entropy) + i * 8, &random.to_le_bytes());
        }
        self.fresh(address, PAGE, Rights::READ, |start, memory| write(memory, 0, &start.page))
    }
}

/// `version` and `count` are neighbours, so that one word holds both.
const _: () = assert!(offset_of!(Startup, count) == offset_of!(Startup, version) + 4);

/// Copies a segment's contents page by page, relocated for `base`.
fn copy(program: &Program<'_>, s: &Segment<'_>, memory: Handle, base: u64) -> Result<(), Error> {
    let mut page = [0; PAGE as usize];
    for (i, from) in s.bytes.chunks(PAGE as usize).enumerate() {
        let offset = i as u64 * PAGE;
        page.fill(0);
        page.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        program.relocate(&mut page, s.address + offset, base);
        write(memory, offset, &page)?;
    }
    Ok(())
}
