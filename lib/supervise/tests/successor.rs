//! The supervisor is killed before and after every commit and every estate call of a long story; its successor goes on. At the end
//! every service has exactly one living incarnation, and none was ever spawned twice or beside its predecessor (the simulated estate
//! asserts that at each spawn).

mod sim;

use sal_manifest::Manifest;
use sal_supervise::state::{Phase, Request};
use sim::{Mood, Run, index, manifest};

/// Start, an ordered kill, a crash, a hang, two crashes at once, one that dies at each start, its repair.
fn story(m: &Manifest, dies_at: u64, dies_again: Vec<u64>) -> Run<'_> {
    let mut run = Run::dying(m, dies_at, dies_again);
    let [uart, names, console, memory] = ["uart", "names", "console", "memory"].map(|name| index(m, name));
    run.drain();
    run.ticks(8);
    run.order(uart, "kill");
    run.ticks(2);
    run.sim.crash(names, Request { client: 1, word: 2 });
    run.drain();
    run.order(console, "hang");
    // A successor counts the turns anew.
    run.ticks(30);
    assert!(run.sim.entries[console].mood != Mood::Spins, "a hang was noticed");
    run.sim.crash(uart, Request::NONE);
    run.sim.crash(memory, Request::NONE);
    run.drain();
    run.order(0, "kill");
    run.ticks(8);
    run.sim.entries[names].mood = Mood::DiesAtStart;
    run.sim.crash(names, Request::NONE);
    run.drain();
    run.ticks(300);
    assert_eq!(run.supervisor.state().services[names].phase(), Phase::Failed, "point {dies_at}");
    assert!(run.sim.entries[names].failed != 0);
    run.sim.entries[names].mood = Mood::Well;
    run.order(names, "restart");
    run.ticks(300);
    run
}

fn end_is_good(m: &Manifest, run: &Run<'_>, point: u64) {
    for (i, entry) in run.sim.entries.iter().enumerate().skip(1) {
        let name = &m.services[i].name;
        let s = &run.supervisor.state().services[i];
        assert!(entry.report.alive, "{name} lives (point {point})");
        assert_eq!(entry.failed, 0, "{name}'s endpoint takes calls (point {point})");
        assert_eq!(entry.report.incarnation, s.incarnation, "{name} (point {point})");
        assert_eq!(s.phase(), Phase::Running, "{name} (point {point})");
        let incarnations: Vec<u32> = entry.spawned.keys().copied().collect();
        let every: Vec<u32> = (1..=s.incarnation).collect();
        assert_eq!(incarnations, every, "{name}: each incarnation once (point {point})");
        assert_eq!(s.died_at, 0, "{name}'s recovery was seen (point {point})");
    }
    assert_eq!(run.supervisor.state().services[0].phase(), Phase::Itself);
}

#[test]
fn a_supervisor_killed_at_any_point_is_continued() {
    let m = manifest();
    let whole = story(&m, u64::MAX, Vec::new());
    end_is_good(&m, &whole, 0);
    let points = whole.sim.points;
    assert!(points > 500, "{points} points");
    for point in 1..=points {
        let run = story(&m, point, Vec::new());
        assert!(run.deaths >= 1, "it died at point {point}");
        end_is_good(&m, &run, point);
    }
}

#[test]
fn an_order_to_kill_the_supervisor_is_carried_out_once() {
    let m = manifest();
    let mut run = Run::new(&m, u64::MAX);
    run.control(0, "kill");
    run.ticks(20);
    assert_eq!(run.deaths, 1);
    assert_eq!(run.supervisor.state().services[0].incarnation, 2);
    assert!(run.text("supervisor/stats").contains("kills 1\n"));
    assert!(run.text("supervisor/stats").contains("recoveries 1\n"));
    assert!(run.sim.entries.iter().skip(1).all(|e| e.report.incarnation == 1), "nobody else noticed");
}

#[test]
fn successors_that_die_while_they_adopt_are_continued_too() {
    let m = manifest();
    let points = story(&m, u64::MAX, Vec::new()).sim.points;
    for point in (1..=points).step_by(151) {
        for again in [1, 2, 3, 5, 8, 12] {
            let run = story(&m, point, vec![again, 1 + point % again, again + 3]);
            assert!(run.deaths >= 4, "three more deaths after point {point}");
            end_is_good(&m, &run, point);
        }
    }
}
