//! What /proc says: the bytes of its files. proc(5).

use crate::call::{RELEASE, TICK, VERSION};
use crate::mm::{Area, Label, Mm};
use crate::os::Os;
use crate::platform::{Platform, Protection};
use crate::task::{Group, GroupId, JobState, State, Task, TaskId};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::fmt::Write;
use sal_vfs::{Clock, ProcFile, ProcOwner, ProcSource, Time};

/// /proc as the file system asks for it.
pub(crate) struct Proc<'a> {
    pub(crate) os: &'a Os,
    pub(crate) platform: RefCell<&'a mut dyn Platform>,
    /// The wall clock, once somebody has asked for it.
    pub(crate) time: Cell<Option<Time>>,
}

impl Clock for Proc<'_> {
    fn now(&self) -> Time {
        let time = self.time.get().unwrap_or_else(|| crate::ctx::wall(&mut **self.platform.borrow_mut()));
        self.time.set(Some(time));
        time
    }
}

type Rendered = Result<(), sal_vfs::Errno>;

impl ProcSource for Proc<'_> {
    fn next_pid(&self, after: u32) -> Option<u32> {
        self.os.tgids.range(after.checked_add(1)?..).next().map(|(pid, _)| *pid)
    }

    fn next_tid(&self, pid: u32, after: u32) -> Option<u32> {
        let group = self.os.groups.get(*self.os.tgids.get(&pid)?)?;
        let tids = group.threads.iter().filter_map(|t| self.os.tasks.get(*t)).map(|t| t.tid);
        tids.filter(|t| *t > after).min()
    }

    fn owner(&self, pid: u32) -> Option<ProcOwner> {
        let group = self.os.groups.get(*self.os.tgids.get(&pid)?)?;
        let Some(task) = self.first_task(group) else {
            return Some(ProcOwner { uid: group.uid, gid: 0, files: None, fs: None, exe: None });
        };
        let exe = self.os.mms.get(task.mm).and_then(|m| m.executable.as_ref()).and_then(|o| o.place);
        let [_, uid, ..] = task.credentials.uid;
        let [_, gid, ..] = task.credentials.gid;
        Some(ProcOwner { uid, gid, files: Some(task.files.table), fs: Some(task.files.fs), exe })
    }

    fn render(&self, file: ProcFile, out: &mut Vec<u8>) -> Rendered {
        match file {
            ProcFile::System(name) => self.system(name, out),
            ProcFile::Task { pid, tid, name } => self.task(pid, tid, name, out),
        }
    }
}

