//! Start, the loop, and the supervisor's health.

use sal_abi::boot::{DeathKind, ProcessState, Startup};
use sal_abi::{Error, Handle, Rights};
use sal_bootimage::{Image, Kind, MANIFEST, SYMBOLS};
use sal_idl::Outcome;
use sal_load::{Random, Row, What, name};
use sal_manifest::{Header, SERVICES, SUPERVISOR};
use sal_proto::estate;
use sal_proto::estate::flags::{ENDPOINT, OWN_PRIORITY, WIRED};
use sal_rt::grants::Grants;
use sal_rt::log;
use sal_rt::server::InService;
use sal_sys::ipc::Extras;
use sal_sys::{ipc, machine, process};

use crate::entry::{Died, Entry, Means, Shape};
use crate::raw;
use crate::serve::{Root, place};

/// A supervisor that lived so long (one of its ticks) has adopted and looked after everybody once: its earlier deaths don't count any more.
const HEALTHY_NS: u64 = 10_000_000;
/// So many deaths in a row by its own fault, none of them healthy: it would go on like this for ever.
const DEATHS_MOST: u32 = 10;
/// Status with which the machine ends when the root task gives up.
const GIVEN_UP: u64 = 125;

pub(crate) fn main(startup: &'static Startup) {
    let log = Grants(startup).find("log");
    let mut root = match begin(startup) {
        Ok(root) => root,
        Err(what) => return give_up(log, what),
    };
    let (mut deaths, mut born) = (0, machine::clock());
    let mut arrival = ipc::receive(root.means.endpoint, Extras::NONE);
    loop {
        arrival = match arrival {
            Ok(got) if got.arrival.kind() == sal_abi::message::Kind::Message => {
                match estate::dispatch(&mut root, got.arrival, got.badge, &got.words, &mut InService::new(got.arrival))
                {
                    Outcome::Reply(r) => ipc::reply_receive(root.means.endpoint, &r.words, Extras::NONE),
                    Outcome::Kept => ipc::receive(root.means.endpoint, Extras::NONE),
                }
            }
            Ok(_) => {
                if let Err(what) = heal(&mut root, &mut deaths, &mut born) {
                    return give_up(log, what);
                }
                ipc::receive(root.means.endpoint, Extras::NONE)
            }
            Err(_) => ipc::receive(root.means.endpoint, Extras::NONE),
        };
    }
}

fn give_up(log: Handle, what: &str) {
    log::error!("root: {what}; the machine ends");
    // Should even that be refused, returning from main ends the root task, which ends the machine too.
    let _ = machine::power_off(log, GIVEN_UP);
}

/// Collects what the kernel granted, makes the supervisor's entry and starts it.
fn begin(startup: &'static Startup) -> Result<Root, &'static str> {
    let grants = Grants(startup);
    let image = grants.get("image").ok_or("the kernel granted no boot image")?;
    let bytes = raw::mapped(image).map_err(|_| "the boot image is not mapped")?;
    let budget = grants.find("budget");
    let endpoint = ipc::endpoint_create(budget).map_err(|_| "no endpoint")?;
    let mut root = Root {
        means: Means {
            image: Image::open(bytes).map_err(|_| "the boot image is damaged")?,
            image_memory: image.handle,
            space: grants.find("space"),
            budget,
            log: grants.find("log"),
            ports: grants.find("ports"),
            interrupts: grants.find("interrupts"),
            command_line: grants.find("cmdline"),
            endpoint,
            supervisor: Handle::NONE,
            random: Random(startup.entropy.iter().fold(0, |a, b| a.rotate_left(17) ^ b)),
            clock: [startup.ticks_per_us, startup.tick_zero, startup.cpus],
        },
        table: [None; SERVICES],
    };
    let mut supervisor = entry_of_supervisor(&root).map_err(|e| describe("the supervisor has no entry", e))?;
    root.means.supervisor = supervisor.endpoint;
    supervisor.spawn(&mut root.means, 1, (0, 0)).map_err(|e| describe("the supervisor does not start", e))?;
    if let Some(place) = root.table.first_mut() {
        *place = Some(supervisor);
    }
    Ok(root)
}

/// Logs the kernel's reason beside what it prevented.
fn describe(what: &'static str, error: Error) -> &'static str {
    log::error!("root: {what}: {}", error.name());
    what
}

/// The supervisor's entry, from the manifest's header.
fn entry_of_supervisor(root: &Root) -> Result<Entry, Error> {
    let image = &root.means.image;
    let manifest = image.find(Kind::Manifest, MANIFEST).map_err(|_| Error::Vacant)?;
    let header = Header::read(manifest.bytes).ok_or(Error::BadArgument)?;
    let shape = Shape {
        program: name(SUPERVISOR.as_bytes()),
        memory_kib: header.memory_kib,
        vault_kib: header.vault_kib,
        priority: header.priority as u8,
        threads: 1,
        // A shell that writes to a `ctl` lends it little priority, and what it then has to watch may rank above that.
        flags: WIRED | ENDPOINT | OWN_PRIORITY,
    };
    let mut entry = Entry::new(&root.means, 0, shape)?;
    let log_rights = Rights::SEND.or(Rights::WRITE).or(Rights::READ);
    let estate = What::Capability(root.means.endpoint, Rights::SEND, 0);
    let log = What::Capability(root.means.log, log_rights, 0);
    entry.add(Row::new("estate", estate))?;
    entry.add(Row::new("log", log))?;
    let symbols = image.find(Kind::Symbols, SYMBOLS).ok();
    for (n, found) in [("module:manifest", Some(manifest)), ("module:symbols", symbols)] {
        if let Some(m) = found {
            entry.add(Row::new(n, What::Module(m.offset, m.bytes.len() as u64)))?;
        }
    }
    Ok(entry)
}

/// The supervisor may have died: starts it again on the same endpoint and vault, unless it never gets anywhere.
fn heal(root: &mut Root, deaths: &mut u32, born: &mut u64) -> Result<(), &'static str> {
    let Some(Some(entry)) = root.table.first_mut() else {
        return Ok(());
    };
    let info = process::process_info(entry.running.process).map_err(|_| "the supervisor's process is gone")?;
    if info.state != ProcessState::Dead as u64 {
        return Ok(());
    }
    let ordered = info.reason & 0xff == DeathKind::Killed as u64;
    let now = machine::clock();
    let counts = !ordered && now.saturating_sub(*born) <= HEALTHY_NS;
    *deaths = if counts { *deaths + 1 } else { 0 };
    let offset = info.rip.wrapping_sub(entry.running.image);
    let place = place(&entry.running) as u64;
    entry.died = Some(Died { reason: info.reason, at: now, place, offset });
    log::warn!("root: supervisor died, reason {:#x} at image+{offset:#x}", info.reason);
    if *deaths >= DEATHS_MOST {
        return Err("the supervisor dies at each start");
    }
    *born = now;
    let incarnation = entry.incarnation + 1;
    entry.spawn(&mut root.means, incarnation, (0, 0)).map_err(|e| describe("the supervisor does not start again", e))
}
