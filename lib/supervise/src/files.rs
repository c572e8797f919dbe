//! `/svc/NAME/{status,stats,log,ctl}`: paths to files, files to text.
//!
//! The text is made anew at each read and cut to what the reader asked for; nothing is allocated. Its format is stable:
//! `status` is one word and then `key value` words; `stats` is one `name value` per line, at its end what the service counts itself; `log` is a line per event, crashes with
//! their backtrace.

use crate::state::{Crash, Kind, Note, Service};
use crate::supervisor::Supervisor;
use core::fmt::{self, Write};
use sal_abi::boot::DeathKind;

/// A file or folder below `/svc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// `/svc`.
    Top,
    /// `/svc/NAME`.
    Service(usize),
    /// `/svc/NAME/FILE`.
    File(usize, File),
}

/// A service's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {
    /// One line: is it well?
    Status,
    /// Counters.
    Stats,
    /// What happened lately.
    Log,
    /// Takes commands.
    Ctl,
}

impl File {
    /// Every file, by its name.
    pub const NAMES: [(&'static str, File); 4] =
        [("status", File::Status), ("stats", File::Stats), ("log", File::Log), ("ctl", File::Ctl)];
}

/// Finds the name of the function at an offset in a program's image, and the offset in it.
pub trait Symbols {
    /// `program` is the module's name.
    fn name(&self, program: &str, offset: u64) -> Option<(&str, u64)>;
}

impl Symbols for () {
    fn name(&self, _: &str, _: u64) -> Option<(&str, u64)> {
        None
    }
}

impl Supervisor<'_> {
    /// The node at a path below `/svc`: `""`, `uart`, `uart/status`; slashes at either end don't matter.
    pub fn lookup(&self, path: &str) -> Option<Node> {
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        let (name, file, rest) = (parts.next(), parts.next(), parts.next());
        let Some(name) = name else { return Some(Node::Top) };
        let (i, _) = self.manifest.find(name)?;
        match (file, rest) {
            (None, _) => Some(Node::Service(i)),
            (Some(file), None) => {
                File::NAMES.into_iter().find(|(name, _)| *name == file).map(|(_, file)| Node::File(i, file))
            }
            _ => None,
        }
    }

    /// Name of the entry number `index` of a folder.
    pub fn entry(&self, folder: Node, index: usize) -> Option<&str> {
        match folder {
            Node::Top => self.manifest.services.get(index).map(|s| s.name.as_str()),
            Node::Service(_) => File::NAMES.get(index).map(|(name, _)| *name),
            Node::File(..) => None,
        }
    }

    /// Reads a file from `offset`. Bytes read; 0 at its end. `ctl` is empty.
    pub fn read(&self, symbols: &impl Symbols, i: usize, file: File, offset: u64, to: &mut [u8]) -> usize {
        let mut window = Window { skip: offset, to, filled: 0 };
        // A window takes everything; only a formatter of this file could fail.
        let _ = self.render(symbols, i, file, &mut window);
        window.filled
    }

    fn render(&self, symbols: &impl Symbols, i: usize, file: File, out: &mut impl Write) -> fmt::Result {
        let (Some(s), Some(entry)) = (self.service(i), self.manifest.services.get(i)) else {
            return Ok(());
        };
        match file {
            File::Status => status(s, out),
            File::Stats => {
                stats(s, out)?;
                let own = self.state().counters.iter().filter(|counter| counter.is_of(i));
                own.into_iter().try_for_each(|counter| writeln!(out, "{} {}", counter.name(), counter.value))
            }
            File::Log => s.notes().try_for_each(|note| line(s, &entry.program, symbols, note, out)),
            File::Ctl => Ok(()),
        }
    }
}

fn status(s: &Service, out: &mut impl Write) -> fmt::Result {
    let word = if s.paused == 1 { "paused" } else { s.phase().word() };
    write!(out, "{word} incarnation {} restarts {}", s.incarnation, s.restarts)?;
    match s.crash_record(u64::from(s.crash_count).wrapping_sub(1)) {
        Some(crash) => writeln!(out, " last-crash {}", Reason(crash)),
        None => writeln!(out),
    }
}

fn stats(s: &Service, out: &mut impl Write) -> fmt::Result {
    let [idle, request, notice, commit, adoption] = s.landed;
    let lines = [
        ("incarnation", s.incarnation),
        ("kills", s.kills),
        ("crashes", s.crashes),
        ("hangs", s.hangs),
        ("restarts", s.restarts),
        ("deaths_without_progress", s.deaths_in_row),
        ("poisoned", s.poisoned),
        ("recoveries", s.recovered),
        ("died_idle", idle),
        ("died_in_request", request),
        ("died_in_notice", notice),
        ("died_in_commit", commit),
        ("died_in_adoption", adoption),
    ];
    lines.iter().try_for_each(|(name, value)| writeln!(out, "{name} {value}"))?;
    let Some([least, median, greatest]) = s.recovery_times() else {
        return Ok(());
    };
    writeln!(out, "recovery_us_min {least}\nrecovery_us_median {median}\nrecovery_us_max {greatest}")
}

fn line(s: &Service, program: &str, symbols: &impl Symbols, note: &Note, out: &mut impl Write) -> fmt::Result {
    let milliseconds = note.at / 1_000_000;
    write!(out, "{}.{:03} [{}] ", milliseconds / 1000, milliseconds % 1000, note.incarnation)?;
    let Some(kind) = Kind::from_number(note.kind) else {
        return writeln!(out, "unknown event {}", note.kind);
    };
    let n = note.detail;
    match kind {
        Kind::Started => writeln!(out, "started"),
        Kind::NotStarted => writeln!(out, "not started: {}", error_name(n)),
        Kind::NotGranted => writeln!(out, "the root task refused what the manifest says: {}", error_name(n)),
        Kind::Crashed => crash(s, program, symbols, n, "died", out),
        Kind::Hung => crash(s, program, symbols, n, "hung and was killed", out),
        Kind::Killed => writeln!(out, "killed by order"),
        Kind::Recovered => writeln!(out, "answered {n} us after the death"),
        Kind::GivenUp => writeln!(out, "failed: {n} deaths without progress"),
        Kind::Poisoned => writeln!(out, "request {n:#x} was in service at two deaths: it gets an error"),
        Kind::Paused => writeln!(out, "paused"),
        Kind::Resumed => writeln!(out, "resumed"),
        Kind::BadCommand => writeln!(out, "command refused; there are kill, restart, hang, pause, resume"),
        Kind::BackOff => writeln!(out, "waits {n} ms before its next start"),
        Kind::ToldToHang => writeln!(out, "told to hang"),
        Kind::Ended => writeln!(out, "ended the machine, status {n}"),
    }
}

fn error_name(number: u64) -> &'static str {
    i64::try_from(number).ok().and_then(sal_abi::Error::from_number).map_or("unknown error", sal_abi::Error::name)
}

