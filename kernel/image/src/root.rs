//! Starts the root task from the boot image: the only program that the kernel loads.

use crate::hardware::{Hw, Pages};
use arrayvec::ArrayVec;
use core::fmt;
use sal_abi::boot::{self, Grant, STARTUP_MAGIC, Startup, THREAD_AREA};
use sal_abi::x86_64::{NATIVE_END, NATIVE_START};
use sal_abi::{Handle, PAGE, Rights};
use sal_arch_x86_64::bootinfo::Span;
use sal_arch_x86_64::{Machine, cpu, layout, time};
use sal_bootimage::{Image, Program, Segment};
use sal_kernel_core::create::NewThread;
use sal_kernel_core::registry::Registry;
use sal_kernel_core::table::{Cap, Kind};
use sal_kernel_core::{Cpu, Kernel};
use sal_kernel_mem::{BudgetId, Cache, Frame, Kind as MemoryKind, MapRequest, MemoryId, SpaceId, SpaceKind, Vm};
use spin::Mutex;

/// The root task's priority: above everything.
const PRIORITY: u8 = 255;
/// Ports there are.
const PORTS: u64 = 1 << 16;
/// Interrupt lines there are.
const LINES: u64 = sal_kernel_core::line::LINES as u64;

/// Bytes copied and relocated at a time.
const PIECE: usize = 512;

const GIB: u64 = 1 << 30;
const IMAGE_AT: u64 = NATIVE_START + GIB;
const AREA_AT: u64 = NATIVE_START + 2 * GIB;
const STARTUP_AT: u64 = NATIVE_START + 3 * GIB;
const CMDLINE_AT: u64 = STARTUP_AT + PAGE;
const BOOT_IMAGE_AT: u64 = NATIVE_START + 16 * GIB;
const FREE_AT: u64 = NATIVE_START + 64 * GIB;

/// Why the root task can't be started.
#[derive(Debug)]
pub(crate) enum NoRoot {
    /// The boot loader gave no boot image.
    NoImage,
    /// The boot image is broken, or lacks the program.
    Image(sal_bootimage::Error),
    /// The kernel refused something, here.
    Kernel(&'static str, sal_abi::Error),
}

impl fmt::Display for NoRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoRoot::NoImage => {
                f.write_str("the boot loader gave no boot image: pass it as the initial RAM disk or first module")
            }
            NoRoot::Image(error) => write!(f, "boot image: {error}"),
            NoRoot::Kernel(what, error) => write!(f, "root task: {what}: {}", error.name()),
        }
    }
}

/// Everything at hand while the root task is made.
struct Maker<'a> {
    registry: &'a mut Registry<Vm<Pages>>,
    budget: BudgetId,
    space: SpaceId,
}

type Made<T> = Result<T, NoRoot>;

impl Maker<'_> {
    fn vm(&mut self) -> &mut Vm<Pages> {
        &mut self.registry.vm
    }

    fn memory(&mut self, kind: MemoryKind, length: u64) -> Made<MemoryId> {
        let budget = self.budget;
        let made = self.vm().memory_create(budget, kind, length.next_multiple_of(PAGE));
        made.map_err(|e| NoRoot::Kernel("a memory", e.into()))
    }

    fn map(&mut self, memory: MemoryId, offset: u64, address: u64, length: u64, rights: Rights) -> Made<()> {
        let length = length.next_multiple_of(PAGE);
        let request = MapRequest { address, length, rights, lower: (memory, offset), upper: None };
        let mapped = self.registry.vm.map(self.space, &request);
        mapped.map_err(|e| NoRoot::Kernel("a mapping", e.into()))
    }

    fn write(&mut self, memory: MemoryId, offset: u64, bytes: &[u8]) -> Made<()> {
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|r| !r.is_empty()) {
            let wrote = self.registry.vm.memory_write(memory, offset + done as u64, rest);
            done += wrote.map_err(|e| NoRoot::Kernel("its data", e.into()))? as usize;
        }
        Ok(())
    }

    /// A segment: mapped as it lies if it is never written and never relocated, else copied and relocated.
    #[inline(never)]
    fn segment(&mut self, program: &Program<'_>, segment: &Segment<'_>, image: (MemoryId, u64)) -> Made<()> {
        let at = IMAGE_AT + segment.address;
        let end = segment.address + segment.size;
        let constant = !segment.rights.has(Rights::WRITE) && !program.has_relocations(segment.address, end);
        if constant && segment.bytes.len() as u64 > segment.size.saturating_sub(PAGE) {
            return self.map(image.0, image.1 + segment.offset, at, segment.size, segment.rights);
        }
        let memory = self.memory(MemoryKind::ZeroFill, segment.size)?;
        for (n, bytes) in segment.bytes.chunks(PIECE).enumerate() {
            let offset = (n * PIECE) as u64;
            let mut piece = [0; PIECE];
            piece.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            program.relocate(&mut piece, segment.address + offset, IMAGE_AT);
            self.write(memory, offset, &piece)?;
        }
        self.map(memory, 0, at, segment.size, segment.rights)
    }

    /// The first thread's area: message page and stack.
    fn area(&mut self) -> Made<()> {
        let rights = Rights::READ.or(Rights::WRITE);
        let memory = self.memory(MemoryKind::ZeroFill, THREAD_AREA)?;
        self.map(memory, boot::AREA_MESSAGE_PAGE, AREA_AT + boot::AREA_MESSAGE_PAGE, PAGE, rights)?;
        self.map(memory, boot::AREA_STACK, AREA_AT + boot::AREA_STACK, THREAD_AREA - boot::AREA_STACK, rights)
    }
}

