//! The world of the supervisor's core: the root task's estate, the vault, the log.

use alloc::string::String;
use core::fmt;
use sal_abi::{Error, Rights};
use sal_idl::header::{Header as RequestHeader, SEQUENCES};
use sal_idl::{Failure, Word};
use sal_manifest::{LogAccess, Manifest, Service, grant};
use sal_proto::estate::{self, Client, GrantKind};
use sal_proto::service::{Place, signal};
use sal_rt::connection::Connection;
use sal_rt::log;
use sal_supervise::state::{Landing, Request};
use sal_supervise::world::{Report, World};
use sal_supervise::{ITSELF, Signal, State};
use sal_vault::{Commit, Committed, Header};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// What lies in the vault.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Vault {
    pub(crate) header: Header,
    pub(crate) commit: Commit,
    pub(crate) copies: [State; 2],
}

/// The world.
pub(crate) struct Outside {
    pub(crate) manifest: &'static Manifest,
    pub(crate) root: Client<Connection>,
    pub(crate) state: Committed<'static, State>,
    /// RAM of the machine beyond the manifest's least, KiB: services have shares of it.
    pub(crate) rest_kib: u64,
}

/// The kernel's error nearest to what the estate said; the core only records it.
fn kernel_error(failure: Failure<estate::Error>) -> Error {
    match failure {
        Failure::Refused(estate::Error::NoResources) => Error::NoBudget,
        Failure::Refused(estate::Error::WrongIncarnation) => Error::Occupied,
        Failure::Refused(estate::Error::NotFound | estate::Error::NoProgram) => Error::Vacant,
        Failure::Refused(_) => Error::BadArgument,
        Failure::Transport(e) => e.error,
        _ => Error::BadCall,
    }
}

/// The core knows where a request's number stands, because a library knows no interface: it stands there.
const _: () = {
    let numbered = RequestHeader { operation: 0, flags: 0, slot: 0, sequence: SEQUENCES - 1 };
    assert!(numbered.word() == Request::NUMBER);
};

/// Where a death landed, from what the dead was at.
pub(crate) fn landing(place: u64) -> Landing {
    match Place::get(place) {
        Some(Place::Waiting) => Landing::Idle,
        Some(Place::Request) => Landing::Request,
        Some(Place::Notice) => Landing::Notice,
        Some(Place::Commit) => Landing::Commit,
        Some(Place::Adoption) | None => Landing::Adoption,
    }
}

impl Outside {
    fn service(&self, i: usize) -> Result<&'static Service, Error> {
        self.manifest.services.get(i).ok_or(Error::BadArgument)
    }

    fn give(&mut self, to: usize, kind: GrantKind, name: &str, a: u64, b: u64, rights: Rights) -> Result<(), Error> {
        self.root.grant(to as u16, kind, a, b, rights.0, name).map(drop).map_err(kernel_error)
    }

    fn give_devices(&mut self, i: usize, s: &Service) -> Result<(), Error> {
        for range in &s.ports {
            let (first, last) = (u64::from(range.first), u64::from(range.first) + u64::from(range.count) - 1);
            self.give(i, GrantKind::Ports, &grant::ports(range.first), first, last, Rights::NONE)?;
        }
        for line in &s.interrupts {
            self.give(i, GrantKind::Interrupt, &grant::interrupt(*line), u64::from(*line), 0, Rights::NONE)?;
        }
        for module in &s.modules {
            self.give(i, GrantKind::Module, &grant::module(module), 0, 0, Rights::NONE)?;
        }
        Ok(())
    }

    fn give_endpoints(&mut self, i: usize, s: &Service) -> Result<(), Error> {
        for u in &s.uses {
            let name = &self.service(usize::from(u.service))?.name;
            self.give(i, GrantKind::Service, name, u64::from(u.service), u64::from(u.transfer), Rights::NONE)?;
        }
        if s.name != sal_manifest::NAMES {
            return Ok(());
        }
        for (j, other) in self.manifest.services.iter().enumerate() {
            for prefix in &other.mounts {
                self.give(i, GrantKind::Mount, prefix, j as u64, 0, Rights::NONE)?;
            }
        }
        Ok(())
    }
}

