//! The state that outlives the supervisor: plain data, numbers only, no pointers, any bytes are a value.
//!
//! It is kept whole in the vault (`World::commit`). What a successor may forget (heartbeats under way, ticks of a back-off) is not here.

use crate::SERVICES;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Recovery times kept per service.
pub const RECOVERIES: usize = 64;
/// Events kept per service.
pub const EVENTS: usize = 24;
/// Crashes kept per service.
pub const CRASHES: usize = 3;
/// Return addresses kept per crash.
pub const FRAMES: usize = 12;

/// Counters that services may have of their own, all together.
pub const COUNTERS: usize = 64;
/// Bytes of a counter's name at most.
pub const COUNTER_NAME: usize = 32;

/// Everything.
#[derive(Clone, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct State {
    /// By index in the manifest.
    pub services: [Service; SERVICES],
    /// What services count themselves, in the order in which they told it first.
    pub counters: [Counter; COUNTERS],
}

/// A counter of a service's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Counter {
    /// Whose: its index in the manifest and 1; 0: free.
    owner: u64,
    /// As it was told last.
    pub value: u64,
    /// Padded with zeros.
    name: [u8; COUNTER_NAME],
}

impl Counter {
    /// Is it of service `i`?
    pub fn is_of(&self, i: usize) -> bool {
        self.owner == i as u64 + 1
    }

    /// Its name.
    pub fn name(&self) -> &str {
        let end = self.name.iter().position(|byte| *byte == 0).unwrap_or(COUNTER_NAME);
        self.name.get(..end).and_then(|bytes| core::str::from_utf8(bytes).ok()).unwrap_or("?")
    }

    /// A name as it is kept: a word of letters, digits and `_`. `None`: it is none, or too long.
    pub(crate) fn padded(name: &[u8]) -> Option<[u8; COUNTER_NAME]> {
        let word = !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        let mut padded = [0; COUNTER_NAME];
        padded.get_mut(..name.len()).filter(|_| word)?.copy_from_slice(name);
        Some(padded)
    }
}

impl State {
    /// Keeps a counter's value; `None`: no room.
    pub(crate) fn count(&mut self, i: usize, name: [u8; COUNTER_NAME], value: u64) -> Option<()> {
        let owner = i as u64 + 1;
        let known = self.counters.iter().position(|c| c.owner == owner && c.name == name);
        let at = known.or_else(|| self.counters.iter().position(|c| c.owner == 0))?;
        *self.counters.get_mut(at)? = Counter { owner, value, name };
        Some(())
    }
}

impl State {
    /// Nothing is started.
    pub fn new() -> State {
        zerocopy::FromZeros::new_zeroed()
    }
}

impl Default for State {
    fn default() -> State {
        State::new()
    }
}

/// Where a service stands. Each names the estate call that it asks for, or why it asks for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its entry is to be described.
    New,
    /// Its entry is to be granted what the manifest says.
    Described,
    /// Its `incarnation` is to be spawned once the back-off is over.
    Starting,
    /// Its `incarnation` lives, as far as known.
    Running,
    /// Its `incarnation` is to be killed.
    Killing,
    /// Its `incarnation` is dead and to be inspected.
    Dead,
    /// Its endpoint is to be failed.
    Failing,
    /// It is given up.
    Failed,
    /// Its endpoint is to be mended, then it starts.
    Mending,
    /// It is the supervisor itself, which the root task starts.
    Itself,
    /// Its end is the machine's.
    Ending,
}

impl Phase {
    const ALL: [Phase; 11] = [
        Phase::New,
        Phase::Described,
        Phase::Starting,
        Phase::Running,
        Phase::Killing,
        Phase::Dead,
        Phase::Failing,
        Phase::Failed,
        Phase::Mending,
        Phase::Itself,
        Phase::Ending,
    ];

