//! Ships the kernel's log to the host, as channel [`Channel::Log`].

use crate::device::Ports;
use crate::driver::Driver;
use crate::vault::Shipped;
use sal_link::Channel;
use sal_vault::store;

/// Bytes read from the log at a time.
const PIECE: usize = 240;

/// Pieces shipped in one go, so that a flood of lines keeps nothing else waiting.
const PIECES: usize = 8;

/// Reads the log from a position on: bytes copied, and the position after them. What has been overwritten is skipped.
pub trait ReadLog {
    /// See above.
    fn read(&mut self, position: u64, into: &mut [u8]) -> (usize, u64);
}

/// Ships what is new, as far as there is room.
pub fn ship<P: Ports>(driver: &mut Driver<'_, P>, shipped: &mut Shipped, log: &mut impl ReadLog) {
    let epoch = u64::from(driver.epoch()) + 1;
    if shipped.epoch != epoch {
        // The first time: what the kernel wrote to the line by itself, the host has.
        let from = if shipped.epoch == 0 { log.read(u64::MAX, &mut []).1 } else { shipped.end };
        store::word64(&mut shipped.end, from);
        store::word64(&mut shipped.base, from);
        store::word64(&mut shipped.epoch, epoch);
    }
    for _ in 0..PIECES {
        if !ship_piece(driver, shipped, log) {
            return;
        }
    }
}

/// Ships one piece; false if there was nothing, or no room.
fn ship_piece<P: Ports>(driver: &mut Driver<'_, P>, shipped: &mut Shipped, log: &mut impl ReadLog) -> bool {
    let channel = Channel::Log as u8;
    let epoch = driver.epoch();
    let Some(Ok(accepted)) = driver.write(channel, epoch, 0, &[]) else { return false };
    let mut piece = [0; PIECE];
    let most = driver.room(Channel::Log).min(PIECE);
    let position = shipped.base + u64::from(accepted);
    let (count, next) = log.read(position, piece.get_mut(..most).unwrap_or_default());
    if count == 0 {
        return false;
    }
    let skipped = (next - count as u64).saturating_sub(position);
    if skipped > 0 {
        let base = shipped.base + skipped;
        store::word64(&mut shipped.base, base);
    }
    let wrote = driver.write(channel, epoch, accepted, piece.get(..count).unwrap_or_default());
    if let Some(Ok(accepted)) = wrote {
        let end = shipped.base + u64::from(accepted);
        store::word64(&mut shipped.end, end);
    }
    true
}
