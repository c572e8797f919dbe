//! A successor takes over: the vault says what was committed, the kernel says which pages are present.
//!
//! What must hold: between `adopt` and `finish` nothing is asked of the cache; all that a phase in the vault promises was performed when
//! `finish` returns; dying in between and beginning again ends the same.

use sal_vault::Fault;

use crate::cache::{Cache, Error, ObjectId, Tables, Volatile, bits, name_hash};
use crate::effects::{Shell, System};
use crate::evict::{Origin, ROWS_MOST, TwoQueue};
use crate::index::{Index, NONE};
use crate::landing::Marker;
use crate::vault::{ObjectRow, Vault, phase, state};

/// A cache that doesn't know yet which pages are present.
pub struct Adoption<'a>(Cache<'a>);

impl<'a> Cache<'a> {
    /// Takes over a vault of [`crate::vault_bytes`] (8-byte aligned), or makes it one if it is blank. `owner`: the service's number. The tables are
    /// used as far as all of them reach: the number of objects is the smallest of the vault's, `counts` and `objects`.
    ///
    /// # Errors
    /// The vault is another's, or damaged, or too short.
    pub fn adopt(vault: &'a mut [u8], owner: u32, tables: Tables<'a>) -> Result<Adoption<'a>, Fault> {
        let vault = Vault::adopt(vault, owner)?;
        let Tables { records, pages, counts, names, objects, waiters, pending, takers } = tables;
        objects.fill(Volatile::new());
        waiters.fill(None);
        pending.fill(None);
        takers.fill(None);
        let mut cache = Cache {
            vault,
            names: Index::new(names),
            objects,
            free: NONE,
            pages: TwoQueue::new(records, pages, counts),
            waiters,
            pending,
            takers,
            clock: 0,
            reached: 0,
            notified: 0,
        };
        cache.index_objects();
        Ok(Adoption(cache))
    }

    /// Names of open objects, and the list of free rows, the lowest first.
    fn index_objects(&mut self) {
        let rows = self.vault.objects().len().min(self.objects.len()).min(ROWS_MOST);
        for place in (0..rows as u32).rev() {
            let Some(row) = self.object_row(place) else { return };
            match row.state {
                state::FREE => self.free_row(place),
                state::CLOSING => {}
                _ => self.names.insert(name_hash(row.system, row.file, row.generation), place),
            }
        }
    }

    /// The first object's row from `from` on for which `is` holds.
    pub(crate) fn rows_where(&self, is: impl Fn(&ObjectRow) -> bool, from: u32) -> Option<u32> {
        let rows = self.vault.objects().get(from as usize..)?;
        rows.iter().position(is).map(|place| from + place as u32)
    }
}

impl<'a> Adoption<'a> {
    /// The objects whose presence is to be told: number, capability, pages.
    pub fn objects(&self) -> impl Iterator<Item = (ObjectId, u64, u32)> {
        let rows = self.0.vault.objects().iter().enumerate().filter(|(_, row)| row.is_open());
        rows.map(|(place, row)| (row.id(place as u32), row.kept, row.pages()))
    }

    /// The object after `last` whose presence is to be told, or the first.
    pub fn next_object(&self, last: Option<ObjectId>) -> Option<(ObjectId, u64, u32)> {
        let from = last.map_or(0, |last| last.row().saturating_add(1));
        let place = self.0.rows_where(ObjectRow::is_open, from)?;
        self.0.object_row(place).map(|row| (row.id(place), row.kept, row.pages()))
    }

    /// The capabilities in use: see [`Cache::kept`].
    pub fn kept(&self) -> impl Iterator<Item = u64> {
        self.0.kept()
    }

    /// Which pages the kernel has: bit n of word w is page `first` + 64 w + n. More than the tables can hold are given back.
    pub fn present(&mut self, object: ObjectId, first: u32, bitmap: &[u64], shell: &mut impl Shell) {
        let Some(row) = self.0.open_object(object) else { return };
        // What is to be given back by the resize under way is not there any more.
        let end = if row.state == state::RESIZING { row.from.min(row.pages()) } else { row.pages() };
        for page in bits(first, bitmap).filter(|&page| page < end) {
            if !self.0.pages.has_room() {
                self.0.evict(1, shell);
            }
            self.0.pages.admit(object.row(), page, Origin::Adopted);
        }
    }

    /// Finishes what the predecessor had begun.
    ///
    /// # Errors
    /// None, by construction of the vault.
    pub fn finish(self, shell: &mut impl Shell) -> Result<Cache<'a>, Error> {
        let mut cache = self.0;
        let mut from = 0;
        while let Some(place) = cache.rows_where(|row| row.state == state::RESIZING, from) {
            cache.finish_resize(place, shell)?;
            from = place + 1;
        }
        for place in 0..cache.vault.work().len() {
            cache.finish_work(place, shell)?;
        }
        let mut from = 0;
        while let Some(place) = cache.rows_where(|row| row.state == state::CLOSING, from) {
            cache.finish_close(place, shell)?;
            from = place + 1;
        }
        for place in 0..cache.vault.systems().len() {
            if cache.system_row(System(place as u32)).is_some() {
                cache.finish_attach(System(place as u32), shell)?;
            }
        }
        Ok(cache)
    }
}

impl Cache<'_> {
    /// A row that its predecessor left landing lands; the staging pages of what nobody has are emptied.
    fn finish_work(&mut self, place: usize, shell: &mut impl Shell) -> Result<(), Error> {
        let row = self.work_row(place);
        match row.phase {
            _ if row.number == 0 => Ok(()),
            phase::LANDING => self.carry_out(place, Marker::Hold, shell),
            phase::WAITING => {
                self.empty(&row, 0, row.count, shell);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
