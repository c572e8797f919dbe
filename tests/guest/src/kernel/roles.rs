//! What children do.
#![allow(unsafe_code, reason = "some roles touch what they were not given")]

use crate::child::ROLE;
use sal_rt::abi::boot::Startup;
use sal_rt::abi::{Handle, PAGE, Rights, Words};
use sal_rt::map::Mapped;
use sal_rt::{Grants, start};
use sal_sys::ipc::{self, Extras};
use sal_sys::{capability, page};

/// Parts that a child can play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Role {
    /// Answers each message at `endpoint` with its words, each plus the badge.
    Echo = 1,
    /// Guesses handles; tells `out` how many of them named something, and the range of those that did.
    Guess = 2,
    /// Works on what callers lend, as word 0 says (see [`lent`]).
    Lent = 3,
    /// Receives one message at `endpoint` and never answers.
    Mute = 4,
    /// Maps `paged`, reads 8 bytes of the page that the argument names, and tells `out`.
    Toucher = 5,
    /// Touches the address that the argument names, or a port ([`PORT`]).
    Trespass = 6,
    /// Touches new pages for ever.
    Spend = 7,
    /// Computes for ever.
    Spin = 8,
    /// Asks at `from` for the right to receive, serves with it, gives it on at `out` (see [`crate::heir`]).
    Heir = 9,
}

/// Exit reason of a child whose role is unknown, or that lacks what the role needs.
const MISCAST: u64 = 99;

/// Plays the role that the start-up page names.
pub(crate) fn play(startup: &'static Startup) {
    let grants = Grants(startup);
    let role = grants.find(ROLE).0;
    let argument = grants.get(ROLE).map_or(0, |grant| grant.address);
    match role {
        n if n == Role::Mute as u64 => mute(grants.find("endpoint")),
        n if n == Role::Toucher as u64 => touch(grants.find("paged"), argument, grants.find("out")),
        n if n == Role::Trespass as u64 => trespass(argument),
        n if n == Role::Spend as u64 => spend(),
        n if n == Role::Heir as u64 => heir(grants.find("from"), grants.find("out"), argument),
        n if n == Role::Spin as u64 => loop {
            core::hint::spin_loop();
        },
        n if n == Role::Echo as u64 => echo(grants.find("endpoint")),
        n if n == Role::Guess as u64 => guess(grants.find("out")),
        n if n == Role::Lent as u64 => lent(grants.find("endpoint")),
        _ => start::exit(MISCAST),
    }
}

fn echo(endpoint: Handle) {
    let mut arrival = ipc::receive(endpoint, Extras::NONE);
    while let Ok(got) = arrival {
        let words = got.words.map(|word| word.wrapping_add(got.badge));
        arrival = ipc::reply_receive(endpoint, &words, Extras::NONE);
    }
}

/// 2^16 handles: 256 generations of 256 places.
fn guess(out: Handle) {
    let (mut hits, mut last) = (0u64, 0);
    for generation in 0..256 {
        for index in 0..256 {
            let handle = Handle::new(generation, index);
            if capability::identify(handle).is_ok() {
                hits += 1;
                last = handle.0;
            }
        }
    }
    let words = [hits, last, 0, 0, 0, 0, 0, 0];
    let _ = ipc::call(out, &words, Extras::NONE);
}

/// Works of [`Role::Lent`]: what word 0 of a request can be.
pub(crate) mod work {
    /// Loan 1 becomes loan 0, each byte changed by [`super::changed`].
    pub(crate) const CHANGE: u64 = 1;
    /// Loans 2 and 3, one after the other, become loans 0 and 1, one after the other.
    pub(crate) const GATHER: u64 = 2;
    /// Reads (w3 0) or writes (w3 1) `w2` bytes at offset `w1` of loan `w4`; answers with the status.
    pub(crate) const REACH: u64 = 3;
}

/// What a server makes of a lent byte.
pub(crate) fn changed(byte: u8) -> u8 {
    byte ^ 0x5a
}

