//! The machine, as the core asks for it.
#![allow(unsafe_code)]

use crate::frame::Frame;
use crate::klog;
use sal_abi::x86_64::FpuState;
use sal_abi::{Error, Op};
use sal_arch_x86_64::arena::Region;
use sal_arch_x86_64::paging::Format;
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

    fn save_fpu(&self, state: u32) {
        // SAFETY: the frame of a thread that this CPU still has: nobody else uses it.
        unsafe { fpu::save(&mut *self.fpu_state(state)) }
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

    /// A line comes to the CPU that opened it last. One that doesn't exist stays closed: the capability for it is worth nothing.
    fn set_line(&self, line: u32, open: bool) {
        let _ = if open { irq::unmask(self.found, line, apic::id()) } else { irq::mask(self.found, line) };
    }
}

impl MemoryHardware for Hw {
    type Pages = Pages;

    fn ram(&self) -> &PhysicalMemory {
        &self.ram
    }

    fn port_in(&self, port: u16, width: u64) -> Option<u64> {
        match width {
            1 => Some(port::read::<u8>(port).into()),
            2 => Some(port::read::<u16>(port).into()),
            4 => Some(port::read::<u32>(port).into()),
            _ => None,
        }
    }

    fn port_out(&self, port: u16, width: u64, value: u64) -> Option<()> {
        if COM1.contains(&port) {
            klog::quiet();
        }
        match width {
            1 => port::write::<u8>(port, value as u8),
            2 => port::write::<u16>(port, value as u16),
            4 => port::write::<u32>(port, value as u32),
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
        let page = physmap::address(Page(page)) as *mut sal_abi::MessagePage;
        // SAFETY: both frames belong to the running thread: the message page is pinned, the state frame is the kernel's and used by
        // this CPU alone. What user mode wrote is copied first and sanitised where it can't be written any more.
        unsafe {
            let (shown, own) = (&raw mut (*page).fpu, self.fpu_state(state));
            if load {
                own.copy_from_nonoverlapping(shown, 1);
                fpu::sanitise(&mut *own, fpu::components());
                fpu::restore(&*own);
            } else {
                fpu::save(&mut *own);
                shown.copy_from_nonoverlapping(own, 1);
            }
        }
    }

    fn fpu_start(&self, state: u32) {
        // SAFETY: a fresh frame of the kernel's that nobody else uses yet.
        unsafe { self.fpu_state(state).copy_from_nonoverlapping(&fpu::INITIAL, 1) }
    }

    fn ticks(&self) -> (u64, u64) {
        let (rate, zero) = time::tsc_rate();
        (rate / 1_000_000, zero)
    }
}
