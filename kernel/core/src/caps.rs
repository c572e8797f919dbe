//! Filling and emptying capability tables; the derivation tree.
//!
//! What must always hold: every filled slot stands once in its object's tree, under the capability it was derived from; `close` hands a slot's
//! children to its parent, `revoke` empties them. All under the registry's lock.

use crate::cpu::Cpu;
use crate::hw::Hardware;
use crate::kernel::Kernel;
use crate::page;
use crate::process::State;
use crate::registry::{Chunks, Registry};
use crate::table::{CHUNK, CHUNKS, Cap, Kind, Slot, Slots, Table};
use core::sync::atomic::{AtomicU32, Ordering};
use sal_abi::{Error, Handle, Rights};

fn load(link: &AtomicU32) -> u32 {
    link.load(Ordering::Relaxed)
}

fn store(link: &AtomicU32, value: u32) {
    link.store(value, Ordering::Relaxed);
}

/// The slot that a tree link (global number + 1) names.
fn at(slots: &Slots, link: u32) -> Option<&Slot> {
    slots.get(link.checked_sub(1)?)
}

/// Puts slot `global`, with its children if it has any, under the slot `parent` (links: number + 1, 0 for none).
fn attach(slots: &Slots, global: u32, parent: u32) {
    let Some(slot) = slots.get(global) else { return };
    store(&slot.parent, parent);
    store(&slot.prev, 0);
    let first = at(slots, parent).map_or(0, |p| load(&p.child));
    store(&slot.next, first);
    if let Some(f) = at(slots, first) {
        store(&f.prev, global + 1);
    }
    if let Some(p) = at(slots, parent) {
        store(&p.child, global + 1);
    }
}

/// Takes slot `global` out of its tree; its children go to its parent.
fn detach(slots: &Slots, global: u32) {
    let Some(slot) = slots.get(global) else { return };
    let (parent, prev, next) = (load(&slot.parent), load(&slot.prev), load(&slot.next));
    match at(slots, prev) {
        Some(p) => store(&p.next, next),
        None => {
            if let Some(p) = at(slots, parent) {
                store(&p.child, next);
            }
        }
    }
    if let Some(n) = at(slots, next) {
        store(&n.prev, prev);
    }
    let mut child = load(&slot.child);
    while let Some(c) = at(slots, child) {
        let after = load(&c.next);
        attach(slots, child - 1, parent);
        child = after;
    }
    for link in [&slot.parent, &slot.child, &slot.next, &slot.prev] {
        store(link, 0);
    }
}

impl Chunks {
    fn take(&mut self, slots: &Slots) -> Option<u32> {
        if let Some(chunk) = self.free.checked_sub(1) {
            self.free = slots.get(chunk * CHUNK).map_or(0, |s| load(&s.next));
            return Some(chunk);
        }
        if (self.fresh + 1) * CHUNK <= slots.count() {
            self.fresh += 1;
            return Some(self.fresh - 1);
        }
        None
    }

    fn give(&mut self, slots: &Slots, chunk: u32) {
        if let Some(s) = slots.get(chunk * CHUNK) {
            store(&s.next, self.free);
            self.free = chunk + 1;
        }
    }
}

/// A free slot: its index in its table, and its global number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    index: u32,
    global: u32,
}

/// The first index in a chunk of a table.
fn base(chunk: usize) -> u32 {
    chunk as u32 * CHUNK
}

impl<H: Hardware> Kernel<H> {
    /// Puts a capability into a free slot of process `process`, derived from slot `parent` (global number) if there is one.
    ///
    /// # Errors
    /// `TableFull`; `Dead` if the process is not alive.
    pub(crate) fn install(
        &self,
        registry: &mut Registry<H::Vm>,
        process: u32,
        cap: Cap,
        parent: Option<u32>,
    ) -> Result<Handle, Error> {
        let place = self.room(registry, process)?;
        Ok(self.put(registry, place, cap, parent))
    }

    /// Puts a capability into a free slot.
    pub(crate) fn put(&self, registry: &mut Registry<H::Vm>, place: Place, cap: Cap, parent: Option<u32>) -> Handle {
        let generation = self.slots.get(place.global).map_or(0, |slot| slot.fill(cap));
        attach(&self.slots, place.global, parent.map_or(0, |p| p + 1));
        self.add_ref(registry, &cap);
        Handle::new(generation, place.index)
    }

    /// A free slot in a process's table: next fit, so that filling a table costs the same per slot. The table grows only when it is full.
    ///
    /// # Errors
    /// `TableFull`; `NoBudget`: no chunk is left; `Dead` if the process is not alive.
    pub(crate) fn room(&self, registry: &mut Registry<H::Vm>, process: u32) -> Result<Place, Error> {
        let slot = self.processes.slot(process).filter(|p| p.state() == State::Alive).ok_or(Error::Dead)?;
        let (table, start) = (&slot.table, slot.table.hint());
        let from_hint = |n| ((start / CHUNK) as usize + n) % CHUNKS;
        let found =
            self.free_in(table, start).or_else(|| (1..=CHUNKS).find_map(|n| self.free_in(table, base(from_hint(n)))));
        if let Some(place) = found {
            return Ok(place);
        }
        let chunk = (0..CHUNKS).find(|n| table.chunk(*n).is_none()).ok_or(Error::TableFull)?;
        table.set_chunk(chunk, Some(registry.chunks.take(&self.slots).ok_or(Error::NoBudget)?));
        self.free_in(table, base(chunk)).ok_or(Error::TableFull)
    }

