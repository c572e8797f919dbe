//! The link over the device: what happens at an interrupt, at a timeout, at a call.
//!
//! What must hold: everything here but the link may be lost; the link is valid after each of its stores (`sal_link`). One turn is bounded,
//! so that heartbeats are answered however busy the line is.

use sal_link::{CHANNELS, Channel, Link, RING, SessionChanged};

use crate::device::{Device, FIFO, Ports};

/// Rounds of one turn; what is left makes an interrupt. A round of 16 bytes is some 40 calls into the kernel. A turn must stay far below the
/// manifest's 10 ms also where the clock runs on while a busy host does something else.
const ROUNDS: usize = 8;

/// Bits for the watcher: `READABLE << channel` (interface `uart`).
pub const READABLE: u64 = 1;
/// `WRITABLE << channel`.
pub const WRITABLE: u64 = 1 << 16;

/// The driver at work.
pub struct Driver<'a, P> {
    link: &'a mut Link,
    device: Device<P>,
    /// Taken from the link, not yet sent. Lost with the driver: the link sends them again.
    waiting: [u8; FIFO],
    length: usize,
    /// What the watcher was told.
    told: u64,
    epoch: u32,
}

/// Which way a channel is used at the guest's end.
fn is_output(channel: Channel) -> bool {
    channel != Channel::Stdin
}

fn is_input(channel: Channel) -> bool {
    matches!(channel, Channel::Control | Channel::Stdin)
}

impl<'a, P: Ports> Driver<'a, P> {
    /// Over a link that was started or adopted.
    pub fn new(link: &'a mut Link, device: Device<P>) -> Self {
        let epoch = link.epoch();
        Driver { link, device, waiting: [0; FIFO], length: 0, told: 0, epoch }
    }

    /// Moves bytes both ways; then turns interrupts on. At each interrupt (after its line was unmasked), timeout and call.
    pub fn turn(&mut self, now: u64) {
        for _ in 0..ROUNDS {
            let received = self.receive();
            self.link.poll(now);
            let sent = self.send();
            if !received && !sent {
                break;
            }
        }
        self.device.rearm(self.length > 0);
    }

    fn receive(&mut self) -> bool {
        let mut bytes = [0; FIFO];
        let length = self.device.receive(&mut bytes);
        self.link.push(bytes.get(..length).unwrap_or_default(), |_| {});
        length > 0
    }

    fn send(&mut self) -> bool {
        if self.length == 0 {
            self.length = self.link.pull(&mut self.waiting);
        }
        if self.length == 0 || !self.device.is_empty() {
            return false;
        }
        self.device.send(self.waiting.get(..self.length).unwrap_or_default());
        self.length = 0;
        true
    }

    /// When the next turn is due at the latest.
    pub fn deadline(&self) -> Option<u64> {
        self.link.deadline()
    }

    /// What is ready now.
    pub fn ready(&self) -> u64 {
        let mut bits = 0;
        for channel in Channel::ALL {
            if is_input(channel) && self.link.available(channel) > 0 {
                bits |= READABLE << channel as u8;
            }
            if is_output(channel) && self.link.room(channel) > 0 {
                bits |= WRITABLE << channel as u8;
            }
        }
        bits
    }

    /// What the watcher is to be told: bits that became ready since the last time; all of them when the epoch changed, so that it comes and
    /// finds out.
    pub fn news(&mut self) -> u64 {
        if self.epoch != self.link.epoch() {
            self.epoch = self.link.epoch();
            self.told = 0;
            let all = (1 << CHANNELS) - 1;
            return (all * READABLE) | (all * WRITABLE);
        }
        let ready = self.ready();
        let news = ready & !self.told;
        self.told = ready;
        news
    }

    /// The link's epoch.
    pub fn epoch(&self) -> u32 {
        self.link.epoch()
    }

    /// Accepts bytes for the host; `None`: the channel does not go there.
    pub fn write(&mut self, channel: u8, epoch: u32, at: u32, bytes: &[u8]) -> Option<Result<u32, SessionChanged>> {
        let channel = Channel::from_number(channel).filter(|&channel| is_output(channel))?;
        let result = self.link.send_at(channel, epoch, at, bytes);
        self.forget();
        Some(result)
    }

    /// Bytes that the channel takes now.
    pub fn room(&self, channel: Channel) -> usize {
        self.link.room(channel)
    }

    /// Frees bytes from the host and copies what follows; `None`: the channel does not come from there.
    pub fn read(&mut self, channel: u8, epoch: u32, at: u32, out: &mut [u8]) -> Option<Result<usize, SessionChanged>> {
        let channel = Channel::from_number(channel).filter(|&channel| is_input(channel))?;
        let most = out.len().min(RING);
        let result = self.link.receive_at(channel, epoch, at, out.get_mut(..most)?);
        self.forget();
        Some(result)
    }

    /// What is no longer ready is news when it becomes ready again, also if it does so before the caller has its answer, which says that there
    /// was nothing to read, or no room.
    fn forget(&mut self) {
        self.told &= self.ready();
    }

    /// Whether the host has acknowledged everything.
    pub fn is_drained(&self) -> bool {
        Channel::ALL.iter().all(|&channel| self.link.unacknowledged(channel) == 0)
    }
}
