//! Each CPU's own area, reached by `gs` in kernel mode. The entry code (`trap.s`) knows its first fields by offset.
#![allow(unsafe_code)]

use crate::frame::Frame;
use crate::layout::{self, MAX_CPUS};
use core::arch::asm;
use core::cell::{Cell, UnsafeCell};
use core::ptr::null_mut;
use x86_64::VirtAddr;
use x86_64::instructions::tables::load_tss;
use x86_64::registers::segmentation::{CS, DS, ES, FS, GS, SS, Segment, Segment64};
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable, SegmentSelector};
use x86_64::structures::tss::TaskStateSegment;

/// Segments as Linux has them, since programs see their selectors in their registers: kernel code and data, user data and code.
const SEGMENTS: [u64; 7] =
    [0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff, 0, 0x00cf_f300_0000_ffff, 0x00af_fb00_0000_ffff, 0];
pub(crate) const KERNEL_CODE: u16 = 0x10;
pub(crate) const KERNEL_DATA: u16 = 0x18;
pub(crate) const USER_DATA: u16 = 0x28 | 3;
pub(crate) const USER_CODE: u16 = 0x30 | 3;

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

struct Tables {
    segments: GlobalDescriptorTable<10>,
    task: TaskStateSegment,
}

// SAFETY: each CPU touches its own area alone.
unsafe impl Sync for PerCpu {}

impl PerCpu {
    const fn new() -> PerCpu {
        PerCpu {
            this: Cell::new(core::ptr::null()),
            save: Cell::new(null_mut()),
            stack_top: Cell::new(0),
            user_rsp: Cell::new(0),
            thread: Cell::new(null_mut()),
            index: Cell::new(0),
            tables: UnsafeCell::new(Tables { segments: GlobalDescriptorTable::empty(), task: TaskStateSegment::new() }),
        }
    }
}

/// Every CPU's area; the paranoid entries find theirs by their stack's address.
pub(crate) static AREAS: [PerCpu; MAX_CPUS] = [const { PerCpu::new() }; MAX_CPUS];

/// This CPU's area.
pub fn current() -> &'static PerCpu {
    let this: *const PerCpu;
    // SAFETY: `init` has run on this CPU: gs points to its area, whose first word is its address and never changes.
    unsafe {
        asm!("mov {}, gs:[0]", out(reg) this, options(pure, nomem, nostack, preserves_flags));
        &*this
    }
}

/// This CPU's number: 0 is the boot CPU.
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
    let Tables { segments, task } = unsafe { &mut *area.tables.get() };
    task.privilege_stack_table[0] = VirtAddr::new(area.stack_top.get());
    for ist in 0..3 {
        task.interrupt_stack_table[ist] = VirtAddr::new(layout::stack(cpu, ist + 1).1);
    }
    for segment in SEGMENTS {
        segments.append(Descriptor::UserSegment(segment));
    }
    // SAFETY: tables and task state stay for ever, and hold what the selectors name; nothing in the kernel uses the segments that become null.
    unsafe {
        let task = segments.append(Descriptor::tss_segment_unchecked(task));
        segments.load_unsafe();
        CS::set_reg(SegmentSelector(KERNEL_CODE));
        SS::set_reg(SegmentSelector(KERNEL_DATA));
        DS::set_reg(SegmentSelector::NULL);
        ES::set_reg(SegmentSelector::NULL);
        FS::set_reg(SegmentSelector::NULL);
        GS::set_reg(SegmentSelector::NULL);
        load_tss(task);
        GS::write_base(VirtAddr::from_ptr(area));
    }
}
