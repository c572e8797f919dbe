//! A large value changed in place: the new bytes are written to a log, one word commits the log, then the log is
//! carried out, as often as it takes.
//!
//! What must hold: while `armed` is 0 the state is valid as it is; while it isn't, carrying out the log, any number
//! of times and from any part of it, makes the state valid.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::check::{Fault, check};
use crate::store;

/// Offset and length before each piece of the log.
const PIECE: usize = 8;

/// The words beside the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RedoHead {
    /// Not 0: the log with that number is committed.
    armed: u64,
    /// The number of the last log.
    number: u64,
    /// Bytes of the log.
    length: u32,
    check: u32,
}

/// The log has no room for the change, or the change lies outside the state. Nothing was changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

/// A change in the making: dropped without [`Redo::commit`], it never was.
pub struct Redo<'a> {
    head: &'a mut RedoHead,
    log: &'a mut [u8],
    state: &'a mut [u8],
    used: usize,
}

impl<'a> Redo<'a> {
    /// Takes over: a committed change of the predecessor's is carried out. To be called once at adoption (it does
    /// nothing to a blank vault) before the state is looked at.
    pub fn adopt(head: &mut RedoHead, log: &mut [u8], state: &mut [u8]) -> Result<(), Fault> {
        if head.armed == 0 {
            return Ok(());
        }
        let number = head.armed;
        let mut redo = Redo { used: head.length as usize, head, log, state };
        let whole = redo.log.get(..redo.used).is_some_and(|log| check(number, log) == redo.head.check);
        if !whole || redo.carry_out().is_none() {
            return Err(Fault::Log(number));
        }
        store::word64(&mut redo.head.armed, 0);
        Ok(())
    }

    /// Begins a change.
    pub fn begin(head: &'a mut RedoHead, log: &'a mut [u8], state: &'a mut [u8]) -> Self {
        Redo { head, log, state, used: 0 }
    }

    /// The state as it was before the change.
    pub fn state(&self) -> &[u8] {
        self.state
    }

    /// `bytes` shall stand at `offset`. Later pieces win over earlier ones.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), Full> {
        let end = offset.checked_add(bytes.len()).ok_or(Full)?;
        let (Ok(at), Ok(length)) = (u32::try_from(offset), u32::try_from(bytes.len())) else {
            return Err(Full);
        };
        if end > self.state.len() {
            return Err(Full);
        }
        let room = self.log.get_mut(self.used..).ok_or(Full)?;
        let (piece, room) = room.split_at_mut_checked(PIECE).ok_or(Full)?;
        let room = room.get_mut(..bytes.len()).ok_or(Full)?;
        store::bytes(piece, [at, length].as_bytes());
        store::bytes(room, bytes);
        self.used += PIECE + bytes.len();
        Ok(())
    }

    /// Makes the change: the word store to `armed` is the commit; then it is carried out.
    pub fn commit(mut self) {
        let number = self.head.number.wrapping_add(1).max(1);
        let Some(log) = self.log.get(..self.used) else {
            return;
        };
        let sum = check(number, log);
        store::committing(|| {
            store::word32(&mut self.head.length, self.used as u32);
            store::word32(&mut self.head.check, sum);
            store::word64(&mut self.head.number, number);
            store::word64(&mut self.head.armed, number);
            // `write` has checked every piece, so this cannot end early.
            let _ = self.carry_out();
            store::word64(&mut self.head.armed, 0);
        });
    }

    /// Copies every piece to its place. `None`: the log is not one that `write` made.
    fn carry_out(&mut self) -> Option<()> {
        let mut log = self.log.get(..self.used)?;
        while !log.is_empty() {
            let (offset, rest) = u32::read_from_prefix(log).ok()?;
            let (length, rest) = u32::read_from_prefix(rest).ok()?;
            let (bytes, rest) = rest.split_at_checked(length as usize)?;
            let place = self.state.get_mut(offset as usize..)?.get_mut(..bytes.len())?;
            store::bytes(place, bytes);
            log = rest;
        }
        Some(())
    }
}
