//! The operations, and how they are measured.
#![allow(unsafe_code, reason = "it unmaps pages of its own, lends a page by address, runs a guest")]

use crate::child::{Plan, give};
use crate::harness::Step;
use crate::partners::{in_another_space, in_this_space, options};
use crate::roles::{self, Role};
use alloc::string::String;
use sal_rt::abi::boot::Startup;
use sal_rt::abi::x86_64::{Exit, GuestRegisters};
use sal_rt::abi::{Handle, Loan, PAGE, Rights};
use sal_rt::handle::{Endpoint, Memory, Notification};
use sal_rt::map::Mapped;
use sal_rt::start::own;
use sal_rt::thread::spawn;
use sal_rt::{Grants, clock, logger};
use sal_sys::ipc::{self, Extras};
use sal_sys::memory::{Half, Mapping};
use sal_sys::{capability, guest, machine, memory, page, process, raw};

/// Rounds; the best counts for the wall, the median for ticks.
const ROUNDS: usize = 9;

type Done = Result<(), String>;

/// A benchmark: its name, and what measures and reports it.
type Bench = (&'static str, fn(&str) -> Done);

const ALL: &[Bench] = &[
    ("null/clock", null),
    ("message/0-words", |n| message(n, [0; 8])),
    ("message/8-words", |n| message(n, [1, 2, 3, 4, 5, 6, 7, 8])),
    ("message/one-space", message_here),
    ("message/lent-4-KiB", lent_page),
    ("notify", notify),
    ("notify/round-trip", notify_back),
    ("yield/pair", yields),
    ("guest/trap", guest_trap),
    ("guest/first-touch", guest_touch),
    ("memory/first-touch", first_touch),
    ("memory/map-unmap", map_unmap),
    ("pager/fault", pager_fault),
    ("thread/create-end", threads),
    ("process/create-end", processes),
];

/// Start of the root task, and of every child.
pub(crate) fn main(startup: &'static Startup) {
    if Grants(startup).get(crate::child::ROLE).is_some() {
        return roles::play(startup);
    }
    let mut failed = 0;
    for (name, run) in ALL {
        if let Err(why) = run(name) {
            logger::line(format_args!("failed {name}: {why}"));
            failed += 1;
        }
    }
    let _ = machine::power_off(own::log(), failed);
}

/// Runs `turns` of an operation in each round and reports it with the root loads that its path takes.
fn report(name: &str, turns: u64, cr3: u64, mut one: impl FnMut() -> Done) -> Done {
    for _ in 0..turns.min(16) {
        one()?;
    }
    let (mut ticks, mut wall) = ([0u64; ROUNDS], u64::MAX);
    for place in &mut ticks {
        let (start, from) = (clock::now(), raw::ticks());
        for _ in 0..turns {
            one()?;
        }
        *place = (raw::ticks() - from) / turns;
        wall = wall.min((clock::now() - start) / turns);
    }
    ticks.sort_unstable();
    let median = ticks.get(ROUNDS / 2).copied().unwrap_or(0);
    logger::line(format_args!("bench {name} {median} cr3 {cr3} wall {wall}"));
    Ok(())
}

fn null(name: &str) -> Done {
    report(name, 1000, 0, || {
        machine::clock();
        Ok(())
    })
}

fn message(name: &str, words: [u64; 8]) -> Done {
    let (endpoint, _child) = in_another_space(Role::Echo)?;
    report(name, 1000, 2, || ipc::call(endpoint.handle(), &words, Extras::NONE).map(drop).step("call"))
}

fn message_here(name: &str) -> Done {
    let endpoint = in_this_space()?;
    report(name, 1000, 0, || ipc::call(endpoint.handle(), &[0; 8], Extras::NONE).map(drop).step("call"))?;
    core::mem::forget(endpoint);
    Ok(())
}

fn lent_page(name: &str) -> Done {
    let (endpoint, _child) = in_another_space(Role::Copy)?;
    let bytes = alloc::vec![3u8; PAGE as usize];
    let loan = Loan { address: bytes.as_ptr() as u64, length: PAGE, rights: Rights::READ.0, reserved: 0 };
    report(name, 200, 2, || {
        // SAFETY: `bytes` outlives the call, which only reads it.
        let reply = unsafe {
            page::set_loans(&[loan]);
            ipc::call_lending(endpoint.handle(), &[0; 8], Extras::new(1, 0, 0))
        };
        match reply.step("call")?.words {
            [PAGE, ..] => Ok(()),
            words => Err(alloc::format!("copied {words:?}")),
        }
    })
}

/// Nobody waits: the bits are set, and stay so.
fn notify(name: &str) -> Done {
    let endpoint = Endpoint::create().step("endpoint")?;
    let notification = Notification::create(endpoint.handle(), 1).step("notification")?;
    report(name, 1000, 0, || notification.raise(1).step("notify"))
}

fn notify_back(name: &str) -> Done {
    let (to, back) = (Endpoint::create().step("endpoint")?, Endpoint::create().step("endpoint")?);
    let there = Notification::create(to.handle(), 1).step("notification")?;
    let here = Notification::create(back.handle(), 1).step("notification")?;
    let rows = [give("endpoint", to.handle(), Rights::RECEIVE), give("back", here.handle(), Rights::SEND)];
    let _child = Plan::new(Role::Bounce, &rows).priority(255).start()?;
    report(name, 1000, 2, || {
        there.raise(1).step("notify")?;
        ipc::receive(back.handle(), Extras::NONE).map(drop).step("wait")
    })
}

/// Two threads of one space yield to each other: there and back.
fn yields(name: &str) -> Done {
    static STOP: core::sync::atomic::AtomicBool = core::sync::atomic::AtomicBool::new(false);
    spawn(options(), || {
        while !STOP.load(core::sync::atomic::Ordering::Relaxed) {
            process::yield_now();
        }
    })
    .step("thread")?;
    report(name, 1000, 0, || {
        process::yield_now();
        Ok(())
    })?;
    STOP.store(true, core::sync::atomic::Ordering::Relaxed);
    process::yield_now();
    Ok(())
}

/// A guest space with this code at 0x1000 and a stretch of zero-fill memory at 1 GiB, attached.
struct Guest {
    space: Handle,
}

const CODE: u64 = 0x1000;
const DATA: u64 = 1 << 30;
const DATA_LENGTH: u64 = 16 << 20;

impl Guest {
    fn new(code: &[u8]) -> Result<Guest, String> {
        let space = memory::space_create(own::budget(), Half::Guest).step("guest space")?;
        let text = Memory::create(PAGE).step("memory")?;
        // SAFETY: mapped nowhere yet.
        unsafe { memory::memory_write(text.handle(), 0, code) }.step("code")?;
        let data = Memory::create(DATA_LENGTH).step("memory")?;
        for (address, length, memory, rights) in [
            (CODE, PAGE, &text, Rights::READ.or(Rights::EXECUTE)),
            (DATA, DATA_LENGTH, &data, Rights::READ.or(Rights::WRITE)),
        ] {
            let mapping = Mapping { address, length, memory: memory.handle(), offset: 0, rights, upper: None };
            memory::map(space, &mapping).step("map")?;
        }
        // SAFETY: this thread has no reference into a guest half.
        unsafe { guest::guest_attach(space) }.step("attach")?;
        let registers = GuestRegisters { rip: CODE, rflags: 0x202, rbx: DATA, ..GuestRegisters::default() };
        page::set_guest(&registers);
        Ok(Guest { space })
    }

    fn run(&self) -> Done {
        match guest::guest_enter().step("enter")?.exit {
            Exit::Syscall => Ok(()),
            other => Err(alloc::format!("the guest stopped: {other:?}")),
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // SAFETY: this thread has no reference into the guest half.
        let _ = unsafe { guest::guest_attach(Handle::NONE) };
        let _ = capability::close(self.space);
    }
}

/// `syscall; jmp` back to it.
fn guest_trap(name: &str) -> Done {
    let guest = Guest::new(&[0x0f, 0x05, 0xeb, 0xfc])?;
    report(name, 1000, 2, || guest.run())
}

/// Touches 64 new pages between two system calls; a round trip less is what they cost.
fn guest_touch(name: &str) -> Done {
    // 2: mov rcx, 64; 3: mov [rbx], rbx; add rbx, 4096; dec rcx; jnz 3b; syscall; jmp 2b
    let code = [
        0xb9, 64, 0, 0, 0, 0x48, 0x89, 0x1b, 0x48, 0x81, 0xc3, 0, 0x10, 0, 0, 0xff, 0xc9, 0x75, 0xf2, 0x0f, 0x05, 0xeb,
        0xe9,
    ];
    let guest = Guest::new(&code)?;
    guest.run()?;
    let mut ticks = [0u64; ROUNDS];
    let mut wall = u64::MAX;
    for place in &mut ticks {
        let (start, from) = (clock::now(), raw::ticks());
        guest.run()?;
        *place = (raw::ticks() - from) / 64;
        wall = wall.min((clock::now() - start) / 64);
    }
    ticks.sort_unstable();
    let median = ticks.get(ROUNDS / 2).copied().unwrap_or(0);
    logger::line(format_args!("bench {name} {median} cr3 0 wall {wall}"));
    Ok(())
}

fn first_touch(name: &str) -> Done {
    let length = 2048 * PAGE;
    let fresh = Memory::create(length).step("memory")?;
    let mapped = Mapped::new(fresh.handle(), 0, length, Rights::READ.or(Rights::WRITE)).step("map")?;
    let mut next = 0;
    report(name, 128, 0, || {
        mapped.write(next * PAGE, &[1]).ok_or("beyond the mapping")?;
        next += 1;
        Ok(())
    })
}

/// A page that is present is mapped, read once, unmapped.
fn map_unmap(name: &str) -> Done {
    let memory = Memory::create(PAGE).step("memory")?;
    // SAFETY: mapped nowhere.
    unsafe { memory::memory_write(memory.handle(), 0, &[1]) }.step("write")?;
    report(name, 200, 0, || {
        let mapped = Mapped::new(memory.handle(), 0, PAGE, Rights::READ).step("map")?;
        let mut byte = [0];
        mapped.read(0, &mut byte).ok_or("beyond the mapping".into())
    })
}

/// A missing page is asked of a thread of this space, which supplies it from another memory.
fn pager_fault(name: &str) -> Done {
    let length = 2048 * PAGE;
    let endpoint = Endpoint::create().step("endpoint")?;
    let paged = memory::memory_paged(own::budget(), length, endpoint.handle(), 9).step("paged memory")?;
    let source = Memory::create(PAGE).step("memory")?;
    let (at, from) = (endpoint.handle(), source.handle());
    spawn(options(), move || {
        let mut arrival = ipc::receive(at, Extras::NONE);
        while let Ok(got) = arrival {
            // Supplying moves the page out of the source: the next one is made first.
            // SAFETY: mapped nowhere.
            let made = unsafe { memory::memory_write(from, 0, &[7]) };
            let given = made.and_then(|_| memory::memory_supply(paged, got.words[0], from, 0));
            if let Err(error) = given {
                logger::line(format_args!("the pager: {error:?}"));
                return;
            }
            arrival = ipc::reply_receive(at, &[0; 8], Extras::NONE);
        }
    })
    .step("thread")?;
    let mapped = Mapped::new(paged, 0, length, Rights::READ).step("map")?;
    let mut next = 0;
    let result = report(name, 128, 0, || {
        let mut byte = [0];
        mapped.read(next * PAGE, &mut byte).ok_or("beyond the mapping")?;
        next += 1;
        if byte == [7] { Ok(()) } else { Err("another page".into()) }
    });
    core::mem::forget((endpoint, source));
    result
}

/// A thread with an area of its own that was used before, until it has said that it ran.
fn threads(name: &str) -> Done {
    let endpoint = Endpoint::create().step("endpoint")?;
    let done = alloc::sync::Arc::new(Notification::create(endpoint.handle(), 1).step("notification")?);
    report(name, 50, 0, || {
        let mine = alloc::sync::Arc::clone(&done);
        spawn(options(), move || {
            let _ = mine.raise(1);
        })
        .step("thread")?;
        ipc::receive(endpoint.handle(), Extras::NONE).map(drop).step("wait")
    })
}

/// A process loaded from the boot image that ends at once, until its death was told and everything of it is given back.
fn processes(name: &str) -> Done {
    let endpoint = Endpoint::create().step("endpoint")?;
    let death = Notification::create(endpoint.handle(), 1).step("notification")?;
    report(name, 5, 2, || {
        let _child = Plan::new(Role::End, &[]).notice(death.handle(), 1).priority(255).start()?;
        ipc::receive(endpoint.handle(), Extras::NONE).map(drop).step("wait")
    })
}
