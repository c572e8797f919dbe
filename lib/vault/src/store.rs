//! The stores that a successor may see the middle of.
//!
//! A server may be killed between any two instructions; its vault then holds the stores that it executed, in
//! their order. So whatever lies in a vault is written through these functions: the compiler may move no store
//! across a [`word32`] or [`word64`], and each of these is one store instruction.
//! What must hold: bytes that the current state calls valid are never written in place; they are written where
//! nothing valid lies, then a word makes them valid.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, compiler_fence};

/// Stores one aligned word, after everything before it and before everything after it.
pub fn word32(word: &mut u32, value: u32) {
    step();
    compiler_fence(Ordering::SeqCst);
    let cell: &mut AtomicU32 = zerocopy::transmute_mut!(word);
    cell.store(value, Ordering::Release);
    compiler_fence(Ordering::SeqCst);
}

/// Stores one aligned word, after everything before it and before everything after it.
pub fn word64(word: &mut u64, value: u64) {
    step();
    compiler_fence(Ordering::SeqCst);
    let cell: &mut AtomicU64 = zerocopy::transmute_mut!(word);
    cell.store(value, Ordering::Release);
    compiler_fence(Ordering::SeqCst);
}

/// Commits under way in this program: more than 0 between a commit's first store and its last. Whoever looks into a dead program's memory
/// learns from it where the death landed; nothing else depends on it.
pub static COMMITTING: AtomicU64 = AtomicU64::new(0);

/// Does `work`, a commit's stores, and has [`COMMITTING`] say so. The program's threads may count over each other: it is an observation.
pub fn committing<R>(work: impl FnOnce() -> R) -> R {
    let before = COMMITTING.load(Ordering::Relaxed);
    COMMITTING.store(before + 1, Ordering::Relaxed);
    compiler_fence(Ordering::SeqCst);
    let result = work();
    compiler_fence(Ordering::SeqCst);
    COMMITTING.store(before, Ordering::Relaxed);
    result
}

/// Copies bytes, in any order and piecewise: a death leaves any part of them written. Copies as many as both
/// slices have.
#[cfg(not(feature = "kill-points"))]
pub fn bytes(to: &mut [u8], from: &[u8]) {
    let length = to.len().min(from.len());
    if let (Some(to), Some(from)) = (to.get_mut(..length), from.get(..length)) {
        to.copy_from_slice(from);
    }
}

/// Copies bytes one by one, each a point at which a test may kill (at most 16 points a call, so that a test of
/// every point ends).
#[cfg(feature = "kill-points")]
pub fn bytes(to: &mut [u8], from: &[u8]) {
    let piece = to.len().min(from.len()).div_ceil(16).max(1);
    for (to, from) in to.chunks_mut(piece).zip(from.chunks(piece)) {
        step();
        let length = to.len().min(from.len());
        to[..length].copy_from_slice(&from[..length]);
    }
}

#[cfg(not(feature = "kill-points"))]
#[inline(always)]
fn step() {}

#[cfg(feature = "kill-points")]
fn step() {
    kill::step();
}

/// Dying on purpose: for tests of whatever is kept in a vault.
#[cfg(feature = "kill-points")]
pub mod kill {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    std::thread_local! {
        static LEFT: Cell<u64> = const { Cell::new(u64::MAX) };
        static DONE: Cell<u64> = const { Cell::new(0) };
    }

    /// What unwinds from the store that did not happen.
    struct Killed;

    pub(super) fn step() {
        let left = LEFT.get();
        if left == 0 {
            resume_unwind(std::boxed::Box::new(Killed));
        }
        if left != u64::MAX {
            LEFT.set(left - 1);
        }
        DONE.set(DONE.get() + 1);
    }

    /// Runs `work`, which dies before its store number `stores` (counted from 0). `Some` is its result if it
    /// made no more stores than that; `None` if it died: what it had stored stays stored.
    pub fn after<R>(stores: u64, work: impl FnOnce() -> R) -> Option<R> {
        LEFT.set(stores);
        let result = catch_unwind(AssertUnwindSafe(work));
        LEFT.set(u64::MAX);
        match result {
            Ok(value) => Some(value),
            Err(why) if why.is::<Killed>() => None,
            Err(why) => resume_unwind(why),
        }
    }

    /// How many stores `work` makes.
    pub fn count<R>(work: impl FnOnce() -> R) -> (u64, R) {
        let before = DONE.get();
        let result = work();
        (DONE.get() - before, result)
    }
}
