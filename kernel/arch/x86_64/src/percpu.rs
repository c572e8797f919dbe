//! Each CPU's own area, reached by `gs` in kernel mode. The entry code (`trap.s`) knows its first fields by offset.
#![allow(unsafe_code)]

use crate::frame::Frame;
use crate::layout::{self, MAX_CPUS};
use core::arch::asm;
use core::cell::{Cell, UnsafeCell};
use core::ptr::null_mut;

/// Selectors as Linux has them, since programs see them in their registers.
pub(crate) const KERNEL_CODE: u16 = 0x10;
pub(crate) const KERNEL_DATA: u16 = 0x18;
pub(crate) const USER_DATA: u16 = 0x28 | 3;
pub(crate) const USER_CODE: u16 = 0x30 | 3;
const TASK: u16 = 0x40;

/// Task state segment (Intel SDM volume 3, 8.7).
#[repr(C, packed(4))]
struct TaskState {
    reserved0: u32,
    rsp: [u64; 3],
    reserved1: u64,
    ist: [u64; 7],
    reserved2: u64,
    reserved3: u16,
    io_map: u16,
}

/// One CPU's area.
#[repr(C, align(64))]
pub struct PerCpu {
    this: Cell<*const PerCpu>,
    /// Where the entry code saves user registers; null: nothing runs in user mode, the CPU idles.
    pub(crate) save: Cell<*mut Frame>,
    pub(crate) stack_top: Cell<u64>,
    pub(crate) user_rsp: Cell<u64>,
    /// While a guest runs: its thread's own frame; else null.
    pub(crate) thread: Cell<*mut Frame>,
    pub(crate) index: Cell<usize>,
    tables: UnsafeCell<Tables>,
}

#[repr(C)]
struct Tables {
    gdt: [u64; 10],
    task: TaskState,
}

// SAFETY: each CPU touches its own area alone.
unsafe impl Sync for PerCpu {}

impl PerCpu {
    const fn new() -> PerCpu {
        let task = TaskState {
            reserved0: 0,
            rsp: [0; 3],
            reserved1: 0,
            ist: [0; 7],
            reserved2: 0,
            reserved3: 0,
            io_map: size_of::<TaskState>() as u16,
        };
        PerCpu {
            this: Cell::new(core::ptr::null()),
            save: Cell::new(null_mut()),
            stack_top: Cell::new(0),
            user_rsp: Cell::new(0),
            thread: Cell::new(null_mut()),
            index: Cell::new(0),
            tables: UnsafeCell::new(Tables { gdt: [0; 10], task }),
        }
    }
}

/// Every CPU's area; the paranoid entries find theirs by their stack's address.
pub(crate) static AREAS: [PerCpu; MAX_CPUS] = [const { PerCpu::new() }; MAX_CPUS];

/// This CPU's area.
#[inline(always)]
pub fn current() -> &'static PerCpu {
    let this: *const PerCpu;
    // SAFETY: `init` has run on this CPU: gs points to its area, whose first word is its address and never changes.
    unsafe {
        asm!("mov {}, gs:[0]", out(reg) this, options(pure, nomem, nostack, preserves_flags));
        &*this
    }
}

/// This CPU's number: 0 is the boot CPU.
#[inline(always)]
pub fn index() -> usize {
    current().index.get()
}

/// Gives this CPU its area, segments and task state.
///
/// # Safety
/// Once per CPU, before anything else of this crate that is per CPU; `cpu` below `MAX_CPUS` and nobody else's; its stacks are mapped.
pub(crate) unsafe fn init(cpu: usize) {
    let Some(area) = AREAS.get(cpu) else { return };
    area.this.set(area);
    area.index.set(cpu);
    area.stack_top.set(layout::stack(cpu, 0).1);
    // SAFETY: nobody else touches this CPU's tables; not loaded yet.
    let tables = unsafe { &mut *area.tables.get() };
    tables.task.rsp[0] = area.stack_top.get();
    for ist in 0..3 {
        tables.task.ist[ist] = layout::stack(cpu, ist + 1).1;
    }
    let task = &raw const tables.task as u64;
    tables.gdt =
        [0, 0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff, 0, 0x00cf_f300_0000_ffff, 0x00af_fb00_0000_ffff, 0, 0, 0];
    tables.gdt[8] =
        (size_of::<TaskState>() as u64 - 1) | (task & 0xff_ffff) << 16 | 0x89 << 40 | (task >> 24 & 0xff) << 56;
    tables.gdt[9] = task >> 32;
    // SAFETY: the table holds what the selectors name, and stays for ever.
    unsafe { load(&tables.gdt, area) }
}

unsafe fn load(gdt: &[u64; 10], area: &'static PerCpu) {
    #[repr(C, packed)]
    struct Pointer {
        limit: u16,
        base: u64,
    }
    let pointer = Pointer { limit: size_of_val(gdt) as u16 - 1, base: gdt.as_ptr() as u64 };
    // SAFETY: the caller's: the table is complete; CS is reloaded by a far return to the next instruction.
    unsafe {
        asm!(
            "lgdt [{pointer}]",
            "push {code}",
            "lea {scratch}, [rip + 2f]",
            "push {scratch}",
            "retfq",
            "2:",
            "mov ss, {data:e}",
            "mov {scratch:e}, 0",
            "mov ds, {scratch:e}",
            "mov es, {scratch:e}",
            "mov fs, {scratch:e}",
            "mov gs, {scratch:e}",
            "ltr {task:x}",
            "wrgsbase {area}",
            pointer = in(reg) &raw const pointer,
            code = in(reg) u64::from(KERNEL_CODE),
            data = in(reg) u32::from(KERNEL_DATA),
            task = in(reg) TASK,
            area = in(reg) area as *const PerCpu,
            scratch = out(reg) _,
        );
    }
}
