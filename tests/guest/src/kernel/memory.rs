//! Memory: zero-fill, copy on write, mappings taken away on every CPU, pagers, budgets.
#![allow(unsafe_code, reason = "it maps, unmaps and touches pages of its own by address")]

use crate::child::{Plan, give, pages};
use crate::crew::{Crew, MILLISECOND, Place, SECOND, pause, until};
use crate::harness::{Step, Test, Verdict, cpus, ensure, same};
use crate::roles::Role;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use sal_rt::abi::boot::DeathKind;
use sal_rt::abi::message::Kind;
use sal_rt::abi::x86_64::NATIVE_START;
use sal_rt::abi::{Error, PAGE, Rights};
use sal_rt::clock;
use sal_rt::handle::{Endpoint, Memory, Notification};
use sal_rt::map::Mapped;
use sal_rt::start::own;
use sal_sys::ipc::{self, Extras};
use sal_sys::memory::{self, Mapping};
use sal_sys::{capability, page};

pub(crate) const TESTS: &[Test] = &[
    Test::new("zero-fill", zero_fill),
    Test::new("copy-on-write", copy_on_write),
    Test::new("private-mapping", private_mapping),
    Test::new("protect-everywhere", protect_everywhere),
    Test::new("L3-pager", pager),
    Test::new("X4-trespass", trespass),
    Test::new("Q15-crash", crash),
    Test::new("Q15-killed", killed),
    Test::new("budget", budget),
];

/// A place in the root task's window where nothing else lies: between what the kernel maps for it and its free range.
const PLACE: u64 = NATIVE_START + (8 << 30);

const BOTH: Rights = Rights(Rights::READ.0 | Rights::WRITE.0);

/// New pages read as zero, also where the same frames were written and given back before.
fn zero_fill() -> Verdict {
    for turn in 0..8 {
        let memory = Memory::create(pages(64)).step("memory")?;
        let mapped = Mapped::new(memory.handle(), 0, pages(64), BOTH).step("map")?;
        let mut bytes = alloc::vec![1u8; pages(64) as usize];
        mapped.read(0, &mut bytes).ok_or("read")?;
        ensure!(bytes.iter().all(|byte| *byte == 0), "turn {turn}: not zero");
        bytes.fill(0xaa);
        mapped.write(0, &bytes).ok_or("write")?;
    }
    Ok(String::new())
}

/// A clone shares until either side writes; both keep their own from then on.
fn copy_on_write() -> Verdict {
    let first = Memory::create(pages(16)).step("memory")?;
    let here = Mapped::new(first.handle(), 0, pages(16), BOTH).step("map")?;
    for n in 0..16 {
        here.write(n * PAGE, &[n as u8 + 1]).ok_or("write")?;
    }
    let second = Memory::create(pages(16)).step("memory")?;
    second.clone_from(&first, pages(16)).step("clone")?;
    let there = Mapped::new(second.handle(), 0, pages(16), BOTH).step("map")?;
    for n in 0..16 {
        let side = if n % 2 == 0 { &here } else { &there };
        side.write(n * PAGE, &[n as u8 + 101]).ok_or("write")?;
    }
    for n in 0..16u64 {
        let (mut a, mut b) = ([0], [0]);
        here.read(n * PAGE, &mut a).ok_or("read")?;
        there.read(n * PAGE, &mut b).ok_or("read")?;
        let (old, new) = (n as u8 + 1, n as u8 + 101);
        let want = if n % 2 == 0 { (new, old) } else { (old, new) };
        same!((a[0], b[0]), want, "page {n}");
    }
    Ok(String::new())
}

/// What is written through a private mapping goes to its upper memory; the lower one stays.
fn private_mapping() -> Verdict {
    let (lower, upper) = (Memory::create(pages(4)).step("memory")?, Memory::create(pages(4)).step("memory")?);
    let below = Mapped::new(lower.handle(), 0, pages(4), BOTH).step("map")?;
    below.write(PAGE, b"lower").ok_or("write")?;
    let address = PLACE;
    let mapping = Mapping {
        address,
        length: pages(4),
        memory: lower.handle(),
        offset: 0,
        rights: BOTH,
        upper: Some((upper.handle(), 0)),
    };
    memory::map(own::space(), &mapping).step("private mapping")?;
    let place = (address + PAGE) as *mut u8;
    // SAFETY: mapped for reading and writing just now, by nobody else.
    let seen = unsafe { place.read_volatile() };
    same!(seen, b'l', "through the private mapping");
    // SAFETY: as above.
    unsafe { place.write_volatile(b'u') };
    let mut bytes = [0; 5];
    below.read(PAGE, &mut bytes).ok_or("read")?;
    same!(&bytes, b"lower", "the lower memory");
    memory::memory_read(upper.handle(), PAGE, &mut bytes).step("read")?;
    same!(&bytes, b"uower", "the upper memory");
    // SAFETY: nobody has a reference into it.
    unsafe { memory::unmap(own::space(), address, pages(4)) }.step("unmap")?;
    Ok(String::new())
}

