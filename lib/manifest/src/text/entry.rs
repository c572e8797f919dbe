//! First pass: tables → entries. Keys, types and ranges are right afterwards; names are still names.

use super::Wrong;
use super::table::{At, Table};
use crate::grant::NAME_MOST;
use crate::{Boot, ConsoleMode, Heartbeat, LogAccess, Machine, PortRange, Restart, Root, Service};
use alloc::{format, string::String, vec::Vec};
use toml::de::DeTable;

/// No budget is greater, KiB (1 TiB).
const KIB_MOST: u64 = 1 << 30;
/// The kernel has so many lines at most.
const LINES_MOST: u64 = 255;

// Defaults, each with its reason.
/// A server's turn: the longest that an operation may run in one piece.
const TURN_MS: u16 = 10;
/// One missed turn is a long operation, two are bad luck, three are a hang.
const MISSED: u8 = 3;
/// The first death is most often not the last instance's fault: try again at once, nearly.
const BACKOFF_MS: u16 = 1;
/// A person who repairs something sees the effect within a second.
const BACKOFF_MOST_MS: u16 = 1000;
/// Waits of 1, 2, 4 .. ms: ten deaths without progress are over in a second, and no chance.
const LIMIT: u8 = 10;

/// A capability to another service, by name.
pub(super) struct UseDraft {
    pub name: At<String>,
    pub transfer: bool,
}

/// A service whose references are still names.
pub(super) struct ServiceDraft {
    /// Where its entry starts.
    pub at: usize,
    pub memory_at: usize,
    pub program_at: usize,
    pub ports: Vec<At<PortRange>>,
    pub interrupts: Vec<At<u64>>,
    pub modules: Vec<At<String>>,
    pub uses: Vec<UseDraft>,
    pub paged_by: Option<At<String>>,
    pub mounts: Vec<At<String>>,
    pub rest_at: usize,
    pub priority_at: usize,
    pub service: Service,
}

/// The whole text.
pub(super) struct Draft {
    pub machine: Machine,
    pub boot: Boot,
    pub root: Root,
    pub root_at: usize,
    pub services: Vec<ServiceDraft>,
}

/// Reads the text.
pub(super) fn draft(text: &str) -> Result<Draft, Wrong> {
    let parsed = DeTable::parse(text).map_err(|e| {
        let what = format!("is not TOML: {}", e.message().replace('\n', ", "));
        Wrong::new(e.span().map_or(0, |s| s.start), "", what)
    })?;
    let mut top = Table::new(String::new(), 0, parsed.get_ref());
    let machine = machine(top.table("machine")?)?;
    let boot = boot(top.table("boot")?)?;
    let root_table = top.table("root")?;
    let root_at = root_table.at;
    let root = root(root_table)?;
    let tables = top.table("service")?.named_tables()?;
    top.end()?;
    let services = tables.into_iter().map(|(name, table)| service(name, table)).collect::<Result<_, _>>()?;
    Ok(Draft { machine, boot, root, root_at, services })
}

fn machine(mut t: Table<'_, '_>) -> Result<Machine, Wrong> {
    let memory_kib = t.number("memory_kib", 1, KIB_MOST)? as u32;
    let reserved_kib = t.number("reserved_kib", 0, KIB_MOST)? as u32;
    t.end()?;
    Ok(Machine { memory_kib, reserved_kib })
}

fn boot(mut t: Table<'_, '_>) -> Result<Boot, Wrong> {
    let command = t.texts("command")?.into_iter().map(|word| word.value).collect();
    let console = choice(&mut t, "console", &[("terminal", ConsoleMode::Terminal), ("streams", ConsoleMode::Streams)])?;
    t.end()?;
    Ok(Boot { command, console: console.unwrap_or(ConsoleMode::Streams) })
}

fn root(mut t: Table<'_, '_>) -> Result<Root, Wrong> {
    let program = t.text("program")?.value;
    let memory_kib = t.number("memory_kib", 1, KIB_MOST)? as u32;
    t.end()?;
    Ok(Root { program, memory_kib })
}

/// One word out of a few.
fn choice<T: Copy>(t: &mut Table<'_, '_>, key: &'static str, words: &[(&str, T)]) -> Result<Option<T>, Wrong> {
    let Some(text) = t.text_or(key)? else {
        return Ok(None);
    };
    match words.iter().find(|(word, _)| *word == text.value) {
        Some((_, value)) => Ok(Some(*value)),
        None => {
            let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let what = format!("\"{}\" is none of {}", text.value, all.join(", "));
            Err(Wrong::new(text.at, t.key(key), what))
        }
    }
}

