//! Events in, estate calls out. The rules stand in the crate's head.

use crate::backtrace;
use crate::control::{Command, Refused};
use crate::heartbeat::Watch;
use crate::state::{Counter, Crash, FRAMES, Kind, Landing, Phase, Request, Service, State};
use crate::world::{Report, World};
use crate::{FAILED_CODE, ITSELF, SERVICES, Signal, TICK_NS, kill_reason};
use sal_abi::Error;
use sal_abi::boot::DeathKind;
use sal_manifest::{Manifest, Restart};

/// What happens to the supervisor. Services by index in the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A tick is over: at most one per wake-up.
    Tick,
    /// A process of the service died, now or earlier.
    Death(usize),
    /// The service answered a heartbeat.
    Beat(usize),
}

/// An estate call that the state asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Create the entry.
    Describe(usize),
    /// Tell the entry its grants.
    Grant(usize),
    /// Spawn the incarnation that the state names.
    Spawn(usize),
    /// Kill it.
    Kill(usize),
    /// Look whether it lives.
    Check(usize),
    /// Find out why it died.
    Inspect(usize),
    /// Answer its callers with an error from now on.
    Fail(usize),
    /// Let its callers wait again.
    Mend(usize),
    /// End the machine.
    PowerOff(u64),
}

/// How the supervisor's predecessor died, as the root task saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Predecessor {
    /// `DeathKind | detail << 8`.
    pub reason: u64,
    /// When, nanoseconds.
    pub at: u64,
    /// Where the death landed.
    pub landing: Landing,
    /// Its instruction pointer, relative to its image.
    pub offset: u64,
}

/// The supervisor.
pub struct Supervisor<'m> {
    pub(crate) manifest: &'m Manifest,
    state: State,
    pub(crate) watch: [Watch; SERVICES],
    pub(crate) now: u64,
    changed: bool,
    kill_itself: bool,
    ended: bool,
}

impl<'m> Supervisor<'m> {
    /// A supervisor that continues from `state` (zeroes at the first start). Call [`Supervisor::start`] next.
    pub fn new(manifest: &'m Manifest, state: State) -> Supervisor<'m> {
        Supervisor {
            manifest,
            state,
            watch: [Watch::NEW; SERVICES],
            now: 0,
            changed: false,
            kill_itself: false,
            ended: false,
        }
    }

    /// What outlives it.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The manifest.
    pub fn manifest(&self) -> &'m Manifest {
        self.manifest
    }

    /// Nanoseconds since boot, of the last event.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Starts, or continues what a predecessor had begun. `incarnation` is the supervisor's own.
    pub fn start(&mut self, world: &mut impl World, now: u64, incarnation: u32, predecessor: Option<Predecessor>) {
        self.now = now;
        self.edit(ITSELF, |s| {
            if s.incarnation != incarnation {
                if let Some(died) = predecessor {
                    s.follows(died);
                }
                s.restarts = incarnation.saturating_sub(1);
                s.incarnation = incarnation;
                s.note(now, Kind::Started, 0);
            }
            s.set_phase(Phase::Itself);
        });
        self.settle(world);
        if self.service(ITSELF).is_some_and(|s| s.died_at != 0) {
            self.edit(ITSELF, |s| s.measure_recovery(now));
            self.settle(world);
        }
    }

    /// To be called after each answer: if somebody ordered the supervisor itself to be killed, it is now, when the one who wrote the order
    /// has the answer and won't repeat it to the successor.
    pub fn die_if_ordered(&mut self, world: &mut impl World) {
        if core::mem::take(&mut self.kill_itself) {
            let incarnation = self.service(ITSELF).map_or(0, |s| s.incarnation);
            // Only a world in which the call came to nothing goes on here.
            let _ = world.kill(ITSELF, incarnation, kill_reason::ORDERED);
        }
    }

