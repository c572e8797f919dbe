//! The cache as a whole: its tables, its errors, and what its families share.

use crate::effects::{Effect, Failed, Shell, System, Token, Verdict};
use crate::evict::{Record, TwoQueue};
use crate::index::{Index, hash};
use crate::readahead::ReadAhead;
use crate::vault::{ObjectRow, SystemRow, Vault, WorkRow};
use crate::{Pending, Taker, Waiter};

/// Bytes of a page.
pub const PAGE: u64 = 4096;
/// Most pages of a work item: 128 KiB.
pub const WINDOW: u32 = 32;
/// Most pages given back by one [`Cache::pressure`], and for one supply that finds no memory.
pub const PIECE: u32 = 256;

/// A file object's number: row (low half) and how often the row was used. Never given to another object; it is the badge of the object's memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct ObjectId(pub u64);

impl ObjectId {
    pub(crate) fn row(self) -> u32 {
        self.0 as u32
    }
}

/// Why a request is refused. Nothing has changed then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// A table is full, or what the request needs could not be made.
    NoMemory,
    /// There is no such file system, object or work item (any more), or it is another's.
    NotFound,
    /// A length of 2^32 - 33 pages or more, or a staging memory of no pages or more than [`crate::STAGING`].
    BadLength,
}

/// What an object is besides its row in the vault; lost with the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Volatile {
    pub(crate) readahead: ReadAhead,
    /// The next free row.
    pub(crate) free: u32,
}

impl Volatile {
    /// Of an object that nobody has read.
    pub const fn new() -> Self {
        Volatile { readahead: ReadAhead::new(), free: crate::index::NONE }
    }
}

impl Default for Volatile {
    fn default() -> Self {
        Self::new()
    }
}

/// The tables that need not outlive the server, in its own memory. Their contents at adoption don't matter. For F frames and O objects: `records`
/// F * 3 / 2, `pages` F * 2, `names` O * 4 / 3, `counts` and `objects` O: 32 bytes a frame (64 GiB of RAM: 512 MiB, 0.8 %) and 50 an object.
pub struct Tables<'a> {
    /// Cached pages (two thirds) and ghosts (one third).
    pub records: &'a mut [Record],
    /// Finds records: a third more than records, at least.
    pub pages: &'a mut [u32],
    /// Records of each object: one per object.
    pub counts: &'a mut [u32],
    /// Finds objects by file: a third more than objects, at least.
    pub names: &'a mut [u32],
    /// One per object.
    pub objects: &'a mut [Volatile],
    /// Threads that wait for pages: as many as the shell has Replies for.
    pub waiters: &'a mut [Option<Waiter>],
    /// Windows that nobody has taken.
    pub pending: &'a mut [Option<Pending>],
    /// `take_work` calls that wait.
    pub takers: &'a mut [Option<Taker>],
}

/// The page cache.
pub struct Cache<'a> {
    pub(crate) vault: Vault<'a>,
    pub(crate) names: Index<'a>,
    pub(crate) objects: &'a mut [Volatile],
    /// The first free row, or `NONE`.
    pub(crate) free: u32,
    pub(crate) pages: TwoQueue<'a>,
    pub(crate) waiters: &'a mut [Option<Waiter>],
    pub(crate) pending: &'a mut [Option<Pending>],
    pub(crate) takers: &'a mut [Option<Taker>],
    /// Orders what waits.
    pub(crate) clock: u64,
    /// Work rows, by bit, whose marker was reached before they were filled.
    pub(crate) reached: u64,
    /// File systems, by bit, that were notified and have not asked since.
    pub(crate) notified: u32,
}

/// How full the cache is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Pages cached.
    pub pages: usize,
    /// Pages that there can be.
    pub most: usize,
    /// Objects open.
    pub objects: usize,
    /// Work items that file systems have.
    pub out: usize,
    /// Markers held back.
    pub held: usize,
    /// Windows that nobody has taken.
    pub pending: usize,
    /// Threads that wait.
    pub waiters: usize,
}

