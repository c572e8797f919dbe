//! The shell: messages in, the book's answers out.

use crate::objects::{GIVEN, Table, empty};
use sal_idl::{Attachments, Call, Give, Outcome, Response, Status, Stop};
use sal_ledger::{Client, Error as Refusal, Ledger, Vault};
use sal_proto::memory::{self, Error};
use sal_rt::abi::boot::{ExitReason, Startup};
use sal_rt::abi::message::Arrival;
use sal_rt::abi::{PAGE, Words};
use sal_rt::server::Service;
use sal_rt::sys::capability;
use sal_rt::{Grants, log, start};
use sal_vault::Lookup;
use zerocopy::FromBytes;

/// Frames of the budget that objects can't have: page tables, trees and this server's own heap come from there.
const RESERVE_PART: u64 = 16;

/// The service's number in its vault's header: the vault's kind says whose it is.
const OWNER: u32 = 0;

struct Server {
    ledger: Ledger<'static>,
    table: Table,
    /// Pages that all objects may have together.
    limit: u64,
}

pub(crate) fn main(startup: &'static Startup) {
    let grants = Grants(startup);
    let endpoint = grants.need("endpoint").handle;
    let table = Table(grants.need("table").handle);
    let given = capability::budget_info(grants.need("budget").handle).map_or(0, |info| info.given);
    let limit = given - given / RESERVE_PART;
    let mut server = Server { ledger: adopt(grants), table, limit };
    log::info!("incarnation {}: {} of {limit} pages given out", startup.incarnation, server.ledger.total());
    sal_rt::server::serve(endpoint, &mut server)
}

