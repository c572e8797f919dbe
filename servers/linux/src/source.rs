//! Where memory objects for files come from: the `memory` server, on this program's account, or the programs' own budget.

use crate::pool;
use crate::store::FILE_MOST;
use sal_abi::{Handle, PAGE};
use sal_idl::Failure;
use sal_proto::memory::{Client, Error};
use sal_rt::Connection;
use sal_rt::handle::Memory;
use sal_sys::{capability, memory};
use sal_vfs::Capacity;

/// The server counts an object's whole length, so that grows in steps: by this part of itself, at least by that many bytes.
const STEP_PART: u64 = 8;
const STEP_LEAST: u64 = 16 * PAGE;

/// A file's memory.
pub(crate) struct Object {
    pub(crate) memory: Memory,
    /// Bytes that it has room for, whole pages.
    pub(crate) length: u64,
    /// The server's number for it.
    pub(crate) number: u32,
}

/// Who gives them.
pub(crate) enum Source {
    /// The memory server.
    Server(Client<Connection>),
    /// This budget.
    Budget(Handle),
}

/// One call, under one number, until it is answered: an interrupt is meant for what the thread does later.
fn ask<R>(
    client: &mut Client<Connection>,
    mut call: impl FnMut(&mut Client<Connection>) -> Result<R, Failure<Error>>,
) -> Result<R, Failure<Error>> {
    loop {
        match call(client) {
            Err(failure) if pool::interrupted(&failure) => pool::repeat(&mut client.0),
            result => return result,
        }
    }
}

impl Source {
    /// A new object; `None`: there is no room.
    pub(crate) fn create(&mut self) -> Option<Object> {
        match self {
            Source::Server(client) => {
                let made = ask(client, |c| c.create(PAGE)).ok()?;
                let memory = Memory::own(made.memory);
                Some(Object { memory, length: PAGE, number: made.object })
            }
            Source::Budget(budget) => {
                let memory = Memory::own(memory::memory_create(*budget, FILE_MOST).ok()?);
                Some(Object { memory, length: FILE_MOST, number: 0 })
            }
        }
    }

    /// A new object of `length` bytes, all of which can be touched; `None`: there is no room.
    pub(crate) fn whole(&mut self, length: u64) -> Option<Object> {
        match self {
            // What it gives out it can always pay.
            Source::Server(client) => {
                let made = ask(client, |c| c.create(length)).ok()?;
                Some(Object { memory: Memory::own(made.memory), length, number: made.object })
            }
            Source::Budget(budget) => {
                let memory = Memory::own(memory::memory_create(*budget, length).ok()?);
                let touched = (0..length / PAGE).try_for_each(|page| memory.write(page * PAGE, &[0]).map(drop));
                touched.ok().map(|()| Object { memory, length, number: 0 })
            }
        }
    }

    /// The object of that number is given back; its handle is closed already, or soon.
    pub(crate) fn release(&mut self, number: u32) {
        if let Source::Server(client) = self {
            // The server has forgotten it then, or is gone.
            let _ = ask(client, |c| c.release(number));
        }
    }

    /// Makes room for `end` bytes, if there is some: with some to spare, or else just so much.
    pub(crate) fn grow(&mut self, object: &mut Object, end: u64) {
        let exact = end.next_multiple_of(PAGE);
        let spare = (end / STEP_PART).max(STEP_LEAST);
        let ample = end.saturating_add(spare).next_multiple_of(PAGE);
        // A short file stays short.
        let first = if exact <= STEP_LEAST { exact } else { ample };
        if !self.set_length(object, first) {
            self.set_length(object, exact);
        }
    }

    /// Gives back what lies behind `size`.
    pub(crate) fn shrink(&mut self, object: &mut Object, size: u64) {
        let length = size.next_multiple_of(PAGE).max(PAGE);
        if length < object.length {
            self.set_length(object, length);
        }
    }

    fn set_length(&mut self, object: &mut Object, length: u64) -> bool {
        let Source::Server(client) = self else {
            return false;
        };
        let done = ask(client, |c| c.resize(object.number, length)).is_ok();
        if done {
            object.length = length;
        }
        done
    }

    /// Pages in all and free.
    pub(crate) fn capacity(&mut self) -> Capacity {
        match self {
            Source::Server(client) => ask(client, |c| c.info()).map_or(Capacity::default(), |info| Capacity {
                total: info.allowed / PAGE,
                free: (info.allowed.saturating_sub(info.charged) / PAGE).min(info.frames),
            }),
            Source::Budget(budget) => capability::budget_info(*budget)
                .map_or(Capacity::default(), |info| Capacity { total: info.given, free: info.left }),
        }
    }
}
