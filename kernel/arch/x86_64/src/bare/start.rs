//! From the loader's state to the final page tables: one pass, on the boot CPU alone.
//!
//! Order matters: everything that the loader left (anywhere below 4 GiB) is read through the start-up code's identity map; then the
//! final tables are made from frames that no list mentions any more; then the identity map is gone.
#![allow(unsafe_code)]

use crate::acpi::{self, Acpi};
use crate::bootinfo::{self, BootInfo, PVH_TAG, RANGES, Span, Use};
use crate::layout::{self, MAX_CPUS, PAGE};
use crate::paging::{self, MapError, TableMemory};
use crate::physmap::Carver;
use crate::spans::{self, Spans, TooMany};
use crate::{apic, cpu, fpu, irq, log, machine, percpu, smp, time, tlb, trap, uart};
use arrayvec::ArrayVec;
use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;
use sal_abi::Rights;
use sal_kernel_mem::{Leaf, Who};

global_asm!(
    include_str!("../boot.s"),
    include_str!("../ap.s"),
    PVH_TAG = const PVH_TAG,
    TRAMPOLINE = const layout::TRAMPOLINE,
    AP_ENTRY = sym smp::ap_rust,
);

/// The start-up code's identity map ends here.
const IDENTITY_END: u64 = 1 << 32;

/// What was found at the start; never changes afterwards.
#[derive(Debug)]
pub struct Machine {
    /// What the loader said.
    pub boot: BootInfo,
    /// RAM that is mapped at [`layout::PHYSMAP`].
    pub ram: Spans,
    /// What of it is free: not the image, the tables made here, the boot image, the first MiB.
    pub free: Spans,
    /// What ACPI says.
    pub acpi: Acpi,
    /// Controllers' ids of the CPUs, the boot CPU's first: a CPU's number is its place here.
    pub cpu_ids: ArrayVec<u32, MAX_CPUS>,
    /// Physical address of the kernel's own root: the template for every other.
    pub root: u64,
    /// The root by which other CPUs start.
    pub(crate) start_root: u64,
}

struct MachineCell(UnsafeCell<Machine>);
// SAFETY: written once by the boot CPU before any other CPU runs, shared afterwards.
unsafe impl Sync for MachineCell {}
static MACHINE: MachineCell = MachineCell(UnsafeCell::new(Machine {
    boot: BootInfo::EMPTY,
    ram: Spans::new_const(),
    free: Spans::new_const(),
    acpi: Acpi::EMPTY,
    cpu_ids: ArrayVec::new_const(),
    root: 0,
    start_root: 0,
}));

unsafe extern "C" {
    static image_text_start: u8;
    static image_rodata_start: u8;
    static image_data_start: u8;
    static image_end: u8;
}

unsafe extern "Rust" {
    safe fn kernel_main(machine: &'static Machine) -> !;
}

/// Text, read-only data and data of the image, as physical addresses.
pub fn image() -> [Span; 3] {
    let [text, rodata, data, end] =
        [&raw const image_text_start, &raw const image_rodata_start, &raw const image_data_start, &raw const image_end]
            .map(|p| p as u64 - layout::IMAGE);
    [Span { start: text, end: rodata }, Span { start: rodata, end: data }, Span { start: data, end }]
}

/// Bytes of physical memory through the identity map.
fn identity(address: u64, length: usize) -> Option<&'static [u8]> {
    let end = address.checked_add(length as u64)?;
    if address == 0 || end > IDENTITY_END {
        return None;
    }
    // SAFETY: the identity map covers it, and nobody writes to the loader's memory before the start is over.
    Some(unsafe { core::slice::from_raw_parts(address as *const u8, length) })
}

/// Ends the start with one line.
pub fn refuse(what: core::fmt::Arguments<'_>) -> ! {
    uart::last_words(format_args!("salamandra: can't start: {what}"));
    machine::end(machine::End::Refused)
}