    /// The word in `/svc/NAME/status`.
    pub fn word(self) -> &'static str {
        match self {
            Phase::New | Phase::Described | Phase::Starting | Phase::Mending => "starting",
            Phase::Running | Phase::Itself => "running",
            Phase::Killing | Phase::Dead => "dead",
            Phase::Failing | Phase::Failed => "failed",
            Phase::Ending => "ended",
        }
    }
}

/// A request, as client and server number it. Zero: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Request {
    /// Badge of the client's capability.
    pub client: u64,
    /// Word 0: operation, flags, client slot, sequence number.
    pub word: u64,
}

impl Request {
    /// No request.
    pub const NONE: Request = Request { client: 0, word: 0 };

    /// Where word 0 has the sequence number.
    pub const NUMBER: u64 = 0xff_ffff << 40;

    /// What a server's page says that it serves. Between two requests it clears the word alone: the client's badge stays. A request
    /// without a sequence number says nothing of which one it was.
    pub fn in_service(client: u64, word: u64) -> Request {
        match word & Request::NUMBER {
            0 => Request::NONE,
            _ => Request { client, word },
        }
    }
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Service {
    phase: u32,
    /// The newest; 0: none yet.
    pub incarnation: u32,
    /// Deaths by its own fault without progress between them.
    pub deaths_in_row: u32,
    /// 1: somebody paused it.
    pub paused: u32,
    /// 1: this incarnation has made progress.
    pub progress: u32,
    /// 1: the death under way was ordered.
    pub ordered: u32,
    /// Reason of the kill under way, or of the last failure.
    pub reason: u64,
    /// When it died, nanoseconds; 0 once the successor has answered.
    pub died_at: u64,
    /// In service at the last death by its own fault.
    pub suspect: Request,
    /// Not to be served any more.
    pub poison: Request,
    /// Deaths that were ordered.
    pub kills: u32,
    /// Deaths by its own fault.
    pub crashes: u32,
    /// Of these, hangs.
    pub hangs: u32,
    /// Incarnations after the first.
    pub restarts: u32,
    /// Requests named as poison.
    pub poisoned: u32,
    /// Recovery times measured.
    pub recovered: u32,
    /// Events written.
    pub event_count: u32,
    /// Crash records written.
    pub crash_count: u32,
    /// Deaths by where they landed: [`Landing`]'s order.
    pub landed: [u32; 5],
    /// Zero.
    reserved: u32,
    /// Death to first answer of the successor, microseconds; the newest at `(recovered - 1) % RECOVERIES`.
    pub recoveries: [u32; RECOVERIES],
    /// The newest at `(event_count - 1) % EVENTS`.
    pub events: [Note; EVENTS],
    /// The newest at `(crash_count - 1) % CRASHES`.
    pub crash: [Crash; CRASHES],
}

/// What a service was at when it died.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Landing {
    /// It waited.
    #[default]
    Idle,
    /// It served a request.
    Request,
    /// It followed a notification, or its own clock.
    Notice,
    /// It committed to its vault.
    Commit,
    /// It had not waited yet since its start.
    Adoption,
}

/// One line of a service's log, before it is text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Note {
    /// When, nanoseconds since boot.
    pub at: u64,
    /// A [`Kind`] by number.
    pub kind: u32,
    /// Of which incarnation.
    pub incarnation: u32,
    /// Depends on the kind.
    pub detail: u64,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Spawned.
    Started = 1,
    /// Could not be spawned; detail: the error's number.
    NotStarted = 2,
    /// Died by its own fault; detail: number of its crash record.
    Crashed = 3,
    /// Killed by order.
    Killed = 4,
    /// Killed because it missed its heartbeats; detail: number of its crash record.
    Hung = 5,
    /// First answer after a restart; detail: microseconds since the death.
    Recovered = 6,
    /// Given up; detail: deaths without progress.
    GivenUp = 7,
    /// A request is poison; detail: its word 0.
    Poisoned = 8,
    /// Paused.
    Paused = 9,
    /// Goes on.
    Resumed = 10,
    /// Somebody wrote a word to `ctl` that is none, or that makes no sense now.
    BadCommand = 11,
    /// Waits before its next start; detail: milliseconds.
    BackOff = 12,
    /// Told to hang.
    ToldToHang = 13,
    /// Its end ends the machine; detail: status.
    Ended = 14,
    /// The estate refused what the manifest says; detail: the error's number.
    NotGranted = 15,
}

