//! One frame: header, payload, check; escaping; taking a byte stream apart. `docs/link.md` has the format.
//!
//! What must hold: no marker byte appears inside an encoded frame; a decoder finds the next frame after any
//! garbage; no input makes it panic.

use crc::{CRC_32_ISCSI, Crc, Table};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Begins a frame.
pub const START: u8 = 0xf9;
/// Ends a frame.
pub const END: u8 = 0xfa;
/// The next byte stands for itself with bit 5 flipped.
pub const ESCAPE: u8 = 0xfb;
/// Begins a line of the kernel's log, ended by a newline, wherever it stands: even in the middle of a frame.
pub const TEXT: u8 = 0xfc;

/// Most payload bytes in one frame.
pub const PAYLOAD: usize = 240;
pub(crate) const HEADER: usize = 22;
const CHECK: usize = 4;
const PLAIN: usize = HEADER + PAYLOAD + CHECK;
/// All bytes escaped, and two markers; a multiple of four.
const ENCODED: usize = 2 * PLAIN + 4;

/// The peer shall answer, even if there is nothing new.
pub(crate) const ASK: u8 = 1;
/// Bytes are missing: send again from the acknowledged one on.
pub(crate) const RESEND: u8 = 2;
/// In the flags' upper half.
pub(crate) const FORMAT: u8 = 0x10;

static CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// The fixed part of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Head {
    pub(crate) channel: u8,
    pub(crate) flags: u8,
    /// The sender's session number.
    pub(crate) from: u32,
    /// The receiver's, as far as the sender knows (0: it doesn't).
    pub(crate) to: u32,
    /// The number of the first payload byte.
    pub(crate) seq: u32,
    /// All before this number has arrived at the sender.
    pub(crate) ack: u32,
    /// The sender takes bytes before this number.
    pub(crate) limit: u32,
}

impl Head {
    fn to_bytes(self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        out[0] = self.channel;
        out[1] = self.flags;
        let words = [self.from, self.to, self.seq, self.ack, self.limit];
        for (to, word) in out[2..].chunks_exact_mut(4).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        out
    }

    fn from_bytes(bytes: &[u8; HEADER]) -> Head {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Head {
            channel: bytes[0],
            flags: bytes[1],
            from: word(2),
            to: word(6),
            seq: word(10),
            ack: word(14),
            limit: word(18),
        }
    }
}

/// A frame on its way out.
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Encoder {
    at: u32,
    length: u32,
    bytes: [u8; ENCODED],
}

impl Encoder {
    pub(crate) fn is_empty(&self) -> bool {
        self.at >= self.length
    }

    pub(crate) fn clear(&mut self) {
        self.at = 0;
        self.length = 0;
    }

    /// The next byte for the wire.
    pub(crate) fn next(&mut self) -> Option<u8> {
        if self.is_empty() {
            return None;
        }
        let byte = self.bytes.get(self.at as usize).copied();
        self.at += 1;
        byte
    }

    /// Puts a frame in, in place of what was there.
    pub(crate) fn frame(&mut self, head: Head, payload: &[u8]) {
        self.clear();
        self.put(START);
        let head = head.to_bytes();
        let mut check = CRC.digest();
        check.update(&head);
        check.update(payload);
        let check = check.finalize().to_le_bytes();
        for byte in head.iter().chain(payload).chain(&check) {
            self.escaped(*byte);
        }
        self.put(END);
    }

    fn escaped(&mut self, byte: u8) {
        match byte {
            START | END | ESCAPE | TEXT => {
                self.put(ESCAPE);
                self.put(byte ^ 0x20);
            }
            _ => self.put(byte),
        }
    }

    fn put(&mut self, byte: u8) {
        if let Some(to) = self.bytes.get_mut(self.length as usize) {
            *to = byte;
            self.length += 1;
        }
    }
}

/// Where a decoder stands (numbers, because it is plain data).
mod mode {
    /// Between frames: bytes are text.
    pub(super) const OUTSIDE: u32 = 0;
    pub(super) const FRAME: u32 = 1;
    pub(super) const ESCAPED: u32 = 2;
    /// In a marked line of text that cut no frame.
    pub(super) const LINE: u32 = 3;
    /// In a marked line of text that cut a frame, whose rest follows.
    pub(super) const CUT: u32 = 4;
    /// In the rest of a cut frame.
    pub(super) const REST: u32 = 5;
}

