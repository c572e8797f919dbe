//! What outlives the memory server: file systems, file objects, work that was handed out. Plain data, changed by a redo log.
//!
//! Which pages are present is not here: the kernel knows it. Nor are waiting threads (their faults are raised again), nor work that nobody has
//! taken (it follows from faults), nor read-ahead and eviction order (guesses).
//!
//! What must hold: a row in an intermediate phase (closing, resizing, landing, a retired staging memory) is a promise of effects; it leaves the
//! phase only after all of them were performed, and a successor performs them all again.

use core::mem::size_of;

use sal_vault::{Expected, Fault, Header, Redo, RedoHead};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use crate::{Error, ObjectId, PAGE, STAGING, WINDOW};

/// File systems that there can be at the same time.
pub const SYSTEMS: usize = 16;
/// Work items that there can be at the same time, held markers included.
pub const WORK: usize = 64;
/// Version of the vault's layout.
pub const VAULT_VERSION: u32 = 1;

/// "PAGC".
const KIND: u32 = u32::from_le_bytes(*b"PAGC");
/// Room for the largest change: all work rows, an object, and what stands before each piece.
const LOG: usize = 8192;

/// A file system; badge 0: free.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct SystemRow {
    pub(crate) badge: u64,
    /// The staging memory's capability.
    pub(crate) staging: u64,
    /// One that is to be released; 0: none.
    pub(crate) retired: u64,
    pub(crate) incarnation: u32,
    /// Staging pages.
    pub(crate) pages: u32,
}

/// Where an object's row stands.
pub(crate) mod state {
    pub(crate) const FREE: u32 = 0;
    pub(crate) const OPEN: u32 = 1;
    /// Its pages and its capability are to be given back.
    pub(crate) const CLOSING: u32 = 2;
    /// Its memory gets its length; the page `from` and what lies behind is out of date.
    pub(crate) const RESIZING: u32 = 3;
}

/// A file object.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct ObjectRow {
    pub(crate) file: u64,
    pub(crate) generation: u64,
    /// Bytes.
    pub(crate) length: u64,
    pub(crate) kept: u64,
    pub(crate) state: u32,
    /// How often the row was used; stays when it is freed.
    pub(crate) uses: u32,
    pub(crate) system: u32,
    /// While resizing: the first page that is out of date.
    pub(crate) from: u32,
}

impl ObjectRow {
    /// Whether this module can have written it.
    fn is_sane(&self) -> bool {
        self.state <= state::RESIZING && (self.system as usize) < SYSTEMS && self.length.div_ceil(PAGE) < PAGES_END
    }

    pub(crate) fn pages(&self) -> u32 {
        pages(self.length)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state == state::OPEN || self.state == state::RESIZING
    }

    pub(crate) fn id(&self, row: u32) -> ObjectId {
        ObjectId(u64::from(self.uses) << 32 | u64::from(row))
    }
}

/// An object has fewer pages: a window behind its last one still has numbers.
pub(crate) const PAGES_END: u64 = (u32::MAX - WINDOW) as u64;

/// Pages of so many bytes. `object` and `resize` have checked that they are fewer than 2^32.
pub(crate) fn pages(bytes: u64) -> u32 {
    bytes.div_ceil(PAGE) as u32
}

/// Where a work row stands; number 0: free.
pub(crate) mod phase {
    /// Nobody has it: its taker died.
    pub(crate) const WAITING: u32 = 0;
    /// Its taker has it, or repeats its `take_work`.
    pub(crate) const TAKEN: u32 = 1;
    /// It was filled: its pages go into the object.
    pub(crate) const LANDING: u32 = 2;
    /// One page, filled, held back as a marker.
    pub(crate) const HELD: u32 = 3;
}

/// A marker's place that stands for none.
pub(crate) const NO_MARKER: u32 = u32::MAX;

/// A work item.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct WorkRow {
    pub(crate) number: u64,
    pub(crate) object: u64,
    pub(crate) system: u32,
    pub(crate) phase: u32,
    pub(crate) first: u32,
    pub(crate) count: u32,
    /// The first staging page.
    pub(crate) staging: u32,
    /// How many pages from the first are not out of date: the others are dropped when they come.
    pub(crate) keep: u32,
    /// Whose `take_work` was answered with it.
    pub(crate) slot: u32,
    pub(crate) sequence: u32,
    /// Landing: bits of pages that came.
    pub(crate) good: u32,
    /// The marker's place in the window, or `NO_MARKER`.
    pub(crate) marker: u32,
    /// The window that a held marker belongs to: the page after it, and its pages.
    pub(crate) next: u32,
    pub(crate) size: u32,
}

impl WorkRow {
    pub(crate) const FREE: WorkRow = WorkRow {
        number: 0,
        object: 0,
        system: 0,
        phase: 0,
        first: 0,
        count: 0,
        staging: 0,
        keep: 0,
        slot: 0,
        sequence: 0,
        good: 0,
        marker: NO_MARKER,
        next: 0,
        size: 0,
    };

    /// Whether this module can have written it.
    fn is_sane(&self, last: u64) -> bool {
        let fits = |first: u32, end: u32| first.checked_add(self.count).is_some_and(|sum| sum <= end);
        let known = self.phase <= phase::HELD && (self.system as usize) < SYSTEMS && self.number <= last;
        known
            && self.keep <= self.count
            && self.count <= WINDOW
            && self.size <= WINDOW
            && fits(self.staging, STAGING)
            && fits(self.first, u32::MAX)
    }

    /// Whether it will bring the page, and not out of date.
    pub(crate) fn brings(&self, object: u64, page: u32) -> bool {
        self.number != 0 && self.object == object && (self.first..self.first + self.keep).contains(&page)
    }

