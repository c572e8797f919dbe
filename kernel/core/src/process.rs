//! Processes: a capability table, threads, one death.
//!
//! What must always hold: state goes alive, dying, dead and never back; `alive` counts the threads that exist; a process is dead only when
//! no CPU runs any of its threads and its table is empty. All but the table's slots and the time counter changes under the registry's lock.

use crate::objects::{Head, Object, Objects};
use crate::table::Table;
use crate::threads::{Link, NONE};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// A process's state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum State {
    /// The slot is free.
    Free = 0,
    /// It runs, or could.
    Alive = 1,
    /// It is being ended.
    Dying = 2,
    /// It is gone.
    Dead = 3,
}

/// A process's slot.
#[derive(Debug, Default)]
pub struct Slot {
    head: Head,
    state: AtomicU32,
    /// Its capabilities.
    pub table: Table,
    /// Threads that exist.
    pub(crate) alive: AtomicU32,
    /// First thread, linked through the threads' slots.
    pub(crate) first_thread: Link,
    /// Nanoseconds of CPU used.
    time: AtomicU64,
    /// `DeathKind | detail << 8`.
    pub(crate) reason: AtomicU64,
    /// Where it was when it died: instruction, stack and frame pointer, fault address.
    pub(crate) position: [AtomicU64; 4],
    /// Its native space, as a raw id.
    pub(crate) space: AtomicU64,
    /// Raised at its death: raw id and bits.
    pub(crate) death: [AtomicU64; 2],
    /// First thread that waits for its death, linked through the threads' mail links.
    pub(crate) waiters: Link,
    /// How far its table has been closed.
    pub(crate) reaped: AtomicU32,
}

impl Object for Slot {
    fn head(&self) -> &Head {
        &self.head
    }
}

impl Slot {
    /// A copy, for the host's tests.
    #[cfg(not(target_os = "none"))]
    pub(crate) fn duplicate(&self) -> Slot {
        use crate::emulated::{copy_u32, copy_u64};
        Slot {
            head: self.head.duplicate(),
            state: copy_u32(&self.state),
            table: self.table.duplicate(),
            alive: copy_u32(&self.alive),
            first_thread: self.first_thread.duplicate(),
            time: copy_u64(&self.time),
            reason: copy_u64(&self.reason),
            position: [0, 1, 2, 3].map(|n: usize| copy_u64(&self.position[n])),
            space: copy_u64(&self.space),
            death: [0, 1].map(|n: usize| copy_u64(&self.death[n])),
            waiters: self.waiters.duplicate(),
            reaped: copy_u32(&self.reaped),
        }
    }

    /// Its state.
    pub fn state(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            1 => State::Alive,
            2 => State::Dying,
            3 => State::Dead,
            _ => State::Free,
        }
    }

    /// A thread of it ends there: if it was killed, and so died at no instruction of its own, the first thread to end says where it was.
    pub(crate) fn was_killed_at(&self, position: [u64; 3]) {
        let [rip, ..] = &self.position;
        if self.state() != State::Dying || rip.load(Ordering::Relaxed) != 0 {
            return;
        }
        for (place, value) in self.position.iter().zip(position) {
            place.store(value, Ordering::Relaxed);
        }
    }

    pub(crate) fn set_state(&self, state: State) {
        self.state.store(state as u32, Ordering::Release);
    }

    /// Nanoseconds of CPU used.
    pub fn time(&self) -> u64 {
        self.time.load(Ordering::Relaxed)
    }

    /// Makes it a new process, alive.
    pub(crate) fn open(&self, space: u64, death: [u64; 2]) {
        self.alive.store(0, Ordering::Relaxed);
        self.first_thread.store(NONE, Ordering::Relaxed);
        self.waiters.store(NONE, Ordering::Relaxed);
        self.reaped.store(0, Ordering::Relaxed);
        self.space.store(space, Ordering::Relaxed);
        self.time.store(0, Ordering::Relaxed);
        set(&self.death, death);
        self.set_end(0, [0; 4]);
        self.set_state(State::Alive);
    }

    /// Why it ended, and where it was.
    pub(crate) fn set_end(&self, reason: u64, position: [u64; 4]) {
        self.reason.store(reason, Ordering::Relaxed);
        set(&self.position, position);
    }
}

fn set<const N: usize>(places: &[AtomicU64; N], values: [u64; N]) {
    places.iter().zip(values).for_each(|(place, value)| place.store(value, Ordering::Relaxed));
}

/// Reads several words.
pub(crate) fn get<const N: usize>(places: &[AtomicU64; N]) -> [u64; N] {
    places.each_ref().map(|place| place.load(Ordering::Relaxed))
}

impl Objects<Slot> {
    /// The table of process `index`.
    #[inline(always)]
    pub fn table(&self, index: u32) -> Option<&Table> {
        Some(&self.slot(index)?.table)
    }

    /// Books CPU time.
    pub(crate) fn add_time(&self, index: u32, nanoseconds: u64) {
        if let Some(slot) = self.slot(index) {
            slot.time.fetch_add(nanoseconds, Ordering::Relaxed);
        }
    }
}