impl Kind {
    const ALL: [Kind; 15] = [
        Kind::Started,
        Kind::NotStarted,
        Kind::Crashed,
        Kind::Killed,
        Kind::Hung,
        Kind::Recovered,
        Kind::GivenUp,
        Kind::Poisoned,
        Kind::Paused,
        Kind::Resumed,
        Kind::BadCommand,
        Kind::BackOff,
        Kind::ToldToHang,
        Kind::Ended,
        Kind::NotGranted,
    ];

    /// From its number.
    pub fn from_number(n: u32) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| *kind as u32 == n)
    }
}

/// A death by the service's own fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Crash {
    /// Which incarnation died.
    pub incarnation: u32,
    /// Entries of `frames` that count.
    pub depth: u32,
    /// `DeathKind | detail << 8`.
    pub reason: u64,
    /// rip, rsp, rbp.
    pub registers: [u64; 3],
    /// Address of the fault.
    pub fault: u64,
    /// First address of its image.
    pub image: u64,
    /// The request that it served.
    pub request: Request,
    /// Where it was, innermost first, relative to the image.
    pub frames: [u64; FRAMES],
}

impl Service {
    /// Where it stands; a number that no phase has (a state of another version) is `New`, from which all can be repeated.
    pub fn phase(&self) -> Phase {
        Phase::ALL.into_iter().find(|p| *p as u32 == self.phase).unwrap_or(Phase::New)
    }

    pub(crate) fn set_phase(&mut self, phase: Phase) {
        self.phase = phase as u32;
    }

    pub(crate) fn note(&mut self, at: u64, kind: Kind, detail: u64) {
        let note = Note { at, kind: kind as u32, incarnation: self.incarnation, detail };
        if let Some(place) = self.events.get_mut(self.event_count as usize % EVENTS) {
            *place = note;
        }
        self.event_count = self.event_count.wrapping_add(1);
    }

    /// Keeps a crash record; its number.
    pub(crate) fn keep(&mut self, crash: Crash) -> u64 {
        let number = self.crash_count;
        if let Some(place) = self.crash.get_mut(number as usize % CRASHES) {
            *place = crash;
        }
        self.crash_count = number.wrapping_add(1);
        u64::from(number)
    }

    pub(crate) fn recovered_in(&mut self, microseconds: u64) {
        let time = microseconds.min(u64::from(u32::MAX)) as u32;
        if let Some(place) = self.recoveries.get_mut(self.recovered as usize % RECOVERIES) {
            *place = time;
        }
        self.recovered = self.recovered.wrapping_add(1);
    }

    /// Least, median and greatest of the recovery times kept, microseconds.
    pub fn recovery_times(&self) -> Option<[u32; 3]> {
        let count = (self.recovered as usize).min(RECOVERIES);
        let mut times = self.recoveries;
        let times = times.get_mut(..count)?;
        times.sort_unstable();
        Some([*times.first()?, *times.get(count / 2)?, *times.last()?])
    }

    /// The notes that are kept, oldest first.
    pub fn notes(&self) -> impl Iterator<Item = &Note> {
        let end = self.event_count as usize;
        (end.saturating_sub(EVENTS)..end).filter_map(|i| self.events.get(i % EVENTS))
    }

    /// A crash record by its number, if it is still kept.
    pub fn crash_record(&self, number: u64) -> Option<&Crash> {
        let end = u64::from(self.crash_count);
        let kept = number < end && number + CRASHES as u64 >= end;
        kept.then(|| self.crash.get(number as usize % CRASHES))?
    }
}
