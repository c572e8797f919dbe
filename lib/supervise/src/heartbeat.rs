//! Heartbeats, counted in the service's own turns (rules 4 to 7 of the crate).

use crate::state::Phase;
use crate::supervisor::Supervisor;
use crate::world::{Report, World};
use crate::{PROGRESS_BEATS, STUCK_TICKS, Signal, kill_reason};
use sal_manifest::Heartbeat;

/// What the supervisor knows of a service and may forget.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    /// A heartbeat is out, not answered.
    asked: bool,
    /// CPU time of the service when it was last seen not to have answered.
    mark: Option<u64>,
    /// Of its CPU time since it was first seen not to have answered, what counts as turns, nanoseconds.
    used: u64,
    /// Answered by this incarnation, up to [`PROGRESS_BEATS`].
    beats: u8,
    /// Ticks for which it has been stuck.
    stuck: u16,
    /// Ticks left of its back-off.
    pub(crate) wait: u32,
    /// Look whether it lives.
    pub(crate) unchecked: bool,
}

impl Watch {
    /// Nothing is known.
    pub(crate) const NEW: Watch =
        Watch { asked: false, mark: None, used: 0, beats: 0, stuck: 0, wait: 0, unchecked: true };
}

impl Supervisor<'_> {
    /// A new incarnation was spawned: nothing is known of it, and it is asked at once, which measures its recovery.
    pub(crate) fn watch_from_start(&mut self, world: &mut impl World, i: usize) {
        if let Some(watch) = self.watch.get_mut(i) {
            *watch = Watch::NEW;
        }
        self.ask(world, i);
    }

    /// One tick: back-offs run on; whoever has answered is asked again; whoever has not is looked at.
    pub(crate) fn tick(&mut self, world: &mut impl World) {
        for i in 0..self.manifest.services.len() {
            if let Some(watch) = self.watch.get_mut(i) {
                watch.wait = watch.wait.saturating_sub(1);
            }
            let watched = self.service(i).is_some_and(|s| s.phase() == Phase::Running && s.paused == 0);
            match self.watch.get(i) {
                Some(watch) if watched && watch.asked => self.look(world, i),
                Some(_) if watched => self.ask(world, i),
                _ => (),
            }
        }
    }

    fn ask(&mut self, world: &mut impl World, i: usize) {
        if self.turn(i).is_none() {
            return;
        }
        if let Some(watch) = self.watch.get_mut(i) {
            (watch.asked, watch.mark, watch.used, watch.stuck) = (true, None, 0, 0);
            world.signal(i, Signal::Ping);
        }
    }

    /// CPU time of a turn, nanoseconds, and how many turns without an answer are a hang.
    fn turn(&self, i: usize) -> Option<(u64, u64)> {
        match self.manifest.services.get(i)?.heartbeat {
            Heartbeat::Off => None,
            Heartbeat::Turns { turn_ms, missed } => Some((u64::from(turn_ms) * 1_000_000, u64::from(missed))),
        }
    }

    /// A service answered.
    pub(crate) fn beat(&mut self, i: usize) {
        let now = self.now;
        let Some(watch) = self.watch.get_mut(i) else {
            return;
        };
        if !watch.asked {
            return;
        }
        (watch.asked, watch.stuck) = (false, 0);
        watch.beats = watch.beats.saturating_add(1);
        let lived = watch.beats >= PROGRESS_BEATS;
        let Some(s) = self.service(i) else { return };
        if s.phase() != Phase::Running {
            return;
        }
        if s.died_at != 0 {
            self.edit(i, |s| s.measure_recovery(now));
        }
        if lived && self.service(i).is_some_and(|s| s.progress == 0) {
            self.edit(i, |s| (s.progress, s.deaths_in_row) = (1, 0));
        }
    }

    /// A service has not answered: has it had its turns, or is it stuck?
    fn look(&mut self, world: &mut impl World, i: usize) {
        let (Ok(report), Some((turn, missed))) = (world.report(i), self.turn(i)) else {
            return;
        };
        let stuck = self.is_stuck(i, &report);
        let Some(watch) = self.watch.get_mut(i) else {
            return;
        };
        let mark = watch.mark.replace(report.cpu_ns).unwrap_or(report.cpu_ns);
        // Between two looks it had one turn at most. If its clock says more, the machine stood still with it on the CPU.
        watch.used += report.cpu_ns.saturating_sub(mark).min(turn);
        watch.stuck = if stuck { watch.stuck.saturating_add(1) } else { 0 };
        if watch.used >= turn * missed {
            self.hung(i, kill_reason::HANG);
        } else if watch.stuck >= STUCK_TICKS {
            self.hung(i, kill_reason::STUCK);
        }
    }

    fn is_stuck(&self, i: usize, report: &Report) -> bool {
        let answers = |j: usize| {
            self.service(j).is_some_and(|s| matches!(s.phase(), Phase::Running | Phase::Itself))
                && self.watch.get(j).is_none_or(|w| w.mark.is_none())
        };
        let below_is_well = || {
            let uses = self.manifest.services.get(i).map_or(&[][..], |s| &s.uses);
            uses.iter().all(|u| answers(usize::from(u.service)))
        };
        report.blocked && report.receiving == 0 && report.queued > 0 && below_is_well()
    }

    fn hung(&mut self, i: usize, reason: u64) {
        let now = self.now;
        self.edit(i, |s| {
            (s.ordered, s.reason) = (0, reason);
            s.dies_at(now);
            s.hangs = s.hangs.wrapping_add(1);
            s.set_phase(Phase::Killing);
        });
    }
}
