//! What children of the benchmark do.

use crate::child::ROLE;
use sal_rt::abi::boot::Startup;
use sal_rt::abi::{Handle, PAGE};
use sal_rt::{Grants, start};
use sal_sys::ipc::{self, Extras};

/// Parts that a child can play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Role {
    /// Answers each message with its words.
    Echo = 1,
    /// Copies the lent page into its own memory and answers.
    Copy = 2,
    /// Raises bit 1 at `back` for each notification that it receives.
    Bounce = 3,
    /// Ends at once.
    End = 4,
}

/// Plays the role that the start-up page names.
pub(crate) fn play(startup: &'static Startup) {
    let grants = Grants(startup);
    let endpoint = grants.find("endpoint");
    match grants.find(ROLE).0 {
        n if n == Role::Echo as u64 => echo(endpoint),
        n if n == Role::Copy as u64 => copy(endpoint),
        n if n == Role::Bounce as u64 => bounce(endpoint, grants.find("back")),
        _ => start::exit(0),
    }
}

/// Answers each message with its words.
pub(crate) fn echo(endpoint: Handle) {
    let mut arrival = ipc::receive(endpoint, Extras::NONE);
    while let Ok(got) = arrival {
        arrival = ipc::reply_receive(endpoint, &got.words, Extras::NONE);
    }
}

fn copy(endpoint: Handle) {
    let mut page = alloc::vec![1u8; PAGE as usize];
    let mut arrival = ipc::receive(endpoint, Extras::NONE);
    while arrival.is_ok() {
        let copied = ipc::loan_read(Handle::NONE, 0, 0, &mut page);
        let words = [copied.map_or(0, |n| n as u64), 0, 0, 0, 0, 0, 0, 0];
        arrival = ipc::reply_receive(endpoint, &words, Extras::NONE);
    }
}

fn bounce(endpoint: Handle, back: Handle) {
    while ipc::receive(endpoint, Extras::NONE).is_ok() {
        if ipc::notify(back, 1).is_err() {
            return;
        }
    }
}
