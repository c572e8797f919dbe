//! Memory behind capabilities: budgets, spaces, memories, page faults; the calls of docs/abi.md on them.
//!
//! What must always hold: everything here happens under the registry's lock, but the copies of loans; a change that another CPU may still
//! remember in its TLB is reported to [`Kernel::shoot`] before its caller goes on, whether the call succeeded or not.

mod call;
mod fault;
mod guest;
mod loan;
mod make;

pub use call::memory_call;
pub use fault::Trap;

use crate::cpu::Cpu;
use crate::hw::{Backing, Hardware};
use crate::kernel::Kernel;
use crate::registry::Registry;
use crate::table::Kind;
use core::sync::atomic::Ordering;
use sal_abi::Error;
use sal_kernel_mem::{BudgetId, Frame, Machine, MemoryId, Object, SpaceId, Vm};

/// A machine whose memory is kept by this module.
pub trait MemoryHardware: Hardware<Vm = Vm<Self::Pages>> {
    /// Frames, page tables.
    type Pages: Machine;
    /// Physical memory, for copies without the registry's lock.
    fn ram(&self) -> &<Self::Pages as Machine>::Ram;
    /// Reads a port of that width; `None`: not that width.
    fn port_in(&self, port: u16, width: u64) -> Option<u64>;
    /// Writes a port of that width.
    fn port_out(&self, port: u16, width: u64, value: u64) -> Option<()>;
    /// Appends to the kernel's log.
    fn log(&self, bytes: &[u8]);
    /// Reads the kernel's log from a position on: bytes copied and the next position.
    fn log_read(&self, position: u64, bytes: &mut [u8]) -> (usize, u64);
    /// Ends the machine.
    fn power_off(&self, status: u64) -> !;
    /// Copies the FPU state of the running thread, whose state frame is `state`, to (or, `load`, from) its message page.
    fn fpu(&self, page: u32, state: u32, load: bool);
    /// Fills a state frame for a thread that starts.
    fn fpu_start(&self, state: u32);
    /// Ticks per microsecond, and the tick of nanosecond 0.
    fn ticks(&self) -> (u64, u64);
}

/// What a capability for memory names.
fn object(kind: Kind, raw: u64) -> Option<Object> {
    match kind {
        Kind::Memory => Some(Object::Memory(MemoryId::from_word(raw))),
        Kind::Space => Some(Object::Space(SpaceId::from_word(raw))),
        Kind::Budget => Some(Object::Budget(BudgetId::from_word(raw))),
        _ => None,
    }
}

impl<M: Machine> Backing for Vm<M> {
    fn unpin(&mut self, page: u32, fpu_page: u32, space: u64) {
        let Some(budget) = self.space(SpaceId::from_word(space)).map(|s| s.budget()) else { return };
        // What was pinned and taken when the thread was made is so still.
        let _ = Vm::unpin(self, budget, Frame(page));
        if fpu_page != 0 {
            let _ = self.give_frame(budget, Frame(fpu_page));
        }
    }

    fn add_ref(&mut self, kind: Kind, raw: u64) {
        object(kind, raw).into_iter().for_each(|object| self.add_name(object));
    }

    fn drop_ref(&mut self, kind: Kind, raw: u64) {
        object(kind, raw).into_iter().for_each(|object| self.drop_name(object));
    }

    fn reap(&mut self) -> bool {
        let more = Vm::reap(self);
        // Nobody runs in such a space and nothing maps such a memory.
        self.take_shootdown();
        more
    }

    fn has_doomed(&self) -> bool {
        Vm::has_doomed(self)
    }

    fn advance(&mut self) {
        Vm::advance(self);
    }
}

impl<H: MemoryHardware> Kernel<H> {
    /// Runs an operation on memory under the registry's lock.
    fn in_vm<T>(
        &self,
        cpu: &mut Cpu<H>,
        f: impl FnMut(&mut H::Vm) -> Result<T, sal_kernel_mem::Error>,
    ) -> Result<T, Error> {
        self.with_frames(cpu, &mut self.registry.lock(), f)
    }

    /// Runs an operation on memory; where free frames are in quarantine only, lets them out first. What it changed is announced to the other
    /// CPUs, what it closed is taken apart soon.
    fn with_frames<T>(
        &self,
        cpu: &mut Cpu<H>,
        registry: &mut Registry<H::Vm>,
        mut f: impl FnMut(&mut H::Vm) -> Result<T, sal_kernel_mem::Error>,
    ) -> Result<T, Error> {
        let mut result = f(&mut registry.vm);
        // Twice: what was freed before the last advance, then what was freed since.
        for _ in 0..2 {
            if !matches!(result, Err(sal_kernel_mem::Error::NoFrames)) {
                break;
            }
            self.leave_quarantine(cpu, registry);
            result = f(&mut registry.vm);
        }
        self.shoot(cpu, registry.vm.take_shootdown(), None);
        if registry.vm.has_doomed() {
            self.reaping.store(true, Ordering::Release);
        }
        result.map_err(Error::from)
    }
}
