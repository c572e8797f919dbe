//! The right to receive goes from process to process while a client keeps calling.

use crate::child::{Plan, give};
use crate::crew::{Crew, Place, SECOND};
use crate::harness::{Step, Test, Verdict, ensure, same};
use crate::roles::Role;
use alloc::format;
use alloc::string::String;
use sal_rt::abi::{CapArg, Error, Handle, Rights};
use sal_rt::handle::Endpoint;
use sal_rt::start::own;
use sal_sys::capability;
use sal_sys::ipc::{self, Extras};
use sal_sys::page;

pub(crate) const TESTS: &[Test] = &[Test::new("M2-receive-right-moves", moves)];

/// Calls that each server answers before the right goes on.
const EACH: u64 = 500;

/// Servers: this process, two children, this process again.
const SERVERS: u64 = 4;

/// Answers [`EACH`] calls at `endpoint`, each of which must have the next number; the answer is the number and `mark`. The next number.
pub(crate) fn serve(endpoint: Handle, from: u64, mark: u64) -> Result<u64, String> {
    for number in from..from + EACH {
        let got = ipc::receive(endpoint, Extras::NONE).step("receive")?;
        same!(got.words[0], number, "the call's number");
        ipc::reply(Handle::NONE, &[number, mark, 0, 0, 0, 0, 0, 0], Extras::NONE).step("answer")?;
    }
    Ok(from + EACH)
}

/// Gives the right on to whoever asks at `out`, with the number of the next call. The giver has it no more.
pub(crate) fn hand_on(out: Handle, endpoint: Handle, next: u64) -> Result<(), String> {
    ipc::receive(out, Extras::NONE).step("who asks for the right")?;
    let count =
        page::set_send(&[CapArg { handle: endpoint, rights: Rights::RECEIVE.or(Rights::TRANSFER).0, moved: 1 }]);
    ipc::reply(Handle::NONE, &[next, 0, 0, 0, 0, 0, 0, 0], Extras::new(0, count, 0)).step("the right")?;
    same!(capability::identify(endpoint).map(drop), Err(Error::BadHandle), "the right after it went");
    Ok(())
}

/// Asks at `from` for the right; it, and the number of the next call.
pub(crate) fn inherit(from: Handle) -> Result<(Handle, u64), String> {
    let got = ipc::call(from, &[0; 8], Extras::accept(1)).step("asking for the right")?;
    same!(got.arrival.caps(), 1, "rights that came");
    Ok((page::received(0), got.words[0]))
}

/// Nothing is lost, doubled or out of order, and each server has answered its part.
fn moves() -> Verdict {
    let right = ipc::endpoint_create(own::budget()).step("endpoint")?;
    let client = capability::derive(right, Rights::SEND, 0).step("the client's right")?;
    let doors = [(); 3].map(|()| Endpoint::create());
    let [Ok(first), Ok(second), Ok(last)] = &doors else { return Err("doors".into()) };
    let heir = |from: &Endpoint, out: &Endpoint, mark| {
        let rows = [give("from", from.handle(), Rights::SEND), give("out", out.handle(), Rights::RECEIVE)];
        Plan::new(Role::Heir, &rows).argument(mark).start()
    };
    let _children = [heir(first, second, 2)?, heir(second, last, 3)?];
    let mut crew = Crew::new()?;
    crew.add(100, Place::On(1), move || {
        for number in 0..SERVERS * EACH {
            let words = [number, 0, 0, 0, 0, 0, 0, 0];
            let answer = ipc::call(client, &words, Extras::NONE).step(&format!("call {number}"))?;
            let server = number / EACH % (SERVERS - 1) + 1;
            same!(answer.words[..2], [number, server], "answer and server of call {number}");
        }
        Ok(())
    })?;
    let next = serve(right, 0, 1)?;
    hand_on(first.handle(), right, next)?;
    let (back, next) = inherit(last.handle())?;
    same!(next, 3 * EACH, "calls answered by three servers");
    ensure!(serve(back, next, 1)? == SERVERS * EACH, "not all calls were answered");
    crew.join(10 * SECOND)?;
    Ok(format!("{} calls, {SERVERS} servers one after the other", SERVERS * EACH))
}