impl<'a> Proc<'a> {
    fn first_task(&self, group: &Group) -> Option<&'a Task> {
        group.threads.first().and_then(|t| self.os.tasks.get(*t))
    }

    fn system(&self, name: &str, out: &mut Vec<u8>) -> Rendered {
        let text = match name {
            "uptime" => self.uptime(),
            "meminfo" => self.meminfo(),
            "stat" => self.stat(),
            "loadavg" => self.loadavg(),
            "version" => format!("Linux version {RELEASE} (salamandra) {VERSION}\n"),
            "cpuinfo" => self.cpuinfo(),
            "cmdline" => String::from("\n"),
            "filesystems" => String::from("nodev\tproc\nnodev\ttmpfs\nnodev\tdevtmpfs\n"),
            "swaps" => String::from("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"),
            "partitions" => String::from("major minor  #blocks  name\n\n"),
            "devices" => String::from("Character devices:\n  1 mem\n  5 /dev/tty\n\nBlock devices:\n"),
            "sys/kernel/hostname" => return named(out, &self.os.hostname),
            "sys/kernel/domainname" => return named(out, &self.os.domainname),
            "sys/kernel/osrelease" => format!("{RELEASE}\n"),
            "sys/kernel/ostype" => String::from("Linux\n"),
            "sys/kernel/version" => format!("{VERSION}\n"),
            "sys/kernel/pid_max" | "sys/kernel/threads-max" => format!("{}\n", self.os.config.pid_max),
            "sys/kernel/ngroups_max" => String::from("65536\n"),
            "sys/kernel/random/uuid" | "sys/kernel/random/boot_id" => self.uuid(),
            "sys/fs/file-max" => String::from("1048576\n"),
            "sys/fs/nr_open" => String::from("1048576\n"),
            "sys/fs/pipe-max-size" => String::from("1048576\n"),
            "sys/vm/overcommit_memory" => String::from("0\n"),
            _ => String::new(),
        };
        out.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn uuid(&self) -> String {
        let mut b = [0u8; 16];
        self.platform.borrow_mut().random(&mut b);
        (b[6], b[8]) = (b[6] & 0x0f | 0x40, b[8] & 0x3f | 0x80);
        let mut text = String::new();
        for (i, byte) in b.iter().enumerate() {
            let dash = if matches!(i, 4 | 6 | 8 | 10) { "-" } else { "" };
            let _ = write!(text, "{dash}{byte:02x}");
        }
        text.push('\n');
        text
    }

    /// Processor ticks of all tasks that live, and of the dead ones that were waited for.
    fn busy(&self) -> u64 {
        let mut platform = self.platform.borrow_mut();
        let live: u64 = self.os.tasks.iter().map(|(id, _)| platform.cpu_time(id)).sum();
        let dead: u64 = self.os.groups.iter().map(|(_, g)| g.usage.cpu).sum();
        let reaped = self.os.init.and_then(|i| self.os.groups.get(i)).map_or(0, |g| g.children_usage.cpu);
        (live + dead + reaped) / TICK
    }

    fn uptime(&self) -> String {
        let busy = self.busy();
        let mut platform = self.platform.borrow_mut();
        let now = platform.now() / TICK;
        let idle = (now * platform.cpus() as u64).saturating_sub(busy);
        format!("{}.{:02} {}.{:02}\n", now / 100, now % 100, idle / 100, idle % 100)
    }

    fn meminfo(&self) -> String {
        let m = self.platform.borrow_mut().memory();
        let (total, free, files) = (m.total / 1024, m.free / 1024, m.files / 1024);
        let mut text = String::new();
        let rows = [
            ("MemTotal", total),
            ("MemFree", free),
            ("MemAvailable", free),
            ("Buffers", 0),
            ("Cached", files),
            ("SwapCached", 0),
            ("Active", 0),
            ("Inactive", 0),
            ("SwapTotal", 0),
            ("SwapFree", 0),
            ("Dirty", 0),
            ("Writeback", 0),
            ("AnonPages", total.saturating_sub(free + files)),
            ("Mapped", 0),
            ("Shmem", files),
            ("Slab", 0),
            ("SReclaimable", 0),
            ("SUnreclaim", 0),
            ("CommitLimit", total),
            ("Committed_AS", 0),
        ];
        for (name, value) in rows {
            let _ = writeln!(text, "{:<16}{value:>8} kB", format!("{name}:"));
        }
        text
    }

    fn stat(&self) -> String {
        let busy = self.busy();
        let mut platform = self.platform.borrow_mut();
        let (now, cpus) = (platform.now() / TICK, platform.cpus().max(1) as u64);
        let idle = (now * cpus).saturating_sub(busy);
        let since = (platform.realtime_offset()) / 1_000_000_000;
        let mut text = format!("cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\n");
        for cpu in 0..cpus {
            let _ = writeln!(text, "cpu{cpu} {} 0 0 {} 0 0 0 0 0 0", busy / cpus, idle / cpus);
        }
        let running = self.running();
        let _ = write!(
            text,
            "intr 0\nctxt 0\nbtime {since}\nprocesses {}\nprocs_running {running}\nprocs_blocked 0\n",
            self.os.forks + 1
        );
        text
    }

    fn running(&self) -> usize {
        self.os.tasks.iter().filter(|(_, t)| t.state == State::Running).count()
    }

    /// No averages are kept: the load is what runs now.
    fn loadavg(&self) -> String {
        let running = self.running();
        format!("{running}.00 {running}.00 {running}.00 {running}/{} {}\n", self.os.tasks.len(), self.os.last_pid)
    }

    fn cpuinfo(&self) -> String {
        let mut platform = self.platform.borrow_mut();
        let cpus = platform.cpus();
        let mut text = String::new();
        for cpu in 0..cpus {
            let _ = write!(
                text,
                "processor\t: {cpu}\nvendor_id\t: unknown\nmodel name\t: {}\nsiblings\t: {cpus}\ncore id\t\t: {cpu}\n\
                 cpu cores\t: {cpus}\nfpu\t\t: yes\nflags\t\t: fpu tsc msr cx8 cmov fxsr sse sse2 syscall nx lm\n\n",
                platform.cpu_name()
            );
        }
        text
    }

    fn task(&self, pid: u32, tid: u32, name: &str, out: &mut Vec<u8>) -> Rendered {
        let gone = sal_vfs::Errno::ESRCH;
        let id = *self.os.tgids.get(&pid).ok_or(gone)?;
        let group = self.os.groups.get(id).ok_or(gone)?;
        let task_id = self.os.tids.get(&tid).copied().or(group.threads.first().copied());
        let task = task_id.and_then(|t| self.os.tasks.get(t)).filter(|t| t.group == id);
        let one = One { pid, tid, id, group, task_id: task.and(task_id), task, thread: tid != pid };
        let mm = task.and_then(|t| self.os.mms.get(t.mm));
        let text = match name {
            "stat" => self.task_stat(&one, mm),
            "status" => self.task_status(&one, mm),
            "statm" => self.statm(mm),
            "comm" => {
                out.extend_from_slice(comm(&one));
                String::from("\n")
            }
            "cmdline" => return self.memory(mm, mm.map_or((0, 0), |m| m.layout.arguments), out),
            "environ" => return self.memory(mm, mm.map_or((0, 0), |m| m.layout.environment), out),
            "auxv" => {
                out.extend_from_slice(mm.map_or(&[], |m| &m.layout.auxiliary));
                return Ok(());
            }
            "maps" | "smaps" => return maps(mm, out),
            "limits" => limits(group),
            "cgroup" => String::from("0::/\n"),
            "oom_score" | "oom_score_adj" | "wchan" => String::from("0\n"),
            "io" => String::from(
                "rchar: 0\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: 0\nwrite_bytes: 0\ncancelled_write_bytes: 0\n",
            ),
            _ => String::new(),
        };
        out.extend_from_slice(text.as_bytes());
        Ok(())
    }

    /// Strings on a program's stack.
    fn memory(&self, mm: Option<&Mm>, (start, end): (u64, u64), out: &mut Vec<u8>) -> Rendered {
        let Some(mm) = mm else { return Ok(()) };
        let mut bytes = alloc::vec![0; (end.saturating_sub(start)).min(1 << 20) as usize];
        self.platform.borrow_mut().space_read(mm.space, start, &mut bytes)?;
        out.extend_from_slice(&bytes);
        Ok(())
    }

    fn cpu(&self, one: &One) -> u64 {
        let mut platform = self.platform.borrow_mut();
        match (one.thread, one.task_id) {
            (true, Some(task)) => platform.cpu_time(task),
            _ => one.group.usage.cpu + one.group.threads.iter().map(|t| platform.cpu_time(*t)).sum::<u64>(),
        }
    }

    fn resident(&self, mm: Option<&Mm>) -> u64 {
        mm.map_or(0, |m| self.platform.borrow_mut().space_resident(m.space))
    }

    /// The 52 fields of /proc/PID/stat.
    fn task_stat(&self, one: &One, mm: Option<&Mm>) -> String {
        let g = one.group;
        let tty = self.os.sessions.get(&g.sid).and_then(|s| s.tty);
        let foreground = tty.and_then(|t| self.os.ttys.get(&t)).map_or(-1, |t| t.foreground as i32);
        let device = tty.map_or(0, |_| sal_vfs::makedev(5, 1));
        let cpu = self.cpu(one) / TICK;
        let children = g.children_usage.cpu / TICK;
        let nice = one.task.map_or(0, |t| t.nice as i32);
        let started = one.task.filter(|_| one.thread).map_or(g.started, |t| t.started) / TICK;
        let layout = mm.map(|m| &m.layout);
        let (size, resident) = (mm.map_or(0, |m| m.areas.total()), self.resident(mm) / 4096);
        let faults = g.usage.faults + one.task.map_or(0, |t| t.faults);
        let mut text = format!("{} (", one.tid);
        text.push_str(&String::from_utf8_lossy(comm(one)));
        let _ = write!(
            text,
            ") {} {} {} {} {device} {foreground} 0 {faults} 0 0 0 {cpu} 0 {children} 0 {} {nice} {} 0 {started} {size} {resident}",
            one.letter(),
            g.parent_tgid,
            g.pgid,
            g.sid,
            20 + nice,
            g.threads.len(),
        );
        let (code, stack) = layout.map_or(((0, 0), 0), |l| (l.code, l.stack));
        let (ignored, caught) = dispositions(g);
        let (pending, blocked) = one.task.map_or((0, 0), |t| (t.pending.set.0, t.blocked.0));
        let _ = writeln!(
            text,
            " {} {} {} {stack} 0 0 {} {} {} {} 0 0 0 {} 0 0 0 0 0 0 0 {} {} {} {} {} {} 0",
            u64::MAX,
            code.0,
            code.1,
            pending & 0x7fff_ffff,
            blocked & 0x7fff_ffff,
            ignored & 0x7fff_ffff,
            caught & 0x7fff_ffff,
            g.exit_signal,
            0,
            mm.map_or(0, |m| m.brk_start),
            layout.map_or(0, |l| l.arguments.0),
            layout.map_or(0, |l| l.arguments.1),
            layout.map_or(0, |l| l.environment.0),
            layout.map_or(0, |l| l.environment.1),
        );
        text
    }

    fn statm(&self, mm: Option<&Mm>) -> String {
        let size = mm.map_or(0, |m| m.areas.total()) / 4096;
        format!("{size} {} 0 0 0 0 0\n", self.resident(mm) / 4096)
    }

    fn task_status(&self, one: &One, mm: Option<&Mm>) -> String {
        let g = one.group;
        let ids = |ids: [u32; 4]| format!("{}\t{}\t{}\t{}", ids[0], ids[1], ids[2], ids[3]);
        let none = crate::task::Credentials::default();
        let c = one.task.map_or(&none, |t| &t.credentials);
        let mut text = format!(
            "Name:\t{}\nUmask:\t0022\nState:\t{} ({})\nTgid:\t{}\nNgid:\t0\nPid:\t{}\nPPid:\t{}\nTracerPid:\t0\nUid:\t{}\nGid:\t{}\nFDSize:\t64\nGroups:\t",
            String::from_utf8_lossy(comm(one)),
            one.letter(),
            one.word(),
            one.pid,
            one.tid,
            g.parent_tgid,
            ids(c.uid),
            ids(c.gid)
        );
        for group in &c.groups {
            let _ = write!(text, "{group} ");
        }
        text.push('\n');
        if let Some(mm) = mm {
            self.status_memory(mm, &mut text);
        }
        let (ignored, caught) = dispositions(g);
        let (pending, blocked) = one.task.map_or((0, 0), |t| (t.pending.set.0, t.blocked.0));
        let _ = write!(
            text,
            "Threads:\t{}\nSigQ:\t0/1024\nSigPnd:\t{pending:016x}\nShdPnd:\t{:016x}\nSigBlk:\t{blocked:016x}\n\
             SigIgn:\t{ignored:016x}\nSigCgt:\t{caught:016x}\nCapInh:\t{:016x}\nCapPrm:\t{:016x}\nCapEff:\t{:016x}\n\
             NoNewPrivs:\t{}\nSeccomp:\t0\nvoluntary_ctxt_switches:\t0\nnonvoluntary_ctxt_switches:\t0\n",
            g.threads.len(),
            g.pending.set.0,
            c.caps[2],
            c.caps[1],
            c.caps[0],
            one.task.is_some_and(|t| t.no_new_privs) as u8,
        );
        text
    }

    fn status_memory(&self, mm: &Mm, text: &mut String) {
        let (size, resident) = (mm.areas.total() / 1024, self.resident(Some(mm)) / 1024);
        let of =
            |wanted: &dyn Fn(&Area) -> bool| mm.areas.iter().filter(|a| wanted(a)).map(Area::len).sum::<u64>() / 1024;
        let stack = of(&|a| a.label == Label::Stack);
        let code = of(&|a| a.protection.contains(Protection::EXECUTE));
        let data = of(&|a| a.protection.contains(Protection::WRITE) && !a.is_shared() && a.label != Label::Stack);
        let _ = write!(
            text,
            "VmPeak:\t{size:8} kB\nVmSize:\t{size:8} kB\nVmLck:\t       0 kB\nVmPin:\t       0 kB\nVmHWM:\t{resident:8} kB\n\
             VmRSS:\t{resident:8} kB\nVmData:\t{data:8} kB\nVmStk:\t{stack:8} kB\nVmExe:\t{code:8} kB\nVmLib:\t       0 kB\n\
             VmPTE:\t       0 kB\nVmSwap:\t       0 kB\n"
        );
    }
}

