//! `cargo sal bench`: instructions per operation, counted with `-icount shift=0`, beside what other systems take.
//!
//! The programs in the machine say each figure on the log: `bench NAME INSTRUCTIONS`, then, if it is known, `cr3 LOADS` (page-table
//! root loads per operation: each costs more on real machines than the instructions tell).

use crate::bundle;
use crate::cli::{Bench, Contents, Run};
use crate::cmdline::Console;
use crate::install::{Need, ensure};
use crate::machine::log::Log;
use crate::machine::outcome::Outcome;
use crate::machine::qemu::{Boot, Machine};
use crate::machine::session::{self, Signals, Streams};
use crate::progress::Step;
use crate::run;
use crate::workspace::Workspace;
use anyhow::{Result, bail};
use std::time::Duration;

/// A machine that measures for longer hangs.
const LIMIT: Duration = Duration::from_secs(300);

/// What others take for the same, and what this project set itself.
struct Peer {
    name: &'static str,
    /// Instructions: seL4 (release, fast path, no PCID; 2026-08).
    sel4: Option<u32>,
    /// Instructions: Linux 6.1, Debian's cloud kernel.
    linux: Option<u32>,
    /// At most so many.
    bound: Option<u32>,
}

/// Measured on this kind of machine: docs/bench.md says how.
const PEERS: [Peer; 5] = [
    Peer {
        name: "message/0-words",
        sel4: Some(417),
        linux: None,
        bound: Some(625),
    },
    Peer {
        name: "message/8-words",
        sel4: Some(1638),
        linux: None,
        bound: Some(625),
    },
    Peer {
        name: "signal",
        sel4: Some(382),
        linux: None,
        bound: None,
    },
    Peer {
        name: "linux/getppid",
        sel4: None,
        linux: Some(338),
        bound: Some(700),
    },
    Peer {
        name: "linux/anonymous-fault",
        sel4: None,
        linux: Some(3150),
        bound: Some(3150),
    },
];

/// A figure from the machine.
#[derive(Debug, PartialEq)]
struct Figure {
    name: String,
    instructions: f64,
    cr3: Option<f64>,
}

/// Measures and prints the table; fails if a figure is above its bound.
pub(crate) fn bench(options: &Bench) -> Result<u8> {
    ensure(&[Need::Qemu])?;
    let workspace = Workspace::open()?;
    let machine = machine(&workspace, options)?;
    let step = Step::start("measuring");
    let log = measure(&machine)?;
    drop(step);
    let figures = log.lines().filter_map(figure);
    let figures = figures.filter(|figure| {
        options
            .name
            .as_deref()
            .is_none_or(|name| figure.name.contains(name))
    });
    let figures = figures.collect::<Vec<_>>();
    if figures.is_empty() {
        bail!("no figure of that name: nothing was measured");
    }
    Ok(u8::from(print(&figures)))
}

/// The machine that measures: the services under `system/bench.toml`, or the kernel alone as long as there is none.
fn machine(workspace: &Workspace, options: &Bench) -> Result<Machine> {
    const SYSTEM: &str = "bench";
    if !workspace.root.join(format!("system/{SYSTEM}.toml")).exists() {
        let (kernel, image) = bundle::kernel_alone(workspace)?;
        let boot = Boot::Direct {
            kernel,
            image,
            command_line: "selftest".into(),
        };
        return Ok(Machine {
            boot,
            smp: 1,
            mem: 256,
            debug: None,
            icount: true,
        });
    }
    let contents = Contents {
        root: None,
        system: SYSTEM.into(),
        shuffle: None,
    };
    let bundle = bundle::make(workspace, &contents)?;
    let command = options.name.clone().into_iter().collect();
    let options = Run {
        icount: true,
        command,
        ..Run::of(contents)
    };
    run::machine(
        workspace,
        &bundle,
        &options,
        &run::command_line(&options, Console::Streams),
    )
}

fn measure(machine: &Machine) -> Result<Log> {
    let mut log = Log::default();
    let streams = Streams {
        console: Console::Streams,
        input: None,
        output: &mut std::io::sink(),
        error: &mut std::io::stderr(),
        signals: Signals::Handled,
        timeout: Some(LIMIT),
    };
    match session::run(machine.start()?, streams, &mut log)? {
        Outcome::Ended(_) => Ok(log),
        other => {
            other.status(&log)?;
            bail!("the measurement was ended");
        }
    }
}

fn figure(line: &str) -> Option<Figure> {
    let mut words = line.split_once("bench ")?.1.split_whitespace();
    let (name, instructions) = (words.next()?.to_string(), words.next()?.parse().ok()?);
    let cr3 = words
        .next()
        .filter(|word| *word == "cr3")
        .and_then(|_| words.next()?.parse().ok());
    Some(Figure {
        name,
        instructions,
        cr3,
    })
}

/// Prints the table; says whether a figure is above its bound.
fn print(figures: &[Figure]) -> bool {
    let count = |value: Option<u32>| value.map_or_else(|| "-".to_string(), |value| value.to_string());
    println!(
        "{:32} {:>12} {:>6} {:>8} {:>8} {:>8}",
        "instructions", "salamandra", "cr3", "seL4", "Linux", "bound"
    );
    let mut above = false;
    for figure in figures {
        let peer = PEERS.iter().find(|peer| peer.name == figure.name);
        let bound = peer.and_then(|peer| peer.bound);
        let missed = bound.is_some_and(|bound| figure.instructions > f64::from(bound));
        let cr3 = figure
            .cr3
            .map_or_else(|| "-".to_string(), |loads| format!("{loads:.1}"));
        println!(
            "{:32} {:>12.0} {:>6} {:>8} {:>8} {:>8}{}",
            figure.name,
            figure.instructions,
            cr3,
            count(peer.and_then(|peer| peer.sel4)),
            count(peer.and_then(|peer| peer.linux)),
            count(bound),
            if missed { "  ABOVE" } else { "" }
        );
        above |= missed;
    }
    above
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_log_lines() {
        let expected = Figure {
            name: "message/0-words".into(),
            instructions: 512.5,
            cr3: Some(2.0),
        };
        assert_eq!(figure("guest: bench message/0-words 512.5 cr3 2"), Some(expected));
        let expected = Figure {
            name: "x".into(),
            instructions: 9.0,
            cr3: None,
        };
        assert_eq!(figure("bench x 9 instructions"), Some(expected));
        assert_eq!(figure("bench x fast"), None);
        assert_eq!(figure("nothing"), None);
    }
}
