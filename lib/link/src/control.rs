//! The messages of channel 0. Each is eight bytes: kind, a byte, 16 bits, 32 bits (little-endian).

use crate::Channel;

/// Bytes of one control message.
pub const CONTROL_LENGTH: usize = 8;

/// The version of the control messages, sent in [`Control::Hello`].
pub const VERSION: u8 = 1;

/// What stands at the host's end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Terminal {
    /// Pipes: stdin, stdout and stderr are 8-bit clean streams; the program sees no tty.
    Pipes,
    /// A tty on all three (stderr goes with stdout); its first size in character cells.
    Tty {
        /// Lines.
        rows: u16,
        /// Characters in a line.
        columns: u16,
    },
}

/// A control message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Control {
    /// The host's first message: what its end is.
    Hello(Terminal),
    /// The host's terminal has a new size.
    WindowSize {
        /// Lines.
        rows: u16,
        /// Characters in a line.
        columns: u16,
    },
    /// `channel` ends after byte number `at` of this session; the sender sends nothing more on it.
    EndOfStream {
        /// The stream that ends.
        channel: Channel,
        /// Its length, modulo 2^32.
        at: u32,
    },
    /// The first program ended. The value is what the host tool exits with (0..=255).
    ExitStatus(u8),
    /// The machine goes down now: nothing follows.
    PowerOff,
    /// The host asks the guest to end (the tool was told to stop).
    Stop,
    /// A kind that this version doesn't know; to be ignored.
    Unknown(u8),
}

impl Control {
    /// The message as it travels.
    pub fn encode(self) -> [u8; CONTROL_LENGTH] {
        let (kind, byte, half, word) = match self {
            Control::Hello(Terminal::Pipes) => (1, VERSION, 0, 0),
            Control::Hello(Terminal::Tty { rows, columns }) => (2, VERSION, rows, u32::from(columns)),
            Control::WindowSize { rows, columns } => (3, 0, rows, u32::from(columns)),
            Control::EndOfStream { channel, at } => (4, channel as u8, 0, at),
            Control::ExitStatus(status) => (5, status, 0, 0),
            Control::PowerOff => (6, 0, 0, 0),
            Control::Stop => (7, 0, 0, 0),
            Control::Unknown(kind) => (kind, 0, 0, 0),
        };
        let (half, word) = (half.to_le_bytes(), word.to_le_bytes());
        [kind, byte, half[0], half[1], word[0], word[1], word[2], word[3]]
    }

    /// The message in `bytes`. What it doesn't understand is [`Control::Unknown`].
    pub fn decode(bytes: [u8; CONTROL_LENGTH]) -> Control {
        let [kind, byte, h0, h1, w0, w1, w2, w3] = bytes;
        let (half, word) = (u16::from_le_bytes([h0, h1]), u32::from_le_bytes([w0, w1, w2, w3]));
        let columns = word.min(u32::from(u16::MAX)) as u16;
        match (kind, Channel::from_number(byte)) {
            (1, _) => Control::Hello(Terminal::Pipes),
            (2, _) => Control::Hello(Terminal::Tty { rows: half, columns }),
            (3, _) => Control::WindowSize { rows: half, columns },
            (4, Some(channel)) => Control::EndOfStream { channel, at: word },
            (5, _) => Control::ExitStatus(byte),
            (6, _) => Control::PowerOff,
            (7, _) => Control::Stop,
            _ => Control::Unknown(kind),
        }
    }
}
