//! `cargo sal bench linux`: what system calls cost an unmodified Linux program, beside what they cost on Linux.
//!
//! `tests/bench/osbench.c` is built statically with gcc and runs in a machine that counts instructions; its nanoseconds are instructions then.
//! Linux's figures are constants, measured with the same program on Linux 6.1 (Debian's cloud kernel) under the same emulator. Two for each: as
//! the machine is, and without the processor features `erms` and `fsrm`, with which Linux copies in a way that this emulator counts per byte.
//! What is compared is the better of the two. docs/bench.md keeps the last table.

use crate::bundle;
use crate::cli::{Contents, Run};
use crate::cmdline::Console;
use crate::command::output;
use crate::install::{Need, ensure};
use crate::machine::log::Log;
use crate::machine::outcome::Outcome;
use crate::machine::session::{self, Signals, Streams};
use crate::progress::Step;
use crate::ramdisk;
use crate::run;
use crate::say::say;
use crate::workspace::Workspace;
use anstyle::{AnsiColor, Style};
use anyhow::{Result, bail};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A machine that measures for longer hangs.
const LIMIT: Duration = Duration::from_secs(900);
/// A measurement that takes longer in the machine, in seconds of its time, is ended by osbench itself.
const WATCHDOG: &str = "2";
/// A repetition lasts about so long, in milliseconds of the machine's time: enough for thousands of the cheap calls.
const TARGET: &str = "5";
/// The benchmarks of files need a file of 4 MiB and one of 64; the latter's are for the disk, which there is none yet.
const LEFT_OUT: &str = "rewrite_4k_fsync,append_4k_fsync,seqwrite_1m,seqread_1m_disk,seqread_1m_cached";

/// Instructions on Linux.
struct Peer {
    name: &'static str,
    default: u32,
    /// Without `erms` and `fsrm`.
    without: u32,
    /// What this project set itself.
    bound: Option<u32>,
}

const fn peer(name: &'static str, default: u32, without: u32) -> Peer {
    Peer { name, default, without, bound: None }
}

const fn bound(name: &'static str, default: u32, without: u32, bound: u32) -> Peer {
    Peer { bound: Some(bound), ..peer(name, default, without) }
}

const PEERS: &[Peer] = &[
    bound("null_syscall", 338, 338, 700),
    peer("yield_2procs", 1_526, 1_516),
    peer("pipe_pingpong", 11_326, 11_285),
    peer("socketpair_pingpong", 20_696, 19_251),
    peer("futex_pingpong", 8_287, 8_283),
    peer("signal_self", 4_244, 3_902),
    peer("fork_exit_wait", 368_000, 255_000),
    peer("fork_exec_tiny", 539_000, 348_000),
    peer("thread_create_join", 71_000, 40_000),
    bound("fault_anon", 6_764, 3_150, 3_150),
    peer("munmap_page", 1_033, 1_013),
    peer("fault_file_read", 600, 586),
    peer("fault_file_cow", 7_728, 4_117),
    peer("pread_1", 1_475, 1_465),
    peer("pread_4k", 5_565, 1_984),
    peer("pread_1m", 1_120_000, 207_000),
    peer("stat", 7_288, 3_591),
    peer("open_close", 10_389, 6_496),
    peer("create_unlink", 109_000, 98_000),
    peer("getdents_1000", 1_550_000, 1_480_000),
    peer("pipe_64k", 218_000, 50_000),
    peer("epoll_100", 735, 735),
    peer("poll_100", 30_700, 25_600),
    peer("tcp_pingpong", 31_700, 29_100),
    peer("tcp_64k", 211_000, 61_000),
];

/// A line of osbench.
#[derive(Clone, PartialEq, Debug)]
enum Line {
    /// Instructions per operation.
    Figure(String, f64),
    /// Not measured, and why.
    Skipped(String, String),
}

/// Measures and prints the table; fails if a figure is above its bound.
pub(crate) fn bench() -> Result<u8> {
    ensure(&[Need::Qemu])?;
    let workspace = Workspace::open()?;
    let root = tempfile::tempdir()?;
    fill(root.path(), &workspace.root.join("tests/bench"))?;
    let words = ["/bin/osbench", "-d", "/tmp", "-t", TARGET, "-w", WATCHDOG, "-x", LEFT_OUT];
    let step = Step::start("measuring Linux calls");
    let lines = inside(&workspace, root.path(), &words)?;
    drop(step);
    let lines = lines.lines().filter_map(line).collect::<Vec<_>>();
    if lines.is_empty() {
        bail!("osbench measured nothing");
    }
    let above = print(&lines);
    let step = Step::start("measuring the start");
    let start = inside(&workspace, root.path(), &["/bin/sh", "-c", "/bin/since_reset"])?;
    drop(step);
    let words = start.split_whitespace().collect::<Vec<_>>();
    let [_, reset, _, clock] = words[..] else {
        bail!("since_reset says `{start}`");
    };
    say!("{:22} {reset:>12} ns after reset, {clock} ns of the kernel's clock", "a program of the shell's");
    Ok(u8::from(above))
}