fn lent(endpoint: Handle) {
    let mut arrival = ipc::receive(endpoint, Extras::NONE);
    while let Ok(got) = arrival {
        let result = match got.words {
            [work::CHANGE, ..] => change(),
            [work::GATHER, ..] => gather(),
            [work::REACH, offset, length, direction, loan, ..] => reach(offset, length, direction, loan),
            _ => Err(0),
        };
        let words: Words = match result {
            Ok(count) => [0, count, 0, 0, 0, 0, 0, 0],
            Err(error) => [1, error as u64, 0, 0, 0, 0, 0, 0],
        };
        arrival = ipc::reply_receive(endpoint, &words, Extras::NONE);
    }
}

/// A loan's bytes. The kernel copies in bounded pieces.
fn all_of(loan: usize) -> Result<alloc::vec::Vec<u8>, i64> {
    let mut bytes = alloc::vec![0; page::lent(loan) as usize];
    let mut done = 0;
    while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
        done += ipc::loan_read(Handle::NONE, loan, done as u64, rest).map_err(|e| e.status())?;
    }
    Ok(bytes)
}

fn give_back(loan: usize, bytes: &[u8]) -> Result<u64, i64> {
    let mut done = 0;
    while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
        done += ipc::loan_write(Handle::NONE, loan, done as u64, rest).map_err(|e| e.status())?;
    }
    Ok(done as u64)
}

fn change() -> Result<u64, i64> {
    let bytes = all_of(0)?.into_iter().map(changed);
    give_back(1, &bytes.collect::<alloc::vec::Vec<_>>())
}

fn gather() -> Result<u64, i64> {
    let mut bytes = all_of(0)?;
    bytes.extend(all_of(1)?);
    let first = page::lent(2) as usize;
    let (a, b) = bytes.split_at_checked(first).ok_or(0)?;
    Ok(give_back(2, a)? + give_back(3, b)?)
}

fn reach(offset: u64, length: u64, direction: u64, loan: u64) -> Result<u64, i64> {
    let mut bytes = alloc::vec![0; length as usize];
    let moved = match direction {
        0 => ipc::loan_read(Handle::NONE, loan as usize, offset, &mut bytes),
        _ => ipc::loan_write(Handle::NONE, loan as usize, offset, &bytes),
    };
    moved.map(|count| count as u64).map_err(|e| e.status())
}

/// The argument of [`Role::Trespass`] that means a port.
pub(crate) const PORT: u64 = u64::MAX;

fn mute(endpoint: Handle) {
    let _ = ipc::receive(endpoint, Extras::NONE);
    // Waiting as a receiver would drop the caller: it waits as a caller, where nobody serves.
    if let Ok(nowhere) = sal_rt::handle::Endpoint::create() {
        let _ = ipc::call(nowhere.handle(), &[0; 8], Extras::NONE);
    }
}

fn touch(paged: Handle, number: u64, out: Handle) {
    let Ok(mapped) = Mapped::new(paged, 0, 8 * PAGE, Rights::READ) else { start::exit(MISCAST) };
    let mut bytes = [0; 8];
    let _ = mapped.read(number * PAGE, &mut bytes);
    let words = [u64::from_le_bytes(bytes), 0, 0, 0, 0, 0, 0, 0];
    let _ = ipc::call(out, &words, Extras::NONE);
}

fn trespass(address: u64) {
    if address == PORT {
        // SAFETY: it isn't: the processor refuses, and the process dies. That is the test.
        unsafe { core::arch::asm!("out 0x80, al", options(nomem, nostack)) };
    } else {
        // SAFETY: as above.
        unsafe { (address as *const u64).read_volatile() };
    }
}

fn heir(from: Handle, out: Handle, mark: u64) {
    let served = crate::heir::inherit(from).and_then(|(right, next)| {
        let next = crate::heir::serve(right, next, mark)?;
        crate::heir::hand_on(out, right, next)
    });
    if let Err(reason) = served {
        sal_rt::logger::line(format_args!("heir {mark}: {reason}"));
        start::exit(MISCAST);
    }
}

fn spend() {
    let Ok(memory) = sal_rt::handle::Memory::create(4096 * PAGE) else { start::exit(MISCAST) };
    let rights = Rights::READ.or(Rights::WRITE);
    let Ok(mapped) = Mapped::new(memory.handle(), 0, 4096 * PAGE, rights) else { start::exit(MISCAST) };
    for n in 0..4096 {
        let _ = mapped.write(n * PAGE, &[1]);
    }
}