fn named(out: &mut Vec<u8>, name: &[u8]) -> Rendered {
    out.extend_from_slice(name);
    out.push(b'\n');
    Ok(())
}

/// Whom a file of a process is about.
struct One<'a> {
    pid: u32,
    tid: u32,
    id: GroupId,
    group: &'a Group,
    task_id: Option<TaskId>,
    task: Option<&'a Task>,
    /// A thread's file, not the process's.
    thread: bool,
}

impl One<'_> {
    fn letter(&self) -> char {
        let _ = self.id;
        match (self.group.zombie, self.group.job, self.task.map(|t| t.state)) {
            (Some(_), ..) | (_, _, None) => 'Z',
            (_, JobState::Stopped { .. }, _) => 'T',
            (_, _, Some(State::Running)) => 'R',
            _ => 'S',
        }
    }

    fn word(&self) -> &'static str {
        match self.letter() {
            'Z' => "zombie",
            'T' => "stopped",
            'R' => "running",
            _ => "sleeping",
        }
    }
}

fn comm<'a>(one: &One<'a>) -> &'a [u8] {
    let comm = one.task.map_or(&one.group.comm, |t| &t.comm);
    let end = comm.iter().position(|b| *b == 0).unwrap_or(comm.len());
    comm.get(..end).unwrap_or_default()
}

