//! A simulated world: an idempotent estate, services that live, hang and die, a vault that keeps what was committed, and a point
//! before and after every call at which the supervisor can be killed.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]

use sal_abi::Error;
use sal_abi::boot::DeathKind;
use sal_manifest::{Manifest, text};
use sal_supervise::state::{Landing, Request};
use sal_supervise::world::Report;
use sal_supervise::{Event, Predecessor, Signal, State, Supervisor, TICK_NS, World};
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

pub const MODULES: &[&str] =
    &["root", "supervisor", "memory", "names", "uart", "console", "linux", "manifest", "symbols", "ramdisk", "cmdline"];

pub fn manifest() -> Manifest {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../system/default.toml");
    let source = std::fs::read_to_string(file).unwrap();
    text::read("default.toml", &source, MODULES).unwrap_or_else(|e| panic!("{e}"))
}

pub fn index(m: &Manifest, name: &str) -> usize {
    m.find(name).unwrap().0
}

/// How a living process behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Answers heartbeats.
    Well,
    /// Uses CPU and answers nothing.
    Spins,
    /// Its clock says that it has used a second since it was last looked at.
    StoodStill,
    /// Gets no CPU.
    Starved,
    /// Blocked in a call, callers waiting.
    Blocked,
    /// Dies as soon as it starts.
    DiesAtStart,
}

/// One entry of the estate.
#[derive(Clone, Debug)]
pub struct Entry {
    pub described: u32,
    pub granted: u32,
    pub spawned: BTreeMap<u32, u32>,
    pub failed: u64,
    pub report: Report,
    pub mood: Mood,
    pub poison: Request,
    /// Frames of the stack: (frame pointer, next, return address).
    pub stack: Vec<(u64, u64, u64)>,
}

/// What unwinds when the supervisor is killed.
struct Killed;

pub struct Sim {
    pub entries: Vec<Entry>,
    pub vault: State,
    pub commits: u32,
    pub pings: u32,
    pub incarnation: u32,
    pub now: u64,
    pub events: VecDeque<Event>,
    pub powered_off: Option<u64>,
    pub log: Vec<String>,
    /// Points passed, and at which one the supervisor dies.
    pub points: u64,
    pub dies_at: u64,
}

impl Sim {
    pub fn new(m: &Manifest) -> Sim {
        let entry = Entry {
            described: 0,
            granted: 0,
            spawned: BTreeMap::new(),
            failed: 0,
            report: Report::default(),
            mood: Mood::Well,
            poison: Request::NONE,
            stack: Vec::new(),
        };
        let mut entries = vec![entry; m.services.len()];
        // The root task made the supervisor's own entry.
        entries[0].described = 1;
        Sim {
            entries,
            vault: State::new(),
            commits: 0,
            pings: 0,
            incarnation: 1,
            now: 1,
            events: VecDeque::new(),
            powered_off: None,
            log: Vec::new(),
            points: 0,
            dies_at: u64::MAX,
        }
    }

    fn point(&mut self) {
        self.points += 1;
        if self.points == self.dies_at {
            resume_unwind(Box::new(Killed));
        }
    }

    /// A process dies by its own fault, at `address`.
    pub fn crash(&mut self, i: usize, request: Request) {
        let report = &mut self.entries[i].report;
        assert!(report.alive, "only the living die");
        (report.alive, report.reason, report.request) = (false, DeathKind::PageFault as u64, request);
        self.events.push_back(Event::Death(i));
    }

    /// Everything that holds at any moment.
    pub fn check(&self) {
        for (i, entry) in self.entries.iter().enumerate() {
            assert!(entry.spawned.values().all(|times| *times == 1), "service {i} spawned twice: {:?}", entry.spawned);
        }
    }
}

impl World for Sim {
    fn commit(&mut self, state: &State) {
        self.point();
        self.vault = state.clone();
        self.commits += 1;
        self.point();
    }

    fn describe(&mut self, i: usize) -> Result<(), Error> {
        self.point();
        self.entries[i].described = 1;
        self.point();
        Ok(())
    }

