//! The console server as a value: one terminal, or three plain streams, whatever stands at the host's end.
//!
//! Above: clients (the personality) send a [`Request`] with their slot and sequence number to [`Console::serve`].
//! Below: the `uart` driver; [`Console::offer`] says what to send there, [`Console::wants`] what to fetch, and the
//! answers come back by [`Console::accepted`], [`Console::input`], [`Console::session_changed`]. All byte numbers are
//! those of the link's streams, so each of these calls can be repeated.
//!
//! What must hold, wherever the server dies: output is in the vault before its writer is answered, and goes to the
//! driver once; input is consumed, and the answer that carries it recorded, by one commit; a request that was
//! answered is answered the same again and does nothing twice. Blocked requests are nowhere: their clients repeat
//! them.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod driver;
mod request;
mod serve;
mod state;
#[cfg(test)]
mod tests;

pub use driver::{OFFER, Offer, Want};
pub use request::{Client, Outcome, Refusal, Request, Stream, When, event, poll};
pub use sal_tty::{Queue, Termios, Wait, WindowSize};
pub use state::{Console, Mode, OUT, READ_MOST, SLOTS, Vault};
