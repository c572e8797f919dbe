//! One end of the line: sessions, what to send next, timeouts.
//!
//! What must hold: `Streams` is valid after every prefix of the stores made to it (see `stream`; a change of
//! session is repeated from its intent `resetting`); `Wire` may be lost at any time.

use sal_vault::store;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use crate::control::{CONTROL_LENGTH, Control};
use crate::frame::{ASK, Decoded, Decoder, Encoder, FORMAT, Head, PAYLOAD, RESEND};
use crate::stream::{Gap, Receive, Transmit, behind};
use crate::{CHANNELS, Channel};

/// Timeouts double up to this power of two.
const BACKOFF: u32 = 5;

/// Who speaks first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Says hello, again and again, until somebody answers: the guest, or a host tool that joins a machine which runs
    /// already.
    Caller,
    /// Sends nothing until it was spoken to, so that a boot loader on the same line reads no frames: the host tool.
    Listener,
}

/// The peer started anew: byte numbers begin at zero again, what was not delivered is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionChanged;

/// What survives.
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Streams {
    /// This end's session number, never 0.
    mine: u32,
    /// The peer's; 0 before it was heard.
    theirs: u32,
    /// Not 0: the session with that peer is being made.
    resetting: u32,
    /// How often the peer was replaced.
    epoch: u32,
    caller: u32,
    reserved: u32,
    /// First timeout, in the caller's unit of time.
    timeout: u64,
    transmit: [Transmit; CHANNELS],
    receive: [Receive; CHANNELS],
}

/// What may be lost: where the work on the wire stands.
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[allow(unreachable_pub, reason = "the derived KnownLayout of Link names its last field's type")]
pub struct Wire {
    /// When to send again; valid if `armed`.
    deadline: u64,
    armed: u32,
    backoff: u32,
    /// The peer knows this end's session.
    heard: u32,
    hello: u32,
    /// The channel that sent last.
    turn: u32,
    reserved: u32,
    channels: [WireChannel; CHANNELS],
    encoder: Encoder,
    decoder: Decoder,
    padding: u64,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct WireChannel {
    /// All before this number was sent at least once since the last timeout.
    sent: u32,
    /// The limit that the peer was last told.
    told: u32,
    /// A frame is to be sent for its header.
    due: u32,
    /// With these flags.
    flags: u32,
    /// A gap was reported and has not closed.
    reported: u32,
}

impl WireChannel {
    /// Asks for what is missing, once until something has come: on a bad line each answer could else cause another.
    fn report(&mut self) {
        if self.reported == 0 {
            self.reported = 1;
            self.due = 1;
            self.flags |= u32::from(RESEND);
        }
    }
}

/// One end of the line. All zero bytes are not a link: [`Link::new`] or [`Link::start`] makes one.
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Link {
    streams: Streams,
    wire: Wire,
    /// The last field's type is named by the derived `KnownLayout`, so it is a public one.
    reserved: u64,
}

impl Link {
    /// A new end. `session` must differ from the last ones of this end (a counter of boots, a clock's low bits; 0
    /// counts as 1). `timeout`: how long to wait for an acknowledgement, in the unit of time that [`Link::poll`]
    /// gets.
    pub fn new(role: Role, session: u32, timeout: u64) -> Link {
        let mut link = Link::new_zeroed();
        link.start(role, session, timeout);
        link
    }

    /// As [`Link::new`], in place (a link is some 42 KiB).
    pub fn start(&mut self, role: Role, session: u32, timeout: u64) {
        self.zero();
        self.streams.caller = u32::from(role == Role::Caller);
        self.streams.timeout = timeout.max(1);
        self.streams.mine = session.max(1);
        self.adopt();
    }

    /// Continues a predecessor's link, wherever that died: unfinished frames are forgotten, what was not
    /// acknowledged is sent again, and the peer is asked for what this end lacks.
    pub fn adopt(&mut self) {
        if self.streams.resetting != 0 {
            self.begin_session();
        }
        self.wire.zero();
        self.wire.heard = u32::from(self.streams.theirs != 0);
        for channel in Channel::ALL {
            let acked = self.transmit(channel).acked;
            self.wire(channel).sent = acked;
        }
        match self.streams.theirs {
            0 => self.wire.hello = self.streams.caller,
            _ => self.ask_all(RESEND),
        }
    }

    /// Whether a peer was heard in this session.
    pub fn is_connected(&self) -> bool {
        self.streams.theirs != 0
    }

