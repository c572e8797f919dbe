//! Callers whose request can't be answered yet.

use alloc::vec::Vec;
use sal_abi::message::LOANS;
use sal_abi::{Error, Handle};
use sal_console_core::Client;
use sal_idl::{Call, Header};
use sal_rt::handle::Reply;

use crate::calls::What;

/// A request that waits.
#[derive(Clone, Copy)]
pub(crate) struct Kept {
    pub(crate) header: Header,
    pub(crate) badge: u64,
    pub(crate) client: Client,
    pub(crate) what: What,
    pub(crate) lent: [u64; LOANS],
    /// When it is due anyway, if that was said.
    pub(crate) deadline: Option<u64>,
}

/// A place for a caller.
pub(crate) struct Place {
    reply: Reply,
    pub(crate) kept: Option<Kept>,
}

impl Place {
    pub(crate) fn reply(&self) -> Handle {
        self.reply.handle()
    }
}

/// All of them. There are never more than client threads.
#[derive(Default)]
pub(crate) struct Waiting {
    pub(crate) places: Vec<Place>,
}

impl Waiting {
    /// A client asks: whatever it asked before, it waits for that no more. An interrupted read that stayed would take input that nobody gets.
    pub(crate) fn forget(&mut self, client: Client) {
        for place in &mut self.places {
            if place.kept.is_some_and(|old| old.client.slot == client.slot) {
                place.kept = None;
            }
        }
    }

    /// Keeps the caller in service.
    pub(crate) fn keep(&mut self, call: &mut Call<'_>, kept: Kept) -> Result<(), Error> {
        for place in self.places.iter_mut().filter(|place| place.kept.is_none()) {
            // An interrupted caller may still be leaving its place: try the next one.
            if call.keep(place.reply()).is_ok() {
                place.kept = Some(kept);
                return Ok(());
            }
        }
        let reply = Reply::create()?;
        call.keep(reply.handle())?;
        self.places.push(Place { reply, kept: Some(kept) });
        Ok(())
    }

    /// When the first of them is due.
    pub(crate) fn deadline(&self) -> Option<u64> {
        self.places.iter().filter_map(|place| place.kept.as_ref()?.deadline).min()
    }
}