    fn grant(&mut self, i: usize) -> Result<(), Error> {
        self.point();
        assert!(self.entries.iter().all(|e| e.described == 1), "an entry's grants name others' endpoints");
        self.entries[i].granted = 1;
        self.point();
        Ok(())
    }

    fn spawn(&mut self, i: usize, incarnation: u32, poison: Request) -> Result<(), Error> {
        self.point();
        let entry = &mut self.entries[i];
        assert!(entry.granted == 1, "granted before it is spawned");
        if incarnation < entry.report.incarnation {
            return Err(Error::BadArgument);
        }
        if incarnation > entry.report.incarnation {
            assert!(!entry.report.alive, "the predecessor is dead before the successor runs");
            *entry.spawned.entry(incarnation).or_default() += 1;
            entry.poison = poison;
            entry.report = Report { incarnation, alive: true, image: 0x1000, receiving: 1, ..Report::default() };
            if matches!(entry.mood, Mood::Spins | Mood::Blocked) {
                entry.mood = Mood::Well;
            }
            if entry.mood == Mood::DiesAtStart {
                (entry.report.alive, entry.report.reason) = (false, DeathKind::Exception as u64 | 6 << 8);
                self.events.push_back(Event::Death(i));
            }
        }
        self.point();
        Ok(())
    }

    fn kill(&mut self, i: usize, incarnation: u32, reason: u64) -> Result<(), Error> {
        self.point();
        if i == 0 {
            resume_unwind(Box::new(Killed));
        }
        let report = &mut self.entries[i].report;
        if report.incarnation == incarnation && report.alive {
            (report.alive, report.reason) = (false, DeathKind::Killed as u64 | reason << 8);
            self.events.push_back(Event::Death(i));
        }
        self.point();
        Ok(())
    }

    fn report(&mut self, i: usize) -> Result<Report, Error> {
        self.point();
        let entry = &mut self.entries[i];
        if entry.report.alive && entry.mood == Mood::Spins {
            entry.report.cpu_ns += TICK_NS;
        }
        if entry.report.alive && entry.mood == Mood::StoodStill {
            entry.report.cpu_ns += 1_000_000_000;
        }
        let blocked = entry.mood == Mood::Blocked;
        (entry.report.blocked, entry.report.receiving, entry.report.queued) =
            (blocked, u32::from(!blocked), u32::from(blocked));
        Ok(entry.report)
    }

    fn read(&mut self, i: usize, _: u32, address: u64, to: &mut [u8]) -> usize {
        self.point();
        match self.entries[i].stack.iter().find(|frame| frame.0 == address) {
            Some((_, next, back)) => {
                to[..8].copy_from_slice(&next.to_le_bytes());
                to[8..16].copy_from_slice(&back.to_le_bytes());
                16
            }
            None => 0,
        }
    }

    fn fail(&mut self, i: usize, code: u64) -> Result<(), Error> {
        self.point();
        self.entries[i].failed = code;
        self.point();
        Ok(())
    }

    fn signal(&mut self, i: usize, signal: Signal) {
        self.point();
        let entry = &mut self.entries[i];
        if signal == Signal::Ping {
            self.pings += 1;
            if entry.report.alive && entry.mood == Mood::Well {
                self.events.push_back(Event::Beat(i));
            }
        }
        if signal == Signal::Hang {
            entry.mood = Mood::Spins;
        }
        self.point();
    }

    fn power_off(&mut self, status: u64) {
        self.powered_off = Some(status);
    }

    fn log(&mut self, line: std::fmt::Arguments<'_>) {
        self.log.push(line.to_string());
    }
}

/// A supervisor in its world, brought back whenever it dies.
pub struct Run<'m> {
    pub manifest: &'m Manifest,
    pub sim: Sim,
    pub supervisor: Supervisor<'m>,
    pub deaths: u32,
    /// Points after each death at which the successor dies in its turn.
    pub dies_again: Vec<u64>,
    /// What the root task tells the next one.
    pub predecessor: Option<Predecessor>,
}