/// Sets of ignored and caught signals.
fn dispositions(group: &Group) -> (u64, u64) {
    let mut sets = (0, 0);
    for (index, action) in group.actions.iter().enumerate() {
        match action.handler {
            crate::signal::SIG_DFL => {}
            crate::signal::SIG_IGN => sets.0 |= 1 << index,
            _ => sets.1 |= 1 << index,
        }
    }
    sets
}

fn maps(mm: Option<&Mm>, out: &mut Vec<u8>) -> Rendered {
    for area in mm.iter().flat_map(|m| m.areas.iter()) {
        map_line(area, out);
    }
    Ok(())
}

fn map_line(area: &Area, out: &mut Vec<u8>) {
    let flag = |p: Protection, c: char| if area.protection.contains(p) { c } else { '-' };
    let (offset, device, inode, name): (u64, u64, u64, &[u8]) = match &area.label {
        Label::None => (0, 0, 0, b""),
        Label::Heap => (0, 0, 0, b"[heap]"),
        Label::Stack => (0, 0, 0, b"[stack]"),
        Label::Object(o) => (area.offset(), o.device, o.inode, &o.path),
    };
    let head = format!(
        "{:x}-{:x} {}{}{}{} {offset:08x} {:02x}:{:02x} {inode} ",
        area.start,
        area.end,
        flag(Protection::READ, 'r'),
        flag(Protection::WRITE, 'w'),
        flag(Protection::EXECUTE, 'x'),
        if area.is_shared() { 's' } else { 'p' },
        sal_vfs::major(device),
        sal_vfs::minor(device),
    );
    out.extend_from_slice(head.as_bytes());
    if !name.is_empty() {
        // As Linux: the name starts at column 73.
        out.resize(out.len() + 73usize.saturating_sub(head.len()), b' ');
        out.extend_from_slice(name);
    }
    out.push(b'\n');
}

const LIMIT_NAMES: [(&str, &str); 16] = [
    ("Max cpu time", "seconds"),
    ("Max file size", "bytes"),
    ("Max data size", "bytes"),
    ("Max stack size", "bytes"),
    ("Max core file size", "bytes"),
    ("Max resident set", "bytes"),
    ("Max processes", "processes"),
    ("Max open files", "files"),
    ("Max locked memory", "bytes"),
    ("Max address space", "bytes"),
    ("Max file locks", "locks"),
    ("Max pending signals", "signals"),
    ("Max msgqueue size", "bytes"),
    ("Max nice priority", ""),
    ("Max realtime priority", ""),
    ("Max realtime timeout", "us"),
];

fn limits(group: &Group) -> String {
    let show = |v: u64| {
        if v == u64::MAX { String::from("unlimited") } else { format!("{v}") }
    };
    let mut text = format!("{:<26}{:<21}{:<21}{:<10}\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    for ((name, unit), limit) in LIMIT_NAMES.iter().zip(&group.limits) {
        let _ = writeln!(text, "{name:<26}{:<21}{:<21}{unit:<10}", show(limit.soft), show(limit.hard));
    }
    text
}