    /// How often the peer was replaced by a new one: byte numbers of [`Link::send_at`] and [`Link::copy_at`] count
    /// from zero in each epoch.
    pub fn epoch(&self) -> u32 {
        self.streams.epoch
    }

    /// Accepts as many of `bytes` for the peer as there is room for; returns how many.
    pub fn send(&mut self, channel: Channel, bytes: &[u8]) -> usize {
        self.transmit_mut(channel).write(bytes)
    }

    /// As [`Link::send`], repeatable: `at` is the number of the first byte. Bytes accepted before are skipped.
    /// Returns the number after the last accepted byte. A gap before `at` accepts nothing.
    pub fn send_at(&mut self, channel: Channel, epoch: u32, at: u32, bytes: &[u8]) -> Result<u32, SessionChanged> {
        self.check(epoch)?;
        let stream = self.transmit_mut(channel);
        let known = stream.written.wrapping_sub(at) as i32;
        if known >= 0 {
            stream.write(bytes.get(known as usize..).unwrap_or_default());
        }
        Ok(stream.written)
    }

    /// How many bytes [`Link::send`] would accept.
    pub fn room(&self, channel: Channel) -> usize {
        crate::RING.saturating_sub(self.transmit(channel).unacked())
    }

    /// How many accepted bytes the peer has not acknowledged. 0: all has arrived there.
    pub fn unacknowledged(&self, channel: Channel) -> usize {
        self.transmit(channel).unacked()
    }

    /// Takes received bytes; returns how many.
    pub fn receive(&mut self, channel: Channel, out: &mut [u8]) -> usize {
        let read = self.receive_ref(channel).read;
        let length = self.receive_ref(channel).copy(read, out);
        self.take(channel, read.wrapping_add(length as u32));
        length
    }

    /// How many received bytes wait.
    pub fn available(&self, channel: Channel) -> usize {
        self.receive_ref(channel).available()
    }

    /// As [`Link::receive`], repeatable: all before number `at` is done with and freed; copies what follows, without
    /// taking it. Returns how many bytes.
    pub fn receive_at(
        &mut self,
        channel: Channel,
        epoch: u32,
        at: u32,
        out: &mut [u8],
    ) -> Result<usize, SessionChanged> {
        self.check(epoch)?;
        self.take(channel, at);
        Ok(self.receive_ref(channel).copy(at, out))
    }

    /// Accepts a control message; `false`: no room now.
    pub fn send_control(&mut self, message: Control) -> bool {
        self.room(Channel::Control) >= CONTROL_LENGTH
            && self.send(Channel::Control, &message.encode()) == CONTROL_LENGTH
    }

    /// The next control message, if one is there.
    pub fn receive_control(&mut self) -> Option<Control> {
        if self.available(Channel::Control) < CONTROL_LENGTH {
            return None;
        }
        let mut message = [0; CONTROL_LENGTH];
        self.receive(Channel::Control, &mut message);
        Some(Control::decode(message))
    }

    /// Says that `channel` ends after all that was accepted so far; `false`: no room now.
    pub fn send_end(&mut self, channel: Channel) -> bool {
        let at = self.transmit(channel).written;
        self.send_control(Control::EndOfStream { channel, at })
    }

    /// Whether all before number `at` of a channel was taken by this end's reader: with the number from
    /// [`Control::EndOfStream`], whether the stream is at its end.
    pub fn is_read_to(&self, channel: Channel, at: u32) -> bool {
        behind(self.receive_ref(channel).read, at) == 0
    }

    /// Takes bytes from the wire. `text` gets what belongs to no frame: the kernel's log.
    pub fn push(&mut self, bytes: &[u8], mut text: impl FnMut(u8)) {
        for &byte in bytes {
            match self.wire.decoder.push(byte) {
                Decoded::More => {}
                Decoded::Text(byte) => text(byte),
                Decoded::Frame => self.frame_arrived(),
                Decoded::Bad => self.report_all(),
                Decoded::Overrun => self.flush_text(&mut text),
            }
        }
    }

    /// At the end of the wire: bytes held for a frame that never ended may be text.
    pub fn flush_text(&mut self, mut text: impl FnMut(u8)) {
        self.wire.decoder.held().iter().copied().for_each(&mut text);
        self.wire.decoder.clear();
    }