    /// Takes an event and makes every call that follows from it.
    pub fn handle(&mut self, world: &mut impl World, now: u64, event: Event) {
        self.now = now;
        match event {
            Event::Tick => self.tick(world),
            Event::Beat(i) => self.beat(i),
            Event::Death(i) => {
                if let Some(watch) = self.watch.get_mut(i) {
                    watch.unchecked = true;
                }
            }
        }
        self.settle(world);
    }

    /// Carries out what somebody wrote to `/svc/NAME/ctl`. If the supervisor dies in it, the writer's stub repeats it to the successor:
    /// then a service may be killed twice, which is no other thing than once.
    ///
    /// # Errors
    /// [`Refused`]: no such word, or it makes no sense now; the service's log says so.
    pub fn control(&mut self, world: &mut impl World, now: u64, i: usize, text: &[u8]) -> Result<(), Refused> {
        self.now = now;
        let result = match Command::parse(text) {
            Some(command) if i == ITSELF => self.control_itself(command),
            Some(command) => self.command(world, i, command),
            None => Err(Refused),
        };
        if result.is_err() {
            self.edit(i, |s| s.note(now, Kind::BadCommand, 0));
        }
        self.settle(world);
        result
    }

    /// Service `i` counts something itself: a line of its `stats`.
    ///
    /// # Errors
    /// [`Refused`]: the name is no word of at most [`crate::state::COUNTER_NAME`] bytes, or there are [`crate::state::COUNTERS`] already.
    pub fn count(&mut self, world: &mut impl World, i: usize, name: &[u8], value: u64) -> Result<(), Refused> {
        let name = Counter::padded(name).ok_or(Refused)?;
        self.state.count(i, name, value).ok_or(Refused)?;
        self.changed = true;
        self.settle(world);
        Ok(())
    }

    pub(crate) fn service(&self, i: usize) -> Option<&Service> {
        self.state.services.get(i)
    }

    /// Every change of the state goes through here, so that none is left uncommitted.
    pub(crate) fn edit<R>(&mut self, i: usize, change: impl FnOnce(&mut Service) -> R) {
        if let Some(s) = self.state.services.get_mut(i) {
            change(s);
            self.changed = true;
        }
    }

    fn settle(&mut self, world: &mut impl World) {
        self.commit(world);
        while let Some(call) = self.next() {
            self.carry_out(world, call);
            self.commit(world);
        }
    }

    fn commit(&mut self, world: &mut impl World) {
        if core::mem::take(&mut self.changed) {
            world.commit(&self.state);
        }
    }

    /// The call that the state asks for next.
    pub fn next(&self) -> Option<Call> {
        let count = self.manifest.services.len();
        let first = |phase: Phase| (0..count).find(|i| self.service(*i).is_some_and(|s| s.phase() == phase));
        if self.ended {
            return None;
        }
        if let Some(i) = first(Phase::New) {
            return Some(Call::Describe(i));
        }
        if let Some(i) = first(Phase::Described) {
            return Some(Call::Grant(i));
        }
        (0..count).find_map(|i| self.next_of(i))
    }

    fn next_of(&self, i: usize) -> Option<Call> {
        let (s, watch) = (self.service(i)?, self.watch.get(i)?);
        match s.phase() {
            Phase::Starting if watch.wait == 0 => Some(Call::Spawn(i)),
            Phase::Running if watch.unchecked => Some(Call::Check(i)),
            Phase::Killing => Some(Call::Kill(i)),
            Phase::Dead => Some(Call::Inspect(i)),
            Phase::Failing => Some(Call::Fail(i)),
            Phase::Mending => Some(Call::Mend(i)),
            Phase::Ending => Some(Call::PowerOff(s.reason)),
            _ => None,
        }
    }

    fn carry_out(&mut self, world: &mut impl World, call: Call) {
        match call {
            Call::Describe(i) => self.describe(world, i),
            Call::Grant(i) => self.grant(world, i),
            Call::Spawn(i) => self.spawn(world, i),
            Call::Kill(i) => self.kill(world, i),
            Call::Check(i) => self.check(world, i),
            Call::Inspect(i) => self.inspect(world, i),
            Call::Fail(i) => self.fail(world, i),
            Call::Mend(i) => self.mend(world, i),
            Call::PowerOff(status) => {
                self.ended = true;
                world.power_off(status);
            }
        }
    }

