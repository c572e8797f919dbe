//! File objects: opened by name, closed, resized.
//!
//! What must hold: an open file has one object, so that a repeated `object` finds the first one's; closing and resizing go through a phase of
//! the row that a successor finishes.

use crate::cache::{Cache, Error, ObjectId, PAGE, Volatile, name_hash};
use crate::effects::{Effect, Shell, System};
use crate::index::NONE;
use crate::vault::{ObjectRow, PAGES_END, WorkRow, state};

/// A file, as its file system names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct File {
    /// The inode's number.
    pub file: u64,
    /// The inode's generation: another one is another file.
    pub generation: u64,
}

impl Cache<'_> {
    /// The object of a file, the same as long as it is open. A new one has `length` bytes: `make` makes its memory (of that many pages, with the
    /// number as its badge) and puts the capability into the vault's table; the word is its place. A length other than the open object's
    /// doesn't count: `resize` changes it.
    ///
    /// # Errors
    /// `NotFound`: no such file system. `BadLength`. `NoMemory`: no row is free, or it could not be made.
    pub fn object(
        &mut self,
        system: System,
        file: File,
        length: u64,
        make: impl FnOnce(ObjectId, u32) -> Option<u64>,
    ) -> Result<ObjectId, Error> {
        self.system_row(system).ok_or(Error::NotFound)?;
        if let Some(known) = self.find(system, file) {
            return Ok(known);
        }
        check_length(length)?;
        let row = self.free;
        let old = self.object_row(row).filter(|_| self.names.has_room()).ok_or(Error::NoMemory)?;
        let mut object = ObjectRow {
            file: file.file,
            generation: file.generation,
            length,
            kept: 0,
            state: state::OPEN,
            uses: old.uses.wrapping_add(1),
            system: system.0,
            from: 0,
        };
        object.kept = make(object.id(row), object.pages()).ok_or(Error::NoMemory)?;
        self.vault.change().object(row, &object).commit()?;
        self.free = self.volatile(row).map_or(NONE, |volatile| core::mem::take(volatile).free);
        self.names.insert(name_hash(system.0, file.file, file.generation), row);
        Ok(object.id(row))
    }

    /// The open object of a file.
    pub fn find(&self, system: System, file: File) -> Option<ObjectId> {
        let is = |row: u32| {
            self.object_row(row).is_some_and(|object| {
                (object.system, object.file, object.generation) == (system.0, file.file, file.generation)
            })
        };
        let row = self.names.find(name_hash(system.0, file.file, file.generation), is)?;
        self.object_row(row).map(|object| object.id(row))
    }

    /// An open object's capability and length in bytes.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn open(&self, system: System, object: ObjectId) -> Result<(u64, u64), Error> {
        self.owned(system, object).map(|row| (row.kept, row.length))
    }

    fn owned(&self, system: System, object: ObjectId) -> Result<ObjectRow, Error> {
        self.open_object(object).filter(|row| row.system == system.0).ok_or(Error::NotFound)
    }

    pub(crate) fn volatile(&mut self, row: u32) -> Option<&mut Volatile> {
        self.objects.get_mut(row as usize)
    }

    /// The object is forgotten: its pages and its memory are given back, who waits for its pages is refused. Takes the time of the smaller of its
    /// pages and the table of pages. `NotFound` is the answer to a repetition.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn close(&mut self, system: System, object: ObjectId, shell: &mut impl Shell) -> Result<(), Error> {
        let mut row = self.owned(system, object)?;
        row.state = state::CLOSING;
        self.vault.change().object(object.row(), &row).commit()?;
        self.finish_close(object.row(), shell)?;
        self.dispatch(system, shell);
        Ok(())
    }

    /// Carries out a committed close.
    pub(crate) fn finish_close(&mut self, place: u32, shell: &mut impl Shell) -> Result<(), Error> {
        let row = self.object_row(place).ok_or(Error::NotFound)?;
        let id = row.id(place);
        self.drop_pending(id, 0);
        self.drop_held(id, shell)?;
        self.refuse_waiters(id, 0, shell);
        let _ = shell.perform(Effect::Discard { object: id, kept: row.kept, first: 0, count: row.pages() });
        let _ = shell.perform(Effect::Release { kept: row.kept });
        self.pages.forget(place, 0, row.pages());
        let objects = self.vault.objects();
        let hash_of = |row: u32| {
            objects.get(row as usize).map_or(0, |object| name_hash(object.system, object.file, object.generation))
        };
        self.names.remove(place, hash_of);
        let free =
            ObjectRow { file: 0, generation: 0, length: 0, kept: 0, state: state::FREE, system: 0, from: 0, ..row };
        self.vault.change().object(place, &free).commit()?;
        self.free_row(place);
        Ok(())
    }

    /// A free row is the first to be used, unless its number would come again.
    pub(crate) fn free_row(&mut self, place: u32) {
        let next = self.free;
        if self.object_row(place).is_some_and(|row| row.uses != u32::MAX)
            && let Some(volatile) = self.volatile(place)
        {
            *volatile = Volatile { free: next, ..Volatile::new() };
            self.free = place;
        }
    }

    /// The file has another length. The page in which it ended or ends is out of date (its tail is zeros, or will be), and so is what lies beyond.
    ///
    /// # Errors
    /// `NotFound`, `BadLength`.
    pub fn resize(
        &mut self,
        system: System,
        object: ObjectId,
        length: u64,
        shell: &mut impl Shell,
    ) -> Result<(), Error> {
        let row = self.owned(system, object)?;
        check_length(length)?;
        if length == row.length {
            return Ok(());
        }
        let from = (length.min(row.length) / PAGE) as u32;
        let now = ObjectRow { length, from, state: state::RESIZING, ..row };
        let stale = |row: &WorkRow| row.number != 0 && row.object == object.0 && from < row.first + row.keep;
        let cut: [Option<WorkRow>; crate::WORK] = core::array::from_fn(|place| {
            let row = self.work_row(place);
            stale(&row).then(|| WorkRow { keep: from.saturating_sub(row.first), ..row })
        });
        let mut change = self.vault.change().object(object.row(), &now);
        for (place, row) in cut.iter().enumerate() {
            if let Some(row) = row {
                change = change.work(place, row);
            }
        }
        change.commit()?;
        self.pages.forget(object.row(), from, row.pages());
        self.finish_resize(object.row(), shell)?;
        self.dispatch(system, shell);
        Ok(())
    }

    /// Carries out a committed resize.
    pub(crate) fn finish_resize(&mut self, place: u32, shell: &mut impl Shell) -> Result<(), Error> {
        let row = self.object_row(place).ok_or(Error::NotFound)?;
        let (id, kept, pages) = (row.id(place), row.kept, row.pages());
        self.drop_pending(id, pages);
        self.drop_held(id, shell)?;
        let _ = shell.perform(Effect::Discard { object: id, kept, first: row.from, count: 1 });
        let _ = shell.perform(Effect::Resize { object: id, kept, pages });
        self.refuse_waiters(id, pages, shell);
        let now = ObjectRow { state: state::OPEN, from: 0, ..row };
        self.vault.change().object(place, &now).commit()
    }
}

fn check_length(length: u64) -> Result<(), Error> {
    if length.div_ceil(PAGE) < PAGES_END { Ok(()) } else { Err(Error::BadLength) }
}
