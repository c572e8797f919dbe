//! State that outlives a server: records that are whole or were never written.
//!
//! A vault is memory that the root task keeps for a service. Its user may be killed between any two instructions;
//! its successor finds what was stored until then. Everything here keeps one promise: after every prefix of the
//! stores of an operation, what is read is the state before the operation or the state after it, never a mix; and
//! a whole record whose bytes were changed by anything else is found out and reported as a [`Fault`].
//!
//! - [`Header`]: whose vault it is, and of what shape.
//! - [`Committed`]: a value of moderate size in two copies; one word says which one counts.
//! - [`Redo`]: a large value changed in place; the changes are logged, committed by one word, then carried out.
//! - [`ClientSlots`]: the last request of every client and its answer, to be kept inside either.
//! - [`store`]: the stores themselves, for state that is valid after each of its stores by its own design.
//!
//! All of it is plain data (`zerocopy`): any bytes can be mapped; nothing here panics on them.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "kill-points"))]
extern crate std;

mod check;
mod committed;
mod header;
mod redo;
mod slots;
pub mod store;
#[cfg(test)]
mod tests;

pub use check::Fault;
pub use committed::{Commit, Committed};
pub use header::{Expected, Header};
pub use redo::{Full, Redo, RedoHead};
pub use slots::{ANSWER_WORDS, Answer, ClientSlots, Lookup, SEQUENCE_MASK};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Data without pointers, padding or invalid bit patterns.
pub trait Plain: FromBytes + IntoBytes + Immutable + KnownLayout {}

impl<T: FromBytes + IntoBytes + Immutable + KnownLayout> Plain for T {}