/// Writers on every CPU hammer a page. Once `Protect` has returned, not one write of theirs gets through: a mapping that was to be read-only and is
/// written is a death, so they are children's affair; here the page is swapped for another, and the old one must not change any more.
fn protect_everywhere() -> Verdict {
    let turns = 20;
    let (old, new) = (Memory::create(PAGE).step("memory")?, Memory::create(PAGE).step("memory")?);
    let address = PLACE;
    let mapping = |memory: &Memory| Mapping {
        address,
        length: PAGE,
        memory: memory.handle(),
        offset: 0,
        rights: BOTH,
        upper: None,
    };
    let (stop, run) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let stopped = Arc::new(AtomicU64::new(0));
    memory::map(own::space(), &mapping(&old)).step("map")?;
    let mut crew = Crew::new()?;
    let writers = cpus().clamp(2, 4);
    for n in 0..writers {
        let (stop, run, stopped) = (Arc::clone(&stop), Arc::clone(&run), Arc::clone(&stopped));
        crew.add(50, Place::On(n), move || {
            let place = (address + 8 * n) as *const AtomicU64;
            while !stop.load(Ordering::SeqCst) {
                if run.load(Ordering::SeqCst) {
                    // SAFETY: the page is mapped while `run` is set, up to when all writers have said that they saw it cleared.
                    unsafe { (*place).fetch_add(1, Ordering::Relaxed) };
                } else {
                    stopped.fetch_or(1 << n, Ordering::SeqCst);
                    sal_sys::process::yield_now();
                }
            }
            Ok(())
        })?;
    }
    let counts = |memory: &Memory| {
        let mut bytes = [0u8; 32];
        memory::memory_read(memory.handle(), 0, &mut bytes).map(|_| bytes)
    };
    let mut moved = 0;
    for turn in 0..turns {
        run.store(true, Ordering::SeqCst);
        pause(2 * MILLISECOND)?;
        run.store(false, Ordering::SeqCst);
        stopped.store(0, Ordering::SeqCst);
        until("all writers have stopped", || Ok(stopped.load(Ordering::SeqCst) == (1 << writers) - 1))?;
        // SAFETY: all writers have stopped; they go on when another page is there. Their TLBs still have the old one.
        unsafe { memory::unmap(own::space(), address, PAGE) }.step("unmap")?;
        let (from, to) = if turn % 2 == 0 { (&old, &new) } else { (&new, &old) };
        memory::map(own::space(), &mapping(to)).step("map")?;
        let before = counts(from).step("read")?;
        run.store(true, Ordering::SeqCst);
        pause(MILLISECOND)?;
        same!(counts(from).step("read")?, before, "turn {turn}: a page that was unmapped");
        moved += 1;
    }
    stop.store(true, Ordering::SeqCst);
    run.store(false, Ordering::SeqCst);
    crew.join(SECOND)?;
    // SAFETY: the writers have ended.
    unsafe { memory::unmap(own::space(), address, PAGE) }.step("unmap")?;
    Ok(format!("{moved} swaps under {writers} writers"))
}

/// A child touches a page of a paged memory. Its pager dies over the fault; the successor supplies; the child goes on.
fn pager() -> Verdict {
    let endpoint = Endpoint::create().step("endpoint")?;
    let out = Endpoint::create().step("endpoint")?;
    let paged = memory::memory_paged(own::budget(), pages(8), endpoint.handle(), 55).step("paged memory")?;
    let rows = [give("paged", paged, BOTH), give("out", out.handle(), Rights::SEND)];
    let first = Plan::new(Role::Mute, &[give("endpoint", endpoint.handle(), Rights::RECEIVE)]).start()?;
    let _child = Plan::new(Role::Toucher, &rows).argument(3).start()?;
    until("the fault at the pager", || Ok(endpoint.info().step("info")?.in_service != 0))?;
    first.kill(0)?;
    page::set_deadline(clock::now() + SECOND);
    let fault = ipc::receive(endpoint.handle(), Extras::NONE.with_deadline()).step("the fault, again")?;
    same!(fault.arrival.kind(), Kind::Fault, "kind");
    same!((fault.badge, fault.words[0]), (55, 3 * PAGE), "badge and offset");
    let source = Memory::create(PAGE).step("memory")?;
    // SAFETY: mapped nowhere.
    unsafe { memory::memory_write(source.handle(), 0, b"paged in") }.step("write")?;
    memory::memory_supply(paged, 3 * PAGE, source.handle(), 0).step("supply")?;
    ipc::reply(sal_rt::abi::Handle::NONE, &[0; 8], Extras::NONE).step("answer")?;
    page::set_deadline(clock::now() + SECOND);
    let told = ipc::receive(out.handle(), Extras::NONE.with_deadline()).step("the child's word")?;
    same!(told.words[0], u64::from_le_bytes(*b"paged in"), "what the child read");
    capability::close(paged).step("close")?;
    Ok(String::new())
}