/// What one byte completed.
pub(crate) enum Decoded {
    /// Nothing.
    More,
    /// A byte that belongs to no frame.
    Text(u8),
    /// A frame: look at [`Decoder::frame`].
    Frame,
    /// A frame that was cut or failed its check.
    Bad,
    /// The held bytes are no frame but text without a marker: look at [`Decoder::held`], then clear.
    Overrun,
}

/// Takes bytes from the wire apart.
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Decoder {
    mode: u32,
    length: u32,
    bytes: [u8; PLAIN + 2],
}

impl Decoder {
    pub(crate) fn clear(&mut self) {
        self.mode = mode::OUTSIDE;
        self.length = 0;
    }

    /// The bytes of an unfinished frame.
    pub(crate) fn held(&self) -> &[u8] {
        self.bytes.get(..self.length as usize).unwrap_or_default()
    }

    /// Takes one byte.
    pub(crate) fn push(&mut self, byte: u8) -> Decoded {
        match byte {
            START => self.start(),
            END => self.end(),
            TEXT => self.text(),
            _ => self.other(byte),
        }
    }

    fn in_frame(&self) -> bool {
        matches!(self.mode, mode::FRAME | mode::ESCAPED)
    }

    fn start(&mut self) -> Decoded {
        let cut = self.in_frame();
        self.mode = mode::FRAME;
        self.length = 0;
        if cut { Decoded::Bad } else { Decoded::More }
    }

    fn end(&mut self) -> Decoded {
        let (in_frame, whole) = (self.in_frame(), self.mode == mode::FRAME);
        self.mode = mode::OUTSIDE;
        match (in_frame, whole && self.is_good()) {
            (false, _) => Decoded::More,
            (true, false) => Decoded::Bad,
            (true, true) => Decoded::Frame,
        }
    }

    fn text(&mut self) -> Decoded {
        let cut = self.in_frame();
        self.mode = match self.mode {
            mode::FRAME | mode::ESCAPED | mode::CUT | mode::REST => mode::CUT,
            _ => mode::LINE,
        };
        self.length = 0;
        if cut { Decoded::Bad } else { Decoded::More }
    }

    fn other(&mut self, byte: u8) -> Decoded {
        match self.mode {
            mode::FRAME if byte == ESCAPE => {
                self.mode = mode::ESCAPED;
                Decoded::More
            }
            mode::FRAME => self.hold(byte),
            mode::ESCAPED => {
                self.mode = mode::FRAME;
                self.hold(byte ^ 0x20)
            }
            mode::REST => Decoded::More,
            mode::CUT if byte == b'\n' => {
                self.mode = mode::REST;
                Decoded::Text(byte)
            }
            mode::LINE if byte == b'\n' => {
                self.mode = mode::OUTSIDE;
                Decoded::Text(byte)
            }
            _ => Decoded::Text(byte),
        }
    }

    fn hold(&mut self, byte: u8) -> Decoded {
        if let Some(to) = self.bytes.get_mut(self.length as usize) {
            *to = byte;
            self.length += 1;
        }
        if self.length as usize > PLAIN {
            self.mode = mode::OUTSIDE;
            return Decoded::Overrun;
        }
        Decoded::More
    }

    fn is_good(&self) -> bool {
        match self.held().split_last_chunk::<CHECK>() {
            Some((bytes, check)) => bytes.len() >= HEADER && CRC.checksum(bytes) == u32::from_le_bytes(*check),
            None => false,
        }
    }

    /// The frame that [`Decoded::Frame`] announced, and its payload.
    pub(crate) fn frame(&self) -> Option<(Head, &[u8])> {
        let (bytes, _) = self.held().split_last_chunk::<CHECK>()?;
        let (head, payload) = bytes.split_first_chunk::<HEADER>()?;
        Some((Head::from_bytes(head), payload))
    }
}