/// The boot image's bytes, through the map of all memory.
#[allow(unsafe_code)]
fn image_bytes(span: Span) -> &'static [u8] {
    // SAFETY: the loader's module: RAM that is nobody's but the boot image's, mapped for ever, never written.
    unsafe { core::slice::from_raw_parts((layout::PHYSMAP + span.start) as *const u8, span.length() as usize) }
}

/// Checks the boot image and makes the root task; it is ready on this CPU afterwards.
#[inline(never)]
pub(crate) fn start(kernel: &Kernel<Hw>, cpu: &mut Cpu<Hw>, found: &Machine, cpus: usize) -> Made<()> {
    let span = found.boot.module.ok_or(NoRoot::NoImage)?;
    let (program, offset) = program(span)?;
    let mut registry = kernel.registry.lock();
    let frames = registry.vm.frames().available();
    let budget =
        registry.vm.budget_create(BudgetId::NONE, frames).map_err(|e| NoRoot::Kernel("its budget", e.into()))?;
    let space = registry.vm.space_create(budget, SpaceKind::Native);
    let space = space.map_err(|e| NoRoot::Kernel("its space", e.into()))?;
    let mut maker = Maker { registry: &mut registry, budget, space };
    let memories = maker.image(&program, span, offset, found.boot.cmdline.as_bytes())?;
    maker.area()?;
    let process = kernel.new_process(&mut registry, space.word(), [0, 0]);
    let process = process.map_err(|e| NoRoot::Kernel("its process", e))?;
    let caps = caps(process.word(), space, budget, memories);
    let mut grants = ArrayVec::<Grant, { boot::ROOT_GRANTS.len() }>::new();
    for (name, kind, object, address) in caps {
        let cap = Cap { kind, rights: Rights::ALL, object, badge: 0 };
        let handle = kernel.endow(&mut registry, process.index(), cap).map_err(|e| NoRoot::Kernel(name, e))?;
        grants.push(grant(name, handle, address));
    }
    Maker { registry: &mut registry, budget, space }.startup(program.span, cpus, &grants)?;
    let new = first_thread(&mut registry, (budget, space), process.index(), program.entry)?;
    let thread = kernel.new_thread(&mut registry, &new, cpu.number()).map_err(|e| NoRoot::Kernel("its thread", e))?;
    drop(registry);
    sal_arch_x86_64::log!("root task: {} KiB of program, {frames} frames free", program.span / 1024);
    kernel.start_thread(cpu, thread).map_err(|e| NoRoot::Kernel("its start", e))
}

/// The root task's program in the boot image, all of which is checked, and its module's offset.
#[inline(never)]
fn program(span: Span) -> Made<(Program<'static>, u64)> {
    let image = Image::open(image_bytes(span)).map_err(NoRoot::Image)?;
    image.check().map_err(NoRoot::Image)?;
    let module = image.find(sal_bootimage::Kind::Program, "root").map_err(NoRoot::Image)?;
    Ok((image.program("root").map_err(NoRoot::Image)?, module.offset))
}