/// A process that touches what it was not given dies of it; another one lives on.
fn trespass() -> Verdict {
    let endpoint = Endpoint::create().step("endpoint")?;
    let witness = Plan::new(Role::Echo, &[give("endpoint", endpoint.handle(), Rights::RECEIVE)]).start()?;
    for (address, kind) in [
        (0x10u64, DeathKind::PageFault),
        (0xffff_8000_0000_0000, DeathKind::PageFault),
        (0xffff_c000_0000_0000, DeathKind::PageFault),
        (0xffff_ffff_8010_0000, DeathKind::PageFault),
        (0x8000_0000_0000_0000, DeathKind::Exception),
        (crate::roles::PORT, DeathKind::Exception),
    ] {
        let dead = died(Plan::new(Role::Trespass, &[]).argument(address))?;
        same!(dead.reason & 0xff, kind as u64, "the reason of who touched {address:#x}");
        if kind == DeathKind::PageFault {
            same!(dead.fault, address, "the address that it touched");
        }
        let reply = ipc::call(endpoint.handle(), &[1; 8], Extras::NONE).step("the witness")?;
        same!(reply.words, [1; 8], "the witness's answer");
    }
    ensure!(!witness.is_dead()?, "the witness died");
    Ok(String::new())
}

/// Starts a child and waits for its death.
fn died(plan: Plan<'_>) -> Result<sal_sys::process::ProcessInfo, String> {
    let deaths = Endpoint::create().step("endpoint")?;
    let notice = Notification::create(deaths.handle(), 1).step("notification")?;
    let child = plan.notice(notice.handle(), 1).start()?;
    page::set_deadline(clock::now() + 2 * SECOND);
    ipc::receive(deaths.handle(), Extras::NONE.with_deadline()).step("its death")?;
    ensure!(child.is_dead()?, "it lives");
    child.info()
}

/// A crash leaves reason and position, and the memory that a backtrace needs.
fn crash() -> Verdict {
    let deaths = Endpoint::create().step("endpoint")?;
    let notice = Notification::create(deaths.handle(), 1).step("notification")?;
    let child = Plan::new(Role::Trespass, &[]).argument(0x18).notice(notice.handle(), 1).start()?;
    ipc::receive(deaths.handle(), Extras::NONE).step("its death")?;
    let info = child.info()?;
    same!((info.reason & 0xff, info.fault), (DeathKind::PageFault as u64, 0x18), "reason and address");
    ensure!(info.rip.wrapping_sub(child.running.image) < 1 << 24, "it died at {:#x}", info.rip);
    let mut frame = [0; 16];
    let count = memory::space_read(child.running.space, info.rbp, &mut frame).step("its stack")?;
    same!(count, 16, "bytes of its frame");
    Ok(String::new())
}

/// A process that somebody kills says where it was, waiting or computing, and what it was called from.
fn killed() -> Verdict {
    for (role, what) in [(Role::Mute, "waits"), (Role::Spin, "computes")] {
        let endpoint = Endpoint::create().step("endpoint")?;
        let rows = [give("endpoint", endpoint.handle(), Rights::RECEIVE)];
        let child = Plan::new(role, &rows).start()?;
        pause(5 * MILLISECOND)?;
        child.kill(7)?;
        let info = child.info()?;
        same!(info.reason, DeathKind::Killed as u64 | 7 << 8, "reason of one that {what}");
        ensure!(info.rip.wrapping_sub(child.running.image) < 1 << 24, "one that {what} was killed at {:#x}", info.rip);
        let mut frame = [0; 16];
        let count = memory::space_read(child.running.space, info.rbp, &mut frame).step("its stack")?;
        same!(count, 16, "bytes of the frame of one that {what}");
    }
    Ok(String::new())
}

/// Who spends its budget dies of it, or is refused, and nobody else.
fn budget() -> Verdict {
    let dead = died(Plan::new(Role::Spend, &[]).frames(300))?;
    same!(dead.reason & 0xff, DeathKind::NoBudget as u64, "reason");
    let small = capability::budget_create(own::budget(), 4).step("budget")?;
    let mut made = alloc::vec::Vec::new();
    let refused = loop {
        match capability::budget_create(small, 1) {
            Ok(handle) if made.len() < 100 => made.push(handle),
            other => break other,
        }
    };
    same!(refused, Err(Error::NoBudget), "the last of {}", made.len());
    made.into_iter().for_each(|handle| {
        let _ = capability::close(handle);
    });
    capability::close(small).step("close")?;
    Ok(String::new())
}