    /// Looks at the clock; call it before [`Link::next_byte`] and at [`Link::deadline`].
    pub fn poll(&mut self, now: u64) {
        if !self.is_waiting() {
            self.wire.armed = 0;
            self.wire.backoff = 0;
        } else if self.wire.armed == 0 {
            self.wire.armed = 1;
            self.wire.deadline = now.saturating_add(self.streams.timeout << self.wire.backoff.min(BACKOFF));
        } else if now >= self.wire.deadline {
            self.timed_out();
        }
    }

    /// When [`Link::poll`] wants to be called at the latest; `None`: nothing is awaited.
    pub fn deadline(&self) -> Option<u64> {
        (self.wire.armed != 0).then_some(self.wire.deadline)
    }

    /// The next byte for the wire, if there is something to say.
    pub fn next_byte(&mut self) -> Option<u8> {
        if self.wire.encoder.is_empty() {
            self.next_frame();
        }
        self.wire.encoder.next()
    }

    /// Fills `out` with bytes for the wire; returns how many.
    pub fn pull(&mut self, out: &mut [u8]) -> usize {
        let mut length = 0;
        for to in out.iter_mut() {
            let Some(byte) = self.next_byte() else { break };
            *to = byte;
            length += 1;
        }
        length
    }
}

// What arrives.
impl Link {
    fn frame_arrived(&mut self) {
        let Some((head, payload)) = self.wire.decoder.frame() else {
            return;
        };
        let Some(channel) = Channel::from_number(head.channel) else {
            return;
        };
        if head.from == 0 || head.flags & 0xf0 != FORMAT {
            return;
        }
        let mut bytes = [0; PAYLOAD];
        let length = payload.len().min(PAYLOAD);
        for (to, from) in bytes.iter_mut().zip(payload) {
            *to = *from;
        }
        self.meet(head.from);
        if head.to != self.streams.mine {
            self.wire(channel).due = 1;
            return;
        }
        self.wire.heard = 1;
        self.take_acknowledgement(channel, head);
        self.take_payload(channel, head, bytes.get(..length).unwrap_or_default());
    }

    /// A frame came from the peer with that session number.
    fn meet(&mut self, peer: u32) {
        if self.streams.theirs == peer {
            return;
        }
        if self.streams.theirs == 0 {
            store::word32(&mut self.streams.theirs, peer);
        } else {
            store::word32(&mut self.streams.resetting, peer);
            self.begin_session();
        }
        self.wire.armed = 0;
        self.wire.backoff = 0;
        self.ask_all(0);
    }

    /// Everything to zero for a new peer: repeated by the successor as long as `resetting` stands.
    fn begin_session(&mut self) {
        store::word32(&mut self.streams.theirs, 0);
        for channel in Channel::ALL {
            self.transmit_mut(channel).reset();
            self.receive_mut(channel).reset();
            *self.wire(channel) = WireChannel::new_zeroed();
        }
        let (epoch, peer) = (self.streams.epoch.wrapping_add(1), self.streams.resetting);
        store::word32(&mut self.streams.epoch, epoch);
        store::word32(&mut self.streams.theirs, peer);
        store::word32(&mut self.streams.resetting, 0);
    }

    fn take_acknowledgement(&mut self, channel: Channel, head: Head) {
        let progress = self.transmit_mut(channel).acknowledge(head.ack, head.limit);
        if progress {
            self.wire.armed = 0;
            self.wire.backoff = 0;
        }
        let acked = self.transmit(channel).acked;
        let wire = self.wire(channel);
        if head.flags & RESEND != 0 || behind(wire.sent, acked) > 0 {
            wire.sent = acked;
        }
    }

    fn take_payload(&mut self, channel: Channel, head: Head, payload: &[u8]) {
        let taken = self.receive_mut(channel).accept(head.seq, payload);
        let wire = self.wire(channel);
        match taken {
            Ok(length) => {
                wire.due |= u32::from(!payload.is_empty() || head.flags & ASK != 0);
                if length > 0 {
                    wire.reported = 0;
                }
            }
            Err(Gap) => {
                wire.report();
                wire.due |= u32::from(head.flags & ASK);
            }
        }
    }