/// The book. A damaged one ends the service: objects that nobody knows any more would be charged to nobody.
fn adopt(grants: Grants<'static>) -> Ledger<'static> {
    let Some(bytes) = grants.vault() else { no_vault(format_args!("none was granted")) };
    let length = bytes.len();
    let Ok((vault, _)) = Vault::mut_from_prefix(bytes) else {
        no_vault(format_args!("it has {length} bytes, {} are needed", core::mem::size_of::<Vault>()))
    };
    match Ledger::adopt(vault, OWNER) {
        Ok(ledger) => ledger,
        Err(fault) => no_vault(format_args!("{fault}")),
    }
}

fn no_vault(why: core::fmt::Arguments<'_>) -> ! {
    start::die(ExitReason::MissingGrant, format_args!("memory can't use its vault: {why}"))
}

fn error(refusal: Refusal) -> Error {
    match refusal {
        Refusal::NoMemory => Error::NoMemory,
        Refusal::NotFound => Error::NotFound,
        Refusal::Full => Error::Full,
        Refusal::BadLength => Error::BadLength,
    }
}

/// Words of an answer that is remembered: the object's number.
fn answer(number: u32) -> Words {
    Response::results(&[u64::from(number)], &[]).words
}

impl Server {
    /// A capability of an account's object, for a reply.
    fn give(&self, account: u64, number: u32) -> Result<Give, Error> {
        let object = self.ledger.find(account, number).map_err(error)?;
        let own = self.table.own(object.kept).map_err(|_| Error::NotFound)?;
        Ok(Give { rights: GIVEN, ..Give::moved(own.into_handle()) })
    }
}

impl Server {
    /// Who asks, for an answer that is remembered.
    fn client(&self, call: &Call<'_>) -> Result<Client, Error> {
        match call.header.sequence {
            0 => Ok(Client::NOBODY),
            sequence => self.ledger.client(call.badge, call.header.slot, sequence).ok_or(Error::NoSlot),
        }
    }
}

impl memory::Server for Server {
    fn open_slot(&mut self, key: u64) -> Option<u16> {
        self.ledger.open_slot(key)
    }

    /// Only what makes an object is remembered: its answer is the object's number, and the capability is in the table.
    fn recall(&mut self, call: &Call<'_>) -> Option<Response> {
        if call.header.sequence == 0 {
            return None;
        }
        let known = self.client(call).map(|client| self.ledger.lookup(client));
        match known {
            Ok(Lookup::New) => None,
            Ok(Lookup::Answered([status, number, ..])) => Some(match self.give(call.badge, number as u32) {
                Ok(give) if status == Status::Done.word() => Response::results(&[number], &[give]),
                Ok(_) | Err(_) => Error::NotFound.response(),
            }),
            Ok(Lookup::Stale) => Some(Response::status(Status::Malformed)),
            Ok(Lookup::Closed) | Err(_) => Some(Error::NoSlot.response()),
        }
    }

    fn create(
        &mut self,
        call: &mut Call<'_>,
        a: memory::create::Arguments,
    ) -> Result<memory::create::Results, Stop<Error>> {
        let who = (call.badge, self.client(call)?);
        let (pages, table) = (a.bytes.div_ceil(PAGE), self.table);
        let number = self.ledger.create(who, pages, self.limit, || table.make(pages), answer).map_err(error)?;
        Ok(memory::create::Results { object: number, memory: self.give(call.badge, number)? })
    }

    fn resize(
        &mut self,
        call: &mut Call<'_>,
        a: memory::resize::Arguments,
    ) -> Result<memory::resize::Results, Stop<Error>> {
        let (pages, table) = (a.bytes.div_ceil(PAGE), self.table);
        let resize = |object: &sal_ledger::Object| {
            table.own(object.kept).is_ok_and(|object| object.resize(pages * PAGE).is_ok())
        };
        self.ledger.resize(call.badge, a.object, pages, self.limit, resize).map_err(error)?;
        Ok(memory::resize::Results {})
    }

    fn duplicate(
        &mut self,
        call: &mut Call<'_>,
        a: memory::duplicate::Arguments,
    ) -> Result<memory::duplicate::Results, Stop<Error>> {
        let who = (call.badge, self.client(call)?);
        let (old, table) = (self.ledger.find(call.badge, a.object).map_err(error)?, self.table);
        let make = || table.copy(old.kept, old.pages);
        let number = self.ledger.create(who, old.pages, self.limit, make, answer).map_err(error)?;
        Ok(memory::duplicate::Results { copy: number, memory: self.give(call.badge, number)? })
    }

    fn release(
        &mut self,
        call: &mut Call<'_>,
        a: memory::release::Arguments,
    ) -> Result<memory::release::Results, Stop<Error>> {
        // Emptied first: a death between the two leaves an empty object that is charged until the client repeats.
        let object = self.ledger.find(call.badge, a.object).ok();
        if let Some(object) = object.and_then(|object| self.table.own(object.kept).ok()) {
            empty(&object);
        }
        if let Some(kept) = self.ledger.release(call.badge, a.object) {
            self.table.forget(kept);
        }
        Ok(memory::release::Results {})
    }

    fn open(&mut self, call: &mut Call<'_>, a: memory::open::Arguments) -> Result<memory::open::Results, Stop<Error>> {
        let object = self.ledger.find(call.badge, a.object).map_err(error)?;
        Ok(memory::open::Results { bytes: object.pages * PAGE, memory: self.give(call.badge, a.object)? })
    }

    fn info(&mut self, call: &mut Call<'_>, _: memory::info::Arguments) -> Result<memory::info::Results, Stop<Error>> {
        let account = self.ledger.account(call.badge);
        let left = capability::budget_info(start::own::budget()).map_or(0, |info| info.left);
        Ok(memory::info::Results {
            charged: account.pages * PAGE,
            allowed: self.limit * PAGE,
            frames: left,
            objects: account.objects,
        })
    }
}

impl Service for Server {
    fn message(&mut self, arrival: Arrival, badge: u64, words: &Words, attachments: &mut dyn Attachments) -> Outcome {
        memory::dispatch(self, arrival, badge, words, attachments)
    }
}