/// The root file system: the default one, and the programs that measure.
fn fill(root: &Path, sources: &Path) -> Result<()> {
    ramdisk::unpack_default(root)?;
    for program in ["osbench", "since_reset"] {
        let source = sources.join(format!("{program}.c"));
        let mut gcc = Command::new("gcc");
        gcc.args(["-O2", "-static", "-pthread", "-o"]).arg(root.join("bin").join(program)).arg(&source);
        output(&mut gcc, &format!("building {}", source.display()))?;
    }
    Ok(())
}

/// Runs a program in a machine that counts instructions; what it wrote.
fn inside(workspace: &Workspace, root: &Path, words: &[&str]) -> Result<String> {
    let contents = Contents { root: Some(root.to_path_buf()), system: "default".into(), shuffle: None };
    let bundle = bundle::make(workspace, &contents)?;
    let options =
        Run { icount: true, command: words.iter().map(|word| word.to_string()).collect(), ..Run::of(contents) };
    let line = run::command_line(&options, Console::Streams);
    let machine = run::machine(workspace, &bundle, &options, &line)?;
    let (mut log, mut written) = (Log::default(), Vec::new());
    let streams = Streams {
        console: Console::Streams,
        input: None,
        output: &mut written,
        error: &mut std::io::stderr(),
        signals: Signals::Handled,
        timeout: Some(LIMIT),
    };
    match session::run(machine.start()?, streams, &mut log)? {
        Outcome::Ended(Some(0)) => Ok(String::from_utf8_lossy(&written).into_owned()),
        other => {
            let status = other.status(&log)?;
            bail!("{} ended with status {status}", words.join(" "))
        }
    }
}

/// Reads a line: `name <tab> iterations <tab> nanoseconds`, or `SKIP <tab> name <tab> why`.
fn line(text: &str) -> Option<Line> {
    let fields = text.split('\t').collect::<Vec<_>>();
    match fields[..] {
        ["SKIP", name, why] => Some(Line::Skipped(name.into(), why.into())),
        [name, _, ns, ..] => Some(Line::Figure(name.into(), ns.parse().ok()?)),
        _ => None,
    }
}

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const PLAIN: Style = Style::new();
const FAINT: Style = Style::new().dimmed();

/// Prints the table; says whether a figure is above its bound.
fn print(lines: &[Line]) -> bool {
    let mut above = false;
    say!("{:22} {:>12} {:>10} {:>10} {:>7} {:>7}", "instructions", "salamandra", "Linux", "erms off", "ratio", "bound");
    for line in lines {
        match line {
            Line::Skipped(name, why) => say!("{FAINT}{name:22} skipped: {why}{FAINT:#}"),
            Line::Figure(name, here) => {
                let peer = PEERS.iter().find(|peer| peer.name == name);
                let missed = peer.and_then(|peer| peer.bound).is_some_and(|most| *here > f64::from(most));
                above |= missed;
                figure(name, *here, peer, missed);
            }
        }
    }
    above
}

fn figure(name: &str, here: f64, peer: Option<&Peer>, missed: bool) {
    let Some(peer) = peer else {
        return say!("{name:22} {here:>12.0}");
    };
    let ratio = here / f64::from(peer.default.min(peer.without));
    let style = match ratio {
        _ if missed => BAD,
        ..=1.0 => GOOD,
        3.0.. => BAD,
        _ => PLAIN,
    };
    let bound = peer.bound.map_or_else(String::new, |most| most.to_string());
    say!(
        "{name:22} {here:>12.0} {:>10} {:>10} {style}{ratio:>7.2}{style:#} {bound:>7}{}",
        peer.default,
        peer.without,
        if missed { "  ABOVE" } else { "" }
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_osbench_are_read() {
        let figure = Line::Figure("stat".into(), 12.5);
        assert_eq!(line("stat\t400\t12.5"), Some(figure.clone()));
        assert_eq!(line("stat\t400\t12.5\t12.0\t13.0"), Some(figure));
        let skipped = Line::Skipped("tcp_64k".into(), "38 Function not implemented".into());
        assert_eq!(line("SKIP\ttcp_64k\t38 Function not implemented"), Some(skipped));
        assert_eq!(line("hello"), None);
    }

    #[test]
    fn a_figure_above_its_bound_fails() {
        assert!(print(&[Line::Figure("null_syscall".into(), 701.0)]));
        assert!(!print(&[Line::Figure("null_syscall".into(), 700.0), Line::Figure("stat".into(), 1e6)]));
    }
}
