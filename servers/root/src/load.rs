//! From an entry to a running process: space, image, stack, grants, start.

use core::mem::offset_of;
use sal_abi::boot::{
    AREA_MESSAGE_PAGE, AREA_STACK, Grant, STARTUP_MAGIC, Startup, THREAD_AREA, first_stack_pointer,
};
use sal_abi::x86_64::{NATIVE_END, NATIVE_START};
use sal_abi::{Error, Handle, PAGE, Rights, VERSION};
use sal_bootimage::{Kind, Program, Segment};
use sal_proto::service::{POISON, answer::DEATH};
use sal_sys::memory::{Half, Mapping};
use sal_sys::process::{Purpose, ThreadStart};
use sal_sys::{capability, memory, process};

use crate::entry::{Entry, Means, Row, fill, name, text};
use crate::raw;

/// Programs are loaded at a random page of this part of the window (64 GiB); everything else of theirs follows.
const LOAD_PAGES: u64 = 1 << 24;

/// Room for heap and further stacks.
const FREE: u64 = 1 << 36;

/// A request that is not to be served: the badge and word 0.
pub(crate) type Poison = (u64, u64);

/// A start under way.
struct Start<'a> {
    means: &'a mut Means,
    entry: &'a mut Entry,
    /// First free address behind what is laid out so far.
    next: u64,
    /// The start-up page.
    page: [u8; PAGE as usize],
    grants: usize,
}

/// Spawns the next incarnation. The one before is dead or killed here first.
///
/// # Errors
/// The kernel's; then nothing of the new incarnation is left.
pub(crate) fn spawn(
    means: &mut Means,
    entry: &mut Entry,
    incarnation: u32,
    poison: Poison,
) -> Result<(), Error> {
    clear(entry);
    settle(entry)?;
    let mut start = Start {
        means,
        entry,
        next: 0,
        page: [0; PAGE as usize],
        grants: 0,
    };
    let result = start.run(incarnation, poison);
    match result {
        Ok(()) => entry.incarnation = incarnation,
        Err(_) => clear(entry),
    }
    result
}

/// The kernel takes a dead space apart in pieces, some at each entry: waits until the start's budget is whole again, or nothing has come
/// back for so many entries that nothing will.
fn settle(entry: &Entry) -> Result<(), Error> {
    const IDLE_ENTRIES: u32 = 1024;
    let (mut left, mut idle) = (0, 0);
    while idle < IDLE_ENTRIES {
        let info = capability::budget_info(entry.start_budget)?;
        if info.left >= info.given {
            break;
        }
        idle = if info.left > left { 0 } else { idle + 1 };
        left = info.left;
    }
    Ok(())
}

/// Kills whatever there is of the newest incarnation and gives its space back.
fn clear(entry: &mut Entry) {
    if !entry.process.is_none() {
        // It may be dead already.
        let _ = process::kill(entry.process, 0);
    }
    for handle in [&mut entry.thread, &mut entry.process, &mut entry.space] {
        if !handle.is_none() {
            // A handle that can't be closed names nothing: what closing is for.
            let _ = capability::close(core::mem::take(handle));
        }
    }
}

