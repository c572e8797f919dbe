//! Windows that are wanted, and how they become work items that a file system has in hand.
//!
//! What must hold: a work row is committed before it is given; it keeps its staging pages, which no other row has, until it is over. A file system has
//! it from one `take_work` alone (the row says which), so that no two of its threads fill the same staging pages.

use crate::cache::{Cache, ObjectId};
use crate::effects::{Effect, Shell, System, Token, Work};
use crate::readahead::Window;
use crate::systems::STAGING;
use crate::vault::{NO_MARKER, WorkRow, phase};

/// A window that nobody has taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pending {
    pub(crate) object: ObjectId,
    pub(crate) system: u32,
    pub(crate) first: u32,
    pub(crate) count: u32,
    pub(crate) marker: Option<u32>,
    /// Whether somebody waits for it; read-ahead comes after those.
    pub(crate) wanted: bool,
    pub(crate) since: u64,
}

impl Pending {
    pub(crate) fn brings(&self, object: ObjectId, page: u32) -> bool {
        self.object == object && (self.first..self.first + self.count).contains(&page)
    }
}

/// Pages of a staging memory, in a row.
#[derive(Clone, Copy, Default)]
struct Run {
    first: u32,
    count: u32,
}

impl Cache<'_> {
    /// Whether another window has room: in a free place, or in that of the oldest window that nobody waits for.
    pub(crate) fn has_pending_room(&self) -> bool {
        self.pending.iter().any(|pending| pending.is_none_or(|pending| !pending.wanted))
    }

    /// Adds a window. Does nothing without room.
    pub(crate) fn push(&mut self, object: ObjectId, system: u32, window: Window, wanted: bool) {
        let since = self.tick();
        let Window { first, count, marker } = window;
        let marker = marker.filter(|&marker| marker < count && (count > 1 || !wanted));
        let places = self.pending.iter_mut().filter(|place| place.is_none_or(|pending| !pending.wanted));
        // A free place before all others.
        if let Some(place) = places.min_by_key(|place| place.map_or(0, |pending| pending.since)) {
            *place = Some(Pending { object, system, first, count, marker, wanted, since });
        }
    }

    /// Pages of the object from `from` on are wanted no more.
    pub(crate) fn drop_pending(&mut self, object: ObjectId, from: u32) {
        for place in self.pending.iter_mut() {
            if let Some(pending) = place.as_mut().filter(|pending| pending.object == object) {
                pending.count = pending.count.min(from.saturating_sub(pending.first));
                if pending.count == 0 {
                    *place = None;
                }
            }
        }
    }

    /// Gives work to the calls of a file system that wait, as long as there are both; notifies it once if there is work and no call.
    pub(crate) fn dispatch(&mut self, system: System, shell: &mut impl Shell) {
        while let Some(taker) = self.oldest_taker(system) {
            let Some((place, row)) = self.next_work(system, shell) else { return };
            let Some(taker) = self.takers.get_mut(taker).and_then(Option::take) else { return };
            let (slot, sequence) = (taker.request.slot, taker.request.sequence);
            let row = WorkRow { phase: phase::TAKEN, slot, sequence, ..row };
            let counter = self.vault.counter().max(row.number);
            if self.vault.change().work(place, &row).counter(counter).commit().is_ok() {
                self.give(place, taker.token, shell);
            }
        }
        let bit = 1 << system.0;
        if self.notified & bit == 0 && self.has_work(system) {
            self.notified |= bit;
            let _ = shell.perform(Effect::Notify { system });
        }
    }

    fn has_work(&self, system: System) -> bool {
        self.pending.iter().flatten().any(|pending| pending.system == system.0)
            || self.find_work(|row| is_waiting(row, system)).is_some()
    }

    /// What the file system is to do next, not committed yet: what a dead taker left, then windows that somebody waits for, then read-ahead.
    fn next_work(&mut self, system: System, shell: &mut impl Shell) -> Option<(usize, WorkRow)> {
        while let Some(place) = self.find_work(|row| is_waiting(row, system)) {
            let row = self.work_row(place);
            if self.open_object(ObjectId(row.object)).is_some() {
                return Some((place, row));
            }
            // Its object was closed meanwhile.
            self.vault.change().work(place, &WorkRow::FREE).commit().ok()?;
        }
        let own = self.pending.iter().enumerate().filter_map(|(place, pending)| Some((place, pending.as_ref()?)));
        let own = own.filter(|(_, pending)| pending.system == system.0);
        let from = own.min_by_key(|(_, pending)| (!pending.wanted, pending.since)).map(|(place, _)| place)?;
        let mut pending = self.pending.get(from).copied().flatten()?;
        let (place, run) = self.room(system, pending.count, shell)?;
        let count = pending.count.min(run.count);
        let row = WorkRow {
            number: self.vault.counter() + 1,
            object: pending.object.0,
            system: system.0,
            first: pending.first,
            count,
            staging: run.first,
            keep: count,
            marker: pending.marker.filter(|&marker| marker < count).unwrap_or(NO_MARKER),
            next: pending.first + count,
            size: pending.count,
            ..WorkRow::FREE
        };
        self.reached &= !(1 << place);
        let end = pending.first + pending.count;
        let rest = (count < pending.count).then_some(row.next);
        let rest = match rest {
            Some(first) if self.is_waited_for(pending.object, first, end) => {
                (pending.first, pending.count, pending.marker) = (first, end - first, None);
                Some(pending)
            }
            Some(first) => {
                if let Some(volatile) = self.volatile(pending.object.row()) {
                    volatile.readahead.moved(end, first);
                }
                None
            }
            None => None,
        };
        if let Some(slot) = self.pending.get_mut(from) {
            *slot = rest;
        }
        Some((place, row))
    }

    /// A free work row, and staging pages, as many as wanted or fewer. Markers that are held back give way, the oldest first, when there is no row or
    /// less than half of what is wanted.
    fn room(&mut self, system: System, wanted: u32, shell: &mut impl Shell) -> Option<(usize, Run)> {
        loop {
            let place = self.find_work(|row| row.number == 0);
            let run = self.free_run(system, wanted);
            if let Some(place) = place.filter(|_| run.count >= wanted.div_ceil(2)) {
                return Some((place, run));
            }
            let held = self.vault.work().iter().enumerate();
            let held = held.filter(|(_, row)| row.is_held() && (place.is_none() || row.system == system.0));
            match held.min_by_key(|(_, row)| row.number).map(|(held, _)| held) {
                Some(held) => self.release_held(held, shell).ok()?,
                None => return place.filter(|_| run.count > 0).map(|place| (place, run)),
            }
        }
    }

    /// The first run of `wanted` free staging pages, or the longest.
    fn free_run(&self, system: System, wanted: u32) -> Run {
        let mut used = [false; STAGING as usize];
        for row in self.vault.work().iter().filter(|row| row.number != 0 && row.system == system.0) {
            let pages = row.staging as usize..(row.staging + row.count) as usize;
            used.get_mut(pages).unwrap_or_default().fill(true);
        }
        let (mut best, mut run) = (Run::default(), Run::default());
        let pages = self.system_row(system).map_or(0, |row| row.pages);
        for (page, used) in (0..pages).zip(used) {
            run = if used { Run { first: page + 1, count: 0 } } else { Run { count: run.count + 1, ..run } };
            if run.count > best.count {
                best = run;
            }
            if best.count >= wanted {
                break;
            }
        }
        best
    }

    /// Answers a `take_work` with a committed row.
    pub(crate) fn give(&self, place: usize, token: Token, shell: &mut impl Shell) {
        let row = self.work_row(place);
        let object = ObjectId(row.object);
        let file = self.open_object(object).map_or(0, |object| object.file);
        let WorkRow { number, first, count, staging, .. } = row;
        let _ = shell.perform(Effect::Give { token, work: Work { number, object, file, first, count, staging } });
    }
}

fn is_waiting(row: &WorkRow, system: System) -> bool {
    row.is_out() && row.phase == phase::WAITING && row.system == system.0
}
