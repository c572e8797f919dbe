//! Processes and threads.

use crate::raw::{syscall1, syscall4, syscall8};
use sal_abi::{Error, Handle, Op};

/// Whether a process runs threads or is only a table that outlives a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Runs threads.
    Program = 0,
    /// A vault's table.
    VaultTable = 1,
}

/// A new process on a native space. `death` is raised with `bits` when it dies; `NONE` for nobody.
///
/// # Errors
/// `NoBudget`, `TableFull`, `NoRight`.
pub fn process_create(
    budget: Handle,
    space: Handle,
    death: Handle,
    bits: u64,
    purpose: Purpose,
) -> Result<Handle, Error> {
    // SAFETY: no memory of this program is touched.
    let raw = unsafe { syscall4(Op::ProcessCreate, budget.0, [space.0, death.0, bits, purpose as u64]) };
    raw.status().map(|_| Handle(raw.second))
}

/// Ends a process; returns when no CPU runs it any more.
///
/// # Errors
/// `NoRight`; `Dead` if it was.
pub fn kill(process: Handle, reason: u64) -> Result<(), Error> {
    // SAFETY: no memory of this program is touched, unless it kills itself and nothing follows.
    unsafe { syscall4(Op::Kill, process.0, [reason, 0, 0, 0]) }.status().map(drop)
}

/// State of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessInfo {
    /// `abi::boot::ProcessState`.
    pub state: u64,
    /// `kind | detail << 8`, see `abi::boot::DeathKind`.
    pub reason: u64,
    /// Where it died.
    pub rip: u64,
    /// Its stack pointer then.
    pub rsp: u64,
    /// Its frame pointer then.
    pub rbp: u64,
    /// The address that it could not touch, for a page fault.
    pub fault: u64,
    /// Nanoseconds of CPU that it used.
    pub cpu: u64,
    /// Threads alive.
    pub threads: u64,
}

/// Reads the state of a process.
///
/// # Errors
/// `NoRight`.
pub fn process_info(process: Handle) -> Result<ProcessInfo, Error> {
    // SAFETY: no memory of this program is touched.
    let raw = unsafe { syscall8(Op::ProcessInfo as u64, process.0, &[0; 8]) };
    let [reason, rip, rsp, rbp, fault, cpu, threads, _] = raw.words;
    raw.status().map(|state| ProcessInfo { state, reason, rip, rsp, rbp, fault, cpu, threads })
}

/// Ends the calling process.
pub fn exit(reason: u64) -> ! {
    loop {
        // SAFETY: nothing of this program runs after it.
        let _ = unsafe { syscall1(Op::Exit, reason) };
    }
}

/// How a thread starts.
#[derive(Clone, Copy, Debug)]
pub struct ThreadStart {
    /// First instruction.
    pub entry: u64,
    /// Stack pointer, see `abi::boot::first_stack_pointer`.
    pub stack: u64,
    /// In `rdi` at its entry.
    pub argument: u64,
    /// Its message page in the process's space.
    pub message_page: u64,
    /// 0..=255.
    pub priority: u64,
    /// Which CPU, or any.
    pub cpu: Option<u64>,
    /// Of `sal_abi::op::thread`.
    pub flags: u64,
}

/// A new thread, not yet started.
///
/// # Errors
/// `NoBudget`, `TableFull`, `BadAddress`.
///
/// # Safety
/// In one's own process: `entry` runs with that stack and argument as any function called from Rust must.
pub unsafe fn thread_create(process: Handle, start: &ThreadStart) -> Result<Handle, Error> {
    let words = [
        start.entry,
        start.stack,
        start.argument,
        start.message_page,
        start.priority,
        start.cpu.unwrap_or(u64::MAX),
        start.flags,
        0,
    ];
    // SAFETY: promised by the caller.
    let raw = unsafe { syscall8(Op::ThreadCreate as u64, process.0, &words) };
    raw.status().map(|_| Handle(raw.second))
}

/// Starts a new thread.
///
/// # Errors
/// `NoRight`, `Occupied` if it runs already.
pub fn thread_start(thread: Handle) -> Result<(), Error> {
    // SAFETY: what it runs was promised at its creation.
    unsafe { syscall1(Op::ThreadStart, thread.0) }.status().map(drop)
}

/// Sets priority and CPU.
///
/// # Errors
/// `NoRight`, `BadArgument`.
pub fn thread_schedule(thread: Handle, priority: u64, cpu: Option<u64>) -> Result<(), Error> {
    // SAFETY: no memory of this program is touched.
    let raw = unsafe { syscall4(Op::ThreadSchedule, thread.0, [priority, cpu.unwrap_or(u64::MAX), 0, 0]) };
    raw.status().map(drop)
}

/// Ends the calling thread. Its stack and message page stay mapped.
pub fn thread_exit() -> ! {
    loop {
        // SAFETY: nothing of this thread runs after it.
        let _ = unsafe { syscall1(Op::ThreadExit, 0) };
    }
}

/// State of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadInfo {
    /// The kernel's state number.
    pub state: u64,
    /// CPU that owns it.
    pub cpu: u64,
    /// Its own priority.
    pub priority: u64,
    /// Nanoseconds of CPU used.
    pub used: u64,
}

/// Reads the state of a thread.
///
/// # Errors
/// `NoRight`.
pub fn thread_info(thread: Handle) -> Result<ThreadInfo, Error> {
    // SAFETY: no memory of this program is touched.
    let raw = unsafe { syscall4(Op::ThreadInfo, thread.0, [0; 4]) };
    let [cpu, priority, used, ..] = raw.words;
    raw.status().map(|state| ThreadInfo { state, cpu, priority, used })
}

/// Ends a thread's blocked call, or its next one, with `Interrupted`.
///
/// # Errors
/// `NoRight`.
pub fn interrupt(thread: Handle) -> Result<(), Error> {
    // SAFETY: no memory of this program is touched.
    unsafe { syscall1(Op::Interrupt, thread.0) }.status().map(drop)
}

/// Lets others of the same priority run.
pub fn yield_now() {
    // SAFETY: no memory of this program is touched.
    let _ = unsafe { syscall1(Op::Yield, 0) };
}