#[unsafe(no_mangle)]
extern "C" fn boot_rust(tag: u32, address: u32) -> ! {
    uart::init();
    if let Some(name) = cpu::missing() {
        refuse(format_args!("the processor lacks {name}"));
    }
    // SAFETY: only this CPU runs, and nobody else has it.
    let machine = unsafe { &mut *MACHINE.0.get() };
    if let Err(bad) = bootinfo::parse(&mut machine.boot, tag, u64::from(address), &identity) {
        refuse(format_args!("{bad}"));
    }
    if survey(machine).is_err() {
        refuse(format_args!("memory is in more than 256 pieces"));
    }
    if let Err(error) = acpi::read(&mut machine.acpi, machine.boot.rsdp, &identity) {
        refuse(format_args!("ACPI tables: {error:?}"));
    }
    // The boot CPU's id (CPUID leaf 1, or the controller's if ACPI says otherwise), then the others'.
    let own = cpu::initial_apic_id();
    let others = machine.acpi.cpus.iter().copied().filter(|id| *id != own);
    machine.cpu_ids.extend(core::iter::once(own).chain(others).take(MAX_CPUS));
    if let Err(error) = make_tables(machine) {
        refuse(format_args!("page tables of the kernel: {error:?}"));
    }
    trap::make_gates();
    // SAFETY: the root maps the image where it runs and the stack that is switched to; nothing refers to the identity map any more.
    unsafe {
        tlb::load_root(machine.root);
        let top = layout::stack(0, 0).1;
        asm!("mov rsp, {}", "xor ebp, ebp", "call {}", "ud2", in(reg) top, sym boot_cpu_main, in("rdi") machine, options(noreturn))
    }
}

extern "C" fn boot_cpu_main(machine: &'static Machine) -> ! {
    // SAFETY: first thing on the boot CPU's own stack.
    unsafe { init_cpu(machine, 0) };
    irq::init(machine);
    if let Err(error) = time::calibrate(machine) {
        refuse(format_args!("clock: {error:?}"));
    }
    kernel_main(machine)
}

/// The machine, for who comes after the start: other CPUs, traps.
pub fn machine() -> &'static Machine {
    // SAFETY: written before any other CPU ran and any trap came.
    unsafe { &*MACHINE.0.get() }
}

/// All that is per CPU.
///
/// # Safety
/// Once per CPU, on its own stack and the kernel's final root.
pub(crate) unsafe fn init_cpu(machine: &Machine, cpu: usize) {
    // SAFETY: the caller's promise; protections first, since the per-CPU area needs FSGSBASE.
    unsafe {
        cpu::protect();
        percpu::init(cpu);
        trap::init();
    }
    fpu::init();
    apic::init(machine);
}

/// Sorts memory into RAM and free RAM.
fn survey(machine: &mut Machine) -> Result<(), TooMany> {
    let [text, rodata, data] = image();
    let first_mib = Span { start: 0, end: 1 << 20 };
    let mut holes = ArrayVec::<Span, { RANGES + 3 }>::new();
    holes.extend([first_mib, Span { start: first_mib.end, end: data.end }]);
    holes.extend(machine.boot.module);
    holes.extend(machine.boot.ranges.iter().filter(|(_, usage)| *usage != Use::Free).map(|(span, _)| *span));
    let constant = [Span { start: text.start, end: rodata.end }];
    spans::add(&mut machine.ram, first_mib, &[])?;
    for (span, usage) in &machine.boot.ranges {
        let span = Span { start: span.start, end: span.end.min(layout::PHYSMAP_LIMIT) };
        if *usage != Use::Reserved {
            spans::add(&mut machine.ram, span, &constant)?;
        }
        if *usage == Use::Free {
            spans::add(&mut machine.free, span, &holes)?;
        }
    }
    Ok(())
}