impl Start<'_> {
    fn run(&mut self, incarnation: u32, poison: Poison) -> Result<(), Error> {
        let means = &mut *self.means;
        let module = means.image.find(Kind::Program, text(&self.entry.shape.program));
        let module = module.map_err(|_| Error::BadArgument)?;
        let program = Program::open(module.bytes).map_err(|_| Error::BadArgument)?;
        let budget = self.entry.start_budget;
        self.entry.space = memory::space_create(budget, Half::Native)?;
        self.entry.process = process::process_create(
            budget,
            self.entry.space,
            self.entry.notice,
            DEATH,
            Purpose::Program,
        )?;
        let base = NATIVE_START + THREAD_AREA + means.random() % LOAD_PAGES * PAGE;
        self.entry.image = base;
        program
            .segments()
            .try_for_each(|segment| self.segment(&program, &segment, module.offset, base))?;
        let startup = base + program.span + PAGE;
        let area = (startup + 2 * PAGE).next_multiple_of(THREAD_AREA);
        self.next = area + THREAD_AREA + PAGE;
        self.stack(area)?;
        self.grants(poison)?;
        self.startup(startup, incarnation)?;
        self.entry.message_page = area + AREA_MESSAGE_PAGE;
        self.entry.thread = raw::thread(
            self.entry.process,
            &ThreadStart {
                entry: base + program.entry,
                stack: first_stack_pointer(area),
                argument: startup,
                message_page: self.entry.message_page,
                priority: u64::from(self.entry.shape.priority),
                cpu: None,
                fpu: false,
            },
        )?;
        process::thread_start(self.entry.thread)
    }

    /// Maps a new zero-fill memory, filled by `write`. The mapping alone keeps it.
    fn fresh(
        &mut self,
        address: u64,
        length: u64,
        rights: Rights,
        write: impl FnOnce(&mut Self, Handle) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let memory = memory::memory_create(self.entry.start_budget, length)?;
        let result = write(self, memory).and_then(|()| self.map(address, length, memory, 0, rights));
        let closed = capability::close(memory);
        result.and(closed)
    }

    fn map(
        &self,
        address: u64,
        length: u64,
        memory: Handle,
        offset: u64,
        rights: Rights,
    ) -> Result<(), Error> {
        memory::map(
            self.entry.space,
            &Mapping {
                address,
                length,
                memory,
                offset,
                rights,
                upper: None,
            },
        )
    }

    /// Pages of a segment that nobody changes are mapped as they lie in the boot image; others are copied and relocated.
    fn segment(
        &mut self,
        program: &Program<'_>,
        s: &Segment<'_>,
        module: u64,
        base: u64,
    ) -> Result<(), Error> {
        let (address, end) = (base + s.address, s.address + s.size);
        let filled = (s.bytes.len() as u64).next_multiple_of(PAGE);
        if s.rights.has(Rights::WRITE) || program.has_relocations(s.address, end) {
            let wired = self.entry.wired();
            return self.fresh(address, s.size, s.rights, |_, memory| {
                if wired {
                    fill(memory, s.size)?;
                }
                copy(program, s, memory, base)
            });
        }
        if filled > 0 {
            self.map(
                address,
                filled,
                self.means.image_memory,
                module + s.offset,
                s.rights,
            )?;
        }
        match s.size - filled {
            0 => Ok(()),
            rest => self.fresh(address + filled, rest, s.rights, |_, _| Ok(())),
        }
    }

    fn stack(&mut self, area: u64) -> Result<(), Error> {
        let rights = Rights::READ.or(Rights::WRITE);
        let wired = self.entry.wired();
        self.fresh(area + AREA_MESSAGE_PAGE, PAGE, rights, |_, memory| {
            fill(memory, PAGE)
        })?;
        let length = THREAD_AREA - AREA_STACK;
        // The start's budget reserves 32 frames of a wired service's stack; its top is what is used.
        self.fresh(area + AREA_STACK, length, rights, |_, memory| match wired {
            true => {
                (length / PAGE - 32..length / PAGE).try_for_each(|page| raw::write(memory, page * PAGE, &[0]))
            }
            false => Ok(()),
        })
    }

    /// Everything that the service gets, by name.
    fn grants(&mut self, (badge, word): Poison) -> Result<(), Error> {
        let e = *self.entry;
        let manage = Rights::READ.or(Rights::MANAGE);
        let serve = Rights::RECEIVE
            .or(Rights::SEND)
            .or(Rights::BADGE)
            .or(Rights::TRANSFER);
        let both = Rights::READ.or(Rights::WRITE);
        self.give("self", e.process, manage, 0, 0)?;
        self.give("space", e.space, manage, 0, 0)?;
        self.give(
            "budget",
            e.budget,
            Rights::SPEND.or(manage).or(Rights::TRANSFER),
            0,
            0,
        )?;
        self.give("endpoint", e.endpoint, serve, 0, 0)?;
        if !e.vault.is_none() {
            let (length, at) = (memory::memory_info(e.vault)?.length, self.next);
            self.map(at, length, e.vault, 0, both)?;
            self.next = (at + length).next_multiple_of(PAGE) + PAGE;
            self.give("vault", e.vault, both, 0, at)?;
            self.give("table", e.table, manage, 0, 0)?;
        }
        for row in e.rows.iter().flatten() {
            self.row(row)?;
        }
        if word != 0 {
            self.put(&name(POISON.as_bytes()), Handle(word), badge);
        }
        Ok(())
    }

    fn row(&mut self, row: &Row) -> Result<(), Error> {
        let Some((offset, length)) = row.module else {
            return self.give(text(&row.name), row.handle, row.rights, row.badge, 0);
        };
        let (at, span) = (self.next, length.next_multiple_of(PAGE));
        self.map(at, span, self.means.image_memory, offset, Rights::READ)?;
        self.next = at + span + PAGE;
        // A part of the boot image has no capability of its own: the grant says where it is mapped and how long it is.
        self.put(&row.name, Handle(length), at);
        Ok(())
    }

    fn give(
        &mut self,
        what: &str,
        handle: Handle,
        rights: Rights,
        badge: u64,
        address: u64,
    ) -> Result<(), Error> {
        let theirs = capability::grant(self.entry.process, handle, rights, badge)?;
        self.put(&name(what.as_bytes()), theirs, address);
        Ok(())
    }

    /// The table of rows is smaller than the page's room, so nothing is ever left out.
    fn put(&mut self, what: &[u8; 24], handle: Handle, address: u64) {
        let at = offset_of!(Startup, grants) + self.grants * size_of::<Grant>();
        self.bytes(at + offset_of!(Grant, name), what);
        self.bytes(at + offset_of!(Grant, handle), &handle.0.to_le_bytes());
        self.bytes(at + offset_of!(Grant, address), &address.to_le_bytes());
        self.grants += 1;
    }

    fn bytes(&mut self, at: usize, bytes: &[u8]) {
        let place = self.page.get_mut(at..).unwrap_or(&mut []);
        place.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    }

    fn startup(&mut self, address: u64, incarnation: u32) -> Result<(), Error> {
        let free = self.next.next_multiple_of(THREAD_AREA);
        let [ticks, zero, cpus] = self.means.clock;
        let words = [
            (offset_of!(Startup, magic), STARTUP_MAGIC),
            (
                offset_of!(Startup, version),
                u64::from(VERSION) | (self.grants as u64) << 32,
            ),
            (offset_of!(Startup, incarnation), u64::from(incarnation)),
            (offset_of!(Startup, image), self.entry.image),
            (offset_of!(Startup, free_start), free),
            (offset_of!(Startup, free_end), (free + FREE).min(NATIVE_END)),
            (offset_of!(Startup, ticks_per_us), ticks),
            (offset_of!(Startup, tick_zero), zero),
            (offset_of!(Startup, cpus), cpus),
        ];
        words
            .iter()
            .for_each(|(at, word)| self.bytes(*at, &word.to_le_bytes()));
        for i in 0..4 {
            let random = self.means.random();
            self.bytes(offset_of!(Startup, entropy) + i * 8, &random.to_le_bytes());
        }
        self.fresh(address, PAGE, Rights::READ, |start, memory| {
            raw::write(memory, 0, &start.page)
        })
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
        raw::write(memory, offset, &page)?;
    }
    Ok(())
}
