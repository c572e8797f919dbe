//! What outlives the driver: the link, and who watches it.

use sal_link::{Link, Role};
use sal_vault::{Expected, Fault, Header};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// How long the link waits for an acknowledgement: nanoseconds. A frame takes 25 ms at 115,200 baud.
const TIMEOUT: u64 = 100_000_000;

const KIND: u32 = u32::from_le_bytes(*b"uart");

/// The vault.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Vault {
    header: Header,
    /// The watcher's notification, as a handle of the vault's table; 0: none.
    pub watcher: u64,
    /// The notification to which the interrupt is bound, likewise.
    pub bound: u64,
    /// How far the kernel's log has been shipped.
    pub log: Shipped,
    /// The line.
    pub link: Link,
}

/// How far the kernel's log has been shipped: what stands in it at position `base + n` is byte `n` of the log's channel in this epoch. So a
/// successor finds out from the link alone what was accepted, and nothing is sent twice.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Shipped {
    /// Log position of the channel's byte 0.
    pub base: u64,
    /// Log position up to which bytes were accepted, in whichever epoch: where a new epoch begins.
    pub end: u64,
    /// The link's epoch that `base` is for, plus one; 0: none yet.
    pub epoch: u64,
}

const EXPECTED: Expected = Expected { kind: KIND, owner: 0, version: 2, length: size_of::<Vault>() as u64 };

impl Vault {
    /// Continues what a predecessor left, or begins in a blank vault. `session`: a number that no earlier boot had, as likely as can be.
    /// `Err`: the vault was damaged; it was begun anew, with a new session.
    pub fn adopt(&mut self, session: u32) -> Result<(), Fault> {
        match self.header.verify(EXPECTED) {
            Ok(()) => {
                self.header.adopted();
                self.link.adopt();
                Ok(())
            }
            Err(Fault::Blank) => {
                self.format(session);
                Ok(())
            }
            Err(fault) => {
                self.format(session);
                Err(fault)
            }
        }
    }

    fn format(&mut self, session: u32) {
        self.watcher = 0;
        self.bound = 0;
        self.log = Shipped::default();
        self.link.start(Role::Caller, session, TIMEOUT);
        self.header.stamp(EXPECTED);
    }
}
