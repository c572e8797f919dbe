//! The `uart` driver, called. All calls carry byte numbers, so they may be repeated; its death is the run-time's affair.

use sal_abi::{Handle, Rights};
use sal_console_core::{Console, Offer, Want};
use sal_idl::{Failure, Give};
use sal_link::Channel;
use sal_proto::uart::event::{READABLE, WRITABLE};
use sal_proto::uart::{Client, Error};
use sal_rt::{Connection, log};

const OUTPUTS: [Channel; 4] = [Channel::Control, Channel::Stdout, Channel::Stderr, Channel::Log];
const INPUTS: [Channel; 2] = [Channel::Control, Channel::Stdin];

/// Bytes fetched at a time.
const PIECE: usize = 512;

/// The driver, and what it has said of itself.
pub(crate) struct Line {
    uart: Client<Connection>,
    notification: Handle,
    /// Bits of the interface: where something may be to be read, where there may be room.
    ready: u64,
    failed: bool,
}

impl Line {
    pub(crate) fn new(endpoint: Handle, notification: Handle) -> Line {
        Line { uart: Client(Connection::plain(endpoint)), notification, ready: u64::MAX, failed: false }
    }

    /// The driver's notification came.
    pub(crate) fn told(&mut self, bits: u64) {
        self.ready |= bits;
    }

    /// Has the driver tell of what becomes ready, and learns its epoch.
    pub(crate) fn watch(&mut self, console: &mut Console<'_>) {
        match self.uart.watch(Give::copy(self.notification, Rights::SEND)) {
            Ok(reply) => {
                self.ready |= reply.ready;
                console.session_changed(reply.epoch);
            }
            Err(failure) => self.give_up(failure),
        }
    }

    /// Whether the host has acknowledged all output. A driver that was given up has nothing more to deliver.
    pub(crate) fn is_drained(&mut self, console: &Console<'_>) -> bool {
        self.failed || (console.is_drained() && self.uart.drained().is_ok_and(|reply| reply.drained))
    }

    /// Moves what can be moved. Says whether anything was.
    pub(crate) fn pump(&mut self, console: &mut Console<'_>, now: u64) -> bool {
        let mut moved = false;
        for channel in OUTPUTS {
            moved |= self.send(console, channel);
        }
        for channel in INPUTS {
            moved |= self.fetch(console, channel, now);
        }
        moved
    }

    fn send(&mut self, console: &mut Console<'_>, channel: Channel) -> bool {
        let bit = WRITABLE << channel as u8;
        let mut moved = false;
        while self.ready & bit != 0
            && let Some(offer) = console.offer(channel)
        {
            match self.write(&offer) {
                Ok(next) if next == offer.at => self.ready &= !bit,
                Ok(next) => {
                    console.accepted(channel, next);
                    moved = true;
                }
                Err(failure) => return self.resume(console, failure),
            }
        }
        moved
    }

    fn write(&mut self, offer: &Offer) -> Result<u32, Failure<Error>> {
        let reply = self.uart.write(offer.channel as u8, offer.epoch, offer.at, offer.bytes())?;
        Ok(reply.next)
    }

    fn fetch(&mut self, console: &mut Console<'_>, channel: Channel, now: u64) -> bool {
        let bit = READABLE << channel as u8;
        let mut bytes = [0; PIECE];
        let mut moved = false;
        while self.ready & bit != 0
            && let Some(want) = console.wants(channel)
        {
            match self.read(&want, &mut bytes) {
                Ok(0) => self.ready &= !bit,
                Ok(count) => {
                    let bytes = bytes.get(..count).unwrap_or_default();
                    if console.input(want, bytes, now) == 0 {
                        return moved;
                    }
                    moved = true;
                }
                Err(failure) => return self.resume(console, failure),
            }
        }
        moved
    }

    fn read(&mut self, want: &Want, bytes: &mut [u8; PIECE]) -> Result<usize, Failure<Error>> {
        let reply = self.uart.read(want.channel as u8, want.epoch, want.at, bytes.as_mut_slice())?;
        Ok(reply.count as usize)
    }

    /// A new host is a new epoch; everything else means that the driver is given up.
    fn resume(&mut self, console: &mut Console<'_>, failure: Failure<Error>) -> bool {
        if matches!(failure, Failure::Refused(Error::SessionChanged)) {
            self.ready = u64::MAX;
            self.watch(console);
            return !self.failed;
        }
        self.give_up(failure);
        false
    }

    fn give_up(&mut self, failure: Failure<Error>) {
        self.ready = 0;
        if !core::mem::replace(&mut self.failed, true) {
            log::error!("console: the uart driver answers {failure:?}: no more bytes pass");
        }
    }
}
