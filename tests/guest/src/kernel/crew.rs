//! Threads of this process that work on a test, and waiting for them with a limit.

use crate::harness::{Step, cpus, ensure};
use alloc::string::String;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};
use sal_rt::abi::Error;
use sal_rt::clock;
use sal_rt::handle::{Endpoint, Notification, Thread};
use sal_rt::thread::{Options, spawn};
use sal_sys::ipc::{self, Extras};
use sal_sys::page;

/// A second, in nanoseconds.
pub(crate) const SECOND: u64 = 1_000_000_000;
/// How long [`until`] waits: reached only where something is wrong.
const PATIENCE: u64 = 20 * SECOND;
/// A millisecond.
pub(crate) const MILLISECOND: u64 = 1_000_000;

/// Where a thread runs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// On whichever CPU.
    Any,
    /// On this CPU (modulo those that there are) and no other.
    On(u64),
}

/// Threads at work.
pub(crate) struct Crew {
    endpoint: Endpoint,
    done: Arc<Notification>,
    threads: alloc::vec::Vec<Thread>,
    ended: u64,
    failed: Arc<AtomicU64>,
}

impl Crew {
    /// None yet.
    pub(crate) fn new() -> Result<Crew, String> {
        let endpoint = Endpoint::create().step("the crew's endpoint")?;
        let done = Notification::create(endpoint.handle(), 1).step("the crew's notification")?;
        Ok(Crew {
            endpoint,
            done: Arc::new(done),
            threads: alloc::vec::Vec::new(),
            ended: 0,
            failed: Arc::new(AtomicU64::new(0)),
        })
    }

    /// Starts a thread (64 at most); what it returns as an error is logged and fails the crew.
    pub(crate) fn add(
        &mut self,
        priority: u8,
        place: Place,
        work: impl FnOnce() -> Result<(), String> + Send + 'static,
    ) -> Result<(), String> {
        let bit = 1u64 << self.threads.len();
        let (done, failed) = (Arc::clone(&self.done), Arc::clone(&self.failed));
        let cpu = match place {
            Place::Any => None,
            Place::On(n) => Some((n % cpus()) as u16),
        };
        let options = Options { priority, cpu, fpu: false };
        let thread = spawn(options, move || {
            if let Err(reason) = work() {
                sal_rt::logger::line(format_args!("thread {bit:#x}: {reason}"));
                failed.fetch_or(bit, Ordering::SeqCst);
            }
            let _ = done.raise(bit);
        });
        self.threads.push(thread.step("a thread")?);
        Ok(())
    }

    /// Thread number `n`.
    pub(crate) fn thread(&self, n: usize) -> Result<&Thread, String> {
        self.threads.get(n).ok_or_else(|| "no such thread".into())
    }

    /// Waits until all threads have ended.
    pub(crate) fn join(&mut self, within: u64) -> Result<(), String> {
        let all = u64::MAX >> (64 - self.threads.len().max(1));
        self.wait(all, within)
    }

    /// Waits until these threads (bits) have ended.
    pub(crate) fn wait(&mut self, these: u64, within: u64) -> Result<(), String> {
        let limit = clock::now() + within;
        while self.ended & these != these {
            page::set_deadline(limit);
            match ipc::receive(self.endpoint.handle(), Extras::NONE.with_deadline()) {
                Ok(got) => self.ended |= got.words[0],
                Err(e) if e.error == Error::DeadlinePassed => {
                    return Err(alloc::format!(
                        "threads {:#x} have not ended within {} ms",
                        these & !self.ended,
                        within / MILLISECOND
                    ));
                }
                Err(e) => return Err(alloc::format!("waiting for threads: {:?}", e.error)),
            }
        }
        match self.failed.load(Ordering::SeqCst) & these {
            0 => Ok(()),
            bits => Err(alloc::format!("threads {bits:#x} failed, see the log")),
        }
    }
}

/// Sleeps.
pub(crate) fn pause(nanoseconds: u64) -> Result<(), String> {
    clock::sleep_until(clock::now() + nanoseconds).step("sleep")
}

/// Waits until something holds, for [`PATIENCE`] at most: it may be another CPU's turn, and the emulator's host busy.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> Result<bool, String>) -> Result<(), String> {
    let limit = clock::now() + PATIENCE;
    while !holds()? {
        ensure!(clock::now() < limit, "it never came: {what}");
        pause(MILLISECOND / 10)?;
    }
    Ok(())
}

/// Computes for so long.
pub(crate) fn burn(nanoseconds: u64) {
    let end = clock::now() + nanoseconds;
    while clock::now() < end {
        core::hint::spin_loop();
    }
}
