//! The pipeline that goes on while a service dies, and what is to be said of it afterwards.

use super::Finished;
use crate::bundle::digest;
use std::collections::BTreeMap;

/// `$1` is the victim, `$2` how often it dies, `$3` a seed, `$4` who sees to it that it dies: `order` or `outside`. RANDOM is seeded, so
/// that a run can be told from another one by its number alone; where a kill lands still depends on the machine's own timing.
const SCRIPT: &str = r#"s=/svc/$1 RANDOM=$3 n=0
order() { while [ $n -lt $1 ]; do
sleep 0.0$((RANDOM % 90 + 10))
echo kill >$s/ctl || echo "kill $n refused" >&2
n=$((n + 1))
done; }
outside() { while [ $(sed -n 's/^restarts //p' $s/stats) -lt $1 ]; do sleep 0.05; done; }
exec 3<&0
: >/tmp/on
(sha256sum <&3 >/tmp/sum) &
p=$!
($4 $2; rm /tmp/on) &
while [ -e /tmp/on ]; do seq $n $((n + 499)); n=$((n + 500)); done | cat
wait $p
sleep 0.2
cat /tmp/sum $s/stats $s/status >&2"#;

/// Who sees to it that the victim dies.
#[derive(Clone, Copy)]
pub(super) enum Killer {
    /// Somebody in the machine writes `kill` to its `ctl` at random moments.
    Order,
    /// The debugger. The script waits for the deaths.
    Outside,
}

/// The command that runs the pipeline.
pub(super) fn command(victim: &str, count: u32, seed: u32, killer: Killer) -> Vec<String> {
    let killer = match killer {
        Killer::Order => "order",
        Killer::Outside => "outside",
    };
    let arguments = [victim.to_string(), count.to_string(), seed.to_string(), killer.to_string()];
    ["sh", "-c", SCRIPT, "sh"].map(String::from).into_iter().chain(arguments).collect()
}

/// Bytes for standard input: all values, not the same ones at any two places that a buffer could swap.
pub(super) fn input(length: usize) -> Vec<u8> {
    let byte = |n: usize| ((n as u32).wrapping_mul(2_654_435_761) >> 11) as u8;
    (0..length).map(byte).collect()
}

/// What a pipeline came to.
pub(super) struct Told {
    /// The victim's counts.
    pub(super) stats: BTreeMap<String, u32>,
    /// What came out, bytes.
    pub(super) bytes: usize,
}

/// The counts, if nothing was lost, doubled or refused; `length` bytes went in.
pub(super) fn judge(finished: &Finished, length: usize) -> Result<Told, String> {
    let told = String::from_utf8_lossy(&finished.error).into_owned();
    let fail = |why: String| format!("{why}\n{told}\n{}", finished.console());
    match finished.status() {
        Ok(0) => (),
        Ok(status) => return Err(fail(format!("status {status}"))),
        Err(why) => return Err(format!("{why}\n{} bytes came out\n{told}", finished.output.len())),
    }
    let bytes = in_order(&finished.output).map_err(fail)?;
    let wanted = digest(&input(length));
    if !told.contains(&wanted) {
        return Err(fail(format!("standard input was not {wanted} in the machine")));
    }
    if told.contains("refused") {
        return Err(fail("a kill was refused".into()));
    }
    Ok(Told { stats: counts(&told), bytes })
}

/// Standard output must be the numbers from 0 on, up to a multiple of 500. Bytes of it.
pub(super) fn in_order(output: &[u8]) -> Result<usize, String> {
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
pub(super) fn counts(text: &str) -> BTreeMap<String, u32> {
    let pair = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        Some((name.to_string(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

impl Told {
    /// A count; 0 if the supervisor does not have it.
    pub(super) fn count(&self, name: &str) -> u32 {
        self.stats.get(name).copied().unwrap_or(0)
    }

    /// Kills by place, and recovery times.
    pub(super) fn figures(&self, done: u32) -> String {
        let places = [
            ("died_idle", "idle"),
            ("died_in_request", "in a request"),
            ("died_in_notice", "at a notification"),
            ("died_in_commit", "in a commit"),
            ("died_in_adoption", "in an adoption"),
        ];
        let places = places.map(|(name, place)| format!("{} {place}", self.count(name)));
        let milliseconds = |name: &str| f64::from(self.count(name)) / 1000.0;
        format!(
            "{done} kills ({}), {} KiB out, recovery median {:.1} ms, worst {:.1} ms",
            places.join(", "),
            self.bytes / 1024,
            milliseconds("recovery_us_median"),
            milliseconds("recovery_us_max"),
        )
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
        let line = Told { stats, bytes: 2048 }.figures(3);
        assert!(line.starts_with("3 kills (1 idle, 0 in a request") && line.contains("median 1.5 ms"), "{line}");
    }
}
