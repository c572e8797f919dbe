//! Booting machines from tests.

use crate::bundle::{self, Bundle};
use crate::cli::{Contents, Run};
use crate::cmdline::Console;
use crate::machine::log::Log;
use crate::machine::outcome::Outcome;
use crate::machine::qemu::{Boot, Machine};
use crate::machine::session::{self, Signals, Streams};
use crate::run;
use crate::workspace::Workspace;
use anyhow::Result;
use std::collections::HashMap;
use std::io::Cursor;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Lines of the console that are shown with a failure.
const SHOWN: usize = 30;

/// What tests share.
pub(crate) struct Lab {
    /// The repository.
    pub(crate) workspace: Workspace,
    /// Run the long versions?
    pub(crate) long: bool,
    bundles: Mutex<HashMap<String, Arc<Bundle>>>,
    alone: Mutex<Option<(PathBuf, PathBuf)>>,
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
        let lines = self
            .log
            .last(SHOWN)
            .iter()
            .map(|line| format!("  {line}\n"))
            .collect::<String>();
        format!("the end of the log:\n{lines}")
    }

    /// The program's exit status, or why there is none.
    pub(crate) fn status(&self) -> Result<u8, String> {
        match self.outcome.status(&self.log) {
            Ok(status) => Ok(status),
            Err(error) => Err(format!("{error:#}\n{}", self.console())),
        }
    }
}

impl Lab {
    /// Nothing built yet.
    pub(crate) fn new(workspace: Workspace, long: bool) -> Lab {
        Lab {
            workspace,
            long,
            bundles: Mutex::default(),
            alone: Mutex::default(),
        }
    }

    /// What these contents build to; built once.
    pub(crate) fn bundle(&self, contents: &Contents) -> Result<Arc<Bundle>> {
        let key = format!("{contents:?}");
        let mut bundles = self
            .bundles
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(bundle) = bundles.get(&key) {
            return Ok(Arc::clone(bundle));
        }
        let bundle = Arc::new(bundle::make(&self.workspace, contents)?);
        bundles.insert(key, Arc::clone(&bundle));
        Ok(bundle)
    }

    /// Boots as `cargo sal run` with these options would, with that input.
    pub(crate) fn run(&self, options: &Run, input: Vec<u8>) -> Result<Finished> {
        let bundle = self.bundle(&options.contents)?;
        run::check_memory(&bundle, options.mem)?;
        let line = run::command_line(options, Console::Streams);
        let machine = run::machine(&self.workspace, &bundle, options, &line)?;
        boot(&machine, input, options.timeout.map(Duration::from_secs))
    }

    /// Boots the kernel without servers, with that command line.
    pub(crate) fn kernel(
        &self,
        command_line: &str,
        smp: u32,
        mem: u64,
        timeout: Duration,
    ) -> Result<Finished> {
        let mut alone = self.alone.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (kernel, image) = match &*alone {
            Some(files) => files.clone(),
            None => alone.insert(bundle::kernel_alone(&self.workspace)?).clone(),
        };
        drop(alone);
        let boot = Boot::Direct {
            kernel,
            image,
            command_line: command_line.to_string(),
        };
        self::boot(
            &Machine {
                boot,
                smp,
                mem,
                gdb: None,
                icount: false,
            },
            Vec::new(),
            Some(timeout),
        )
    }
}

fn boot(machine: &Machine, input: Vec<u8>, timeout: Option<Duration>) -> Result<Finished> {
    let (mut output, mut error, mut log) = (Vec::new(), Vec::new(), Log::default());
    let streams = Streams {
        console: Console::Streams,
        input: Some(Box::new(Cursor::new(input))),
        output: &mut output,
        error: &mut error,
        signals: Signals::Ignored,
        timeout,
    };
    let outcome = session::run(machine.start()?, streams, &mut log)?;
    Ok(Finished {
        outcome,
        output,
        error,
        log,
    })
}