fn crash(
    s: &Service,
    program: &str,
    symbols: &impl Symbols,
    number: u64,
    what: &str,
    out: &mut impl Write,
) -> fmt::Result {
    let Some(crash) = s.crash_record(number) else {
        return writeln!(out, "{what} (record no longer kept)");
    };
    writeln!(out, "{what}: {}", Reason(crash))?;
    let [rip, rsp, rbp] = crash.registers;
    writeln!(out, "    rip {rip:#x} rsp {rsp:#x} rbp {rbp:#x} image {:#x}", crash.image)?;
    for (depth, offset) in crash.frames.iter().take(crash.depth as usize).enumerate() {
        match symbols.name(program, *offset) {
            Some((name, within)) => writeln!(out, "    {depth}: {name}+{within:#x}")?,
            None => writeln!(out, "    {depth}: {program}+{offset:#x}")?,
        }
    }
    Ok(())
}

/// Why a process died, in words.
struct Reason<'a>(&'a Crash);

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const KINDS: [DeathKind; 5] =
            [DeathKind::Exited, DeathKind::Killed, DeathKind::Exception, DeathKind::PageFault, DeathKind::NoBudget];
        let detail = self.0.reason >> 8;
        let kind = KINDS.into_iter().find(|kind| *kind as u64 == self.0.reason & 0xff);
        match kind {
            Some(DeathKind::Exited) => write!(f, "exited with {detail}"),
            Some(DeathKind::Killed) if detail == crate::kill_reason::HANG => {
                write!(f, "missed its heartbeats")
            }
            Some(DeathKind::Killed) if detail == crate::kill_reason::STUCK => write!(f, "stuck in a call"),
            Some(DeathKind::Killed) => write!(f, "killed, reason {detail}"),
            Some(DeathKind::Exception) => write!(f, "exception {detail}"),
            Some(DeathKind::PageFault) => write!(f, "page fault at {:#x}", self.0.fault),
            Some(DeathKind::NoBudget) => write!(f, "budget spent"),
            None => write!(f, "unknown reason {:#x}", self.0.reason),
        }
    }
}

/// The part of a text that a reader asked for.
struct Window<'a> {
    skip: u64,
    to: &'a mut [u8],
    filled: usize,
}

impl Write for Window<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let skipped = self.skip.min(text.len() as u64);
        self.skip -= skipped;
        let rest = text.as_bytes().get(skipped as usize..).unwrap_or(&[]);
        let place = self.to.get_mut(self.filled..).unwrap_or(&mut []);
        let count = rest.len().min(place.len());
        place.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        self.filled += count;
        Ok(())
    }
}
