//! Pairs of connected local sockets (unix(7)): two ends, each with what came for it.
//!
//! An end has one open description, which may be shared but never be opened again; when it goes, the end is closed. Waiting and waking is the
//! operations' business; here is only what is in an end and what may still come.

use crate::errno::Errno;
use crate::ring::Ring;
use crate::wait::{Events, QueueId};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use sal_arena::Id;

/// Bytes on their way to an end at most: Linux's `net.core.wmem_default`.
pub(crate) const CAPACITY: usize = 212_992;
/// Longest packet: Linux keeps 32 bytes of the buffer.
pub(crate) const PACKET_MOST: usize = CAPACITY - 32;
/// What a packet takes beside its bytes, so that empty ones have an end, too.
const PACKET_COST: usize = 512;

/// Names a pair.
pub(crate) type PairId = Id<Pair>;

/// How a socket carries bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SocketKind {
    /// `SOCK_STREAM`: bytes without bounds.
    Stream,
    /// `SOCK_SEQPACKET`: packets over a connection that ends.
    Packet,
    /// `SOCK_DGRAM`: packets; the other end's close is no end of file.
    Datagram,
}

bitflags::bitflags! {
    /// How to send or receive: `MSG_*` of linux/socket.h. What is not here changes nothing.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct MessageFlags: u32 {
        /// `MSG_PEEK`: what is read stays.
        const PEEK = 0x2;
        /// `MSG_DONTWAIT`: as if the descriptor had `O_NONBLOCK`.
        const DONTWAIT = 0x40;
        /// `MSG_WAITALL`: a stream waits until the buffer is full.
        const WAITALL = 0x100;
    }
}

/// Which of the two ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    Left,
    Right,
}

/// What came for an end and was not read yet.
#[derive(Clone, Debug)]
pub(crate) enum Inbox {
    Bytes(Ring),
    Packets { queue: VecDeque<Box<[u8]>>, used: usize },
}

impl Inbox {
    pub(crate) fn new(kind: SocketKind) -> Self {
        match kind {
            SocketKind::Stream => Inbox::Bytes(Ring::new(CAPACITY)),
            _ => Inbox::Packets { queue: VecDeque::new(), used: 0 },
        }
    }

    /// Nothing to read.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Inbox::Bytes(ring) => ring.len() == 0,
            Inbox::Packets { queue, .. } => queue.is_empty(),
        }
    }

    /// What it takes of its capacity; a last packet may go beyond.
    pub(crate) fn used(&self) -> usize {
        match self {
            Inbox::Bytes(ring) => ring.len(),
            Inbox::Packets { used, .. } => *used,
        }
    }

    /// A packet comes.
    pub(crate) fn push(&mut self, packet: Box<[u8]>) {
        if let Inbox::Packets { queue, used } = self {
            *used += packet.len() + PACKET_COST;
            queue.push_back(packet);
        }
    }

    /// The first packet is gone.
    pub(crate) fn pop(&mut self) {
        if let Inbox::Packets { queue, used } = self
            && let Some(packet) = queue.pop_front()
        {
            *used -= packet.len() + PACKET_COST;
        }
    }
}

/// One end.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) inbox: Inbox,
    /// Somebody has it open.
    pub(crate) open: bool,
    /// Nothing more comes: an empty inbox is the end of file.
    pub(crate) no_read: bool,
    /// Nothing can be sent: `EPIPE`.
    pub(crate) no_write: bool,
    /// Told once, by the next call that looks.
    pub(crate) error: Option<Errno>,
    /// A datagram socket knows that its other end is gone: `ENOTCONN` from now on.
    pub(crate) alone: bool,
    /// Who waits at this end, for either direction.
    pub(crate) queue: QueueId,
}

impl End {
    fn new(kind: SocketKind, queue: QueueId) -> Self {
        let inbox = Inbox::new(kind);
        End { inbox, open: true, no_read: false, no_write: false, error: None, alone: false, queue }
    }
}

/// Two ends.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) kind: SocketKind,
    left: End,
    right: End,
}

impl Pair {
    pub(crate) fn new(kind: SocketKind, left: QueueId, right: QueueId) -> Self {
        Pair { kind, left: End::new(kind, left), right: End::new(kind, right) }
    }

    /// This end and the other.
    pub(crate) fn ends(&mut self, side: Side) -> (&mut End, &mut End) {
        match side {
            Side::Left => (&mut self.left, &mut self.right),
            Side::Right => (&mut self.right, &mut self.left),
        }
    }

    /// What `FIONREAD` says of this end: all bytes of a connection, the first packet's of datagrams.
    pub(crate) fn available(&mut self, side: Side) -> usize {
        let kind = self.kind;
        match &self.ends(side).0.inbox {
            Inbox::Bytes(ring) => ring.len(),
            Inbox::Packets { queue, .. } if kind == SocketKind::Datagram => queue.front().map_or(0, |p| p.len()),
            Inbox::Packets { queue, .. } => queue.iter().map(|p| p.len()).sum(),
        }
    }

    /// What this end is ready for: as Linux's `unix_poll`.
    pub(crate) fn ready(&mut self, side: Side) -> Events {
        let (own, other) = self.ends(side);
        let mut ready = Events::empty();
        if own.error.is_some() {
            ready |= Events::ERR;
        }
        if own.no_read && own.no_write {
            ready |= Events::HUP;
        }
        if own.no_read {
            ready |= Events::RDHUP;
        }
        if own.no_read || !own.inbox.is_empty() {
            ready |= Events::IN | Events::RDNORM;
        }
        if other.inbox.used() <= CAPACITY / 4 {
            ready |= Events::OUT | Events::WRNORM;
        }
        ready
    }
}