impl<'m> Run<'m> {
    pub fn new(manifest: &'m Manifest, dies_at: u64) -> Run<'m> {
        Run::dying(manifest, dies_at, Vec::new())
    }

    pub fn dying(manifest: &'m Manifest, dies_at: u64, dies_again: Vec<u64>) -> Run<'m> {
        let mut sim = Sim::new(manifest);
        sim.dies_at = dies_at;
        let supervisor = Supervisor::new(manifest, State::new());
        let mut run = Run { manifest, sim, supervisor, deaths: 0, dies_again, predecessor: None };
        run.alive(|s, w, now| s.start(w, now, 1, None));
        run
    }

    /// Does something with the supervisor; if it is killed in between, its successor starts from the vault.
    pub fn alive<R>(&mut self, work: impl FnOnce(&mut Supervisor<'m>, &mut Sim, u64) -> R) -> Option<R> {
        let now = self.sim.now;
        let (supervisor, sim) = (&mut self.supervisor, &mut self.sim);
        let result = catch_unwind(AssertUnwindSafe(|| work(supervisor, sim, now)));
        self.sim.check();
        match result {
            Ok(value) => Some(value),
            Err(why) if why.is::<Killed>() => {
                self.successor();
                None
            }
            Err(why) => resume_unwind(why),
        }
    }

    /// The supervisor dies by its own fault.
    pub fn supervisor_crashes(&mut self, landing: Landing) {
        self.sim.now += 1000;
        let at = self.sim.now;
        self.predecessor = Some(Predecessor { reason: DeathKind::PageFault as u64, at, landing, offset: 0x450 });
        self.sim.now += 2000;
        self.successor();
        self.predecessor = None;
    }

    /// The root task starts the next supervisor, which may be killed while it adopts, too.
    fn successor(&mut self) {
        loop {
            self.deaths += 1;
            self.sim.incarnation += 1;
            self.sim.dies_at =
                if self.dies_again.is_empty() { u64::MAX } else { self.sim.points + self.dies_again.remove(0) };
            self.supervisor = Supervisor::new(self.manifest, self.sim.vault.clone());
            let (now, incarnation) = (self.sim.now, self.sim.incarnation);
            let (supervisor, sim, predecessor) = (&mut self.supervisor, &mut self.sim, self.predecessor);
            let result = catch_unwind(AssertUnwindSafe(|| supervisor.start(sim, now, incarnation, predecessor)));
            self.sim.check();
            match result {
                Ok(()) => return,
                Err(why) if why.is::<Killed>() => (),
                Err(why) => resume_unwind(why),
            }
        }
    }

    /// Delivers events until there are none, each followed by some time.
    pub fn drain(&mut self) {
        while let Some(event) = self.sim.events.pop_front() {
            self.sim.now += 1000;
            self.alive(|s, w, now| s.handle(w, now, event));
        }
    }

    pub fn ticks(&mut self, count: u32) {
        for _ in 0..count {
            self.sim.now += TICK_NS;
            self.alive(|s, w, now| s.handle(w, now, Event::Tick));
            self.drain();
        }
    }

    pub fn control(&mut self, i: usize, text: &str) -> Option<bool> {
        let done = self.alive(|s, w, now| s.control(w, now, i, text.as_bytes()).is_ok());
        self.alive(|s, w, _| s.die_if_ordered(w));
        self.drain();
        done
    }

    /// As a client's stub: repeats the request until some supervisor answers it.
    pub fn order(&mut self, i: usize, text: &str) {
        while self.control(i, text).is_none() {}
    }

    pub fn text(&self, path: &str) -> String {
        let Some(sal_supervise::files::Node::File(i, file)) = self.supervisor.lookup(path) else {
            panic!("no file {path}")
        };
        let mut all = Vec::new();
        let mut piece = [0; 7];
        loop {
            match self.supervisor.read(&(), i, file, all.len() as u64, &mut piece) {
                0 => return String::from_utf8(all).unwrap(),
                n => all.extend(&piece[..n]),
            }
        }
    }
}