/// Name, kind, object and address of what the root task is given: `sal_abi::boot::ROOT_GRANTS`.
type Given = (&'static str, Kind, u64, u64);

fn caps(process: u64, space: SpaceId, budget: BudgetId, memories: [MemoryId; 2]) -> [Given; 8] {
    let [image, cmdline] = memories.map(|m| m.word());
    [
        ("self", Kind::Process, process, 0),
        ("space", Kind::Space, space.word(), 0),
        ("budget", Kind::Budget, budget.word(), 0),
        ("log", Kind::Log, 0, 0),
        ("ports", Kind::IoPorts, PORTS << 32, 0),
        ("interrupts", Kind::Interrupt, LINES << 32, 0),
        ("image", Kind::Memory, image, BOOT_IMAGE_AT),
        ("cmdline", Kind::Memory, cmdline, CMDLINE_AT),
    ]
}

#[inline(never)]
fn first_thread(
    registry: &mut Registry<Vm<Pages>>,
    (budget, space): (BudgetId, SpaceId),
    process: u32,
    entry: u64,
) -> Made<NewThread> {
    let page_address = AREA_AT + boot::AREA_MESSAGE_PAGE;
    let pinned = registry.vm.pin(budget, space, page_address);
    let page = pinned.map_err(|e| NoRoot::Kernel("its message page", e.into()))?;
    let root = registry.vm.space(space).map_or(0, |s| s.root().0 as u64);
    Ok(NewThread {
        process,
        entry: IMAGE_AT + entry,
        stack: boot::first_stack_pointer(AREA_AT),
        argument: STARTUP_AT,
        page_address,
        page: page.0,
        root,
        priority: PRIORITY,
        cpu: None,
        fpu_page: 0,
        own_priority: true,
    })
}

impl Maker<'_> {
    /// The program, the boot image and the command line, mapped: the memories of the last two.
    #[inline(never)]
    fn image(&mut self, program: &Program<'_>, span: Span, offset: u64, cmdline: &[u8]) -> Made<[MemoryId; 2]> {
        let first = Frame((span.start / PAGE) as u32);
        let image = self.memory(MemoryKind::Fixed { first, cache: Cache::Normal }, span.length())?;
        for segment in program.segments() {
            self.segment(program, &segment, (image, offset))?;
        }
        self.map(image, 0, BOOT_IMAGE_AT, span.length(), Rights::READ)?;
        let text = self.memory(MemoryKind::ZeroFill, PAGE)?;
        self.write(text, 0, cmdline)?;
        self.map(text, 0, CMDLINE_AT, PAGE, Rights::READ)?;
        Ok([image, text])
    }

    /// The start-up page.
    #[inline(never)]
    fn startup(&mut self, span: u64, cpus: usize, grants: &[Grant]) -> Made<()> {
        let mut startup = STARTUP.lock();
        (startup.ticks_per_us, startup.tick_zero) = (time::tsc_rate().0 / 1_000_000, time::tsc_rate().1);
        startup.free_start = FREE_AT.max(IMAGE_AT + span);
        startup.cpus = cpus as u64;
        startup.entropy = [(); 4].map(|()| cpu::random());
        startup.count = grants.len() as u32;
        startup.grants.iter_mut().zip(grants).for_each(|(place, grant)| *place = *grant);
        let page = self.memory(MemoryKind::ZeroFill, PAGE)?;
        self.write(page, 0, bytes_of(&startup))?;
        self.map(page, 0, STARTUP_AT, PAGE, Rights::READ)
    }
}

/// The start-up page as it is made: much for the kernel's stack.
static STARTUP: Mutex<Startup> = Mutex::new(Startup {
    magic: STARTUP_MAGIC,
    version: sal_abi::VERSION,
    count: 0,
    incarnation: 1,
    image: IMAGE_AT,
    free_start: FREE_AT,
    free_end: NATIVE_END,
    ticks_per_us: 0,
    tick_zero: 0,
    cpus: 0,
    entropy: [0; 4],
    grants: [Grant { name: [0; 24], handle: Handle::NONE, address: 0 }; boot::GRANTS],
});

#[allow(unsafe_code)]
fn bytes_of(startup: &Startup) -> &[u8] {
    // SAFETY: words and bytes, without padding.
    unsafe { core::slice::from_raw_parts(core::ptr::from_ref(startup).cast(), size_of::<Startup>()) }
}

fn grant(name: &str, handle: Handle, address: u64) -> Grant {
    let mut bytes = [0; 24];
    bytes.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
    Grant { name: bytes, handle, address }
}
