//! Waiting: who is served when, what ends a wait, what a death leaves.

use crate::child::{Plan, give};
use crate::crew::{Crew, MILLISECOND, Place, SECOND, burn, pause, until};
use crate::harness::{Step, Test, Verdict, cpus, ensure, same};
use crate::roles::Role;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use sal_rt::abi::{CapArg, Error, Handle, Rights, Words};
use sal_rt::clock;
use sal_rt::handle::{Endpoint, Notification, Reply};
use sal_sys::ipc::{self, Extras, Failed, Received};
use sal_sys::{page, process};

pub(crate) const TESTS: &[Test] = &[
    Test::new("M3-thousand", thousand),
    Test::new("deadline-in-queue", || deadline(false)),
    Test::new("deadline-in-service", || deadline(true)),
    Test::new("deadline-receive", deadline_receive),
    Test::new("interrupt", interrupt),
    Test::new("kept-replies", kept_replies),
    Test::new("not-accepted", not_accepted),
    Test::new("calls-itself", calls_itself),
    Test::new("failed-endpoint", failed_endpoint),
    Test::new("server-died", server_died),
    Test::new("priority-inherited", priority_inherited),
    Test::new("preempted", preempted),
];

type Answer = Result<Received, Failed>;

fn error(answer: Answer) -> Result<(), Error> {
    answer.map(drop).map_err(|failed| failed.error)
}

/// A call with a deadline, relative.
fn call_within(endpoint: Handle, words: &Words, within: u64) -> Answer {
    page::set_deadline(clock::now() + within);
    ipc::call(endpoint, words, Extras::NONE.with_deadline())
}

/// One receiver, a thousand badges by notification and a hundred by call: each arrives once.
fn thousand() -> Verdict {
    let endpoint = Endpoint::create().step("endpoint")?;
    let mut all = Vec::new();
    for badge in 1..=1000 {
        let made = Notification::create(endpoint.handle(), badge);
        all.push(made.step("notification")?);
    }
    for (n, notification) in all.iter().enumerate() {
        notification.raise(1).step("raise")?;
        notification.raise(n as u64 + 2).step("raise again")?;
    }
    let mut seen = [false; 1001];
    for _ in 0..1000 {
        page::set_deadline(clock::now() + SECOND);
        let got = ipc::receive(endpoint.handle(), Extras::NONE.with_deadline()).step("receive")?;
        let place = seen.get_mut(got.badge as usize).ok_or("a badge that nobody has")?;
        ensure!(!*place, "badge {} twice", got.badge);
        same!(got.words[0], (got.badge + 1) | 1, "bits of badge {}", got.badge);
        *place = true;
    }
    Ok("1000 badges".into())
}

/// A call that nobody receives, or that is received and not answered, ends at its deadline; the late answer goes nowhere.
fn deadline(in_service: bool) -> Verdict {
    let endpoint = Endpoint::create().step("endpoint")?;
    let handle = endpoint.handle();
    let late = Arc::new(AtomicU64::new(0));
    let mut crew = Crew::new()?;
    if in_service {
        let late = Arc::clone(&late);
        crew.add(100, Place::On(1), move || {
            ipc::receive(handle, Extras::NONE).step("receive")?;
            burn(20 * MILLISECOND);
            let answered = ipc::reply(Handle::NONE, &[1; 8], Extras::NONE);
            late.store(u64::from(answered == Err(Error::Vacant)) + 1, Ordering::SeqCst);
            Ok(())
        })?;
        pause(2 * MILLISECOND)?;
    }
    let start = clock::now();
    let answer = error(call_within(handle, &[0; 8], 5 * MILLISECOND));
    let took = clock::now() - start;
    same!(answer, Err(Error::DeadlinePassed), "the call");
    ensure!(took >= 5 * MILLISECOND, "after {took} ns");
    if in_service {
        crew.join(SECOND)?;
        same!(late.load(Ordering::SeqCst), 2, "the late answer");
    }
    same!(endpoint.info().map(|i| i.queued), Ok(0), "callers queued");
    Ok(format!("{} us late", (took - 5 * MILLISECOND) / 1000))
}

