//! Memory behind capabilities: budgets, spaces, memories, page faults; the calls of docs/abi.md on them.
//!
//! What must always hold: everything here happens under the registry's lock, but the copies of loans; a change that another CPU may still
//! remember in its TLB is reported to [`Kernel::shoot`] before its caller goes on.

mod budget;
mod call;
mod fault;
mod guest;
mod loan;
mod make;
mod state;

pub use budget::{Account, Budgets};
pub use call::memory_call;
pub use fault::Trap;
pub use state::MemoryState;

use crate::hw::Hardware;
use sal_kernel_mem::Machine;

/// A machine whose memory is kept by this module.
pub trait MemoryHardware: Hardware<Vm = MemoryState<Self::Pages>> {
    /// Frames, page tables.
    type Pages: Machine;
    /// Where an access of user code would go, by the page tables as they are: `sal_kernel_mem::walk::translate`.
    fn walk(&self, root: u32, address: u64, access: sal_kernel_mem::Access) -> Option<(u32, usize)>;
    /// Copies bytes between (frame, offset) places, without the registry's lock.
    fn copy(&self, from: (u32, usize), to: (u32, usize), length: usize);
    /// Reads a port of that width; `None`: not that width.
    fn port_in(&self, port: u16, width: u64) -> Option<u64>;
    /// Writes a port of that width.
    fn port_out(&self, port: u16, width: u64, value: u64) -> Option<()>;
    /// Bytes of a frame.
    fn read_bytes(&self, from: (u32, usize), bytes: &mut [u8]);
    /// Sets bytes of a frame.
    fn write_bytes(&self, to: (u32, usize), bytes: &[u8]);
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