    fn name(&self, i: usize) -> &'m str {
        self.manifest.services.get(i).map_or("?", |s| &s.name)
    }

    fn not_granted(&mut self, i: usize, error: Error) {
        let now = self.now;
        self.edit(i, |s| {
            s.note(now, Kind::NotGranted, error as u64);
            s.set_phase(Phase::Failing);
        });
    }

    fn describe(&mut self, world: &mut impl World, i: usize) {
        match world.describe(i) {
            Ok(()) => self.edit(i, |s| s.set_phase(Phase::Described)),
            Err(error) => {
                world.log(format_args!("{}: no entry: {}", self.name(i), error.name()));
                self.not_granted(i, error);
            }
        }
    }

    fn grant(&mut self, world: &mut impl World, i: usize) {
        match world.grant(i) {
            Ok(()) => self.edit(i, |s| {
                s.incarnation = s.incarnation.max(1);
                s.set_phase(Phase::Starting);
            }),
            Err(error) => {
                world.log(format_args!("{}: not granted: {}", self.name(i), error.name()));
                self.not_granted(i, error);
            }
        }
    }

    fn spawn(&mut self, world: &mut impl World, i: usize) {
        let Some(s) = self.service(i) else { return };
        let (incarnation, poison, now) = (s.incarnation, s.poison, self.now);
        match world.spawn(i, incarnation, poison) {
            Ok(()) => {
                world.log(format_args!("{}: started, incarnation {incarnation}", self.name(i)));
                self.edit(i, |s| {
                    (s.progress, s.paused) = (0, 0);
                    s.note(now, Kind::Started, 0);
                    s.set_phase(Phase::Running);
                });
                self.watch_from_start(world, i);
            }
            Err(error) => {
                world.log(format_args!("{}: not started: {}", self.name(i), error.name()));
                self.edit(i, |s| {
                    s.note(now, Kind::NotStarted, error as u64);
                    s.deaths_in_row = s.deaths_in_row.saturating_add(1);
                });
                self.after_death(world, i, 1);
            }
        }
    }

    fn kill(&mut self, world: &mut impl World, i: usize) {
        let Some(s) = self.service(i) else { return };
        // An error says that there is no such process any more: what Kill was to achieve.
        let _ = world.kill(i, s.incarnation, s.reason);
        self.edit(i, |s| s.set_phase(Phase::Dead));
    }

    fn check(&mut self, world: &mut impl World, i: usize) {
        if let Some(watch) = self.watch.get_mut(i) {
            watch.unchecked = false;
        }
        let (Some(s), Ok(report)) = (self.service(i), world.report(i)) else {
            return;
        };
        let now = self.now;
        if report.incarnation == s.incarnation && !report.alive {
            self.edit(i, |s| {
                s.reason = 0;
                s.dies_at(now);
                s.set_phase(Phase::Dead);
            });
        }
    }

    fn inspect(&mut self, world: &mut impl World, i: usize) {
        let Ok(report) = world.report(i) else {
            return self.edit(i, |s| s.set_phase(Phase::Failing));
        };
        let Some(s) = self.service(i) else { return };
        if report.alive && report.incarnation == s.incarnation {
            // Killing came to nothing; back to it.
            return self.edit(i, |s| s.set_phase(Phase::Killing));
        }
        let ordered = s.ordered == 1;
        self.edit(i, |s| s.lands(report.landing));
        if ordered {
            self.died_by_order(world, i);
        } else {
            self.died_by_its_fault(world, i, &report);
        }
        self.after_death(world, i, exit_status(&report));
    }

    fn died_by_order(&mut self, world: &mut impl World, i: usize) {
        let now = self.now;
        world.log(format_args!("{}: killed by order", self.name(i)));
        self.edit(i, |s| {
            s.ordered = 0;
            s.kills = s.kills.wrapping_add(1);
            s.note(now, Kind::Killed, 0);
        });
    }

    fn died_by_its_fault(&mut self, world: &mut impl World, i: usize, report: &Report) {
        let now = self.now;
        let crash = backtrace::record(world, i, report);
        world.log(format_args!(
            "{}: died, reason {:#x} at image+{:#x}, fault address {:#x}",
            self.name(i),
            report.reason,
            crash.frames.first().copied().unwrap_or(0),
            report.fault
        ));
        self.edit(i, |s| {
            let kind = if s.reason == 0 { Kind::Crashed } else { Kind::Hung };
            let number = s.keep(crash);
            s.crashes = s.crashes.wrapping_add(1);
            s.note(now, kind, number);
            s.deaths_in_row = if s.progress == 1 { 0 } else { s.deaths_in_row.saturating_add(1) };
            s.suspect(report.request, now);
        });
    }

    /// What the manifest says. `status` is the machine's, should this be its end.
    fn after_death(&mut self, world: &mut impl World, i: usize, status: u64) {
        let (Some(entry), Some(s)) = (self.manifest.services.get(i), self.service(i)) else {
            return;
        };
        let (now, deaths) = (self.now, s.deaths_in_row);
        match entry.restart {
            Restart::EndsMachine => self.edit(i, |s| {
                s.reason = status;
                s.note(now, Kind::Ended, status);
                s.set_phase(Phase::Ending);
            }),
            Restart::Always { limit, .. } if deaths < u32::from(limit) => self.start_again(i, entry.restart, deaths),
            _ => {
                world.log(format_args!("{}: failed after {deaths} deaths without progress", self.name(i)));
                self.edit(i, |s| {
                    s.note(now, Kind::GivenUp, u64::from(deaths));
                    s.set_phase(Phase::Failing);
                });
            }
        }
    }

    fn start_again(&mut self, i: usize, restart: Restart, deaths: u32) {
        let (now, milliseconds) = (self.now, back_off(restart, deaths));
        let ticks = milliseconds * 1_000_000 / TICK_NS;
        if let Some(watch) = self.watch.get_mut(i) {
            watch.wait = ticks as u32;
        }
        self.edit(i, |s| {
            if ticks > 0 {
                s.note(now, Kind::BackOff, milliseconds);
            }
            s.incarnation = s.incarnation.saturating_add(1);
            s.restarts = s.restarts.wrapping_add(1);
            s.set_phase(Phase::Starting);
        });
    }

    fn fail(&mut self, world: &mut impl World, i: usize) {
        // Without an entry there is no endpoint, and so nobody who waits there.
        let _ = world.fail(i, FAILED_CODE);
        self.edit(i, |s| {
            s.died_at = 0;
            s.set_phase(Phase::Failed);
        });
    }

    fn mend(&mut self, world: &mut impl World, i: usize) {
        if let Err(error) = world.fail(i, 0) {
            return self.not_granted(i, error);
        }
        if let Some(watch) = self.watch.get_mut(i) {
            watch.wait = 0;
        }
        self.edit(i, |s| {
            s.deaths_in_row = 0;
            s.incarnation = s.incarnation.saturating_add(1);
            s.restarts = s.restarts.wrapping_add(1);
            s.set_phase(Phase::Starting);
        });
    }

    fn control_itself(&mut self, command: Command) -> Result<(), Refused> {
        if !matches!(command, Command::Kill | Command::Restart) {
            return Err(Refused);
        }
        let now = self.now;
        self.kill_itself = true;
        self.edit(ITSELF, |s| {
            s.kills = s.kills.wrapping_add(1);
            s.dies_at(now);
            s.note(now, Kind::Killed, 0);
        });
        Ok(())
    }

    fn command(&mut self, world: &mut impl World, i: usize, command: Command) -> Result<(), Refused> {
        let s = self.service(i).filter(|_| i < self.manifest.services.len()).ok_or(Refused)?;
        match (command, s.phase()) {
            (Command::Kill, Phase::Running) => self.order_kill(i, Order::Kill),
            (Command::Restart, Phase::Running) => self.order_kill(i, Order::Restart),
            (Command::Restart, Phase::Failed) => self.edit(i, |s| s.set_phase(Phase::Mending)),
            (Command::Hang, Phase::Running) => self.tell(world, i, Signal::Hang, Kind::ToldToHang),
            (Command::Pause, Phase::Running) => self.tell(world, i, Signal::Pause, Kind::Paused),
            (Command::Resume, Phase::Running) => self.tell(world, i, Signal::Resume, Kind::Resumed),
            _ => return Err(Refused),
        }
        Ok(())
    }

    fn order_kill(&mut self, i: usize, order: Order) {
        let now = self.now;
        self.edit(i, |s| {
            (s.ordered, s.reason) = (1, kill_reason::ORDERED);
            s.dies_at(now);
            if order == Order::Restart {
                (s.deaths_in_row, s.suspect, s.poison) = (0, Request::NONE, Request::NONE);
            }
            s.set_phase(Phase::Killing);
        });
    }

    fn tell(&mut self, world: &mut impl World, i: usize, signal: Signal, kind: Kind) {
        let now = self.now;
        self.edit(i, |s| {
            match kind {
                Kind::Paused => s.paused = 1,
                Kind::Resumed => s.paused = 0,
                _ => (),
            }
            s.note(now, kind, 0);
        });
        self.commit(world);
        world.signal(i, signal);
    }
}

