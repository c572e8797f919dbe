//! From the start-up page to the first program.

use crate::bank::Bank;
use crate::door::{Door, badge};
use crate::machine::Machine;
use crate::mounts::{Names, mount};
use crate::pool::Pool;
use crate::shared::{Core, Shared};
use crate::source::Source;
use crate::store::Store;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use sal_abi::boot::{ExitReason, Startup};
use sal_abi::{Handle, Rights};
use sal_idl::Give;
use sal_linux_core::cmdline::CommandLine;
use sal_linux_core::{Config, Errno, Linux, Platform, Stdio};
use sal_proto::console::{self, Kind, Stream};
use sal_proto::memory;
use sal_rt::connection::fresh_key;
use sal_rt::handle::Notification;
use sal_rt::{Connection, Grants, Mutex, log, start};
use sal_sys::capability;
use sal_sys::ipc::{self, Extras};
use sal_vfs::{MountKind, Packed};

/// Where a program without a path is looked for.
const PATH: &[u8] = b"/usr/sbin:/usr/bin:/sbin:/bin";

/// As the shells have it: a command that was not found, one that can't be executed, a system that does not start.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;
const NO_SYSTEM: u8 = 125;

/// Frames kept for the personality itself: of `OWN_OF` parts of its budget so many, but not more than that.
const OWN_PARTS: u64 = 2;
const OWN_OF: u64 = 5;
const OWN_MOST: u64 = 32768;
/// Of these, the part that inodes and names may not have: it is for stacks, pipes, tables, page tables.
const REST_PART: u64 = 5;

/// Why the first program doesn't run: what is written to the error output, and the machine's exit status.
struct Refusal(String, u8);

pub(crate) fn main(startup: &'static Startup) {
    let grants = Grants(startup);
    let endpoint = grants.need("endpoint").handle;
    let console = grants.need("console").handle;
    let bell = |badge| match Notification::create(endpoint, badge) {
        Ok(made) => made,
        Err(error) => no_resources("a notification", error),
    };
    let console_bell = bell(badge::CONSOLE).into_handle();
    let mut terminal = console::Client(connect(console));
    let stdio = host_end(&mut terminal, console_bell, endpoint);
    let mut line = command_line(grants);
    let protect_init = line.command.is_empty();
    complete(&mut line, grants, stdio);
    let config = Config { protect_init, stdio, ..Config::default() };
    let core = new_core(startup, grants, config, line.time);
    let supervisor = grants.find("supervisor");
    let shared: &'static Shared =
        Box::leak(Box::new(Shared::new(core, Pool::new(console), supervisor, bell(badge::OWN))));
    shared.core.lock().machine.shared = Some(shared);
    let mut door = Door { shared, console: terminal, names: grants.get("names").map(|grant| Names::new(grant.handle)) };
    let started = populate(shared, grants).and_then(|()| {
        if let Some(names) = &mut door.names {
            names.watch(bell(badge::NAMES).into_handle());
            names.refresh(shared);
        }
        run(shared, &line)
    });
    if let Err(Refusal(text, status)) = started {
        log::error!("{text}");
        complain(&mut door.console, &text);
        shared.end(status);
    }
    door.watch(console_bell);
    sal_rt::server::serve(endpoint, &mut door)
}

fn no_resources(what: &str, error: sal_abi::Error) -> ! {
    start::die(ExitReason::NoResources, format_args!("linux: no {what}: {}", error.name()))
}

fn connect(endpoint: Handle) -> Connection {
    match Connection::open(endpoint, fresh_key()) {
        Ok(connection) => connection,
        Err(failure) => {
            start::die(ExitReason::NoResources, format_args!("linux: a server can't be called: {failure:?}"))
        }
    }
}

/// What the host has at its end; waits until the console knows.
fn host_end(console: &mut console::Client<Connection>, bell: Handle, endpoint: Handle) -> Stdio {
    if let Err(failure) = console.watch(Give::copy(bell, Rights::SEND)) {
        log::error!("the console does not tell of events: {failure:?}");
    }
    loop {
        match console.info().map(|info| info.kind) {
            Ok(Kind::Terminal) => return Stdio::Terminal,
            Ok(Kind::Streams) => return Stdio::Streams,
            // When it is known the console has room to write, which it tells.
            Ok(Kind::Unknown) => {
                let _ = ipc::receive(endpoint, Extras::NONE);
            }
            Err(failure) => {
                log::error!("the console does not say what the host has: {failure:?}");
                return Stdio::Streams;
            }
        }
    }
}

fn command_line(grants: Grants<'static>) -> CommandLine {
    let mut text = vec![0; sal_abi::PAGE as usize];
    let length = match grants.get("module:cmdline") {
        Some(grant) => sal_sys::memory::memory_read(grant.handle, 0, &mut text).unwrap_or(0),
        None => 0,
    };
    CommandLine::read(text.get(..length).unwrap_or_default())
}

