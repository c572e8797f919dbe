//! Word 0 of a request and of a reply.

/// Word 0 of a request: operation 16 bits, flags 8, client slot 16, sequence 24, from the low end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct Header {
    /// Which operation.
    pub operation: u16,
    /// [`REPEATED`] or nothing.
    pub flags: u8,
    /// The client thread's slot at this server; counts only with a sequence number.
    pub slot: u16,
    /// The request's number in that slot, below 2^24, ascending and wrapping, never 0; 0 for a client without a slot.
    pub sequence: u32,
}

/// Flag: an earlier copy of this request may have been served.
pub const REPEATED: u8 = 1;

/// Sequence numbers wrap at this.
pub const SEQUENCES: u32 = 1 << 24;

impl Header {
    /// As a word.
    #[inline(always)]
    pub const fn word(self) -> u64 {
        self.operation as u64
            | (self.flags as u64) << 16
            | (self.slot as u64) << 24
            | ((self.sequence % SEQUENCES) as u64) << 40
    }

    /// From a word; every word is one.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Header {
        Header {
            operation: word as u16,
            flags: (word >> 16) as u8,
            slot: (word >> 24) as u16,
            sequence: (word >> 40) as u32,
        }
    }
}

/// Operation 0 of every interface: word 1 is the client thread's key (32 bits, not 0); the reply's word 1 is its slot. Opening again with
/// the same key gives the same slot.
pub const OPEN: u16 = 0;

/// By what a server knows a client thread: the badge keeps one client from meeting another's slots. Never 0 for a key other than 0.
pub const fn client_key(badge: u64, key: u32) -> u64 {
    badge << 32 | key as u64
}

/// The sequence number after `sequence`.
pub const fn next_sequence(sequence: u32) -> u32 {
    match sequence.wrapping_add(1) % SEQUENCES {
        0 => 1,
        next => next,
    }
}

/// Does sequence number `a` follow `b` (by less than half of all numbers)?
pub const fn follows(a: u32, b: u32) -> bool {
    let distance = a.wrapping_sub(b) % SEQUENCES;
    distance != 0 && distance < SEQUENCES / 2
}

/// Word 0 of a reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// The results follow.
    Done,
    /// The protocol's error with this number (1..=0xffff).
    Error(u16),
    /// The dispatcher refused the message.
    Malformed,
    /// The server has no such operation.
    UnknownOperation,
    /// The server takes no calls now (it is paused): wait a little and repeat.
    Later,
    /// The request killed the server twice; it is not served any more.
    Poisoned,
    /// A page of a lent buffer is missing: word 1 loan number, word 2 offset. Touch it and repeat.
    Absent,
}

const MALFORMED: u64 = 0x1_0000;
const UNKNOWN: u64 = 0x1_0001;
const ABSENT: u64 = 0x1_0002;
const LATER: u64 = 0x1_0003;
const POISONED: u64 = 0x1_0004;

impl Status {
    /// As a word.
    #[inline(always)]
    pub const fn word(self) -> u64 {
        match self {
            Status::Done => 0,
            Status::Error(number) => number as u64,
            Status::Malformed => MALFORMED,
            Status::UnknownOperation => UNKNOWN,
            Status::Absent => ABSENT,
            Status::Later => LATER,
            Status::Poisoned => POISONED,
        }
    }

    /// From a word; `None` if no status has it.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Option<Status> {
        match word {
            0 => Some(Status::Done),
            1..=0xffff => Some(Status::Error(word as u16)),
            MALFORMED => Some(Status::Malformed),
            UNKNOWN => Some(Status::UnknownOperation),
            ABSENT => Some(Status::Absent),
            LATER => Some(Status::Later),
            POISONED => Some(Status::Poisoned),
            _ => None,
        }
    }
}
