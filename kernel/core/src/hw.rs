//! What the core asks of the machine. An architecture supplies it; tests supply an emulated one.

use crate::table::Kind;
use sal_abi::Words;

/// A thread's saved registers, as far as the core needs to know them.
pub trait Frame: Default + Clone + Send {
    /// The operation register: operation number and flags.
    fn operation(&self) -> u64;
    /// The first argument.
    fn argument(&self) -> u64;
    /// The eight words.
    fn words(&self) -> Words;
    /// Sets the eight words.
    fn set_words(&mut self, words: Words);
    /// Sets the status register.
    fn set_status(&mut self, status: i64);
    /// Sets the badge (second result) register.
    fn set_badge(&mut self, badge: u64);
    /// Makes it a thread that starts at `entry` in its native space.
    fn start(&mut self, entry: u64, stack: u64, argument: u64, page: u64);
    /// Goes on elsewhere: used for the fixup of a refused guest access.
    fn jump(&mut self, to: u64);
    /// Instruction pointer, stack pointer, frame pointer: for crash records.
    fn position(&self) -> [u64; 3];
    /// Prepares the repetition of the system call that the thread is in: the instruction runs again when the thread does.
    fn repeat_call(&mut self);
}

/// Memory, as far as the life of other objects needs it. All calls come under the registry's lock.
pub trait Backing {
    /// A thread of a process over that native space (a raw id) is gone: its message page, and the frame of its FPU state or 0.
    fn unpin(&mut self, page: u32, fpu_page: u32, space: u64);
    /// A name more (a capability, a process that uses the space, a thread that attached it) for a memory, space or budget (a raw id).
    fn add_ref(&mut self, kind: Kind, object: u64);
    /// A name fewer. Other kinds are no memory: nothing to do.
    fn drop_ref(&mut self, kind: Kind, object: u64);
    /// Does a piece of what closed memories and spaces left; true if there is more.
    fn reap(&mut self) -> bool;
    /// Is there something to reap?
    fn has_doomed(&self) -> bool;
    /// Every CPU has left the kernel since the last call: what was freed before may be used again.
    fn advance(&mut self);
}

#[cfg(not(target_os = "none"))]
impl Backing for () {
    fn unpin(&mut self, _page: u32, _fpu_page: u32, _space: u64) {}
    fn add_ref(&mut self, _kind: Kind, _object: u64) {}
    fn drop_ref(&mut self, _kind: Kind, _object: u64) {}
    fn reap(&mut self) -> bool {
        false
    }
    fn has_doomed(&self) -> bool {
        false
    }
    fn advance(&mut self) {}
}

/// The machine.
pub trait Hardware: Sized + Sync {
    /// Saved registers.
    type Frame: Frame;
    /// Storage for a CPU's deadlines: one entry per thread slot.
    type Timers: AsRef<[crate::timer::Entry]> + AsMut<[crate::timer::Entry]>;
    /// Memory.
    type Vm: Backing;
    /// Nanoseconds since boot.
    fn now(&self) -> u64;
    /// Makes this CPU forget translations.
    fn flush(&self, what: sal_kernel_mem::Shootdown);
    /// Writes the FPU registers of this CPU to a thread's state frame.
    fn save_fpu(&self, state: u32);
    /// Makes CPU `cpu` enter the kernel soon.
    fn interrupt_cpu(&self, cpu: usize);
    /// Word `index` of a frame of memory.
    fn read_word(&self, frame: u32, index: usize) -> u64;
    /// Writes word `index` of a frame of memory.
    fn write_word(&self, frame: u32, index: usize, value: u64);
    /// The calls about memory, ports, logs: what the core doesn't decide by itself.
    ///
    /// # Errors
    /// As `docs/abi.md` says for each.
    fn memory_call(
        &self,
        kernel: &crate::kernel::Kernel<Self>,
        cpu: &mut crate::cpu::Cpu<Self>,
        op: sal_abi::Op,
        args: &crate::object::Args,
    ) -> Result<crate::object::After, sal_abi::Error>;
    /// Lets an interrupt line raise interrupts, or not.
    fn set_line(&self, line: u32, open: bool);
}
