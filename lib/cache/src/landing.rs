//! Work that was filled: its pages go into the object, its waiting threads are answered, its staging pages are free.
//!
//! What must hold: that a row is landing, and which of its pages came, is committed before the first page moves, and the row is free only after the
//! last one has; so a successor moves what is missing. A staging page whose frame did not go into the object is emptied.

use crate::cache::{Cache, Error, ObjectId, WINDOW};
use crate::effects::{Effect, Failed, Shell, System, Verdict};
use crate::evict::Origin;
use crate::vault::{NO_MARKER, ObjectRow, WorkRow, phase};

/// What became of pages of a work item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// They are in their staging pages.
    Read,
    /// They can't be read (EIO).
    Failed,
    /// They lie beyond the file's end.
    BeyondEnd,
}

/// Per page of a work item, whether it came.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Filled(u32);

impl Filled {
    /// From runs (pages, status) in the order of the item's pages; pages that no run names did not come.
    pub fn from_runs(runs: impl IntoIterator<Item = (u32, Status)>) -> Self {
        let (mut good, mut at) = (0, 0);
        for (pages, status) in runs {
            let end = pages.saturating_add(at).min(WINDOW);
            if status == Status::Read {
                good |= below(end) & !below(at);
            }
            at = end;
        }
        Filled(good)
    }

    /// All pages came.
    pub const ALL: Filled = Filled(u32::MAX);
}

/// The lowest `count` bits.
fn below(count: u32) -> u32 {
    1_u32.checked_shl(count).map_or(u32::MAX, |bit| bit - 1)
}

/// Whether a marker stays in its staging page.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marker {
    Hold,
    Supply,
}

impl Cache<'_> {
    /// The file system has filled a work item: the answer to its `filled` may go out when this returns. A repetition does nothing.
    ///
    /// # Errors
    /// `NotFound`: the item is another's. `NoMemory` never, by construction of the vault.
    pub fn filled(&mut self, system: System, number: u64, filled: Filled, shell: &mut impl Shell) -> Result<(), Error> {
        let place = self.find_work(|row| row.number == number && number != 0);
        let Some(place) = place else { return Ok(()) };
        let row = self.work_row(place);
        if row.system != system.0 {
            return Err(Error::NotFound);
        }
        if row.phase == phase::TAKEN {
            let good = filled.0 & below(row.count) & below(row.keep);
            self.vault.change().work(place, &WorkRow { phase: phase::LANDING, good, ..row }).commit()?;
            self.carry_out(place, Marker::Hold, shell)?;
            self.dispatch(system, shell);
        }
        Ok(())
    }

    /// Moves the pages of a landing row. Performed again by a successor, it moves what is missing.
    pub(crate) fn carry_out(&mut self, place: usize, marker: Marker, shell: &mut impl Shell) -> Result<(), Error> {
        let row = self.work_row(place);
        let id = ObjectId(row.object);
        let held = match self.open_object(id) {
            Some(object) => {
                let held = self.held(&row, marker, place);
                for at in (0..row.count).filter(|&at| Some(at) != held) {
                    self.land(&row, &object, at, shell);
                }
                held
            }
            None => None,
        };
        let after = match held {
            Some(at) => {
                self.empty(&row, 0, at, shell);
                self.empty(&row, at + 1, row.count, shell);
                let (first, staging) = (row.first + at, row.staging + at);
                WorkRow { phase: phase::HELD, first, staging, count: 1, keep: 1, good: 1, marker: NO_MARKER, ..row }
            }
            None => {
                self.empty(&row, 0, row.count, shell);
                WorkRow::FREE
            }
        };
        self.vault.change().work(place, &after).commit()?;
        self.requeue(row, shell);
        Ok(())
    }

    /// The marker's place, if it is to be held back: it came, and nobody has reached it.
    fn held(&self, row: &WorkRow, marker: Marker, place: usize) -> Option<u32> {
        if marker == Marker::Supply || row.marker >= row.count || row.good >> row.marker & 1 == 0 {
            return None;
        }
        let (id, page) = (ObjectId(row.object), row.first + row.marker);
        let reached = self.reached >> place & 1 == 1 || self.is_waited_for(id, page, page + 1);
        (!reached && !self.pages.is_resident(id.row(), page)).then_some(row.marker)
    }

    /// One page of a landing row.
    fn land(&mut self, row: &WorkRow, object: &ObjectRow, at: u32, shell: &mut impl Shell) {
        let (id, page) = (ObjectId(row.object), row.first + at);
        if at >= row.keep {
            return;
        }
        if row.good >> at & 1 == 0 {
            return self.refuse(id, object.kept, page, shell);
        }
        if !self.pages.is_resident(id.row(), page) {
            let from = self.system_row(System(row.system)).map_or(0, |system| system.staging);
            let supply = Effect::Supply { object: id, kept: object.kept, page, from, staging: row.staging + at };
            match self.supply(supply, shell) {
                Ok(()) => self.pages.admit(id.row(), page, Origin::Read),
                Err(Failed::NoMemory) => return self.refuse(id, object.kept, page, shell),
                Err(Failed::Vacant) => return,
            }
        }
        self.answer(id, page, Verdict::Repeat, shell);
    }

    fn refuse(&mut self, object: ObjectId, kept: u64, page: u32, shell: &mut impl Shell) {
        if self.is_waited_for(object, page, page + 1) {
            let _ = shell.perform(Effect::Refuse { object, kept, page });
            self.answer(object, page, Verdict::Refused, shell);
        }
    }

    /// Empties the staging pages [from, to) of a row.
    pub(crate) fn empty(&self, row: &WorkRow, from: u32, to: u32, shell: &mut impl Shell) {
        if let Some(system) = self.system_row(System(row.system)).filter(|_| from < to) {
            let effect = Effect::Empty { from: system.staging, first: row.staging + from, count: to - from };
            let _ = shell.perform(effect);
        }
    }

    /// A marker that was held back goes into its object, or is dropped if it is out of date.
    pub(crate) fn release_held(&mut self, place: usize, shell: &mut impl Shell) -> Result<(), Error> {
        let row = self.work_row(place);
        let good = row.good & below(row.keep);
        self.vault.change().work(place, &WorkRow { phase: phase::LANDING, good, ..row }).commit()?;
        self.carry_out(place, Marker::Supply, shell)
    }

    /// Markers of the object that are out of date, or whose object is closed, are dropped.
    pub(crate) fn drop_held(&mut self, object: ObjectId, shell: &mut impl Shell) -> Result<(), Error> {
        let open = self.open_object(object).is_some();
        let stale = |row: &WorkRow| row.is_held() && row.object == object.0 && (!open || row.keep == 0);
        while let Some(place) = self.find_work(stale) {
            self.release_held(place, shell)?;
        }
        Ok(())
    }
}
