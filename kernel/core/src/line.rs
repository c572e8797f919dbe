//! Interrupt lines: each raises bits of one notification and stays masked until it is acknowledged.

use core::sync::atomic::{AtomicU64, Ordering};

/// Lines that there can be.
pub const LINES: usize = 64;

/// All interrupt lines.
#[derive(Debug)]
pub struct Lines {
    bound: [[AtomicU64; 2]; LINES],
}

impl Default for Lines {
    fn default() -> Self {
        Lines { bound: [const { [const { AtomicU64::new(0) }; 2] }; LINES] }
    }
}

impl Lines {
    /// A copy, for the host's tests.
    #[cfg(not(target_os = "none"))]
    pub(crate) fn duplicate(&self) -> Lines {
        use crate::emulated::copy_u64;
        Lines { bound: core::array::from_fn(|n| [0, 1].map(|m: usize| copy_u64(&self.bound[n][m]))) }
    }

    /// Binds a line to bits of a notification (a raw id).
    pub fn bind(&self, line: u32, notification: u64, bits: u64) {
        if let Some([n, b]) = self.bound.get(line as usize) {
            b.store(bits, Ordering::Relaxed);
            n.store(notification, Ordering::Release);
        }
    }

    /// The notification and the bits of a line; 0 if it is bound to none.
    pub fn bound(&self, line: u32) -> (u64, u64) {
        self.bound.get(line as usize).map_or((0, 0), |[n, b]| (n.load(Ordering::Acquire), b.load(Ordering::Relaxed)))
    }
}
