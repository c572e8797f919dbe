//! Native tests in the machine: one boot runs many, and each says on the log `test NAME ok` or `test NAME FAILED reason`.

use super::cases::text;
use super::report::Finding;
use super::{Job, Lab};
use crate::cli::{Contents, Run};
use std::time::Instant;

/// The manifest that starts them.
const SYSTEM: &str = "test";

/// They may take so long together, in seconds.
const LIMIT: u64 = 120;

/// One boot that runs all native tests, on two processors; none as long as a program of theirs is missing.
pub(crate) fn job(lab: &Lab) -> Option<Job> {
    lab.has_system(SYSTEM).then(|| Job {
        name: "guest/".into(),
        collects: true,
        run: Box::new(run),
    })
}

fn run(lab: &Lab) -> Vec<Finding> {
    let contents = Contents {
        root: None,
        system: SYSTEM.into(),
        shuffle: None,
    };
    let options = Run {
        smp: 2,
        timeout: Some(LIMIT),
        ..Run::of(contents)
    };
    let start = Instant::now();
    let whole = |result, start: Instant| Finding {
        name: "guest/all".into(),
        time: Some(start.elapsed()),
        result,
    };
    let finished = match lab.run(&options, Vec::new()) {
        Ok(finished) => finished,
        Err(error) => return vec![whole(Err(text(error)), start)],
    };
    let mut all = findings("guest/", finished.log.lines());
    // The machine's own end counts as well: all that were to run must have run.
    let ended = match finished.status() {
        Ok(_) if all.is_empty() => Err(format!("no test said anything\n{}", finished.console())),
        Ok(0) => Ok(Some(format!("{} tests", all.len()))),
        Ok(status) => Err(format!(
            "the test program ended with status {status}\n{}",
            finished.console()
        )),
        Err(why) => Err(why),
    };
    all.push(whole(ended, start));
    all
}

/// What the log's lines say about tests, in their order. Figures may follow `ok`.
fn findings<'a>(prefix: &str, lines: impl IntoIterator<Item = &'a str>) -> Vec<Finding> {
    lines
        .into_iter()
        .filter_map(|line| finding(prefix, line))
        .collect()
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
    Some(Finding {
        name: format!("{prefix}{name}"),
        time: None,
        result,
    })
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
        let found = found
            .iter()
            .map(|f| (f.name.as_str(), f.result.clone()))
            .collect::<Vec<_>>();
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