fn deadline_receive() -> Verdict {
    let endpoint = Endpoint::create().step("endpoint")?;
    for _ in 0..3 {
        page::set_deadline(clock::now() + MILLISECOND);
        let got = ipc::receive(endpoint.handle(), Extras::NONE.with_deadline());
        same!(error(got), Err(Error::DeadlinePassed), "the receive");
    }
    Ok(String::new())
}

/// A blocked call, a blocked receive, and the next call of one that runs end with `Interrupted`.
fn interrupt() -> Verdict {
    let endpoint = Endpoint::create().step("endpoint")?;
    let handle = endpoint.handle();
    let other = Endpoint::create().step("endpoint")?;
    let receives = other.handle();
    let go = Arc::new(AtomicU64::new(0));
    let wait = Arc::clone(&go);
    let expect = |answer: Answer| match error(answer) {
        Err(Error::Interrupted) => Ok(()),
        other => Err(format!("{other:?}")),
    };
    let mut crew = Crew::new()?;
    crew.add(100, Place::Any, move || expect(ipc::call(handle, &[0; 8], Extras::NONE)))?;
    crew.add(100, Place::On(1), move || expect(ipc::receive(receives, Extras::NONE)))?;
    crew.add(100, Place::On(2), move || {
        while wait.load(Ordering::SeqCst) == 0 {
            process::yield_now();
        }
        expect(ipc::call(handle, &[0; 8], Extras::NONE))
    })?;
    pause(3 * MILLISECOND)?;
    for n in 0..3 {
        process::interrupt(crew.thread(n)?.handle()).step("interrupt")?;
    }
    go.store(1, Ordering::SeqCst);
    crew.join(SECOND)?;
    Ok(String::new())
}

/// Ten callers kept and answered in the opposite order; the one whose Reply is closed learns it.
fn kept_replies() -> Verdict {
    let endpoint = Endpoint::create().step("endpoint")?;
    let handle = endpoint.handle();
    let mut crew = Crew::new()?;
    for n in 0..10u64 {
        crew.add(100, Place::On(n), move || {
            let answer = ipc::call(handle, &[n; 8], Extras::NONE);
            match (n, answer) {
                (3, answer) if error(answer) == Err(Error::ServerDied) => Ok(()),
                (n, Ok(got)) if n != 3 && got.words == [n + 100; 8] => Ok(()),
                (n, answer) => Err(format!("caller {n}: {answer:?}")),
            }
        })?;
    }
    let mut kept = Vec::new();
    for _ in 0..10 {
        let got = ipc::receive(handle, Extras::NONE).step("receive")?;
        let reply = Reply::create().step("reply object")?;
        ipc::keep(reply.handle()).step("keep")?;
        kept.push((got.words[0], reply));
    }
    while let Some((n, reply)) = kept.pop() {
        if n == 3 {
            drop(reply);
        } else {
            ipc::reply(reply.handle(), &[n + 100; 8], Extras::NONE).step("reply")?;
            same!(ipc::reply(reply.handle(), &[0; 8], Extras::NONE), Err(Error::Vacant), "a second reply");
        }
    }
    crew.join(SECOND)?;
    Ok(String::new())
}

