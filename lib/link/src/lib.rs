//! Frames over a serial line that lose and double nothing. `docs/link.md` is the format and its reasons.
//!
//! A [`Link`] is one end: bytes of several channels go in and come out, bytes for the wire come out and go in.
//! It is a value: no clock, no device; plain data, so that the `uart` driver keeps it in its vault and its
//! successor goes on with [`Link::adopt`], wherever its predecessor died.
//!
//! What must hold: per channel and session, the bytes received are a prefix of the bytes that [`Link::send`]
//! accepted at the other end, and become all of them as long as frames pass at all; a channel that nobody reads
//! stops no other; whatever comes over the wire, nothing panics.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod control;
mod frame;
mod link;
mod stream;
#[cfg(test)]
mod tests;

pub use control::{CONTROL_LENGTH, Control, Terminal, VERSION};
pub use frame::{END, ESCAPE, PAYLOAD, START, TEXT};
pub use link::{Link, Role, SessionChanged};
pub use stream::RING;

/// How many channels there are.
pub const CHANNELS: usize = 5;

/// A stream of bytes in both directions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Channel {
    /// Messages of eight bytes: [`Control`].
    Control = 0,
    /// To the guest: standard input.
    Stdin = 1,
    /// To the host: standard output, or all that goes to the tty.
    Stdout = 2,
    /// To the host: standard error.
    Stderr = 3,
    /// To the host: the services' log.
    Log = 4,
}

impl Channel {
    /// All channels, by number.
    pub const ALL: [Channel; CHANNELS] =
        [Channel::Control, Channel::Stdin, Channel::Stdout, Channel::Stderr, Channel::Log];

    /// The channel with that number.
    pub fn from_number(number: u8) -> Option<Channel> {
        Self::ALL.get(usize::from(number)).copied()
    }
}
