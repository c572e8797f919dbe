//! Services die in the middle of a pipeline, and nobody notices: not a byte of what goes through the console is lost or doubled.
//!
//! The machine's script keeps three things going: numbers in order through a pipe to standard output, standard input into a digest, and
//! somebody who writes `kill` to the victim's `ctl` at random moments. It ends when the kills are done; what came out must be exactly the
//! numbers up to the last one, and the digest that of the input. The supervisor's own counts say that all kills happened, where they
//! landed, and how long the callers waited.

use super::Lab;
use super::cases::{Case, note, text};
use super::lab::Finished;
use super::linux::{SYSTEM, options};
use crate::bundle::digest;
use crate::cli::Run;
use std::collections::BTreeMap;

/// Kills in the ordinary run, and in the long one.
const KILLS: u32 = 10;
const MANY: u32 = 100;

/// Seconds that a machine may take, and how many more per kill.
const LIMIT: u64 = 90;
const LIMIT_PER_KILL: u64 = 2;

/// Bytes of standard input: they last about as long as the kills.
const INPUT: usize = 150_000;

/// `$1` is the victim, `$2` how often it dies. RANDOM is seeded, so that a run can be told from another one by its number alone; where a
/// kill lands still depends on the machine's own timing.
const SCRIPT: &str = r#"
svc=/svc/$1; count=$2; RANDOM=$3
exec 3<&0
: >/tmp/going
(sha256sum <&3 >/tmp/digest) &
reader=$!
(
	n=0
	while [ $n -lt $count ]; do
		sleep 0.0$((RANDOM % 90 + 10))
		echo kill >$svc/ctl || echo "kill $n refused" >&2
		n=$((n + 1))
	done
	rm /tmp/going
) &
i=0
while [ -e /tmp/going ]; do seq $i $((i + 499)); i=$((i + 500)); done | cat
wait $reader
sleep 0.2
cat /tmp/digest $svc/stats >&2
cat $svc/status >&2
"#;

pub(super) const CASES: &[Case] = &[
    Case { name: "kill/console", rows: &["X5"], exists, run: |lab| storm(lab, "console", 1) },
    Case { name: "kill/uart", rows: &["X5"], exists, run: |lab| storm(lab, "uart", 1) },
    Case { name: "kill/names", rows: &["X5"], exists, run: |lab| storm(lab, "names", 1) },
    Case { name: "kill/supervisor", rows: &["X5"], exists, run: |lab| storm(lab, "supervisor", 1) },
    Case { name: "kill/console-4-cpus", rows: &["X5"], exists, run: |lab| storm(lab, "console", 4) },
    Case { name: "kill/uart-4-cpus", rows: &["X5"], exists, run: |lab| storm(lab, "uart", 4) },
    Case { name: "kill/hang-is-noticed", rows: &["X5"], exists, run: hang },
    Case { name: "kill/no-such-order", rows: &[], exists, run: no_such_order },
];

fn exists(lab: &Lab) -> bool {
    lab.has_system(SYSTEM)
}

type Verdict = Result<Option<String>, String>;

/// Bytes of all values, not the same ones at any two places that a buffer could swap.
fn input() -> Vec<u8> {
    let byte = |n: usize| ((n as u32).wrapping_mul(2_654_435_761) >> 11) as u8;
    (0..INPUT).map(byte).collect()
}

fn storm(lab: &Lab, victim: &str, smp: u32) -> Verdict {
    let count = if lab.long { MANY } else { KILLS };
    let seed = u32::from(std::process::id() as u16);
    let numbers = [count, seed].map(|number| number.to_string());
    let command = ["sh", "-c", SCRIPT, "sh", victim, &numbers[0], &numbers[1]];
    let limit = LIMIT + LIMIT_PER_KILL * u64::from(count);
    let options = Run { smp, ..options(None, &command, limit) };
    let finished = lab.run(&options, input()).map_err(text)?;
    let told = String::from_utf8_lossy(&finished.error).into_owned();
    let fail = |why: String| format!("seed {seed}: {why}\n{told}\n{}", finished.console());
    match finished.status() {
        Ok(0) => (),
        Ok(status) => return Err(fail(format!("status {status}"))),
        Err(why) => return Err(format!("seed {seed}: {why}\n{told}")),
    }
    let bytes = in_order(&finished.output).map_err(fail)?;
    let wanted = digest(&input());
    if !told.contains(&wanted) {
        return Err(fail(format!("standard input was not {wanted} in the machine")));
    }
    let stats = counts(&told);
    let deaths = if victim == "supervisor" { "restarts" } else { "kills" };
    let done = stats.get(deaths).copied().unwrap_or(0);
    // A victim that is killed while it is dead dies once.
    if done == 0 || done > count || told.contains("refused") {
        return Err(fail(format!("{done} of {count} kills")));
    }
    Ok(Some(figures(&stats, done, bytes)))
}

/// Standard output must be the numbers from 0 on, up to a multiple of 500. Bytes of it.
fn in_order(output: &[u8]) -> Result<usize, String> {
    let text = std::str::from_utf8(output).map_err(|error| format!("output is not text: {error}"))?;
    let mut next = 0u64;
    for line in text.lines() {
        if line != next.to_string() {
            return Err(format!("output has {line:?} where {next} belongs"));
        }
        next += 1;
    }
    if next == 0 || !next.is_multiple_of(500) || !text.ends_with('\n') {
        return Err(format!("output ends after {next} numbers"));
    }
    Ok(output.len())
}

/// Lines `name value`.
fn counts(text: &str) -> BTreeMap<String, u32> {
    let pair = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        Some((name.to_string(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

fn figures(stats: &BTreeMap<String, u32>, done: u32, bytes: usize) -> String {
    let of = |name: &str| stats.get(name).copied().unwrap_or(0);
    let milliseconds = |name: &str| f64::from(of(name)) / 1000.0;
    format!(
        "{done} kills ({} idle, {} in a request, {} in an adoption), {} KiB out, recovery median {:.1} ms, worst {:.1} ms",
        of("died_idle"),
        of("died_in_request"),
        of("died_in_adoption"),
        bytes / 1024,
        milliseconds("recovery_us_median"),
        milliseconds("recovery_us_max"),
    )
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
    let wants = ["back\n", "running incarnation 2", "hung and was killed", "missed its heartbeats", " 0: "];
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_or_doubled_number_is_seen() {
        let text = |range: std::ops::Range<u32>| range.map(|n| format!("{n}\n")).collect::<String>();
        assert_eq!(in_order(text(0..500).as_bytes()), Ok(1890));
        assert!(in_order(text(1..500).as_bytes()).is_err());
        assert!(in_order((text(0..500) + "499\n").as_bytes()).is_err());
        assert!(in_order(text(0..499).as_bytes()).is_err());
        assert!(in_order(b"").is_err());
    }

    #[test]
    fn figures_come_from_the_stats() {
        let stats = counts("kills 3\ndied_idle 1\nrecovery_us_median 1500\nnoise here\n");
        let line = figures(&stats, 3, 2048);
        assert!(line.starts_with("3 kills (1 idle, 0 in a request") && line.contains("median 1.5 ms"), "{line}");
    }
}
