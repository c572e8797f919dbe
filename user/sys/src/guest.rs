//! Running foreign code.

use crate::raw::{syscall1, syscall4};
use sal_abi::x86_64::Exit;
use sal_abi::{Error, Handle, Op};

/// Why a guest stopped, with the details of that exit (see `abi::x86_64::Exit`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Why.
    pub exit: Exit,
    /// Words 0..2.
    pub details: [u64; 3],
}

/// Runs the guest half of the attached space, from the registers of the message page, until it stops.
///
/// # Errors
/// `Vacant` if no guest is attached; `Interrupted`.
#[inline(always)]
pub fn guest_enter() -> Result<Stopped, Error> {
    // SAFETY: the guest reaches its own half only; this thread's message page is written inside the call.
    let raw = unsafe { syscall4(Op::GuestEnter, 0, [0; 4]) };
    let [a, b, c, ..] = raw.words;
    let exit = Exit::from_number(raw.status()?).ok_or(Error::NotSupported)?;
    Ok(Stopped { exit, details: [a, b, c] })
}

/// The calling thread's guest half from now on; `NONE` for none.
///
/// # Errors
/// `NoRight`, `WrongKind`, `NoBudget`.
///
/// # Safety
/// No reference into the guest half that this thread had is alive.
pub unsafe fn guest_attach(space: Handle) -> Result<(), Error> {
    // SAFETY: promised by the caller.
    unsafe { syscall1(Op::GuestAttach, space.0) }.status().map(drop)
}

/// The thread's running or next `guest_enter` returns `Kicked`.
///
/// # Errors
/// `NoRight`.
pub fn guest_kick(thread: Handle) -> Result<(), Error> {
    // SAFETY: no memory of this program is touched.
    unsafe { syscall1(Op::GuestKick, thread.0) }.status().map(drop)
}

/// Which way the guest's FPU state moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FpuMove {
    /// From the thread to the message page.
    Save = 0,
    /// From the message page to the thread.
    Load = 1,
}

/// Moves the guest's FPU state.
///
/// # Errors
/// `NotSupported` if the thread has none; `BadArgument` for a state that the processor refuses.
pub fn guest_fpu(direction: FpuMove) -> Result<(), Error> {
    // SAFETY: the message page's FPU part is written inside the call.
    unsafe { syscall4(Op::GuestFpu, 0, [direction as u64, 0, 0, 0]) }.status().map(drop)
}