/// Rights of the log's capability.
fn log_rights(access: LogAccess) -> Option<Rights> {
    let write = Rights::SEND.or(Rights::WRITE);
    match access {
        LogAccess::None => None,
        LogAccess::Write => Some(write),
        LogAccess::Read => Some(write.or(Rights::READ)),
        LogAccess::Power => Some(write.or(Rights::READ).or(Rights::MANAGE)),
    }
}

impl World for Outside {
    fn commit(&mut self, state: &State) {
        self.state.update(|kept| kept.clone_from(state));
    }

    fn describe(&mut self, i: usize) -> Result<(), Error> {
        use estate::flags::{ENDPOINT, WIRED};
        let s = self.service(i)?;
        let share = self.rest_kib * u64::from(s.rest_percent) / 100;
        let memory = u32::try_from(u64::from(s.memory_kib) + share).unwrap_or(u32::MAX);
        let flags = [(s.wired, WIRED), (s.endpoint, ENDPOINT)];
        let flags = flags.iter().filter(|(set, _)| *set).fold(0, |all, (_, flag)| all | flag);
        let program: &str = &s.program;
        let made = self.root.describe(i as u16, memory, s.vault_kib, s.priority, s.threads, flags, program);
        made.map(drop).map_err(kernel_error)
    }

    fn grant(&mut self, i: usize) -> Result<(), Error> {
        let s = self.service(i)?;
        if let Some(rights) = log_rights(s.log) {
            self.give(i, GrantKind::Log, "log", 0, 0, rights)?;
        }
        if s.heartbeat != sal_manifest::Heartbeat::Off {
            self.give(i, GrantKind::Heartbeat, grant::HEARTBEAT, 0, 0, Rights::NONE)?;
        }
        self.give_devices(i, s)?;
        self.give_endpoints(i, s)
    }

    fn spawn(&mut self, i: usize, incarnation: u32, poison: Request) -> Result<(), Error> {
        let spawned = self.root.spawn(i as u16, incarnation, poison.client, poison.word);
        spawned.map(drop).map_err(kernel_error)
    }

    fn kill(&mut self, i: usize, incarnation: u32, reason: u64) -> Result<(), Error> {
        self.root.kill(i as u16, incarnation, reason).map(drop).map_err(kernel_error)
    }

    fn report(&mut self, i: usize) -> Result<Report, Error> {
        let mut r = estate::Report::new_zeroed();
        self.root.report(i as u16, r.as_mut_bytes()).map_err(kernel_error)?;
        Ok(Report {
            incarnation: r.incarnation,
            alive: r.alive == 1,
            reason: r.reason,
            registers: r.registers,
            fault: r.fault,
            image: r.image,
            cpu_ns: r.cpu_ns,
            queued: r.queued,
            receiving: r.receiving,
            oldest_ns: r.oldest_ns,
            blocked: r.blocked == 1,
            request: Request::in_service(r.request_badge, r.request_word),
            landing: landing(u64::from(r.place)),
        })
    }

    fn read(&mut self, i: usize, incarnation: u32, address: u64, to: &mut [u8]) -> usize {
        self.root.read(i as u16, incarnation, address, to).map_or(0, |r| r.count as usize)
    }

    fn fail(&mut self, i: usize, code: u64) -> Result<(), Error> {
        self.root.fail(i as u16, code).map(drop).map_err(kernel_error)
    }

    fn signal(&mut self, i: usize, what: Signal) {
        let bits = match what {
            Signal::Ping => signal::PING,
            Signal::Hang => signal::HANG,
            Signal::Pause => signal::PAUSE,
            Signal::Resume => signal::RESUME,
        };
        // A service that can't be told anything is one whose heartbeat stays unanswered.
        if i != ITSELF {
            let _ = self.root.signal(i as u16, bits);
        }
    }

    fn power_off(&mut self, status: u64) {
        let status = u8::try_from(status).unwrap_or(u8::MAX);
        if let Err(error) = self.root.power_off(status) {
            log::error!("the machine does not end: {error:?}");
        }
    }

    fn log(&mut self, line: fmt::Arguments<'_>) {
        log::info!("{line}");
    }
}

/// The manifest, or the one line that says why there is none.
pub(crate) fn manifest(module: &[u8]) -> Result<Manifest, String> {
    sal_manifest::decode(module).map_err(|why| alloc::format!("the manifest can't be read: {why:?}"))
}
