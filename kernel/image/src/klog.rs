//! The kernel's log: a ring that whoever holds the capability reads, and the debug UART until a driver has taken the port.

use core::sync::atomic::{AtomicU64, Ordering};
use sal_arch_x86_64::uart;
use spin::Mutex;

const SIZE: usize = 32 * 1024;

struct Ring {
    bytes: [u8; SIZE],
    /// Bytes ever written.
    end: u64,
}

static RING: Mutex<Ring> = Mutex::new(Ring { bytes: [0; SIZE], end: 0 });

/// Until which position the kernel has written to the UART by itself: a driver has it now, and the kernel writes only when it ends.
static QUIET: AtomicU64 = AtomicU64::new(LOUD);

/// No driver has the UART yet.
const LOUD: u64 = u64::MAX;

/// Appends bytes.
pub(crate) fn write(bytes: &[u8]) {
    let mut ring = RING.lock();
    for byte in bytes {
        let at = (ring.end % SIZE as u64) as usize;
        if let Some(place) = ring.bytes.get_mut(at) {
            *place = *byte;
        }
        ring.end += 1;
    }
    drop(ring);
    if QUIET.load(Ordering::Relaxed) == LOUD {
        uart::send(bytes);
    }
}

/// Copies from position `from` on (or the oldest byte kept): how many, and the next position. From `u64::MAX`: nothing, and the position up to
/// which the kernel has written to the UART by itself.
pub(crate) fn read(from: u64, into: &mut [u8]) -> (usize, u64) {
    let ring = RING.lock();
    if from == u64::MAX {
        return (0, QUIET.load(Ordering::Relaxed).min(ring.end));
    }
    let start = from.max(ring.end.saturating_sub(SIZE as u64)).min(ring.end);
    let count = into.len().min((ring.end - start) as usize);
    for (n, place) in into.iter_mut().take(count).enumerate() {
        let at = ((start + n as u64) % SIZE as u64) as usize;
        *place = ring.bytes.get(at).copied().unwrap_or(0);
    }
    (count, start + count as u64)
}

/// A driver writes to the UART from now on.
pub(crate) fn quiet() {
    if QUIET.load(Ordering::Relaxed) == LOUD {
        QUIET.store(RING.lock().end, Ordering::Relaxed);
    }
}
