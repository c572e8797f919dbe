//! Where a dead program was: its instruction pointer, then the chain of frame pointers in its memory.
//!
//! The memory is a dead program's and may hold anything. The walk ends at the first frame that is not above the one before.

use crate::state::{Crash, FRAMES};
use crate::world::{Report, World};

/// The record of a death.
pub fn record(world: &mut impl World, service: usize, report: &Report) -> Crash {
    let mut crash = Crash {
        incarnation: report.incarnation,
        depth: 0,
        reason: report.reason,
        registers: report.registers,
        fault: report.fault,
        image: report.image,
        request: report.request,
        frames: [0; FRAMES],
    };
    let [rip, _, mut frame] = report.registers;
    push(&mut crash, rip);
    while let Some((return_address, next)) = step(world, service, report.incarnation, frame) {
        push(&mut crash, return_address);
        if next <= frame || crash.depth as usize >= FRAMES {
            break;
        }
        frame = next;
    }
    crash
}

fn push(crash: &mut Crash, address: u64) {
    if let Some(place) = crash.frames.get_mut(crash.depth as usize) {
        *place = address.wrapping_sub(crash.image);
        crash.depth += 1;
    }
}

/// Return address and caller's frame, from the two words that a frame pointer points at.
fn step(world: &mut impl World, service: usize, incarnation: u32, frame: u64) -> Option<(u64, u64)> {
    if frame == 0 || !frame.is_multiple_of(8) {
        return None;
    }
    let mut words = [0; 16];
    if world.read(service, incarnation, frame, &mut words) != words.len() {
        return None;
    }
    let (next, address) = words.split_at(8);
    let address = u64::from_le_bytes(address.try_into().ok()?);
    (address != 0).then_some((address, u64::from_le_bytes(next.try_into().ok()?)))
}
