//! Booting machines from tests.

use crate::bundle::{self, Bundle};
use crate::cli::{Contents, Firmware, Run};
use crate::cmdline::Console;
use crate::gdb::Debugger;
use crate::iso;
use crate::machine::log::Log;
use crate::machine::outcome::Outcome;
use crate::machine::qemu::{Boot, DebugServer, Machine, Running};
use crate::machine::session::{self, Signals, Streams};
use crate::manifest;
use crate::run;
use crate::workspace::Workspace;
use anyhow::{Context, Result, anyhow};
use std::collections::HashMap;
use std::io::Cursor;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Lines of the console that are shown with a failure.
const SHOWN: usize = 30;

/// How long the kernel may take alone, firmware and boot loader included.
const KERNEL_LIMIT: Duration = Duration::from_secs(60);

/// What tests share.
pub(crate) struct Lab {
    /// The repository.
    pub(crate) workspace: Workspace,
    /// Run the long versions?
    pub(crate) long: bool,
    bundles: Mutex<HashMap<String, Arc<Bundle>>>,
    alone: Mutex<Option<(PathBuf, PathBuf)>>,
    under: Mutex<HashMap<String, (PathBuf, PathBuf)>>,
}

/// What a machine left behind.
pub(crate) struct Finished {
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// What the program in it wrote to its standard output.
    pub(crate) output: Vec<u8>,
    /// And to its standard error.
    pub(crate) error: Vec<u8>,
    /// The log of the kernel and the services.
    pub(crate) log: Log,
}

impl Finished {
    /// The end of the console's text, for a failure's message.
    pub(crate) fn console(&self) -> String {
        let lines = self.log.last(SHOWN).iter().map(|line| format!("  {line}\n")).collect::<String>();
        format!("the end of the log:\n{lines}")
    }

    /// The program's exit status, or why there is none.
    pub(crate) fn status(&self) -> Result<u8, String> {
        let reason = match self.outcome.status(&self.log) {
            Ok(status) => return Ok(status),
            Err(error) => format!("{error:#}"),
        };
        // Most reasons show the log's end already.
        let whole = reason.contains('\n');
        Err(if whole { reason } else { format!("{reason}\n{}", self.console()) })
    }
}

impl Lab {
    /// Nothing built yet.
    pub(crate) fn new(workspace: Workspace, long: bool) -> Lab {
        Lab { workspace, long, bundles: Mutex::default(), alone: Mutex::default(), under: Mutex::default() }
    }

    /// Are all programs of that manifest written?
    pub(crate) fn has_system(&self, name: &str) -> bool {
        let written = |program: &&str| self.workspace.program(program).is_some_and(|program| program.written);
        manifest::read(&self.workspace, name).is_ok_and(|checked| checked.programs().iter().all(written))
    }

    /// What these contents build to; built once.
    pub(crate) fn bundle(&self, contents: &Contents) -> Result<Arc<Bundle>> {
        let key = format!("{contents:?}");
        let mut bundles = self.bundles.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(bundle) = bundles.get(&key) {
            return Ok(Arc::clone(bundle));
        }
        let bundle = Arc::new(bundle::make(&self.workspace, contents)?);
        bundles.insert(key, Arc::clone(&bundle));
        Ok(bundle)
    }

    /// Boots as `cargo sal run` with these options would, with that input.
    pub(crate) fn run(&self, options: &Run, input: Vec<u8>) -> Result<Finished> {
        self.run_with(options, None, input)
    }

    /// As [`Lab::run`], with this file in place of the boot image.
    pub(crate) fn run_with(&self, options: &Run, image: Option<&Path>, input: Vec<u8>) -> Result<Finished> {
        let machine = self.machine(options, image)?;
        boot(&machine, input, options.timeout.map(Duration::from_secs))
    }

    fn machine(&self, options: &Run, replacement: Option<&Path>) -> Result<Machine> {
        let bundle = self.bundle(&options.contents)?;
        run::check_memory(&bundle, options.mem)?;
        let line = run::command_line(options, Console::Streams);
        let mut machine = run::machine(&self.workspace, &bundle, options, &line)?;
        if let (Some(replacement), Boot::Direct { image, .. }) = (replacement, &mut machine.boot) {
            *image = replacement.to_path_buf();
        }
        Ok(machine)
    }

    /// Builds the kernel, so that no test's time has it in it.
    pub(crate) fn build_kernel(&self) -> Result<(PathBuf, PathBuf)> {
        let mut alone = self.alone.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match &*alone {
            Some(files) => Ok(files.clone()),
            None => Ok(alone.insert(bundle::kernel_alone(&self.workspace)?).clone()),
        }
    }

    /// Boots the kernel without servers, with that command line.
    pub(crate) fn kernel(&self, command_line: &str, smp: u32, firmware: Option<Firmware>) -> Result<Finished> {
        let mut machine = self.kernel_machine(command_line)?;
        machine.smp = smp;
        if let (Some(firmware), Boot::Direct { kernel, image, command_line }) = (firmware, &machine.boot) {
            let file = iso::for_run(&self.workspace, kernel, image, command_line)?;
            machine.boot = Boot::Iso { file, firmware };
        }
        boot(&machine, Vec::new(), Some(KERNEL_LIMIT))
    }