impl Cache<'_> {
    /// How full it is. Counts through the objects.
    pub fn usage(&self) -> Usage {
        Usage {
            pages: self.pages.resident(),
            most: self.pages.most(),
            objects: self.vault.objects().iter().filter(|row| row.is_open()).count(),
            out: self.vault.work().iter().filter(|row| row.is_out()).count(),
            held: self.vault.work().iter().filter(|row| row.is_held()).count(),
            pending: self.pending.iter().flatten().count(),
            waiters: self.waiters.iter().flatten().count(),
        }
    }

    /// Every capability in the vault's table that is in use. A successor closes the others there: made, but not committed.
    pub fn kept(&self) -> impl Iterator<Item = u64> {
        let systems = self.vault.systems().iter().filter(|row| row.badge != 0);
        let staging = systems.flat_map(|row| [row.staging, row.retired]).filter(|&kept| kept != 0);
        let objects = self.vault.objects().iter().filter(|row| row.state != crate::vault::state::FREE);
        objects.map(|row| row.kept).chain(staging)
    }

    /// Whether the cache takes the page for present.
    pub fn is_present(&self, object: ObjectId, page: u32) -> bool {
        self.open_object(object).is_some() && self.pages.is_resident(object.row(), page)
    }

    pub(crate) fn object_row(&self, row: u32) -> Option<ObjectRow> {
        self.vault.objects().get(row as usize).copied()
    }

    /// The row of an object that is open.
    pub(crate) fn open_object(&self, object: ObjectId) -> Option<ObjectRow> {
        self.object_row(object.row()).filter(|row| row.is_open() && row.id(object.row()) == object)
    }

    pub(crate) fn system_row(&self, system: System) -> Option<SystemRow> {
        self.vault.systems().get(system.0 as usize).copied().filter(|row| row.badge != 0)
    }

    pub(crate) fn work_row(&self, place: usize) -> WorkRow {
        self.vault.work().get(place).copied().unwrap_or(WorkRow::FREE)
    }

    /// The place of the first work row for which `is` holds.
    pub(crate) fn find_work(&self, is: impl Fn(&WorkRow) -> bool) -> Option<usize> {
        self.vault.work().iter().position(is)
    }

    /// The number that comes after all others so far.
    pub(crate) fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// Gives up to `most` pages back; how many. Neighbours go in one `Discard`.
    pub(crate) fn evict(&mut self, most: u32, shell: &mut impl Shell) -> u32 {
        let (mut given, mut run) = (0, None::<(u32, u32, u32)>);
        while given < most
            && let Some((row, page)) = self.pages.evict()
        {
            given += 1;
            run = match run {
                Some((owner, first, count)) if owner == row && first + count == page => Some((owner, first, count + 1)),
                other => {
                    self.discard(other, shell);
                    Some((row, page, 1))
                }
            };
        }
        self.discard(run, shell);
        given
    }

    fn discard(&mut self, run: Option<(u32, u32, u32)>, shell: &mut impl Shell) {
        if let Some((row, first, count)) = run
            && let Some(object) = self.object_row(row)
        {
            let effect = Effect::Discard { object: object.id(row), kept: object.kept, first, count };
            let _ = shell.perform(effect);
        }
    }

    /// Under pressure: gives back what is asked, at most [`PIECE`] pages a call; how many. Fewer than both: nothing is left.
    pub fn pressure(&mut self, frames: u32, shell: &mut impl Shell) -> u32 {
        self.evict(frames.min(PIECE), shell)
    }

    /// Reference bits from the kernel, if it has any: bit n of word w is page `first` + 64 w + n. A used page of the working set gets a second
    /// chance at eviction. Nothing depends on it being called.
    pub fn referenced(&mut self, object: ObjectId, first: u32, bitmap: &[u64]) {
        if self.open_object(object).is_none() {
            return;
        }
        for page in bits(first, bitmap) {
            self.pages.reference(object.row(), page);
        }
    }

    pub(crate) fn resume(&self, token: Token, verdict: Verdict, shell: &mut impl Shell) {
        let _ = shell.perform(Effect::Resume { token, verdict });
    }

    /// Supplies a page, with room made before; once more after an eviction if there is no memory.
    pub(crate) fn supply(&mut self, effect: Effect, shell: &mut impl Shell) -> Result<(), Failed> {
        if !self.pages.has_room() {
            self.evict(1, shell);
        }
        match shell.perform(effect) {
            Err(Failed::NoMemory) if self.evict(PIECE, shell) > 0 => shell.perform(effect),
            result => result,
        }
    }
}

/// The numbers of set bits, counted from `first`; those past 2^32 don't exist.
pub(crate) fn bits(first: u32, bitmap: &[u64]) -> impl Iterator<Item = u32> {
    bitmap.iter().enumerate().flat_map(move |(word, bits)| {
        let base = first.checked_add((word as u32).saturating_mul(64));
        (0..64).filter(move |bit| bits >> bit & 1 == 1).filter_map(move |bit| base?.checked_add(bit))
    })
}

/// The hash of a file's name.
pub(crate) fn name_hash(system: u32, file: u64, generation: u64) -> u64 {
    hash(hash(u64::from(system), file), generation)
}
