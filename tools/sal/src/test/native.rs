//! Native tests in the machine: `tests/guest`'s program runs as the root task, one machine per group of tests and number of processors. Each test
//! says on the log `test NAME ok [figures]` or `test NAME FAILED reason`.

use super::cases::text;
use super::report::Finding;
use super::{Job, Lab};
use std::time::Instant;

/// The program in the machine.
const PROGRAM: &str = "kernel-tests";

/// The groups, and on how many processors each is run.
const GROUPS: &[(&str, &[u32])] = &[
    ("handles", &[1]),
    ("heir", &[1, 4]),
    ("memory", &[1, 4]),
    ("message", &[1, 4]),
    ("order", &[1, 4]),
    ("stress", &[1, 2, 4]),
];

/// One job per machine.
pub(crate) fn jobs(lab: &Lab) -> Vec<Job> {
    let written = lab.workspace.program(PROGRAM).is_some_and(|program| program.written);
    let machines = GROUPS.iter().flat_map(|(group, processors)| processors.iter().map(move |smp| (*group, *smp)));
    machines
        .filter(|_| written)
        .map(|(group, smp)| Job {
            name: format!("guest-{smp}/{group}/"),
            collects: true,
            run: Box::new(move |lab| run(lab, group, smp)),
        })
        .collect()
}

fn run(lab: &Lab, group: &str, smp: u32) -> Vec<Finding> {
    let start = Instant::now();
    let whole = |result, start: Instant| Finding {
        name: format!("guest-{smp}/{group}/all"),
        time: Some(start.elapsed()),
        result,
    };
    let finished = match lab.under(PROGRAM, &format!("arg={group}"), smp) {
        Ok(finished) => finished,
        Err(error) => return vec![whole(Err(text(error)), start)],
    };
    let mut all = findings(&format!("guest-{smp}/"), finished.log.lines());
    // The machine's own end counts as well: it ends in order only when all tests were run and none failed.
    let ended = match finished.status() {
        Ok(_) if all.is_empty() => Err(format!("no test said anything\n{}", finished.console())),
        Ok(_) => Ok(Some(format!("{} tests", all.len()))),
        Err(_) if all.iter().any(|test| test.result.is_err()) => Ok(None),
        Err(why) => Err(why),
    };
    if ended != Ok(None) {
        all.push(whole(ended, start));
    }
    all
}

/// What the log's lines say about tests, in their order. Figures may follow `ok`.
fn findings<'a>(prefix: &str, lines: impl IntoIterator<Item = &'a str>) -> Vec<Finding> {
    lines.into_iter().filter_map(|line| finding(prefix, line)).collect()
}

fn finding(prefix: &str, line: &str) -> Option<Finding> {
    // Before `test` may stand who wrote the line.
    let (before, rest) = line.split_once("test ")?;
    if !before.is_empty() && !before.ends_with(": ") {
        return None;
    }
    let (name, verdict) = rest.trim_end().split_once(' ')?;
    let (word, text) = verdict.split_once(' ').unwrap_or((verdict, ""));
    let note = Some(text.to_string()).filter(|text| !text.is_empty());
    let result = match word {
        "ok" => Ok(note),
        "FAILED" => Err(note.unwrap_or_else(|| "it gives no reason".into())),
        _ => return None,
    };
    Some(Finding { name: format!("{prefix}{name}"), time: None, result })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_found_among_other_lines() {
        let lines = [
            "cpus: 2",
            "test call/words ok",
            "guest: test death/fence FAILED 3 of 4 died",
            "contest x ok",
            "test a b",
            "test n ok 12 us",
        ];
        let found = findings("guest/", lines);
        let found = found.iter().map(|f| (f.name.as_str(), f.result.clone())).collect::<Vec<_>>();
        assert_eq!(
            found,
            [
                ("guest/call/words", Ok(None)),
                ("guest/death/fence", Err("3 of 4 died".into())),
                ("guest/n", Ok(Some("12 us".into()))),
            ]
        );
    }
}