    /// Whether its file system still has to fill it.
    pub(crate) fn is_out(&self) -> bool {
        self.number != 0 && (self.phase == phase::TAKEN || self.phase == phase::WAITING)
    }

    pub(crate) fn is_held(&self) -> bool {
        self.number != 0 && self.phase == phase::HELD
    }
}

const SYSTEM_BYTES: usize = SYSTEMS * size_of::<SystemRow>();
const WORK_BYTES: usize = WORK * size_of::<WorkRow>();
const COUNTER_BYTES: usize = size_of::<u64>();
const FIXED: usize = COUNTER_BYTES + SYSTEM_BYTES + WORK_BYTES;

/// Bytes of a vault for `objects` file objects: 48 each and a fixed part of about 13 KiB. 65,536 objects: 3.1 MiB.
pub const fn vault_bytes(objects: usize) -> usize {
    size_of::<Header>() + size_of::<RedoHead>() + LOG + FIXED + objects * size_of::<ObjectRow>()
}

/// The vault at work.
pub(crate) struct Vault<'a> {
    head: &'a mut RedoHead,
    log: &'a mut [u8],
    state: &'a mut [u8],
}

impl<'a> Vault<'a> {
    /// Takes over a vault of that length, or makes it one if it is blank.
    pub(crate) fn adopt(bytes: &'a mut [u8], owner: u32) -> Result<Vault<'a>, Fault> {
        let length = bytes.len() as u64;
        let short = |_| Fault::Length(length);
        let (header, rest) = Header::mut_from_prefix(bytes).map_err(|_| Fault::Length(length))?;
        let (head, rest) = RedoHead::mut_from_prefix(rest).map_err(|_| Fault::Length(length))?;
        let (log, state) = rest.split_at_mut_checked(LOG).ok_or(()).map_err(short)?;
        if state.len() < FIXED {
            return Err(Fault::Length(length));
        }
        let whole = FIXED + (state.len() - FIXED) / size_of::<ObjectRow>() * size_of::<ObjectRow>();
        let state = state.get_mut(..whole).unwrap_or_default();
        let expected = Expected { kind: KIND, owner, version: VAULT_VERSION, length };
        match header.verify(expected) {
            Err(Fault::Blank) => {
                // Nothing valid lies here: a death in between leaves it blank.
                state.fill(0);
                head.zero();
                header.stamp(expected);
            }
            Err(fault) => return Err(fault),
            Ok(()) => Redo::adopt(head, log, state)?,
        }
        header.adopted();
        let vault = Vault { head, log, state };
        vault.verify()?;
        Ok(vault)
    }

    /// Rows hold what this module wrote there; others were changed by something else.
    fn verify(&self) -> Result<(), Fault> {
        let bad = |place: Option<usize>| place.map_or(Ok(()), |place| Err(Fault::Record(place as u64)));
        bad((self.counter() > u64::MAX / 2).then_some(0))?;
        bad(self.systems().iter().position(|row| row.pages > STAGING))?;
        bad(self.work().iter().position(|row| !row.is_sane(self.counter())))?;
        bad(self.objects().iter().position(|row| !row.is_sane()))
    }

    fn part(&self, from: usize, to: usize) -> &[u8] {
        self.state.get(from..to).unwrap_or_default()
    }

    pub(crate) fn systems(&self) -> &[SystemRow] {
        <[SystemRow]>::ref_from_bytes(self.part(COUNTER_BYTES, COUNTER_BYTES + SYSTEM_BYTES)).unwrap_or_default()
    }

    pub(crate) fn work(&self) -> &[WorkRow] {
        <[WorkRow]>::ref_from_bytes(self.part(COUNTER_BYTES + SYSTEM_BYTES, FIXED)).unwrap_or_default()
    }

    pub(crate) fn objects(&self) -> &[ObjectRow] {
        <[ObjectRow]>::ref_from_bytes(self.part(FIXED, self.state.len())).unwrap_or_default()
    }

    /// The number of the last work item.
    pub(crate) fn counter(&self) -> u64 {
        u64::read_from_bytes(self.part(0, COUNTER_BYTES)).unwrap_or(0)
    }

    /// Begins a change; dropped without `commit`, it never was.
    pub(crate) fn change(&mut self) -> Change<'_> {
        Change { redo: Redo::begin(self.head, self.log, self.state), full: false }
    }
}

/// Rows that change together, all or nothing.
pub(crate) struct Change<'v> {
    redo: Redo<'v>,
    full: bool,
}

impl Change<'_> {
    fn write(mut self, offset: usize, bytes: &[u8]) -> Self {
        self.full |= self.redo.write(offset, bytes).is_err();
        self
    }

    pub(crate) fn counter(self, counter: u64) -> Self {
        self.write(0, counter.as_bytes())
    }

    pub(crate) fn system(self, place: usize, row: &SystemRow) -> Self {
        self.write(COUNTER_BYTES + place * size_of::<SystemRow>(), row.as_bytes())
    }

    pub(crate) fn work(self, place: usize, row: &WorkRow) -> Self {
        self.write(COUNTER_BYTES + SYSTEM_BYTES + place * size_of::<WorkRow>(), row.as_bytes())
    }

    pub(crate) fn object(self, row: u32, object: &ObjectRow) -> Self {
        self.write(FIXED + row as usize * size_of::<ObjectRow>(), object.as_bytes())
    }

    /// The commit. The log has room for the largest change, so a refusal is one of a row that isn't there.
    pub(crate) fn commit(self) -> Result<(), Error> {
        if self.full {
            return Err(Error::NoMemory);
        }
        self.redo.commit();
        Ok(())
    }
}
