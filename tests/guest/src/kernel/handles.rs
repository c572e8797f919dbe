//! Handles: unguessable in effect, never another object's, rights that only shrink.

use crate::child::{Plan, give};
use crate::harness::{Step, Test, Verdict, ensure, same};
use crate::roles::Role;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use sal_rt::abi::{Error, Handle, Rights};
use sal_rt::handle::{Endpoint, Memory};
use sal_rt::start::own;
use sal_sys::ipc::{self, Extras};
use sal_sys::{capability, memory};

pub(crate) const TESTS: &[Test] = &[
    Test::new("M1-guess", guess),
    Test::new("X1-stale", stale),
    Test::new("rights-shrink", rights_shrink),
    Test::new("revoke", revoke),
    Test::new("table-full", table_full),
];

/// A process that tries 2^16 handles finds its own and no other.
fn guess() -> Verdict {
    let endpoint = Endpoint::create().step("endpoint")?;
    let row = give("out", endpoint.handle(), Rights::SEND);
    let _child = Plan::new(Role::Guess, &[row]).start()?;
    let got = ipc::receive(endpoint.handle(), Extras::NONE).step("receive")?;
    // self, space, budget, log, out.
    same!(got.words[0], 5, "handles found among 65,536");
    Ok("65536 guesses, 5 own".into())
}

/// A handle of a closed capability is refused, also when its place has been filled again.
fn stale() -> Verdict {
    let old = ipc::endpoint_create(own::budget()).step("endpoint")?;
    capability::close(old).step("close")?;
    for turn in 0..1000 {
        let new = ipc::endpoint_create(own::budget()).step("endpoint")?;
        ensure!(new != old, "turn {turn}: the same handle again");
        let called = ipc::call(old, &[0; 8], Extras::NONE);
        same!(called.map(drop).map_err(|e| e.error), Err(Error::BadHandle), "call, turn {turn}");
        same!(ipc::notify(old, 1), Err(Error::BadHandle), "notify, turn {turn}");
        same!(capability::identify(old), Err(Error::BadHandle), "identify, turn {turn}");
        capability::close(new).step("close")?;
    }
    same!(capability::close(old), Err(Error::BadHandle), "a second close");
    Ok(String::new())
}

/// What was taken away in a derivation never comes back, and is missed where it counts.
fn rights_shrink() -> Verdict {
    let whole = Memory::create(4096).step("memory")?;
    let read = whole.derive(Rights::READ).step("derive")?;
    let again = read.derive(Rights::ALL).step("derive again")?;
    same!(capability::identify(again.handle()).map(|i| i.rights), Ok(Rights::READ), "rights");
    // SAFETY: the memory is mapped nowhere.
    #[allow(unsafe_code, reason = "writes to a memory that nobody has mapped")]
    let written = unsafe { memory::memory_write(again.handle(), 0, &[1]) };
    same!(written, Err(Error::NoRight), "write");
    let endpoint = Endpoint::create().step("endpoint")?;
    let send = endpoint.badged(Rights::SEND, 7).step("badge")?;
    let receive = ipc::receive(send.handle(), Extras::NONE);
    same!(receive.map(drop).map_err(|e| e.error), Err(Error::NoRight), "receive");
    let badge = capability::derive(send.handle(), Rights::ALL, 8);
    same!(badge, Err(Error::NoRight), "a badge over a badge");
    Ok(String::new())
}

/// Revoking closes everything derived, in every table.
fn revoke() -> Verdict {
    let memory = Memory::create(4096).step("memory")?;
    let mut all = Vec::new();
    let mut last = memory.handle();
    for depth in 0..50 {
        last = capability::derive(last, Rights::ALL, 0).step(&format!("derive {depth}"))?;
        let beside = capability::derive(last, Rights::READ, 0).step("derive beside")?;
        all.extend([last, beside]);
    }
    capability::revoke(memory.handle()).step("revoke")?;
    let alive = all.iter().filter(|h| capability::identify(**h).is_ok()).count();
    same!(alive, 0, "derived capabilities alive");
    same!(memory.length(), Ok(4096), "the memory itself");
    Ok(format!("{} closed", all.len()))
}

/// A full table refuses without harm, and has room again when something is closed.
fn table_full() -> Verdict {
    let endpoint = Endpoint::create().step("endpoint")?;
    let mut all: Vec<Handle> = Vec::with_capacity(1 << 13);
    let refused = loop {
        match capability::derive(endpoint.handle(), Rights::SEND, 0) {
            Ok(handle) if all.len() < all.capacity() => all.push(handle),
            Ok(_) => break Error::NotSupported,
            Err(error) => break error,
        }
    };
    ensure!(matches!(refused, Error::TableFull | Error::NoBudget), "refused with {refused:?} after {}", all.len());
    ensure!(all.len() > 1000, "only {} handles", all.len());
    let freed = all.pop().ok_or("none")?;
    capability::close(freed).step("close")?;
    let again = capability::derive(endpoint.handle(), Rights::SEND, 0).step("derive after a close")?;
    all.push(again);
    let count = all.len();
    for handle in all {
        capability::close(handle).step("close all")?;
    }
    Ok(format!("{count} handles"))
}