/// What the host did not say: the manifest's command, the usual variables.
fn complete(line: &mut CommandLine, grants: Grants<'static>, stdio: Stdio) {
    if line.command.is_empty() {
        let manifest = grants.module("module:manifest").and_then(|bytes| sal_manifest::decode(bytes).ok());
        let command = manifest.map(|m| m.boot.command).unwrap_or_else(|| vec![String::from("/bin/sh")]);
        line.command = command.into_iter().map(String::into_bytes).collect();
    }
    line.default_variable(b"PATH", PATH);
    line.default_variable(b"HOME", b"/root");
    if stdio == Stdio::Terminal {
        line.default_variable(b"TERM", b"linux");
    }
}

fn new_core(startup: &'static Startup, grants: Grants<'static>, config: Config, time: Option<u64>) -> Core {
    let own = start::own::budget();
    let left = capability::budget_info(own).map_or(0, |info| info.left);
    let keep = (left / OWN_OF * OWN_PARTS).min(OWN_MOST);
    let programs = match capability::budget_create(own, left - keep) {
        Ok(budget) => budget,
        Err(error) => no_resources("budget for programs", error),
    };
    let mut machine = Machine::new(startup, programs);
    if let Some(seconds) = time {
        let offset = (seconds * 1_000_000_000).saturating_sub(machine.now());
        let _ = machine.set_realtime_offset(offset);
    }
    let source = match grants.get("memory") {
        Some(grant) => Source::Server(memory::Client(connect(grant.handle))),
        None => Source::Budget(programs),
    };
    let source: &'static Mutex<Source> = Box::leak(Box::new(Mutex::new(source)));
    let store = sal_linux_core::Store(Box::new(Packed::new(Bank(source), Store::new(source))));
    let mut linux = match Linux::new(config, store, &mut machine) {
        Ok(linux) => linux,
        Err(error) => start::die(ExitReason::NoResources, format_args!("linux: no root file system: {error:?}")),
    };
    let mut seed = [0; 32];
    machine.random(&mut seed);
    linux.vfs().seed(seed);
    linux.vfs().limit_room((keep - keep / REST_PART) * sal_abi::PAGE);
    Core { linux, machine }
}

/// Fills the root from the RAM disk and mounts what every program expects.
fn populate(shared: &'static Shared, grants: Grants<'static>) -> Result<(), Refusal> {
    let archive = grants.module("module:ramdisk").unwrap_or_default();
    let mut core = shared.core.lock();
    let Core { linux, machine } = &mut *core;
    let loaded = linux.with_files(machine, |vfs, ctx| vfs.load_tar(archive, ctx.now()));
    match loaded {
        Ok(Ok(entries)) => log::info!("root file system: {entries} entries"),
        Ok(Err(error)) => return Err(Refusal(format!("the RAM disk can't be used: {error}"), NO_SYSTEM)),
        Err(error) => {
            return Err(Refusal(format!("the RAM disk can't be loaded: {error:?}"), NO_SYSTEM));
        }
    }
    mount(&mut core, b"/dev", MountKind::Dev);
    mount(&mut core, b"/proc", MountKind::Proc);
    Ok(())
}

/// Starts the first program.
fn run(shared: &'static Shared, line: &CommandLine) -> Result<(), Refusal> {
    let mut core = shared.core.lock();
    let Core { linux, machine } = &mut *core;
    let name = line.command.first().map(Vec::as_slice).unwrap_or_default();
    let refused = |what: &str, error: Errno| {
        let status = if error == Errno::ENOENT { NOT_FOUND } else { NOT_EXECUTABLE };
        Refusal(format!("{}: {what}", name.escape_ascii()), status)
    };
    let path = line.variable(b"PATH").unwrap_or(PATH);
    let file = linux.find_program(name, path, machine).map_err(|e| refused(said(e), e))?;
    linux
        .start_init(&file, line.command.clone(), line.environment.clone(), machine)
        .map(drop)
        .map_err(|(what, e)| refused(&format!("{} ({what})", said(e)), e))
}

/// The error in words.
fn said(error: Errno) -> &'static str {
    match error {
        Errno::ENOENT => "not found",
        Errno::EACCES => "not executable",
        Errno::ENOEXEC => "not a program for this machine",
        Errno::ELIBBAD => "its interpreter is not a program for this machine",
        Errno::ENOMEM => "too little memory",
        Errno::ENOTDIR => "not a directory on the way",
        Errno::ELOOP => "too many symbolic links",
        _ => "it can't be executed",
    }
}

/// One line to the host's error output.
fn complain(console: &mut console::Client<Connection>, text: &str) {
    let line = format!("sal: {text}\n");
    let mut rest = line.as_bytes();
    while !rest.is_empty() {
        match console.write(Stream::Error, 0, rest) {
            Ok(reply) => rest = rest.get(reply.count as usize..).unwrap_or_default(),
            Err(_) => return,
        }
    }
}