    /// As [`Lab::kernel`] on one processor, with a debugger: `act` gets the machine stopped before its first instruction.
    pub(crate) fn debug_kernel(
        &self,
        command_line: &str,
        act: impl FnOnce(Debugger<UnixStream>) -> Result<()> + Send,
    ) -> Result<Finished> {
        debugged(self.kernel_machine(command_line)?, Vec::new(), KERNEL_LIMIT, act)
    }

    /// As [`Lab::run`], without input; QEMU is stopped for `still`, `after` so long.
    pub(crate) fn run_stopped(&self, options: &Run, after: Duration, still: Duration) -> Result<Finished> {
        let machine = self.machine(options, None)?;
        let running = machine.start()?;
        let qemu = rustix::process::Pid::from_raw(running.id() as i32).context("QEMU has no process number")?;
        std::thread::scope(|scope| {
            let stopper = scope.spawn(move || -> Result<()> {
                std::thread::sleep(after);
                rustix::process::kill_process(qemu, rustix::process::Signal::STOP)?;
                std::thread::sleep(still);
                Ok(rustix::process::kill_process(qemu, rustix::process::Signal::CONT)?)
            });
            let finished = converse(running, Vec::new(), options.timeout.map(Duration::from_secs))?;
            stopper.join().map_err(|_| anyhow!("the stopping thread panicked"))??;
            Ok(finished)
        })
    }

    /// As [`Lab::run`], with a debugger: `act` gets the machine stopped before its first instruction, and what it boots.
    pub(crate) fn debug(
        &self,
        options: &Run,
        input: Vec<u8>,
        act: impl FnOnce(Debugger<UnixStream>, &Bundle) -> Result<()> + Send,
    ) -> Result<Finished> {
        let bundle = self.bundle(&options.contents)?;
        let limit = options.timeout.map_or(KERNEL_LIMIT, Duration::from_secs);
        debugged(self.machine(options, None)?, input, limit, |debugger| act(debugger, &bundle))
    }

    /// Boots the kernel with that program as the root task, alone.
    pub(crate) fn under(&self, program: &str, command_line: &str, smp: u32) -> Result<Finished> {
        let (kernel, image) = self.build_under(program)?;
        let boot = Boot::Direct { kernel, image, command_line: command_line.to_string() };
        let machine = Machine { smp, ..plain(boot) };
        self::boot(&machine, Vec::new(), Some(KERNEL_LIMIT))
    }

    /// The kernel and an image with that root task; built once.
    fn build_under(&self, program: &str) -> Result<(PathBuf, PathBuf)> {
        let mut under = self.under.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match under.get(program) {
            Some(files) => Ok(files.clone()),
            None => {
                let files = bundle::kernel_under(&self.workspace, program)?;
                under.insert(program.to_string(), files.clone());
                Ok(files)
            }
        }
    }

    fn kernel_machine(&self, command_line: &str) -> Result<Machine> {
        let (kernel, image) = self.build_kernel()?;
        let boot = Boot::Direct { kernel, image, command_line: command_line.to_string() };
        Ok(plain(boot))
    }
}

/// One processor, as much memory as usual.
fn plain(boot: Boot) -> Machine {
    Machine { boot, smp: 1, mem: 256, debug: None, icount: false }
}

/// Boots with a debug server, and runs `act` beside the machine. When `act` fails, what the machine said until then is told too.
fn debugged(
    mut machine: Machine,
    input: Vec<u8>,
    limit: Duration,
    act: impl FnOnce(Debugger<UnixStream>) -> Result<()> + Send,
) -> Result<Finished> {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("debug");
    machine.debug = Some(DebugServer::Socket(socket.clone()));
    std::thread::scope(|scope| {
        let debugger = scope.spawn(move || act(Debugger::connect_socket(&socket, KERNEL_LIMIT)?));
        let finished = boot(&machine, input, Some(limit))?;
        let acted = debugger.join().map_err(|_| anyhow!("the debugging thread panicked"))?;
        acted.with_context(|| format!("the debugger; the machine: {:?}, {}", finished.outcome, finished.console()))?;
        Ok(finished)
    })
}

fn boot(machine: &Machine, input: Vec<u8>, timeout: Option<Duration>) -> Result<Finished> {
    converse(machine.start()?, input, timeout)
}

/// Speaks with a machine until its end.
fn converse(machine: Running, input: Vec<u8>, timeout: Option<Duration>) -> Result<Finished> {
    let (mut output, mut error, mut log) = (Vec::new(), Vec::new(), Log::default());
    let streams = Streams {
        console: Console::Streams,
        input: Some(Box::new(Cursor::new(input))),
        output: &mut output,
        error: &mut error,
        signals: Signals::Ignored,
        timeout,
    };
    let outcome = session::run(machine, streams, &mut log)?;
    Ok(Finished { outcome, output, error, log })
}