/// What is different between `kill` and `restart` of a running service: `restart` also forgives it its past.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Kill,
    Restart,
}

impl Service {
    pub(crate) fn dies_at(&mut self, now: u64) {
        self.died_at = now.max(1);
    }

    /// The supervisor's own predecessor died so. An ordered death was noted when it was ordered.
    fn follows(&mut self, died: Predecessor) {
        self.lands(died.landing);
        if died.reason & 0xff == DeathKind::Killed as u64 {
            return;
        }
        let mut frames = [0; FRAMES];
        frames[0] = died.offset;
        let incarnation = self.incarnation;
        let number = self.keep(Crash { incarnation, depth: 1, reason: died.reason, frames, ..Crash::default() });
        self.crashes = self.crashes.wrapping_add(1);
        self.note(died.at, Kind::Crashed, number);
        if self.died_at == 0 {
            self.dies_at(died.at);
        }
    }

    fn lands(&mut self, landing: Landing) {
        if let Some(count) = self.landed.get_mut(landing as usize) {
            *count = count.wrapping_add(1);
        }
    }

    pub(crate) fn measure_recovery(&mut self, now: u64) {
        let microseconds = now.saturating_sub(self.died_at) / 1000;
        self.died_at = 0;
        self.recovered_in(microseconds);
        self.note(now, Kind::Recovered, microseconds);
    }

    /// A request was in service at a death: at the second one in a row it is poison.
    fn suspect(&mut self, request: Request, now: u64) {
        if request != Request::NONE && request == self.suspect && request != self.poison {
            self.poison = request;
            self.poisoned = self.poisoned.wrapping_add(1);
            self.note(now, Kind::Poisoned, request.word);
        }
        self.suspect = request;
    }
}

/// Wait before the next start, milliseconds: none after progress, then doubling up to the manifest's most.
fn back_off(restart: Restart, deaths: u32) -> u64 {
    let Restart::Always { backoff_ms, backoff_most_ms, .. } = restart else {
        return 0;
    };
    match deaths {
        0 => 0,
        n => (u64::from(backoff_ms) << (n - 1).min(32)).min(u64::from(backoff_most_ms)),
    }
}

/// The machine's status when a service's end is its end: what it exited with, or 1.
fn exit_status(report: &Report) -> u64 {
    match report.reason & 0xff {
        kind if kind == DeathKind::Exited as u64 => report.reason >> 8,
        _ => 1,
    }
}
