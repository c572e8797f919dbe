//! `cargo sal bench`: instructions per operation, counted with `-icount shift=0`, beside what other systems take.
//!
//! The program in the machine says each figure on the log: `bench NAME TICKS cr3 LOADS wall NANOSECONDS`. It runs twice: counting instructions,
//! where a tick is an instruction, and without, where the wall time is this computer's. Page-table root loads stand beside, because each
//! costs more on real machines than the instructions tell, and because QEMU without hardware help pays microseconds for each.

use crate::bundle;
use crate::cli::Bench;
use crate::cmdline::Console;
use crate::install::{Need, ensure};
use crate::machine::log::Log;
use crate::machine::outcome::Outcome;
use crate::machine::qemu::{Boot, Machine};
use crate::machine::session::{self, Signals, Streams};
use crate::progress::Step;
use crate::say::say;
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

/// Measured on this kind of machine: docs/bench.md says how. Rows: name, seL4, Linux, bound.
const PEERS: &[Peer] = &[
    Peer::new("null/clock", None, Some(338), None),
    Peer::new("message/0-words", Some(417), None, Some(625)),
    Peer::new("message/8-words", Some(1638), None, Some(625)),
    Peer::new("message/one-space", Some(413), None, None),
    Peer::new("notify", Some(382), None, None),
    Peer::new("notify/round-trip", Some(1648), None, None),
    Peer::new("yield/pair", Some(526), Some(1516), None),
    Peer::new("guest/trap", None, Some(338), Some(700)),
    Peer::new("guest/first-touch", None, Some(3150), Some(3150)),
    Peer::new("memory/map-unmap", Some(1335), None, None),
    Peer::new("pager/fault", Some(1361), None, None),
    Peer::new("thread/create-end", None, Some(40000), None),
    Peer::new("process/create-end", None, Some(255000), None),
];

impl Peer {
    const fn new(name: &'static str, sel4: Option<u32>, linux: Option<u32>, bound: Option<u32>) -> Peer {
        Peer { name, sel4, linux, bound }
    }
}

/// A figure from the machine.
#[derive(Debug, PartialEq)]
struct Figure {
    name: String,
    instructions: f64,
    cr3: Option<f64>,
    /// Nanoseconds.
    wall: Option<f64>,
}

/// Measures and prints the table; fails if a figure is above its bound.
pub(crate) fn bench(options: &Bench) -> Result<u8> {
    ensure(&[Need::Qemu])?;
    let workspace = Workspace::open()?;
    let wanted = |figure: &Figure| options.name.as_deref().is_none_or(|name| figure.name.contains(name));
    let step = Step::start("counting instructions");
    let counted = measure(&machine(&workspace, true)?)?;
    drop(step);
    let step = Step::start("measuring time");
    let timed = measure(&machine(&workspace, false)?)?;
    drop(step);
    let timed = timed.lines().filter_map(figure).collect::<Vec<_>>();
    let mut figures = counted.lines().filter_map(figure).filter(wanted).collect::<Vec<_>>();
    for figure in &mut figures {
        let same = timed.iter().find(|timed| timed.name == figure.name);
        figure.wall = same.and_then(|timed| timed.wall);
    }
    for line in counted.lines().filter(|line| line.starts_with("failed ")) {
        say!("{line}");
    }
    if figures.is_empty() {
        bail!("no figure of that name: nothing was measured");
    }
    Ok(u8::from(print(&figures)))
}

/// The machine that measures: `tests/guest`'s program as the root task, alone.
fn machine(workspace: &Workspace, icount: bool) -> Result<Machine> {
    const PROGRAM: &str = "kernel-bench";
    let (kernel, image) = bundle::kernel_under(workspace, PROGRAM)?;
    Ok(Machine {
        boot: Boot::Direct { kernel, image, command_line: String::new() },
        smp: 1,
        mem: 256,
        debug: None,
        icount,
    })
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
    let rest = words.collect::<Vec<_>>();
    let after = |key: &str| {
        let pair = rest.chunks_exact(2).find(|pair| pair[0] == key)?;
        pair[1].parse().ok()
    };
    Some(Figure { cr3: after("cr3"), wall: after("wall"), name, instructions })
}

/// Prints the table; says whether a figure is above its bound.
fn print(figures: &[Figure]) -> bool {
    let count = |value: Option<u32>| value.map_or_else(|| "-".to_string(), |value| value.to_string());
    say!(
        "{:24} {:>12} {:>6} {:>8} {:>8} {:>8} {:>8}",
        "instructions",
        "salamandra",
        "cr3",
        "wall ns",
        "seL4",
        "Linux",
        "bound"
    );
    let mut above = false;
    for figure in figures {
        let peer = PEERS.iter().find(|peer| peer.name == figure.name);
        let bound = peer.and_then(|peer| peer.bound);
        let missed = bound.is_some_and(|bound| figure.instructions > f64::from(bound));
        let shown = |value: Option<f64>| value.map_or_else(|| "-".to_string(), |value| format!("{value:.0}"));
        say!(
            "{:24} {:>12.0} {:>6} {:>8} {:>8} {:>8} {:>8}{}",
            figure.name,
            figure.instructions,
            shown(figure.cr3),
            shown(figure.wall),
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
        let expected = Figure { name: "message/0-words".into(), instructions: 512.5, cr3: Some(2.0), wall: Some(99.0) };
        assert_eq!(figure("guest: bench message/0-words 512.5 cr3 2 wall 99"), Some(expected));
        let expected = Figure { name: "x".into(), instructions: 9.0, cr3: None, wall: None };
        assert_eq!(figure("bench x 9 instructions"), Some(expected));
        assert_eq!(figure("bench x fast"), None);
        assert_eq!(figure("nothing"), None);
    }
}
