//! `cargo sal run`.

use crate::bundle::{self, Bundle};
use crate::cli::{Firmware, Run};
use crate::cmdline::{CommandLine, Console};
use crate::failure::{Failure, USAGE};
use crate::install::{Need, ensure};
use crate::iso;
use crate::machine::log::Log;
use crate::machine::qemu::{Boot, DebugServer, Machine};
use crate::machine::session::{self, Signals, Streams};
use crate::machine::terminal::{HOW_TO_LEAVE, RawMode};
use crate::workspace::Workspace;
use anyhow::Result;
use std::time::Duration;

/// Processors that QEMU's q35 machine can have.
const MOST_CPUS: u32 = 255;

/// Boots and runs one program, or a shell; returns the status to exit with.
pub(crate) fn run(options: &Run) -> Result<u8> {
    check_size(options)?;
    ensure(&needs(options))?;
    let workspace = Workspace::open()?;
    let bundle = bundle::make(&workspace, &options.contents)?;
    check_memory(&bundle, options.mem)?;
    let console = if RawMode::possible() { Console::Terminal } else { Console::Streams };
    let machine = machine(&workspace, &bundle, options, &command_line(options, console))?;
    let mut log = Log::open(options.log.as_deref())?;
    announce(options, console);
    let raw = if console == Console::Terminal { Some(RawMode::enter()?) } else { None };
    let streams = Streams {
        console,
        input: Some(Box::new(std::io::stdin())),
        output: &mut std::io::stdout(),
        error: &mut std::io::stderr(),
        signals: Signals::Handled,
        timeout: options.timeout.map(Duration::from_secs),
    };
    let outcome = session::run(machine.start()?, streams, &mut log);
    drop(raw);
    outcome?.status(&log)
}

/// What these options need from outside.
pub(crate) fn needs(options: &Run) -> Vec<Need> {
    match options.iso {
        None => vec![Need::Qemu],
        Some(Firmware::Bios) => vec![Need::Qemu, Need::Iso],
        Some(Firmware::Uefi) => vec![Need::Qemu, Need::Iso, Need::Ovmf],
    }
}

/// What the machine is told.
pub(crate) fn command_line(options: &Run, console: Console) -> CommandLine {
    let terminal = std::env::var("TERM").ok().filter(|_| console == Console::Terminal);
    let environment = terminal.map(|term| format!("TERM={term}")).into_iter().collect();
    CommandLine {
        console,
        command: options.command.clone(),
        environment,
        // An ISO image is kept for the next run, at another time.
        time: if options.iso.is_none() { wall_clock() } else { None },
    }
}

/// Seconds since 1970, if the host's clock knows.
fn wall_clock() -> Option<u64> {
    let passed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    passed.ok().map(|time| time.as_secs())
}

/// Refuses a machine that cannot be.
pub(crate) fn check_size(options: &Run) -> Result<()> {
    let smp = options.smp;
    if smp == 0 || smp > MOST_CPUS {
        return Err(Failure::new(USAGE, format!("--smp {smp}: a machine has 1 to {MOST_CPUS} processors")).into());
    }
    Ok(())
}

/// Refuses a machine whose memory cannot hold what it is to boot.
pub(crate) fn check_memory(bundle: &Bundle, mem: u64) -> Result<()> {
    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;
    let least = u64::from(bundle.manifest.machine.memory_kib) * KIB;
    let have = mem.saturating_mul(MIB);
    if have < least {
        let need = least.div_ceil(MIB);
        return Err(
            Failure::new(USAGE, format!("--mem {mem}: too little memory: the manifest needs {need} MiB")).into()
        );
    }
    // What the loader has put into memory stays there, and the root file system is made from it beside it.
    let reserved = u64::from(bundle.manifest.machine.reserved_kib) * KIB;
    let need = (least - reserved.min(least)) + reserved.max(bundle.image_size + bundle.ram_disk_size);
    if have < need {
        let (disk, need) = (bundle.ram_disk_size.div_ceil(MIB), need.div_ceil(MIB));
        let line =
            format!("--mem {mem}: the RAM disk of {disk} MiB does not fit: with it the machine needs {need} MiB");
        return Err(Failure::new(USAGE, line).into());
    }
    Ok(())
}

/// The machine that the options describe.
pub(crate) fn machine(workspace: &Workspace, bundle: &Bundle, options: &Run, line: &CommandLine) -> Result<Machine> {
    let boot = match options.iso {
        None => {
            Boot::Direct { kernel: bundle.kernel.clone(), image: bundle.image.clone(), command_line: line.encode() }
        }
        Some(firmware) => {
            Boot::Iso { file: iso::for_run(workspace, &bundle.kernel, &bundle.image, &line.encode())?, firmware }
        }
    };
    Ok(Machine {
        boot,
        smp: options.smp,
        mem: options.mem,
        debug: options.gdb.map(DebugServer::Port),
        icount: options.icount,
    })
}

fn announce(options: &Run, console: Console) {
    if console == Console::Terminal && options.command.is_empty() {
        eprintln!("sal: {HOW_TO_LEAVE}");
    }
    if let Some(port) = options.gdb {
        eprintln!("sal: waiting for a debugger: gdb -ex 'target remote localhost:{port}'");
    }
}
