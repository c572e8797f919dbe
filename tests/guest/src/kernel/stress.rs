//! Many calls between threads on different CPUs: nobody is forgotten.

use crate::crew::{Crew, Place, SECOND};
use crate::harness::{Step, Test, Verdict, ensure, same};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use sal_rt::abi::message::Kind;
use sal_rt::abi::{CapArg, Error, Handle, Rights};
use sal_rt::clock;
use sal_rt::handle::{Endpoint, Memory, Notification};
use sal_sys::ipc::{self, Extras};
use sal_sys::{capability, page, process};

pub(crate) const TESTS: &[Test] = &[
    Test::new("plain", || storm(Pattern { caps: false, notify: false, pinned: true })),
    Test::new("notify", || storm(Pattern { caps: false, notify: true, pinned: true })),
    Test::new("caps", || storm(Pattern { caps: true, notify: false, pinned: true })),
    Test::new("all-anywhere", || storm(Pattern { caps: true, notify: true, pinned: false })),
];

/// What the threads do.
#[derive(Clone, Copy)]
struct Pattern {
    /// Every other call carries a capability, and brings one back.
    caps: bool,
    /// Clients raise notifications at the servers between calls.
    notify: bool,
    /// Servers and clients each on a CPU of their own, neighbours apart.
    pinned: bool,
}

/// How long a storm lasts: half a second, or as many as the command line says (`seconds=N`).
fn length() -> u64 {
    crate::harness::word("seconds=").map_or(SECOND / 2, |n| n * SECOND)
}
const SERVERS: u64 = 2;
const CLIENTS: u64 = 4;
/// Word 0 that ends a server.
const STOP: u64 = u64::MAX;

fn storm(pattern: Pattern) -> Verdict {
    let ends = (0..SERVERS).map(|_| Endpoint::create()).collect::<Result<alloc::vec::Vec<_>, _>>();
    let ends = Arc::new(ends.step("endpoints")?);
    let place = move |n| if pattern.pinned { Place::On(n) } else { Place::Any };
    let mut servers = Crew::new()?;
    for n in 0..SERVERS {
        let ends = Arc::clone(&ends);
        servers.add(110, place(n), move || serve(ends.get(n as usize).ok_or("no endpoint")?.handle()))?;
    }
    let total = Arc::new(core::sync::atomic::AtomicU64::new(0));
    let mut clients = Crew::new()?;
    let length = length();
    let end = clock::now() + length;
    for n in 0..CLIENTS {
        let (ends, total) = (Arc::clone(&ends), Arc::clone(&total));
        clients.add(100, place(n + 1), move || {
            let mut count = 0;
            while clock::now() < end {
                for _ in 0..16 {
                    let to = ends.get((count % SERVERS) as usize).ok_or("no endpoint")?;
                    one(to, n, count, pattern)?;
                    count += 1;
                }
            }
            total.fetch_add(count, core::sync::atomic::Ordering::SeqCst);
            Ok(())
        })?;
    }
    let ended = clients.join(length + 5 * SECOND);
    if let Err(why) = ended {
        return Err(format!("{why}; {}", states(&ends, &clients, &servers)));
    }
    for endpoint in ends.iter() {
        ipc::call(endpoint.handle(), &[STOP, 0, 0, 0, 0, 0, 0, 0], Extras::NONE).step("the last call")?;
    }
    servers.join(SECOND)?;
    Ok(format!("{} calls", total.load(core::sync::atomic::Ordering::SeqCst)))
}

/// Who waits for what.
fn states(ends: &[Endpoint], clients: &Crew, servers: &Crew) -> String {
    let mut text = String::new();
    for endpoint in ends {
        text += &format!("{:?} ", endpoint.info());
    }
    for (name, crew, count) in [("client", clients, CLIENTS), ("server", servers, SERVERS)] {
        for n in 0..count as usize {
            let state = crew.thread(n).map(|t| process::thread_info(t.handle()).map(|i| i.state));
            text += &format!("{name} {n} {state:?} ");
        }
    }
    text
}

/// One call, checked.
fn one(to: &Endpoint, client: u64, count: u64, pattern: Pattern) -> Result<(), String> {
    if pattern.notify && count.is_multiple_of(3) {
        let notification = Notification::create(to.handle(), 5).step("notification")?;
        notification.raise(1).step("raise")?;
    }
    let words = [count, client, 0, 0, 0, 0, 0, 0];
    let reply = if pattern.caps && count.is_multiple_of(2) {
        let memory = Memory::create(4096 * (1 + client)).step("memory")?;
        let cap = CapArg { handle: memory.handle(), rights: Rights::READ.or(Rights::TRANSFER).0, moved: 0 };
        let sent = page::set_send(&[cap]);
        let reply = ipc::call(to.handle(), &words, Extras::new(0, sent, 1));
        let reply = reply.map_err(|e| format!("call {count}: {:?}", e.error))?;
        same!(reply.arrival.caps(), 1, "capabilities back");
        let back = Memory::own(page::received(0));
        same!(back.length(), Ok(4096 * (1 + client)), "the memory that came back");
        reply
    } else {
        ipc::call(to.handle(), &words, Extras::accept(1)).map_err(|e| format!("call {count}: {:?}", e.error))?
    };
    ensure!(reply.words[..2] == [count + 1, client], "call {count}: answered {:?}", reply.words);
    Ok(())
}

fn serve(endpoint: Handle) -> Result<(), String> {
    let take = Extras::accept(1);
    let mut arrival = ipc::receive(endpoint, take);
    loop {
        let got = match arrival {
            Ok(got) => got,
            Err(e) => return Err(format!("receive: {:?}", e.error)),
        };
        if got.arrival.kind() == Kind::Notified {
            arrival = ipc::receive(endpoint, take);
            continue;
        }
        let [count, client, ..] = got.words;
        if count == STOP {
            return ipc::reply(Handle::NONE, &[0; 8], Extras::NONE).step("the last reply");
        }
        let words = [count + 1, client, 0, 0, 0, 0, 0, 0];
        let sent = if got.arrival.caps() == 1 {
            page::set_send(&[CapArg { handle: page::received(0), rights: Rights::ALL.0, moved: 1 }])
        } else {
            0
        };
        let with = Extras::new(0, sent, 1);
        arrival = ipc::reply_receive(endpoint, &words, with);
        if let Err(e) = &arrival
            && e.error == Error::Vacant
        {
            let _ = capability::close(page::received(0));
        }
    }
}