/// Makes the final tables from frames of the largest free range below the identity map's end.
fn make_tables(machine: &mut Machine) -> Result<(), MapError> {
    let low = machine.free.iter_mut().filter(|s| s.start < IDENTITY_END);
    let from = low.max_by_key(|s| s.end.min(IDENTITY_END) - s.start).ok_or(MapError::NoFrame)?;
    let mut frames = Carver { rest: Span { end: from.end.min(IDENTITY_END), ..*from }, map: 0 };
    let root = frames.frame().ok_or(MapError::NoFrame)?;
    for (span, leaf) in image().into_iter().zip([paging::CODE, paging::CONSTANT, paging::DATA]) {
        paging::map(&mut frames, root, layout::IMAGE + span.start, span, leaf, 0)?;
    }
    let top_level = if cpu::GIB_PAGES.exists() { 2 } else { 1 };
    for span in &machine.ram {
        paging::map(&mut frames, root, layout::PHYSMAP + span.start, *span, paging::DATA, top_level)?;
    }
    for i in 0..layout::ARENA_ROOTS {
        paging::descend(&mut frames, root, layout::ARENAS + ((i as u64) << 39), 2, Who::Kernel)?;
    }
    for cpu in 0..machine.cpu_ids.len() {
        map_stacks(&mut frames, root, cpu)?;
    }
    map_devices(&mut frames, root, &machine.acpi)?;
    machine.start_root = start_root(&mut frames, root)?;
    machine.root = root;
    from.start = frames.rest.start;
    Ok(())
}

/// A copy of `root` that also maps the trampoline where it is. Used by starting CPUs alone, before they switch caches of global pages on.
fn start_root(memory: &mut Carver, root: u64) -> Result<u64, MapError> {
    let copy = memory.frame().ok_or(MapError::NoFrame)?;
    for slot in (0..PAGE).step_by(8) {
        memory.write(copy + slot, memory.read(root + slot));
    }
    let code = Leaf { rights: Rights::READ.or(Rights::WRITE).or(Rights::EXECUTE), ..paging::CODE };
    paging::map(memory, copy, layout::TRAMPOLINE, Span::sized(layout::TRAMPOLINE, PAGE), code, 0)?;
    Ok(copy)
}

/// Interrupt controllers, uncached, at their place in the physical map.
fn map_devices(memory: &mut Carver, root: u64, acpi: &Acpi) -> Result<(), MapError> {
    let addresses = acpi.io_apics.iter().map(|io| io.address).chain([acpi.local_apic]);
    for page in addresses.map(|address| address & !(PAGE - 1)) {
        paging::map(memory, root, layout::PHYSMAP + page, Span::sized(page, PAGE), paging::DEVICE, 0)?;
    }
    Ok(())
}

/// Maps the stacks of `cpu`, each above a page that stays unmapped.
fn map_stacks(memory: &mut Carver, root: u64, cpu: usize) -> Result<(), MapError> {
    for which in 0..layout::STACK_PAGES.len() {
        let (bottom, top) = layout::stack(cpu, which);
        let first = memory.take(layout::STACK_PAGES[which]).ok_or(MapError::NoFrame)?;
        paging::map(memory, root, bottom, Span::sized(first, top - bottom), paging::DATA, 0)?;
    }
    Ok(())
}

/// Logs what was found, in a few lines.
pub fn report(machine: &Machine) {
    let mib = |spans: &Spans| spans.iter().map(|s| s.length()).sum::<u64>() >> 20;
    log!("memory: {} MiB RAM, {} MiB free", mib(&machine.ram), mib(&machine.free));
    if let Some(module) = machine.boot.module {
        log!("boot image: {} bytes at {:#x}", module.length(), module.start);
    }
    let (hz, _) = time::tsc_rate();
    log!("clock: {}.{:03} MHz", hz / 1_000_000, hz / 1000 % 1000);
    if !cpu::INVARIANT_TSC.exists() {
        log!("warning: the processor does not promise an invariant time-stamp counter");
    }
    if machine.acpi.more_cpus > 0 {
        log!("warning: {} more CPUs than the {MAX_CPUS} that this kernel can use", machine.acpi.more_cpus);
    }
    for name in cpu::unprotected() {
        log!("warning: the processor lacks the protection {name}");
    }
}
