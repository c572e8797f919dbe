//! What the vault holds.

use sal_link::Channel;
use sal_tty::{Output, Tty};
use sal_vault::{ClientSlots, Commit, Committed, Expected, Fault, Header};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// How many client threads there can be.
pub const SLOTS: usize = 64;

/// Most bytes that one read takes.
pub const READ_MOST: usize = 1024;

/// Bytes kept for the driver on each channel. A power of two.
pub const OUT: usize = 2048;

/// Room that writers leave for echo.
pub(crate) const ECHO: usize = 256;

const KIND: u32 = u32::from_le_bytes(*b"cons");
const VERSION: u32 = 1;

/// What stands at the host's end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// It hasn't said so yet.
    Unknown,
    /// Three 8-bit clean streams.
    Pipes,
    /// A terminal.
    Tty,
}

/// Output that waits for the driver. Numbers are those of the link's stream, `passed <= offered <= written`.
#[derive(Clone, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Out {
    /// The driver has all before it.
    pub(crate) passed: u32,
    /// The driver may have seen what is before it: it can't be taken back.
    pub(crate) offered: u32,
    pub(crate) written: u32,
    reserved: u32,
    ring: [u8; OUT],
}

impl Out {
    pub(crate) fn len(&self) -> usize {
        self.written.wrapping_sub(self.passed) as usize
    }

    pub(crate) fn copy_offered(&self, to: &mut [u8]) -> usize {
        let length = (self.offered.wrapping_sub(self.passed) as usize).min(to.len());
        for (n, to) in to.iter_mut().take(length).enumerate() {
            let place = (self.passed as usize).wrapping_add(n) % OUT;
            *to = self.ring.get(place).copied().unwrap_or(0);
        }
        length
    }

    /// The driver has all before `number` (as far as that was offered to it).
    pub(crate) fn pass(&mut self, number: u32) {
        let passed = number.wrapping_sub(self.passed);
        if passed <= self.offered.wrapping_sub(self.passed) {
            self.passed = number;
        }
    }

    /// Gives more to the driver once it has all that it was given.
    pub(crate) fn extend_offer(&mut self, most: usize) {
        if self.passed == self.offered {
            self.offered = self.passed.wrapping_add(self.len().min(most) as u32);
        }
    }

    /// The link's streams begin at zero again: what the driver has not taken is to be sent there.
    pub(crate) fn rebase(&mut self) {
        let waiting = self.len().min(OUT);
        let mut ring = [0; OUT];
        for (n, to) in ring.iter_mut().take(waiting).enumerate() {
            let place = (self.passed as usize).wrapping_add(n) % OUT;
            *to = self.ring.get(place).copied().unwrap_or(0);
        }
        *self = Out { passed: 0, offered: 0, written: waiting as u32, reserved: 0, ring };
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> usize {
        let length = self.room().min(bytes.len());
        bytes.iter().take(length).for_each(|&byte| self.put(byte));
        length
    }
}

impl Output for Out {
    fn room(&self) -> usize {
        OUT.saturating_sub(self.len())
    }

    fn put(&mut self, byte: u8) {
        if self.room() == 0 {
            return;
        }
        if let Some(place) = self.ring.get_mut(self.written as usize % OUT) {
            *place = byte;
            self.written = self.written.wrapping_add(1);
        }
    }

    fn discard(&mut self) {
        self.written = self.offered;
    }
}

/// Channels with output: control, stdout, stderr, log.
pub(crate) const OUTS: [Channel; 4] = [Channel::Control, Channel::Stdout, Channel::Stderr, Channel::Log];

/// All that is changed by commits.
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct State {
    pub(crate) tty: Tty,
    pub(crate) slots: ClientSlots<SLOTS>,
    /// [`crate::event`] bits that nobody has taken.
    pub(crate) events: u64,
    /// 0 unknown, 1 pipes, 2 tty.
    pub(crate) mode: u32,
    /// The link's epoch that the numbers belong to.
    pub(crate) epoch: u32,
    /// All before it was consumed from the stream stdin.
    pub(crate) stdin: u32,
    /// All before it was consumed from the stream control.
    pub(crate) control: u32,
    /// Where stdin ends, if `ended`.
    pub(crate) end: u32,
    pub(crate) ended: u32,
    pub(crate) outs: [Out; OUTS.len()],
}

impl State {
    pub(crate) fn mode(&self) -> Mode {
        match self.mode {
            1 => Mode::Pipes,
            2 => Mode::Tty,
            _ => Mode::Unknown,
        }
    }

    /// The output of a channel. Stdin has none: it gets the log's.
    pub(crate) fn out(&self, channel: Channel) -> &Out {
        let [control, stdout, stderr, log] = &self.outs;
        match channel {
            Channel::Control => control,
            Channel::Stdout => stdout,
            Channel::Stderr => stderr,
            Channel::Stdin | Channel::Log => log,
        }
    }

    pub(crate) fn out_mut(&mut self, channel: Channel) -> &mut Out {
        self.tty_and(channel).1
    }

    /// The terminal and the queue that it writes to, both at once.
    pub(crate) fn tty_and(&mut self, channel: Channel) -> (&mut Tty, &mut Out) {
        let [control, stdout, stderr, log] = &mut self.outs;
        let out = match channel {
            Channel::Control => control,
            Channel::Stdout => stdout,
            Channel::Stderr => stderr,
            Channel::Stdin | Channel::Log => log,
        };
        (&mut self.tty, out)
    }

    pub(crate) fn is_input_over(&self) -> bool {
        self.ended != 0 && self.stdin == self.end
    }
}

/// The console's vault: some 104 KiB of plain data.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Vault {
    header: Header,
    commit: Commit,
    copies: [State; 2],
    /// Per slot, what its last read has taken. Written before the commit that makes it count: the answer before it
    /// is free by then, since its client has sent a new request.
    data: [[u8; READ_MOST]; SLOTS],
    reserved: u64,
}

/// The console at work on its vault.
pub struct Console<'a> {
    pub(crate) state: Committed<'a, State>,
    pub(crate) data: &'a mut [[u8; READ_MOST]; SLOTS],
}

impl Vault {
    /// Continues a predecessor's work, or begins in a blank vault. `owner`: the service's number. A fault is to be
    /// reported; then [`Vault::format`] begins anew.
    pub fn adopt(&mut self, owner: u32) -> Result<Console<'_>, Fault> {
        match self.header.verify(expected(owner)) {
            Ok(()) => {}
            Err(Fault::Blank) => return Ok(self.format(owner)),
            Err(fault) => return Err(fault),
        }
        self.header.adopted();
        let state = Committed::adopt(&mut self.commit, &mut self.copies)?;
        Ok(Console { state, data: &mut self.data })
    }

    /// Begins anew, whatever was there.
    pub fn format(&mut self, owner: u32) -> Console<'_> {
        let Vault { header, commit, copies, data, .. } = self;
        let mut first = State::new_zeroed();
        first.tty = Tty::new();
        let state = Committed::make(commit, copies, first);
        header.stamp(expected(owner));
        Console { state, data }
    }
}

fn expected(owner: u32) -> Expected {
    Expected { kind: KIND, owner, version: VERSION, length: size_of::<Vault>() as u64 }
}
