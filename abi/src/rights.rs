//! Rights: what a capability lets its holder do. They only shrink.

/// A set of rights.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(transparent)]
pub struct Rights(pub u32);

impl Rights {
    /// None at all.
    pub const NONE: Rights = Rights(0);
    /// Everything.
    pub const ALL: Rights = Rights(0xfff);
    /// Call an endpoint, raise a notification, write to a log.
    pub const SEND: Rights = Rights(1 << 0);
    /// Receive at an endpoint.
    pub const RECEIVE: Rights = Rights(1 << 1);
    /// Read a memory, map it readable; read a port, a log, a process's state.
    pub const READ: Rights = Rights(1 << 2);
    /// Write a memory, map it writable; write a port.
    pub const WRITE: Rights = Rights(1 << 3);
    /// Map a memory executable.
    pub const EXECUTE: Rights = Rights(1 << 4);
    /// Change what the object is: kill, resize, bind, fail, supply, grant into a process's table.
    pub const MANAGE: Rights = Rights(1 << 5);
    /// Spend a budget.
    pub const SPEND: Rights = Rights(1 << 6);
    /// Derive further capabilities with a badge (endpoints).
    pub const BADGE: Rights = Rights(1 << 7);
    /// Pass the capability on in a message.
    pub const TRANSFER: Rights = Rights(1 << 8);

    /// Both.
    #[inline(always)]
    pub const fn and(self, other: Rights) -> Rights {
        Rights(self.0 & other.0)
    }

    /// Either.
    #[inline(always)]
    pub const fn or(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }

    /// Has it all that `need` has?
    #[inline(always)]
    pub const fn has(self, need: Rights) -> bool {
        self.0 & need.0 == need.0
    }
}
