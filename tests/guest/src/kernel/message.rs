//! Messages: words, badges, order, loans, capabilities.

use crate::child::{Plan, give};
use crate::harness::{Step, Test, Verdict, ensure, same};
use crate::roles::{Role, changed, work};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use sal_rt::abi::{Error, Handle, Loan, Rights, Words};
use sal_rt::handle::Endpoint;
use sal_sys::ipc::{self, Extras, Failed, Received};
use sal_sys::page;

pub(crate) const TESTS: &[Test] = &[
    Test::new("words", words),
    Test::new("Q1-sweep", sweep),
    Test::new("Q1-scatter", scatter),
    Test::new("X3-beyond", beyond),
];

/// Rights that a server has on its endpoint.
const SERVE: Rights = Rights(Rights::RECEIVE.0 | Rights::SEND.0);

/// Calls, lending these buffers.
#[allow(unsafe_code, reason = "buffers are lent by address")]
pub(crate) fn call_lending(endpoint: Handle, words: &Words, loans: &[Loan]) -> Result<Received, Failed> {
    // SAFETY: whoever made the loans made them from slices that stay borrowed until this returns; the call is synchronous.
    unsafe {
        let count = page::set_loans(loans);
        ipc::call_lending(endpoint, words, Extras::new(count, 0, 0))
    }
}

/// A buffer lent to be read.
pub(crate) fn to_read(bytes: &[u8]) -> Loan {
    Loan { address: bytes.as_ptr() as u64, length: bytes.len() as u64, rights: Rights::READ.0, reserved: 0 }
}

/// A buffer lent to be written.
pub(crate) fn to_write(bytes: &mut [u8]) -> Loan {
    Loan { address: bytes.as_mut_ptr() as u64, length: bytes.len() as u64, rights: Rights::WRITE.0, reserved: 0 }
}

/// Eight words go over and come back, with the badge, to another space.
fn words() -> Verdict {
    let endpoint = Endpoint::create().step("endpoint")?;
    let _child = Plan::new(Role::Echo, &[give("endpoint", endpoint.handle(), SERVE)]).start()?;
    let badged = endpoint.badged(Rights::SEND, 1 << 40).step("badge")?;
    for turn in 0..1000u64 {
        let words: Words = core::array::from_fn(|i| turn * 8 + i as u64);
        let reply = ipc::call(badged.handle(), &words, Extras::NONE).step("call")?;
        same!(reply.words, words.map(|w| w + (1 << 40)), "turn {turn}");
    }
    Ok(String::new())
}

/// A server in another space, and the endpoint at which it works on loans.
fn lender() -> Result<(Endpoint, crate::child::Child), String> {
    let endpoint = Endpoint::create().step("endpoint")?;
    let rows = [give("endpoint", endpoint.handle(), SERVE)];
    let child = Plan::new(Role::Lent, &rows).frames(2048).start()?;
    Ok((endpoint, child))
}

/// Bytes that differ from place to place.
fn pattern(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 7 + i / 251 + seed) as u8).collect()
}

/// From one byte to a MiB and around every power of two, at odd addresses: each byte arrives and comes back changed, none beside.
fn sweep() -> Verdict {
    let (endpoint, _child) = lender()?;
    let sizes = (0..=20).flat_map(|power| [(1usize << power) - 1, 1 << power, (1 << power) + 1]);
    let mut moved = 0;
    for size in sizes.filter(|size| (1..=1 << 20).contains(size)) {
        let from = pattern(size + 3, size);
        let mut to = alloc::vec![0xee; size + 6];
        let loans = [to_read(&from[3..]), to_write(&mut to[3..size + 3])];
        let reply = call_lending(endpoint.handle(), &[work::CHANGE, 0, 0, 0, 0, 0, 0, 0], &loans).step("call")?;
        same!(reply.words[..2], [0, size as u64], "the server's answer for {size} bytes");
        let wrong = to[3..size + 3].iter().zip(&from[3..]).position(|(t, f)| *t != changed(*f));
        ensure!(wrong.is_none(), "{size} bytes: wrong at {wrong:?}");
        ensure!(to[..3] == [0xee; 3] && to[size + 3..] == [0xee; 3], "{size} bytes: neighbours changed");
        moved += size;
    }
    Ok(format!("{moved} bytes each way"))
}

/// Two loans gathered, scattered over two others.
fn scatter() -> Verdict {
    let (endpoint, _child) = lender()?;
    for (a, b, c) in [(1, 1, 1), (5000, 3000, 4096), (3, 70_000, 69_000), (65_536, 4096, 1)] {
        let (first, second) = (pattern(a, 1), pattern(b, 2));
        let (mut third, mut fourth) = (alloc::vec![1; c], alloc::vec![1; a + b - c]);
        let loans = [to_read(&first), to_read(&second), to_write(&mut third), to_write(&mut fourth)];
        let reply = call_lending(endpoint.handle(), &[work::GATHER, 0, 0, 0, 0, 0, 0, 0], &loans).step("call")?;
        same!(reply.words[..2], [0, (a + b) as u64], "{a} + {b} bytes");
        let sent = [first, second].concat();
        ensure!(sent == [third, fourth].concat(), "{a} + {b} to {c}: other bytes");
    }
    Ok(String::new())
}

/// One byte past a loan, the wrong direction, a loan that is none, and a loan that is over: refused, nothing moved.
fn beyond() -> Verdict {
    let (endpoint, _child) = lender()?;
    let from = pattern(100, 0);
    let mut to = alloc::vec![7u8; 100];
    let refused = [1, Error::OutOfLoan.status() as u64];
    let cases = [
        (0, 101, 0, 0),
        (100, 1, 0, 0),
        (u64::MAX, 1, 0, 0),
        (50, 51, 1, 1),
        (0, 1, 1, 0),
        (0, 1, 0, 1),
        (0, 1, 0, 2),
        (0, 1, 0, 9),
    ];
    for (offset, length, direction, loan) in cases {
        let loans = [to_read(&from), to_write(&mut to)];
        let words = [work::REACH, offset, length, direction, loan, 0, 0, 0];
        let reply = call_lending(endpoint.handle(), &words, &loans).step("call")?;
        same!(reply.words[..2], refused, "{length} bytes at {offset} of loan {loan}, direction {direction}");
    }
    ensure!(to.iter().all(|byte| *byte == 7), "a refused write changed something");
    let words = [work::REACH, 99, 1, 0, 0, 0, 0, 0];
    let reply = call_lending(endpoint.handle(), &words, &[to_read(&from)]).step("call")?;
    same!(reply.words[..2], [0, 1], "the last byte");
    let reply = ipc::call(endpoint.handle(), &words, Extras::NONE).step("call")?;
    same!(reply.words[..2], refused, "a loan of the call before");
    Ok(String::new())
}
