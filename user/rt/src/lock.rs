//! A mutex over the kernel's primitives.
//!
//! State: free, held, or held with somebody (perhaps) waiting. Who finds it taken looks a few more times, then marks it and waits at the
//! lock's own endpoint for a notification; who frees a marked lock raises that notification. The notification is a binary semaphore that stays
//! raised until received, so a wake-up before the wait is not lost.
//!
//! **Why nobody sleeps for ever.** A thread that goes to wait has seen the state become *marked* by its own swap. Marked is left only by
//! an unlock, which then raises the token. The token is taken by one waiter, who marks the state again before it either owns the lock (and so
//! will raise the token at its own unlock) or waits again behind an owner whose unlock will. So while anybody waits, the state is marked, or the
//! token is raised, or a woken thread is on its way to mark it.
//!
//! **Processors and priorities.** Nobody spins for another without bound: the looking is limited, and everything after it waits in the kernel, so
//! an owner of low priority that was preempted on the same CPU gets to run. The lock lends no priority: threads that share one
//! should have the same priority, as the threads of a server do; a thread in between can delay a more urgent waiter. The lock is not fair.
//!
//! **Callers.** Waiting is a receive, and a receive drops the caller in service (`ServerDied`): its client repeats the request, which costs time and, by the
//! rule that every request can be repeated, nothing else. A thread that serves calls avoids it by keeping the caller before it takes a contended lock.
//!
//! Endpoint and notification are made at the first contention, charged to the program's budget; a lock that is never contended costs
//! three words. An [`Interrupt`](sal_abi::Op::Interrupt) that arrives while its thread waits here is kept for [`take_interrupt`].

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use sal_abi::boot::ExitReason;
use sal_abi::{Error, Handle};
use sal_sys::ipc::{self, Extras};
use sal_sys::{capability, page};

/// A mutex for native programs.
pub type Mutex<T> = lock_api::Mutex<RawLock, T>;
/// What `lock` gives.
pub type MutexGuard<'a, T> = lock_api::MutexGuard<'a, RawLock, T>;

const FREE: u32 = 0;
const HELD: u32 = 1;
const MARKED: u32 = 2;

/// How often a taken lock is looked at before its thread waits in the kernel: about the instructions of one kernel call.
const LOOKS: u32 = 60;

/// Word of the message page's run-time part that remembers an interrupt.
const INTERRUPT_WORD: usize = 0;

/// The lock itself; use it through [`Mutex`].
pub struct RawLock {
    state: AtomicU32,
    endpoint: AtomicU64,
    token: AtomicU64,
}

impl Drop for RawLock {
    fn drop(&mut self) {
        for handle in [*self.token.get_mut(), *self.endpoint.get_mut()] {
            if handle != 0 {
                let _ = capability::close(Handle(handle));
            }
        }
    }
}

// SAFETY: `lock` returns only after this thread moved the state from FREE to HELD or MARKED, which no other can do before `unlock` stores FREE.
unsafe impl lock_api::RawMutex for RawLock {
    #[allow(clippy::declare_interior_mutable_const, reason = "lock_api asks for a constant to start from")]
    const INIT: RawLock =
        RawLock { state: AtomicU32::new(FREE), endpoint: AtomicU64::new(0), token: AtomicU64::new(0) };

    type GuardMarker = lock_api::GuardSend;

    #[inline]
    fn lock(&self) {
        if !self.try_lock() {
            self.lock_contended();
        }
    }

    #[inline]
    fn try_lock(&self) -> bool {
        self.state.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[inline]
    unsafe fn unlock(&self) {
        if self.state.swap(FREE, Ordering::Release) == MARKED {
            self.wake();
        }
    }
}

impl RawLock {
    #[cold]
    fn lock_contended(&self) {
        for _ in 0..LOOKS {
            if self.state.load(Ordering::Relaxed) == FREE && lock_api::RawMutex::try_lock(self) {
                return;
            }
            core::hint::spin_loop();
        }
        let endpoint = self.prepare();
        while self.state.swap(MARKED, Ordering::Acquire) != FREE {
            match ipc::receive(endpoint, Extras::NONE) {
                Ok(_) => {}
                Err(failed) if failed.error == Error::Interrupted => page::set_user(INTERRUPT_WORD, 1),
                Err(failed) => crate::start::die(
                    ExitReason::NoResources,
                    format_args!("a lock's endpoint can't be waited at: {:?}", failed.error),
                ),
            }
        }
    }

    /// Makes endpoint and token if there are none yet. Both are published before the state is first marked, so that `wake` finds them.
    fn prepare(&self) -> Handle {
        let budget = crate::start::own::budget();
        let endpoint = publish(&self.endpoint, || ipc::endpoint_create(budget));
        publish(&self.token, || ipc::notification_create(budget, endpoint, 0));
        endpoint
    }

    #[cold]
    fn wake(&self) {
        let _ = ipc::notify(Handle(self.token.load(Ordering::Acquire)), 1);
    }
}

/// The handle in `place`, made by `make` if there is none; when two make one at the same time, the later closes its own.
fn publish(place: &AtomicU64, make: impl FnOnce() -> Result<Handle, Error>) -> Handle {
    let present = place.load(Ordering::Acquire);
    if present != 0 {
        return Handle(present);
    }
    let made = match make() {
        Ok(handle) => handle,
        Err(error) => {
            crate::start::die(ExitReason::NoResources, format_args!("no endpoint for a contended lock: {error:?}"))
        }
    };
    match place.compare_exchange(0, made.0, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => made,
        Err(other) => {
            let _ = capability::close(made);
            Handle(other)
        }
    }
}

/// Was this thread interrupted while it waited for a lock? Asking forgets it.
pub fn take_interrupt() -> bool {
    let was = page::user(INTERRUPT_WORD) != 0;
    if was {
        page::set_user(INTERRUPT_WORD, 0);
    }
    was
}
