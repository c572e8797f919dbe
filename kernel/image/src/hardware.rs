//! The machine, as the core asks for it.
#![allow(unsafe_code)]

use crate::frame::Frame;
use crate::klog;
use core::sync::atomic::{AtomicU64, Ordering};
use sal_abi::x86_64::FpuState;
use sal_abi::{Error, Op};
use sal_arch_x86_64::arena::Region;
use sal_arch_x86_64::format::Format;
use sal_arch_x86_64::physmap::{self, PhysicalMemory};
use sal_arch_x86_64::{Machine as Found, apic, fpu, irq, machine, port, time, tlb};
use sal_kernel_core::memory::{MemoryHardware, memory_call};
use sal_kernel_core::object::{After, Args};
use sal_kernel_core::timer::Entry;
use sal_kernel_core::{Cpu, Hardware, Kernel};
use sal_kernel_mem::{Budget, Frame as Page, Machine, Memory, Ram, Shootdown, Slot, Space, Vm};

/// Ports of COM1: who writes to them has taken the UART over.
const COM1: core::ops::Range<u16> = 0x3f8..0x400;

/// The machine's memory, as types.
pub(crate) struct Pages;

impl Machine for Pages {
    type Ram = PhysicalMemory;
    type Format = Format;
    type Memories = Region<Slot<Memory>>;
    type Spaces = Region<Slot<Space>>;
    type Budgets = Region<Slot<Budget>>;
}

/// The machine.
pub(crate) struct Hw {
    pub(crate) found: &'static Found,
    pub(crate) ram: PhysicalMemory,
}

/// Where a line's interrupts go first.
static ROUTED: AtomicU64 = AtomicU64::new(0);

impl Hw {
    /// A thread's FPU state, in its own frame.
    pub(crate) fn fpu_state(&self, page: u32) -> *mut FpuState {
        physmap::address(Page(page)) as *mut FpuState
    }
}

impl Hardware for Hw {
    type Frame = Frame;
    type Timers = &'static mut [Entry];
    type Vm = Vm<Pages>;

    fn now(&self) -> u64 {
        time::now_ns()
    }

    fn flush(&self, what: Shootdown) {
        match what {
            Shootdown::None => {}
            Shootdown::Page(address) => tlb::flush_page(address),
            Shootdown::All => tlb::flush_space(),
        }
    }

    fn interrupt_cpu(&self, cpu: usize) {
        if let Some(id) = self.found.cpu_ids.get(cpu) {
            apic::send(*id, apic::KICK_VECTOR);
        }
    }

    fn read_word(&self, frame: u32, index: usize) -> u64 {
        self.ram.read(Page(frame), index)
    }

    fn write_word(&self, frame: u32, index: usize, value: u64) {
        self.ram.write(Page(frame), index, value);
    }

    fn memory_call(&self, kernel: &Kernel<Self>, cpu: &mut Cpu<Self>, op: Op, args: &Args) -> Result<After, Error> {
        memory_call(kernel, cpu, op, args)
    }

    /// A line that doesn't exist stays closed: the capability for it is worth nothing.
    fn set_line(&self, line: u32, open: bool) {
        if !open {
            let _ = irq::mask(self.found, line);
            return;
        }
        let bit = 1u64 << (line % 64);
        if ROUTED.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            let _ = irq::route(self.found, line, apic::id());
        }
        let _ = irq::unmask(self.found, line);
    }
}

impl MemoryHardware for Hw {
    type Pages = Pages;

    fn ram(&self) -> &PhysicalMemory {
        &self.ram
    }

    fn port_in(&self, port: u16, width: u64) -> Option<u64> {
        match width {
            1 => Some(port::in8(port) as u64),
            2 => Some(port::in16(port) as u64),
            4 => Some(port::in32(port) as u64),
            _ => None,
        }
    }

    fn port_out(&self, port: u16, width: u64, value: u64) -> Option<()> {
        if COM1.contains(&port) {
            klog::quiet();
        }
        match width {
            1 => port::out8(port, value as u8),
            2 => port::out16(port, value as u16),
            4 => port::out32(port, value as u32),
            _ => return None,
        }
        Some(())
    }

    fn log(&self, bytes: &[u8]) {
        klog::write(bytes);
    }

    fn log_read(&self, position: u64, bytes: &mut [u8]) -> (usize, u64) {
        klog::read(position, bytes)
    }

    /// In order, whatever the status: that one goes to the host over the link, where the machine has a host.
    fn power_off(&self, _status: u64) -> ! {
        machine::end(machine::End::Order)
    }

    fn fpu(&self, page: u32, state: u32, load: bool) {
        let (shown, own) = (physmap::address(Page(page)) as *mut sal_abi::MessagePage, self.fpu_state(state));
        // SAFETY: both frames belong to the running thread: the message page is pinned, the state frame is the kernel's and used by
        // this CPU alone. What user mode wrote is copied first and sanitised where it can't be written any more.
        unsafe {
            if load {
                core::ptr::copy_nonoverlapping(
                    (&raw const (*shown).fpu).cast::<u8>(),
                    own.cast::<u8>(),
                    size_of::<FpuState>(),
                );
                fpu::sanitise(&mut *own, fpu::components());
                fpu::restore(&*own);
            } else {
                fpu::save(&mut *own);
                core::ptr::copy_nonoverlapping(
                    own.cast::<u8>(),
                    (&raw mut (*shown).fpu).cast::<u8>(),
                    size_of::<FpuState>(),
                );
            }
        }
    }

    fn fpu_start(&self, state: u32) {
        // SAFETY: a fresh frame of the kernel's that nobody else uses yet.
        unsafe { self.fpu_state(state).write(fpu::initial()) }
    }

    fn ticks(&self) -> (u64, u64) {
        let (rate, zero) = time::tsc_rate();
        (rate / 1_000_000, zero)
    }
}