fn service(name: At<String>, mut t: Table<'_, '_>) -> Result<ServiceDraft, Wrong> {
    check_name(&name, &t)?;
    let program = t.text("program")?;
    let memory = t.number("memory_kib", 4, KIB_MOST)? as u32;
    let memory_at = t.at_of("memory_kib");
    let (rest_at, priority_at) = (t.at_of("rest_percent"), t.at_of("priority"));
    let ports = ports(&mut t)?;
    let interrupts = t.numbers("interrupts", 0, LINES_MOST)?;
    let modules = t.texts("modules")?;
    let uses = uses(&mut t)?;
    let paged_by = t.text_or("paged_by")?;
    let mounts = t.texts("mounts")?;
    let log = [
        ("none", LogAccess::None),
        ("write", LogAccess::Write),
        ("read", LogAccess::Read),
        ("power", LogAccess::Power),
    ];
    let service = Service {
        name: name.value,
        program: program.value,
        priority: t.number("priority", 0, 255)? as u8,
        threads: t.number_or("threads", 1, 4096)?.unwrap_or(1) as u16,
        cpu: t.number_or("cpu", 0, 255)?.map(|n| n as u8),
        memory_kib: memory,
        rest_percent: t.number_or("rest_percent", 0, 100)?.unwrap_or(0) as u8,
        vault_kib: t.number_or("vault_kib", 0, KIB_MOST)?.unwrap_or(0) as u32,
        wired: t.flag("wired")?,
        endpoint: t.flag("endpoint")?,
        heartbeat: heartbeat(&mut t)?,
        restart: restart(&mut t)?,
        log: choice(&mut t, "log", &log)?.unwrap_or(LogAccess::None),
        ports: ports.iter().map(|p| p.value).collect(),
        interrupts: interrupts.iter().map(|i| i.value as u8).collect(),
        modules: modules.iter().map(|m| m.value.clone()).collect(),
        uses: Vec::new(),
        mounts: mounts.iter().map(|m| m.value.clone()).collect(),
    };
    t.end()?;
    Ok(ServiceDraft {
        at: name.at,
        memory_at,
        program_at: program.at,
        ports,
        interrupts,
        modules,
        uses,
        paged_by,
        mounts,
        rest_at,
        priority_at,
        service,
    })
}

fn check_name(name: &At<String>, t: &Table<'_, '_>) -> Result<(), Wrong> {
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if name.value.is_empty() || name.value.len() > NAME_MOST || !name.value.bytes().all(good) {
        let what = format!("a service's name has 1 to {NAME_MOST} letters a-z, digits and dashes");
        return Err(Wrong::new(name.at, t.path.clone(), what));
    }
    if RESERVED.contains(&name.value.as_str()) {
        let what = "is the name of a grant that services have of their own; choose another";
        return Err(Wrong::new(name.at, t.path.clone(), what));
    }
    Ok(())
}

/// Names in a start-up page that are not other services.
const RESERVED: &[&str] =
    &["self", "space", "budget", "log", "endpoint", "vault", "ports", "interrupts", "heartbeat", "root", "estate"];

fn ports(t: &mut Table<'_, '_>) -> Result<Vec<At<PortRange>>, Wrong> {
    let key = t.key("ports");
    let read = |text: At<String>| {
        let wrong =
            || Wrong::new(text.at, key.clone(), format!("\"{}\" is not FIRST-LAST, as in \"0x3f8-0x3ff\"", text.value));
        let (first, last) = text.value.split_once('-').ok_or_else(wrong)?;
        let first = port(first).ok_or_else(wrong)?;
        let last = port(last).ok_or_else(wrong)?;
        let count = last.checked_sub(first).and_then(|n| n.checked_add(1)).ok_or_else(wrong)?;
        Ok(At { value: PortRange { first, count }, at: text.at })
    };
    t.texts("ports")?.into_iter().map(read).collect()
}

fn port(text: &str) -> Option<u16> {
    u16::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok()
}

fn uses(t: &mut Table<'_, '_>) -> Result<Vec<UseDraft>, Wrong> {
    let key = t.key("uses");
    let read = |text: At<String>| {
        let (name, rights) = text.value.split_once(':').unwrap_or((&text.value, "call"));
        let transfer = match rights {
            "call" => false,
            "transfer" => true,
            other => {
                let what = format!("\"{other}\" is no right; after the colon stands call or transfer");
                return Err(Wrong::new(text.at, key.clone(), what));
            }
        };
        Ok(UseDraft { name: At { value: name.into(), at: text.at }, transfer })
    };
    t.texts("uses")?.into_iter().map(read).collect()
}

fn heartbeat(t: &mut Table<'_, '_>) -> Result<Heartbeat, Wrong> {
    let Some(mut h) = t.table_or("heartbeat")? else {
        return Ok(Heartbeat::Turns { turn_ms: TURN_MS, missed: MISSED });
    };
    let off = h.flag("off")?;
    let turn_ms = h.number_or("turn_ms", 1, 60_000)?.map_or(TURN_MS, |n| n as u16);
    let missed = h.number_or("missed", 1, 255)?.map_or(MISSED, |n| n as u8);
    h.end()?;
    Ok(if off { Heartbeat::Off } else { Heartbeat::Turns { turn_ms, missed } })
}

/// Which of the three.
#[derive(Clone, Copy)]
enum Policy {
    Always,
    Never,
    EndsMachine,
}

fn restart(t: &mut Table<'_, '_>) -> Result<Restart, Wrong> {
    let words = [("always", Policy::Always), ("never", Policy::Never), ("ends-machine", Policy::EndsMachine)];
    let Some(mut r) = t.table_or("restart")? else {
        return Ok(Restart::Always { backoff_ms: BACKOFF_MS, backoff_most_ms: BACKOFF_MOST_MS, limit: LIMIT });
    };
    let policy = choice(&mut r, "policy", &words)?.unwrap_or(Policy::Always);
    let backoff_ms = r.number_or("backoff_ms", 1, 60_000)?.map_or(BACKOFF_MS, |n| n as u16);
    let backoff_most_ms = r.number_or("backoff_most_ms", 1, 60_000)?.map_or(BACKOFF_MOST_MS, |n| n as u16);
    let limit = r.number_or("limit", 1, 255)?.map_or(LIMIT, |n| n as u8);
    r.end()?;
    Ok(match policy {
        Policy::Always => Restart::Always { backoff_ms, backoff_most_ms, limit },
        Policy::Never => Restart::Never,
        Policy::EndsMachine => Restart::EndsMachine,
    })
}