    /// Something was lost, on whatever channel.
    fn report_all(&mut self) {
        if self.streams.theirs != 0 {
            self.wire.channels.iter_mut().for_each(WireChannel::report);
        }
    }
}

// What is to be sent.
impl Link {
    fn next_frame(&mut self) {
        if self.streams.theirs == 0 {
            if self.wire.hello != 0 {
                self.wire.hello = 0;
                self.build(Channel::Control, 0);
            }
            return;
        }
        let turn = self.wire.turn as usize;
        let ready = (1..=CHANNELS).map(|step| (turn + step) % CHANNELS).find(|&n| self.is_ready(n));
        if let Some(channel) = ready.and_then(|number| Channel::from_number(number as u8)) {
            self.wire.turn = channel as u32;
            self.build_next(channel);
        }
    }

    fn is_ready(&self, number: usize) -> bool {
        let (Some(wire), Some(transmit), Some(receive)) =
            (self.wire.channels.get(number), self.streams.transmit.get(number), self.streams.receive.get(number))
        else {
            return false;
        };
        let reopened = behind(wire.told, receive.limit()) as usize >= crate::RING / 2;
        wire.due != 0 || reopened || (self.wire.heard != 0 && transmit.sendable(wire.sent) > 0)
    }

    fn build_next(&mut self, channel: Channel) {
        let sent = self.wire(channel).sent;
        let length = match self.wire.heard {
            0 => 0,
            _ => self.transmit(channel).sendable(sent).min(PAYLOAD),
        };
        self.build(channel, length);
        self.wire(channel).sent = sent.wrapping_add(length as u32);
    }

    fn build(&mut self, channel: Channel, length: usize) {
        let (received, limit) = {
            let receive = self.receive_ref(channel);
            (receive.received, receive.limit())
        };
        let wire = self.wire(channel);
        let (seq, flags) = (wire.sent, wire.flags as u8);
        wire.due = 0;
        wire.flags = 0;
        wire.told = limit;
        let head = Head {
            channel: channel as u8,
            flags: FORMAT | flags,
            from: self.streams.mine,
            to: self.streams.theirs,
            seq,
            ack: received,
            limit,
        };
        let mut payload = [0; PAYLOAD];
        let length = self.transmit(channel).copy(seq, payload.get_mut(..length).unwrap_or_default());
        self.wire.encoder.frame(head, payload.get(..length).unwrap_or_default());
    }

    /// Whether the peer owes an answer.
    fn is_waiting(&self) -> bool {
        if self.streams.theirs == 0 {
            return self.streams.caller != 0;
        }
        self.wire.heard == 0 || self.streams.transmit.iter().any(|stream| stream.unacked() > 0)
    }

    fn timed_out(&mut self) {
        self.wire.armed = 0;
        self.wire.backoff = (self.wire.backoff + 1).min(BACKOFF);
        if self.streams.theirs == 0 {
            self.wire.hello = 1;
            return;
        }
        for channel in Channel::ALL {
            let (acked, unacked) = (self.transmit(channel).acked, self.transmit(channel).unacked());
            let wire = self.wire(channel);
            wire.sent = acked;
            wire.reported = 0;
            if unacked > 0 {
                wire.due = 1;
                wire.flags |= u32::from(ASK);
            }
        }
        if self.wire.heard == 0 {
            self.ask_all(ASK);
        }
    }

    /// A frame for every channel, with those flags, if there is a peer.
    fn ask_all(&mut self, flags: u8) {
        if self.streams.theirs == 0 {
            return;
        }
        for wire in &mut self.wire.channels {
            wire.due = 1;
            wire.flags |= u32::from(flags);
        }
    }
}

// The parts of a channel. `Channel` has as many values as the arrays have places.
impl Link {
    fn check(&self, epoch: u32) -> Result<(), SessionChanged> {
        if epoch == self.streams.epoch { Ok(()) } else { Err(SessionChanged) }
    }

    fn take(&mut self, channel: Channel, upto: u32) {
        self.receive_mut(channel).take(upto);
    }

    fn transmit(&self, channel: Channel) -> &Transmit {
        &self.streams.transmit[channel as usize]
    }

    fn transmit_mut(&mut self, channel: Channel) -> &mut Transmit {
        &mut self.streams.transmit[channel as usize]
    }

    fn receive_ref(&self, channel: Channel) -> &Receive {
        &self.streams.receive[channel as usize]
    }

    fn receive_mut(&mut self, channel: Channel) -> &mut Receive {
        &mut self.streams.receive[channel as usize]
    }

    fn wire(&mut self, channel: Channel) -> &mut WireChannel {
        &mut self.wire.channels[channel as usize]
    }
}
