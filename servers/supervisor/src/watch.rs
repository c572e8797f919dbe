//! Start, adoption, and the loop: notifications, calls, ticks.

use alloc::boxed::Box;
use sal_abi::boot::{ExitReason, Startup};
use sal_abi::message::Kind;
use sal_abi::{Error, Handle};
use sal_bootimage::Symbols;
use sal_idl::Outcome;
use sal_proto::estate::Client;
use sal_proto::service::{PREDECESSOR, PREDECESSOR_PLACE, Place, answer};
use sal_rt::connection::Connection;
use sal_rt::grants::Grants;
use sal_rt::log;
use sal_rt::server::{InService, counts_commits, is_at};
use sal_supervise::{Event, Predecessor, State, Supervisor, TICK_NS};
use sal_sys::ipc::{Extras, Received};
use sal_sys::{ipc, machine, memory, page};
use sal_vault::{Committed, Expected};

use crate::estate::{Outside, Vault, landing, manifest};
use crate::files::Table;
use crate::raw;

/// Everything.
pub(crate) struct Watch {
    pub(crate) supervisor: Supervisor<'static>,
    pub(crate) outside: Outside,
    pub(crate) symbols: Table,
}

fn die(what: core::fmt::Arguments<'_>) -> ! {
    sal_rt::start::die(ExitReason::MissingGrant, what)
}

pub(crate) fn main(startup: &'static Startup) {
    let grants = Grants(startup);
    let endpoint = grants.need("endpoint").handle;
    let mut watch = begin(grants);
    let incarnation = startup.incarnation as u32;
    watch.supervisor.start(&mut watch.outside, machine::clock(), incarnation, predecessor(grants));
    counts_commits();
    let mut next_tick = machine::clock() + TICK_NS;
    loop {
        page::set_deadline(next_tick);
        is_at(Place::Waiting);
        let arrived = ipc::receive(endpoint, Extras::NONE.with_deadline());
        is_at(Place::Notice);
        let now = machine::clock();
        match arrived {
            Ok(received) => watch.take(&received, now),
            Err(failed) if failed.error == Error::DeadlinePassed => (),
            Err(failed) => die(format_args!("the supervisor can't receive: {}", failed.error.name())),
        }
        if now >= next_tick {
            is_at(Place::Notice);
            watch.supervisor.handle(&mut watch.outside, now, Event::Tick);
            // However late it is, it was one tick.
            next_tick = machine::clock() + TICK_NS;
        }
    }
}

/// How the predecessor died, if there was one.
fn predecessor(grants: Grants<'static>) -> Option<Predecessor> {
    let (death, place) = (grants.get(PREDECESSOR)?, grants.get(PREDECESSOR_PLACE)?);
    Some(Predecessor {
        reason: death.handle.0,
        at: death.address,
        landing: landing(place.handle.0),
        offset: place.address,
    })
}

/// Finds manifest, symbols and vault, and what a predecessor left in it.
fn begin(grants: Grants<'static>) -> Watch {
    let manifest = match manifest(raw::module(grants.need("module:manifest"))) {
        Ok(manifest) => Box::leak(Box::new(manifest)),
        Err(why) => die(format_args!("{why}")),
    };
    let symbols = grants.get("module:symbols").and_then(|grant| Symbols::open(raw::module(grant)).ok());
    let state = committed(adopted(grants));
    let supervisor = Supervisor::new(manifest, state.get().clone());
    let log = grants.find("log");
    let outside = Outside {
        manifest,
        root: Client(Connection::plain(grants.need("estate").handle)),
        state,
        rest_kib: rest_kib(log, manifest.machine.memory_kib),
    };
    Watch { supervisor, outside, symbols: Table(symbols) }
}

/// RAM beyond the manifest's least, less an eighth for the kernel's tables of it.
fn rest_kib(log: Handle, least: u32) -> u64 {
    let all = machine::machine_info(log).map_or(0, |info| info.frames * 4);
    all.saturating_sub(u64::from(least)) / 8 * 7
}

/// The vault as it was mapped.
fn adopted(grants: Grants<'static>) -> &'static mut Vault {
    let grant = grants.need("vault");
    let length = memory::memory_info(grant.handle).map_or(0, |info| info.length);
    match raw::vault(grant.address, length) {
        Some(vault) => vault,
        None => die(format_args!("the supervisor's vault must have {} bytes", size_of::<Vault>())),
    }
}

/// The state in the vault. A vault that is not a supervisor's of this version (a new one is all zeroes) starts anew: the estate's calls can
/// all be repeated.
fn committed(vault: &'static mut Vault) -> Committed<'static, State> {
    let expected =
        Expected { kind: u32::from_le_bytes(*b"supv"), owner: 0, version: 2, length: size_of::<State>() as u64 };
    if vault.header.verify(expected).is_ok() {
        match Committed::adopt(&mut vault.commit, &mut vault.copies) {
            Ok(state) => return state,
            Err(fault) => die(format_args!("the supervisor's vault is damaged: {fault:?}")),
        }
    }
    let state = Committed::make(&mut vault.commit, &mut vault.copies, State::new());
    vault.header.stamp(expected);
    state
}

impl Watch {
    /// A notification or a call.
    fn take(&mut self, received: &Received, now: u64) {
        match received.arrival.kind() {
            Kind::Notified => self.notified(received.badge as usize, received.words[0], now),
            Kind::Message => self.call(received),
            // It pages no memory: a fault can't arrive.
            Kind::Fault => log::error!("a fault arrived at the supervisor"),
        }
    }

    fn notified(&mut self, service: usize, bits: u64, now: u64) {
        if bits & answer::DEATH != 0 {
            self.supervisor.handle(&mut self.outside, now, Event::Death(service));
        }
        if bits & answer::BEAT != 0 {
            self.supervisor.handle(&mut self.outside, now, Event::Beat(service));
        }
    }

    fn call(&mut self, received: &Received) {
        is_at(Place::Request);
        let mut attachments = InService::new(received.arrival);
        let (arrival, badge, words) = (received.arrival, received.badge, &received.words);
        // Services that were granted the supervisor itself have their entry's number as badge; whoever found `/svc` has another.
        let outcome = match badge {
            1..=255 => sal_proto::supervisor::dispatch(self, arrival, badge, words, &mut attachments),
            _ => sal_proto::file::dispatch(self, arrival, badge, words, &mut attachments),
        };
        if let Outcome::Reply(response) = outcome {
            // Vacant: the caller has given up, nobody waits.
            let _ = ipc::reply(Handle::NONE, &response.words, Extras::NONE);
        }
        self.supervisor.die_if_ordered(&mut self.outside);
    }
}