/// Two capabilities for a receiver that takes one: refused, waiting or not; the next caller is served.
fn not_accepted() -> Verdict {
    let endpoint = Endpoint::create().step("endpoint")?;
    let handle = endpoint.handle();
    let mut crew = Crew::new()?;
    let sender = move || {
        let cap = CapArg { handle, rights: Rights::SEND.0, moved: 0 };
        let count = page::set_send(&[cap, cap]);
        match error(ipc::call(handle, &[0; 8], Extras::new(0, count, 0))) {
            Err(Error::NotAccepted) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    };
    crew.add(100, Place::Any, sender)?;
    pause(2 * MILLISECOND)?;
    crew.add(90, Place::On(1), move || ipc::call(handle, &[9; 8], Extras::NONE).map(drop).step("call"))?;
    pause(2 * MILLISECOND)?;
    let got = ipc::receive(handle, Extras::accept(1)).step("receive")?;
    same!(got.words[0], 9, "who is served");
    ipc::reply(Handle::NONE, &[0; 8], Extras::NONE).step("reply")?;
    crew.join(SECOND)?;
    Ok(String::new())
}

/// Word 0 of a server's call to its own endpoint.
const INNER: u64 = 5;

/// Two servers of an endpoint, each of which calls it while it serves: the other one answers, or the call ends at its deadline. Nobody hangs.
fn calls_itself() -> Verdict {
    let endpoint = Endpoint::create().step("endpoint")?;
    let handle = endpoint.handle();
    let mut crew = Crew::new()?;
    for n in 0..2 {
        crew.add(100 + n, Place::On(u64::from(n)), move || serve_by_calling(handle))?;
        crew.add(120, Place::Any, move || ipc::call(handle, &[0; 8], Extras::NONE).map(drop).step("call"))?;
    }
    crew.join(SECOND)?;
    Ok(String::new())
}

/// Serves until nothing has come for 50 ms.
fn serve_by_calling(handle: Handle) -> Result<(), String> {
    loop {
        page::set_deadline(clock::now() + 50 * MILLISECOND);
        match ipc::receive(handle, Extras::NONE.with_deadline()) {
            Ok(got) if got.words[0] == INNER => {}
            Ok(_) => match error(call_within(handle, &[INNER; 8], 5 * MILLISECOND)) {
                Ok(()) | Err(Error::DeadlinePassed) => {}
                Err(other) => return Err(format!("{other:?}")),
            },
            Err(e) if e.error == Error::DeadlinePassed => return Ok(()),
            Err(e) => return Err(format!("receive: {:?}", e.error)),
        }
        // The caller may have given up: then there is nobody to answer.
        let _ = ipc::reply(Handle::NONE, &[1; 8], Extras::NONE);
    }
}

/// A failed endpoint turns its queue and new calls away with the code, until it is mended.
fn failed_endpoint() -> Verdict {
    let endpoint = Endpoint::create().step("endpoint")?;
    let handle = endpoint.handle();
    let expect = |answer: Answer| match answer {
        Err(Failed { error: Error::EndpointFailed, code: 77 }) => Ok(()),
        other => Err(format!("{other:?}")),
    };
    let mut crew = Crew::new()?;
    crew.add(100, Place::On(1), move || expect(ipc::call(handle, &[0; 8], Extras::NONE)))?;
    pause(2 * MILLISECOND)?;
    ipc::fail(handle, 77).step("fail")?;
    crew.join(SECOND)?;
    expect(ipc::call(handle, &[0; 8], Extras::NONE))?;
    ipc::fail(handle, 0).step("mend")?;
    same!(error(call_within(handle, &[0; 8], MILLISECOND)), Err(Error::DeadlinePassed), "after mending");
    Ok(String::new())
}

/// The caller in service learns of the death; those queued are served by the successor at the same endpoint; the death is notified.
fn server_died() -> Verdict {
    let endpoint = Endpoint::create().step("endpoint")?;
    let handle = endpoint.handle();
    let deaths = Endpoint::create().step("endpoint")?;
    let notice = Notification::create(deaths.handle(), 3).step("notification")?;
    let rows = [give("endpoint", handle, Rights::RECEIVE)];
    let first = Plan::new(Role::Mute, &rows).notice(notice.handle(), 4).start()?;
    let mut crew = Crew::new()?;
    let died = Arc::new(AtomicU64::new(0));
    for n in 0..4 {
        let died = Arc::clone(&died);
        crew.add(100, Place::On(n), move || match ipc::call(handle, &[n; 8], Extras::NONE) {
            Ok(got) if got.words == [n; 8] => Ok(()),
            Err(e) if e.error == Error::ServerDied => {
                died.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
            other => Err(format!("caller {n}: {other:?}")),
        })?;
    }
    until("one caller is served and three wait", || {
        let info = endpoint.info().step("info")?;
        Ok((info.queued, info.in_service) == (3, 1))
    })?;
    first.kill(42)?;
    ensure!(first.is_dead()?, "kill returned and it lives");
    same!(first.info()?.reason, 1 | 42 << 8, "reason");
    page::set_deadline(clock::now() + SECOND);
    let told = ipc::receive(deaths.handle(), Extras::NONE.with_deadline()).step("the death's notification")?;
    same!((told.badge, told.words[0]), (3, 4), "badge and bits of the death");
    let _second = Plan::new(Role::Echo, &rows).start()?;
    crew.join(SECOND)?;
    same!(died.load(Ordering::SeqCst), 1, "callers that learned of the death");
    Ok(String::new())
}

/// All on one CPU: a low server busy for a high caller is not held up by a middle hog.
fn priority_inherited() -> Verdict {
    let endpoint = Endpoint::create().step("endpoint")?;
    let handle = endpoint.handle();
    let mut crew = Crew::new()?;
    crew.add(10, Place::On(0), move || {
        let mut arrival = ipc::receive(handle, Extras::NONE).step("receive")?;
        for _ in 0..2 {
            burn(10 * MILLISECOND);
            if arrival.words[0] == 2 {
                return ipc::reply(Handle::NONE, &[0; 8], Extras::NONE).step("reply");
            }
            arrival = ipc::reply_receive(handle, &[0; 8], Extras::NONE).step("reply and receive")?;
        }
        Ok(())
    })?;
    let took = Arc::new(AtomicU64::new(0));
    let store = Arc::clone(&took);
    // The low client's call is in service when the hog starts; then the high client queues behind it.
    crew.add(20, Place::On(0), move || ipc::call(handle, &[1; 8], Extras::NONE).map(drop).step("low"))?;
    until("the low call is in service", || Ok(endpoint.info().step("info")?.in_service == 1))?;
    let hogging = Arc::new(AtomicBool::new(false));
    let started = Arc::clone(&hogging);
    crew.add(100, Place::On(0), move || {
        started.store(true, Ordering::SeqCst);
        burn(300 * MILLISECOND);
        Ok(())
    })?;
    until("the hog runs", || Ok(hogging.load(Ordering::SeqCst)))?;
    crew.add(200, Place::On(0), move || {
        let start = clock::now();
        ipc::call(handle, &[2; 8], Extras::NONE).step("high")?;
        store.store(clock::now() - start, Ordering::SeqCst);
        Ok(())
    })?;
    crew.join(3 * SECOND)?;
    let took = took.load(Ordering::SeqCst) / MILLISECOND;
    ensure!(took < 200, "the high caller waited {took} ms for the hog");
    Ok(format!("{took} ms, the hog computes 300"))
}

/// Two threads that never enter the kernel share a CPU.
fn preempted() -> Verdict {
    let counts = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let mut crew = Crew::new()?;
    let end = clock::now() + 200 * MILLISECOND;
    for n in 0..2 {
        let counts = Arc::clone(&counts);
        crew.add(50, Place::On(cpus() - 1), move || {
            while clock::now() < end {
                if let Some(count) = counts.get(n) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
            Ok(())
        })?;
    }
    crew.join(2 * SECOND)?;
    let [a, b] = [0, 1].map(|n: usize| counts.get(n).map_or(0, |c| c.load(Ordering::SeqCst)));
    ensure!(a > 0 && b > 0 && a.max(b) < 3 * a.min(b), "turns {a} and {b}");
    Ok(format!("turns {a} and {b}"))
}
