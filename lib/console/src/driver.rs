//! The `uart` driver's side: bytes to it and from it, by the numbers of the link's streams.
//!
//! What must hold: bytes are offered only after the commit that says so, so that nothing that the driver may have
//! is ever taken back (^C drops output that was not offered).

use sal_link::{CONTROL_LENGTH, Channel, Control, Terminal};
use sal_tty::{Signal, Termios, WindowSize};

use crate::request::event;
use crate::state::{Console, Mode, OUTS, State};

/// Most bytes offered to the driver at a time.
pub const OFFER: usize = 512;

/// Bytes for the driver: `send_at(channel, epoch, at, bytes)`. Its result goes to [`Console::accepted`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Offer {
    /// The stream.
    pub channel: Channel,
    /// The link's epoch.
    pub epoch: u32,
    /// The number of the first byte.
    pub at: u32,
    bytes: [u8; OFFER],
    length: usize,
}

impl Offer {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// What to fetch: `receive_at(channel, epoch, at)`. The bytes go to [`Console::input`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Want {
    /// The stream.
    pub channel: Channel,
    /// The link's epoch.
    pub epoch: u32,
    /// All before this number has been consumed, and committed so.
    pub at: u32,
}

impl State {
    /// Lets the driver have more: part of every commit that adds output.
    pub(crate) fn extend_offers(&mut self, most: usize) {
        let stopped = self.mode() == Mode::Tty && self.tty.is_stopped();
        for channel in OUTS {
            if !(stopped && channel == Channel::Stdout) {
                self.out_mut(channel).extend_offer(most);
            }
        }
    }

    fn wants_more(&self, channel: Channel) -> bool {
        let stopped = self.mode() == Mode::Tty && self.tty.is_stopped();
        let out = self.out(channel);
        out.passed == out.offered && out.len() > 0 && !(stopped && channel == Channel::Stdout)
    }
}

impl Console<'_> {
    /// What is to be sent on a channel, if anything is. The same until it was [`Console::accepted`].
    pub fn offer(&mut self, channel: Channel) -> Option<Offer> {
        if self.state.get().wants_more(channel) {
            self.state.update(|state| state.extend_offers(OFFER));
        }
        let state = self.state.get();
        let out = state.out(channel);
        let mut bytes = [0; OFFER];
        let length = out.copy_offered(&mut bytes);
        (length > 0 && channel != Channel::Stdin).then_some(Offer {
            channel,
            epoch: state.epoch,
            at: out.passed,
            bytes,
            length,
        })
    }

    /// The driver has all of `channel` before `number`.
    pub fn accepted(&mut self, channel: Channel, number: u32) {
        if self.state.get().out(channel).passed != number {
            self.state.update(|state| {
                state.out_mut(channel).pass(number);
                state.extend_offers(OFFER);
            });
        }
    }

    /// What to fetch on a channel, [`Channel::Control`] or [`Channel::Stdin`]. `None`: nothing now (no room, or
    /// nobody has said yet what stands at the host's end).
    pub fn wants(&self, channel: Channel) -> Option<Want> {
        let state = self.state.get();
        let at = match channel {
            Channel::Control => state.control,
            Channel::Stdin if state.mode() != Mode::Unknown && state.tty.has_input_room() => state.stdin,
            _ => return None,
        };
        Some(Want { channel, epoch: state.epoch, at })
    }

    /// Consumes bytes that the driver answered to `want`, as many as there is room for, with all their effects, by
    /// one commit; returns how many. Bytes for an old want are ignored.
    pub fn input(&mut self, want: Want, bytes: &[u8], now: u64) -> usize {
        if bytes.is_empty() || self.wants(want.channel) != Some(want) {
            return 0;
        }
        self.state.update(|state| {
            let length = match want.channel {
                Channel::Control => state.control_input(bytes),
                _ => state.typed(bytes, now),
            };
            state.extend_offers(OFFER);
            length
        })
    }

    /// The driver knows another epoch: there is a new peer, all streams begin at zero. Output that the driver has
    /// not taken goes to the new one; what was typed stays.
    pub fn session_changed(&mut self, epoch: u32) {
        if self.state.get().epoch == epoch {
            return;
        }
        self.state.update(|state| {
            if state.mode() == Mode::Pipes {
                state.tty.set_termios(Termios::default());
            }
            state.epoch = epoch;
            state.mode = 0;
            (state.stdin, state.control) = (0, 0);
            (state.end, state.ended) = (0, 0);
            state.outs.iter_mut().for_each(|out| out.rebase());
        });
    }

    /// Whether the driver has all output.
    pub fn is_drained(&self) -> bool {
        OUTS.iter().all(|&channel| self.state.get().out(channel).len() == 0)
    }

    /// What stands at the host's end.
    pub fn mode(&self) -> Mode {
        self.state.get().mode()
    }
}

impl State {
    fn typed(&mut self, bytes: &[u8], now: u64) -> usize {
        let mut length = 0;
        for &byte in bytes {
            if !self.tty.has_input_room() {
                break;
            }
            let (tty, out) = self.tty_and(Channel::Stdout);
            let signal = tty.input(byte, now, out);
            self.events |= match signal {
                Some(Signal::Interrupt) => event::INTERRUPT,
                Some(Signal::Quit) => event::QUIT,
                Some(Signal::Suspend) => event::SUSPEND,
                None => 0,
            };
            length += 1;
        }
        self.stdin = self.stdin.wrapping_add(length as u32);
        length
    }

    fn control_input(&mut self, bytes: &[u8]) -> usize {
        let mut length = 0;
        let (messages, _) = bytes.as_chunks::<CONTROL_LENGTH>();
        for message in messages {
            self.controlled(Control::decode(*message));
            length += CONTROL_LENGTH;
        }
        self.control = self.control.wrapping_add(length as u32);
        length
    }

    fn controlled(&mut self, message: Control) {
        match message {
            Control::Hello(Terminal::Pipes) => {
                self.mode = 1;
                let mut raw = Termios::default();
                raw.make_raw();
                self.tty.set_termios(raw);
            }
            Control::Hello(Terminal::Tty { rows, columns }) => {
                self.mode = 2;
                self.resize(rows, columns);
            }
            Control::WindowSize { rows, columns } => self.resize(rows, columns),
            Control::EndOfStream { channel: Channel::Stdin, at } => {
                self.end = at;
                self.ended = 1;
                if self.mode() == Mode::Tty {
                    self.events |= event::HANGUP;
                }
            }
            Control::Stop => self.events |= event::STOP,
            _ => {}
        }
    }

    fn resize(&mut self, rows: u16, columns: u16) {
        let size = WindowSize { rows, columns, ..WindowSize::default() };
        if self.tty.set_window_size(size) {
            self.events |= event::WINDOW;
        }
    }
}
