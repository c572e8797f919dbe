//! What all threads share: the core behind its lock, and the ways to other servers, which need none.

use crate::machine::Machine;
use crate::pool::Pool;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use sal_abi::Handle;
use sal_linux_core::Linux;
use sal_rt::Mutex;
use sal_rt::handle::Notification;

/// The core and the machine below it.
pub(crate) struct Core {
    pub(crate) linux: Linux,
    pub(crate) machine: Machine,
}

/// A mounted prefix.
pub(crate) struct Mounted {
    pub(crate) prefix: Vec<u8>,
    /// Of its entry in the name server; another is another server.
    pub(crate) generation: u64,
    pub(crate) pool: &'static Pool,
}

/// Everything.
pub(crate) struct Shared {
    pub(crate) core: Mutex<Core>,
    pub(crate) console: Pool,
    pub(crate) supervisor: Handle,
    /// By `ServerId`.
    pub(crate) servers: Mutex<Vec<Mounted>>,
    /// When the core's first timer is due, nanoseconds since boot; `u64::MAX`: none.
    pub(crate) alarm: AtomicU64,
    /// 0, or the exit status of the machine and 256.
    ending: AtomicU64,
    /// Wakes the door.
    bell: Notification,
}

/// In `ending`: there is a status.
const ENDING: u64 = 256;

impl Shared {
    pub(crate) fn new(core: Core, console: Pool, supervisor: Handle, bell: Notification) -> Shared {
        Shared {
            core: Mutex::new(core),
            console,
            supervisor,
            servers: Mutex::new(Vec::new()),
            alarm: AtomicU64::new(u64::MAX),
            ending: AtomicU64::new(0),
            bell,
        }
    }

    /// The door looks at `alarm` and at whether all is over.
    pub(crate) fn ring(&self) {
        let _ = self.bell.raise(1);
    }

    /// The machine ends with `status`; the first call counts.
    pub(crate) fn end(&self, status: u8) {
        let new = ENDING | u64::from(status);
        if self.ending.compare_exchange(0, new, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            self.ring();
        }
    }

    /// With which status the machine is to end, if it is.
    pub(crate) fn ending(&self) -> Option<u8> {
        let word = self.ending.load(Ordering::Acquire);
        (word != 0).then_some(word as u8)
    }
}
