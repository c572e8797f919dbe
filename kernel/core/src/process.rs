//! Processes: a capability table, threads, one death.
//!
//! What must always hold: state goes alive, dying, dead and never back; `alive` counts the threads that exist; a process is dead only when
//! no CPU runs any of its threads and its table is empty. All but the table's slots and the time counter changes under the registry's lock.

use crate::free::Link;
use crate::region::Region;
use crate::table::Table;
use crate::threads::NONE;
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
#[derive(Debug)]
pub struct Slot {
    pub(crate) generation: AtomicU32,
    state: AtomicU32,
    /// Its capabilities.
    pub table: Table,
    /// Threads that exist.
    pub(crate) alive: AtomicU32,
    /// First thread, linked through the threads' slots.
    pub(crate) first_thread: AtomicU32,
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
    pub(crate) waiters: AtomicU32,
    /// How far its table has been closed.
    pub(crate) reaped: AtomicU32,
    /// Capabilities that name it.
    pub(crate) refs: AtomicU32,
    link: AtomicU32,
}

impl Default for Slot {
    fn default() -> Self {
        Slot {
            generation: AtomicU32::new(0),
            state: AtomicU32::new(0),
            table: Table::default(),
            alive: AtomicU32::new(0),
            first_thread: AtomicU32::new(NONE),
            time: AtomicU64::new(0),
            reason: AtomicU64::new(0),
            position: [const { AtomicU64::new(0) }; 4],
            space: AtomicU64::new(0),
            death: [const { AtomicU64::new(0) }; 2],
            waiters: AtomicU32::new(NONE),
            reaped: AtomicU32::new(0),
            refs: AtomicU32::new(0),
            link: AtomicU32::new(NONE),
        }
    }
}

impl Link for Slot {
    fn link(&self) -> &AtomicU32 {
        &self.link
    }
}

impl Slot {
    #[cfg(not(target_os = "none"))]
    fn duplicate(&self) -> Slot {
        use crate::emulated::{copy_u32, copy_u64};
        Slot {
            generation: copy_u32(&self.generation),
            state: copy_u32(&self.state),
            table: self.table.duplicate(),
            alive: copy_u32(&self.alive),
            first_thread: copy_u32(&self.first_thread),
            time: copy_u64(&self.time),
            reason: copy_u64(&self.reason),
            position: [0, 1, 2, 3].map(|n: usize| copy_u64(&self.position[n])),
            space: copy_u64(&self.space),
            death: [0, 1].map(|n: usize| copy_u64(&self.death[n])),
            waiters: copy_u32(&self.waiters),
            reaped: copy_u32(&self.reaped),
            refs: copy_u32(&self.refs),
            link: copy_u32(&self.link),
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

    /// Which use of the slot this is.
    pub fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    /// Nanoseconds of CPU used.
    pub fn time(&self) -> u64 {
        self.time.load(Ordering::Relaxed)
    }

    /// Makes it a new process.
    pub(crate) fn open(&self, space: u64, death: [u64; 2]) -> u32 {
        self.alive.store(0, Ordering::Relaxed);
        self.first_thread.store(NONE, Ordering::Relaxed);
        self.time.store(0, Ordering::Relaxed);
        self.reason.store(0, Ordering::Relaxed);
        self.waiters.store(NONE, Ordering::Relaxed);
        self.reaped.store(0, Ordering::Relaxed);
        self.space.store(space, Ordering::Relaxed);
        for (place, value) in self.death.iter().zip(death) {
            place.store(value, Ordering::Relaxed);
        }
        for place in &self.position {
            place.store(0, Ordering::Relaxed);
        }
        self.set_state(State::Alive);
        let generation = self.generation.load(Ordering::Relaxed) + 1;
        self.generation.store(generation, Ordering::Release);
        generation
    }
}

/// Marks ids of processes.
#[derive(Debug)]
pub struct Process;

/// All processes.
pub struct Processes {
    region: Region<Slot>,
}

impl Processes {
    /// Over a region of free slots.
    pub fn new(region: Region<Slot>) -> Self {
        Processes { region }
    }

    /// The region, to grow it.
    pub fn region(&self) -> &Region<Slot> {
        &self.region
    }

    /// A copy, for the host's tests.
    #[cfg(not(target_os = "none"))]
    pub(crate) fn duplicate(&self) -> Self {
        Processes { region: self.region.duplicate(Slot::duplicate) }
    }

    /// Slot `index`.
    #[inline(always)]
    pub fn slot(&self, index: u32) -> Option<&Slot> {
        self.region.get(index)
    }

    /// The process of that name.
    pub fn get(&self, id: crate::id::Id<Process>) -> Option<&Slot> {
        let slot = self.region.get(id.index())?;
        (slot.generation.load(Ordering::Acquire) == id.generation()).then_some(slot)
    }

    /// The table of process `index`.
    #[inline(always)]
    pub fn table(&self, index: u32) -> Option<&Table> {
        Some(&self.region.get(index)?.table)
    }

    /// Books CPU time.
    pub(crate) fn add_time(&self, index: u32, nanoseconds: u64) {
        if let Some(slot) = self.region.get(index) {
            slot.time.fetch_add(nanoseconds, Ordering::Relaxed);
        }
    }
}