    /// The first free slot from `index` to its chunk's end, if the table has that chunk.
    fn free_in(&self, table: &Table, index: u32) -> Option<Place> {
        let mut places =
            (index..(index / CHUNK + 1) * CHUNK).map_while(|index| Some(Place { index, global: table.global(index)? }));
        let place = places.find(|place| self.slots.get(place.global).is_some_and(Slot::is_free))?;
        table.set_hint(place.index + 1);
        Some(place)
    }

    /// Global number of the slot behind a handle that is valid.
    pub(crate) fn global(&self, process: u32, handle: Handle) -> Result<u32, Error> {
        let table = self.processes.table(process).ok_or(Error::BadHandle)?;
        table.look(&self.slots, handle)?;
        table.global(handle.index()).ok_or(Error::BadHandle)
    }

    /// Empties a slot; its children go to its parent; the object may end with it.
    pub(crate) fn close_slot(&self, cpu: &mut Cpu<H>, registry: &mut Registry<H::Vm>, global: u32) {
        let Some(slot) = self.slots.get(global) else { return };
        let Some((_, cap)) = slot.current() else { return };
        slot.clear();
        detach(&self.slots, global);
        self.drop_ref(cpu, registry, &cap);
    }

    /// Empties slots derived from slot `global`, at most `limit`; true when none is left.
    pub(crate) fn revoke_slot(
        &self,
        cpu: &mut Cpu<H>,
        registry: &mut Registry<H::Vm>,
        global: u32,
        limit: u32,
    ) -> bool {
        for _ in 0..limit {
            let Some(child) = self.slots.get(global).and_then(|s| load(&s.child).checked_sub(1)) else { return true };
            self.close_slot(cpu, registry, child);
        }
        false
    }

    /// Closes a piece of a dying process's table; true when it is empty.
    pub(crate) fn close_table_piece(&self, cpu: &mut Cpu<H>, registry: &mut Registry<H::Vm>, process: u32) -> bool {
        let Some(slot) = self.processes.slot(process) else { return true };
        let n = (load(&slot.reaped) as usize..CHUNKS).find(|n| slot.table.chunk(*n).is_some()).unwrap_or(CHUNKS);
        if n >= CHUNKS {
            return true;
        }
        if let Some(chunk) = slot.table.chunk(n) {
            for global in chunk * CHUNK..(chunk + 1) * CHUNK {
                self.close_slot(cpu, registry, global);
            }
            slot.table.set_chunk(n, None);
            registry.chunks.give(&self.slots, chunk);
        }
        store(&slot.reaped, n as u32 + 1);
        false
    }

    /// Moves the capabilities of a message from the thread `from` to the thread `to`, both of this CPU; returns how many arrived.
    ///
    /// What can't be installed (the receiver's table is full) arrives as handle 0.
    pub(crate) fn move_caps(&self, cpu: &mut Cpu<H>, from: u32, to: u32) -> usize {
        let Some((f, t)) = self.threads.pair(&mut cpu.hold, from, to) else { return 0 };
        let (count, caps) = (f.cap_count as usize, f.caps);
        let (source, target, page) = (f.process, t.process, t.page);
        if count == 0 {
            return 0;
        }
        let mut registry = self.registry.lock();
        for (n, arg) in caps.iter().take(count).enumerate() {
            let moved = arg.moved != 0;
            let handle = self
                .copy_cap(&mut registry, (source, arg.handle), target, Rights(arg.rights), 0)
                .unwrap_or(Handle::NONE);
            if moved
                && !handle.is_none()
                && let Ok(global) = self.global(source, arg.handle)
            {
                self.close_slot(cpu, &mut registry, global);
            }
            page::set_received(&self.hw, page, n, handle);
        }
        count
    }

    /// Derives a capability of one process into the table of another (or the same), with fewer rights and perhaps a badge.
    ///
    /// # Errors
    /// `BadHandle`; `NoRight` for a badge without the right to give one; `TableFull`; `Dead`.
    pub(crate) fn copy_cap(
        &self,
        registry: &mut Registry<H::Vm>,
        (process, handle): (u32, Handle),
        target: u32,
        mask: Rights,
        badge: u64,
    ) -> Result<Handle, Error> {
        let table = self.processes.table(process).ok_or(Error::BadHandle)?;
        let mut cap = table.look(&self.slots, handle)?;
        if badge != 0 {
            if cap.kind != Kind::Endpoint {
                return Err(Error::WrongKind);
            }
            if !cap.rights.has(Rights::BADGE) || cap.badge != 0 {
                return Err(Error::NoRight);
            }
            cap.badge = badge;
        }
        cap.rights = cap.rights.and(mask);
        let parent = self.global(process, handle)?;
        self.install(registry, target, cap, Some(parent))
    }
}
