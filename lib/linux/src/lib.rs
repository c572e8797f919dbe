//! The Linux personality as a value: x86_64 Linux system calls in, what follows from them out.
//!
//! One value, [`Linux`], holds every process and every file in arenas of plain data. The shell (`servers/linux`) runs a
//! native thread for each guest thread: enter the guest, take the lock, one call of the door ([`Linux::syscall`] and its
//! siblings), let go of the lock, do what the [`Step`] says. What must always hold:
//!
//! - Nothing here waits. A call that must wait registers its task and says [`Step::Block`]; it is made again at
//!   [`Linux::resume`]. A call that another server must answer is [`Step::Remote`], made without the lock.
//! - What a program passes (addresses, lengths, numbers) is never trusted: the worst is an error or a signal to itself.
//! - The machine below is [`Platform`], the program's memory [`UserMemory`]; both can be emulated, and are, in tests.
//!
//! Semantics are those of the Linux man pages, release 6.1.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod call;
pub mod cmdline;
mod ctx;
mod errno;
mod exec;
mod execve;
mod exit;
mod files;
mod futex;
pub mod job;
mod linux;
pub mod mm;
mod os;
mod platform;
mod proc;
pub mod signal;
mod spawn;
mod step;
mod task;
mod user;
mod wait;

pub use errno::Errno;
pub use files::{GuestBuffer, Store};
pub use linux::Linux;
pub use os::{Config, Stdio};
pub use platform::{Backing, MemoryFigures, ObjectId, Platform, PowerState, Protection, SpaceId};
pub use step::{RemoteCall, RemoteRequest, RemoteResult, Server, Step, Wait};
pub use task::{ExitStatus, TaskId};
pub use user::{PAGE, UserMemory};
