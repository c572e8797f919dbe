//! What a program finds when it starts.
//!
//! Entry of every native program: `rdi` = address of its [`Startup`] page (read-only), `rsi` = address of the first thread's message
//! page; `rsp` = top of its stack, 16-byte aligned minus 8 as after a call. The root task's page is written by the kernel, everybody
//! else's by the root task.

use crate::Handle;

/// "SALSTART".
pub const STARTUP_MAGIC: u64 = u64::from_le_bytes(*b"SALSTART");

/// Bytes in the area that holds a native thread's message page and stack, and the area's alignment: a thread finds its message page by
/// rounding its stack pointer down to this, so no register or thread-local storage is spent on it. Whoever makes a thread (the kernel for
/// the root task, the root task for a service's first thread, the run-time for further ones) lays the area out so:
/// message page at [`AREA_MESSAGE_PAGE`], nothing mapped from there to [`AREA_STACK`], stack from [`AREA_STACK`] to the area's end.
/// The stack is zero-fill, so that only the frames that it touches cost anything.
pub const THREAD_AREA: u64 = 256 * 1024;
/// Offset of the message page in the area.
pub const AREA_MESSAGE_PAGE: u64 = 0;
/// Offset of the stack's lowest byte in the area; the page below it is never mapped and catches an overflow.
pub const AREA_STACK: u64 = 2 * crate::PAGE;

/// The stack pointer with which the thread of the area at `base` starts: 16-byte aligned minus 8, as after a call.
pub const fn first_stack_pointer(base: u64) -> u64 {
    base + THREAD_AREA - 8
}

/// Named handles that fit in a start-up page.
pub const GRANTS: usize = 96;

/// A handle and the name by which the program's manifest entry calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Grant {
    /// UTF-8, padded with zero bytes. `self`, `space`, `budget`, `log`, `endpoint`, `vault`, or as the manifest names it.
    pub name: [u8; 24],
    /// In the program's own table.
    pub handle: Handle,
    /// For a memory that is mapped at the start: where; else 0.
    pub address: u64,
}

impl Grant {
    /// The name without its padding.
    pub fn name(&self) -> &[u8] {
        let end = self.name.iter().position(|b| *b == 0).unwrap_or(self.name.len());
        self.name.get(..end).unwrap_or(&[])
    }
}

/// The start-up page.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(4096))]
pub struct Startup {
    /// [`STARTUP_MAGIC`].
    pub magic: u64,
    /// [`crate::VERSION`].
    pub version: u32,
    /// Grants that follow.
    pub count: u32,
    /// Which incarnation of the service this is: 1 is the first.
    pub incarnation: u64,
    /// First address of the program's image.
    pub image: u64,
    /// A free part of the program's space for its heap and further stacks.
    pub free_start: u64,
    /// Its end.
    pub free_end: u64,
    /// Time-stamp counter ticks per microsecond, and the counter's value at nanosecond 0.
    pub ticks_per_us: u64,
    /// See `ticks_per_us`.
    pub tick_zero: u64,
    /// Processors.
    pub cpus: u64,
    /// Random bytes to seed a generator; different at each start.
    pub entropy: [u64; 4],
    /// Up to [`GRANTS`] named handles.
    pub grants: [Grant; GRANTS],
}

/// What the kernel grants the root task, by name: `self` (Process), `space`, `budget` (all memory), `log`, `ports` (all), `interrupts`
/// (all lines), `image` (the boot image, read-only, mapped at `address`), `cmdline` (Memory, text, zero-terminated, mapped), `endpoint`
/// is not among them: it makes its own.
pub const ROOT_GRANTS: &[&str] = &["self", "space", "budget", "log", "ports", "interrupts", "image", "cmdline"];

/// State of a process, from `ProcessInfo`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum ProcessState {
    /// It runs, or could.
    Alive = 0,
    /// It is gone from every CPU.
    Dead = 1,
}

/// Reasons with which the run-time calls `Exit`; smaller than 16, so that a program's own begin there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum ExitReason {
    /// It was done.
    Done = 0,
    /// It panicked; the line before in the log says where.
    Panic = 1,
    /// Its start-up page is none, or of another version.
    BadStartup = 2,
    /// The start-up page lacks a handle that the program can't do without; the log says which.
    MissingGrant = 3,
    /// The kernel refused what the run-time can't do without (a lock's endpoint, a heap page).
    NoResources = 4,
}

/// Why a process died: the reason word of `ProcessInfo` is `kind | detail << 8`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum DeathKind {
    /// It called `Exit`; the detail is its reason.
    Exited = 0,
    /// Somebody called `Kill`; the detail is the killer's reason.
    Killed = 1,
    /// A processor exception; the detail is the vector.
    Exception = 2,
    /// A page fault that nobody repaired; the address is in `w4`.
    PageFault = 3,
    /// It touched a zero-fill page when its budget was spent.
    NoBudget = 4,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_startup_page_is_one_page() {
        assert_eq!(core::mem::size_of::<Startup>(), 4096);
    }
}
