//! Kills and hangs that somebody in the machine orders through `/svc`.

use super::pipeline::{self, Killer};
use super::{Finished, Lab, Verdict, exists};
use crate::cli::Run;
use crate::test::cases::{Case, note, text};
use crate::test::linux::options;

/// Kills in the ordinary run, and in the long one.
pub(super) const KILLS: u32 = 10;
pub(super) const MANY: u32 = 100;

/// Bytes of standard input: they last about as long as the kills.
const INPUT: usize = 150_000;

/// Seconds that a machine may take, and how many more per kill.
pub(super) const LIMIT: u64 = 90;
pub(super) const LIMIT_PER_KILL: u64 = 2;

pub(super) const CASES: &[Case] = &[
    Case { name: "kill/console", rows: &["X5"], exists, run: |lab| storm(lab, "console", 1) },
    Case { name: "kill/uart", rows: &["X5"], exists, run: |lab| storm(lab, "uart", 1) },
    Case { name: "kill/names", rows: &["X5"], exists, run: |lab| storm(lab, "names", 1) },
    Case { name: "kill/supervisor", rows: &["X5"], exists, run: |lab| storm(lab, "supervisor", 1) },
    Case { name: "kill/console-4-cpus", rows: &["X5"], exists, run: |lab| storm(lab, "console", 4) },
    Case { name: "kill/uart-4-cpus", rows: &["X5"], exists, run: |lab| storm(lab, "uart", 4) },
    Case { name: "kill/hang-is-noticed", rows: &["X5", "Q15"], exists, run: hang },
    Case { name: "kill/no-such-order", rows: &[], exists, run: no_such_order },
];

fn storm(lab: &Lab, victim: &str, smp: u32) -> Verdict {
    let count = if lab.long { MANY } else { KILLS };
    let seed = u32::from(std::process::id() as u16);
    let command = pipeline::command(victim, count, seed, Killer::Order);
    let limit = LIMIT + LIMIT_PER_KILL * u64::from(count);
    let options = Run { smp, command, ..options(None, &[], limit) };
    let finished = lab.run(&options, pipeline::input(INPUT)).map_err(text)?;
    let told = pipeline::judge(&finished, INPUT).map_err(|why| format!("seed {seed}: {why}"))?;
    let done = told.count(if victim == "supervisor" { "restarts" } else { "kills" });
    // A victim that is killed while it is dead dies once; whoever dies of something else has a fault.
    if done == 0 || done > count || told.count("crashes") + told.count("hangs") > 0 {
        return Err(format!("seed {seed}: {done} of {count} kills\n{:?}\n{}", told.stats, finished.console()));
    }
    Ok(Some(told.figures(done)))
}

fn script(lab: &Lab, script: &str) -> Result<Finished, String> {
    lab.run(&options(None, &["sh", "-c", script], LIMIT), Vec::new()).map_err(text)
}

/// A service that spins misses its heartbeats, is killed for that, and comes back; its log says why it died and where.
fn hang(lab: &Lab) -> Verdict {
    let told = "\
        for s in names console uart; do \
            echo hang >/svc/$s/ctl; \
            until grep -q '^hangs 1' /svc/$s/stats && grep -q '^recoveries 1' /svc/$s/stats; do sleep 0.1; done; \
            echo back; cat /svc/$s/status /svc/$s/log; \
        done";
    let finished = script(lab, told)?;
    let output = String::from_utf8_lossy(&finished.output).into_owned();
    let spins = " 0: sal_rt::server::spin_as_ordered+0x";
    let wants = ["back\n", "running incarnation 2", "hung and was killed", "missed its heartbeats", spins, " 1: "];
    let missing = wants.iter().find(|want| output.matches(**want).count() < 3);
    match (finished.status()?, missing) {
        (0, None) => Ok(note(&[], None)),
        (status, missing) => {
            Err(format!("status {status}, {missing:?} is missing in {output:?}\n{}", finished.console()))
        }
    }
}

/// A word that is no order is an error for whoever writes it.
fn no_such_order(lab: &Lab) -> Verdict {
    let finished = script(lab, "echo nonsense >/svc/uart/ctl; echo $?; cat /svc/uart/status; ls /svc /svc/uart")?;
    let output = String::from_utf8_lossy(&finished.output).into_owned();
    let right = output.starts_with("1\nrunning incarnation 1") && output.contains("ctl\nlog\nstats\nstatus\n");
    match finished.status()? {
        0 if right => Ok(None),
        status => Err(format!("status {status}, output {output:?}")),
    }
}
