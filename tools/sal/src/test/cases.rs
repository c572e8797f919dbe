//! The tests in the machine. Each names the rows of heritage.md that it shows.

use super::report::Finding;
use super::{Job, Lab};
use anyhow::Result;
use std::time::{Duration, Instant};

/// A test in the machine.
struct Case {
    name: &'static str,
    /// Rows of heritage.md.
    rows: &'static [&'static str],
    /// Is what it needs there already?
    exists: fn(&Lab) -> bool,
    /// Runs it: figures to print, or why it failed.
    run: fn(&Lab) -> Result<Option<String>, String>,
}

/// How long the kernel may take for its own tests.
const KERNEL_LIMIT: Duration = Duration::from_secs(60);

const CASES: [Case; 3] = [
    Case {
        name: "kernel/selftest",
        rows: &["M2"],
        exists: kernel_exists,
        run: |lab| selftest(lab, 1),
    },
    Case {
        name: "kernel/selftest-4-cpus",
        rows: &["M2"],
        exists: kernel_exists,
        run: |lab| selftest(lab, 4),
    },
    Case {
        name: "kernel/stack-overflow",
        rows: &["M2"],
        exists: kernel_exists,
        run: overflow,
    },
];

/// One job per test whose parts exist.
pub(crate) fn jobs(lab: &Lab) -> Vec<Job> {
    CASES.iter().filter(|case| (case.exists)(lab)).map(job).collect()
}

fn job(case: &'static Case) -> Job {
    let run = |lab: &Lab| {
        let start = Instant::now();
        let result = (case.run)(lab).map(|figures| note(case.rows, figures));
        vec![Finding {
            name: case.name.into(),
            time: Some(start.elapsed()),
            result,
        }]
    };
    Job {
        name: case.name.into(),
        collects: false,
        run: Box::new(run),
    }
}

fn note(rows: &[&str], figures: Option<String>) -> Option<String> {
    let rows = format!("[{}]", rows.join(" "));
    Some(figures.map_or_else(|| rows.clone(), |figures| format!("{rows} {figures}")))
}

fn kernel_exists(lab: &Lab) -> bool {
    lab.workspace.root.join("kernel/image/link.ld").exists()
}

fn text(error: anyhow::Error) -> String {
    format!("{error:#}")
}

fn selftest(lab: &Lab, cpus: u32) -> Result<Option<String>, String> {
    let finished = lab.kernel("selftest", cpus, 256, KERNEL_LIMIT).map_err(text)?;
    finished.status()?;
    let last = finished
        .log
        .last(1)
        .first()
        .map(|line| line.to_string())
        .unwrap_or_default();
    if last != "selftest: all passed" {
        return Err(format!(
            "the last line is not `selftest: all passed`\n{}",
            finished.console()
        ));
    }
    Ok(None)
}

/// The kernel's stack runs over: the guard page must be hit, and the tool must say that the kernel panicked.
fn overflow(lab: &Lab) -> Result<Option<String>, String> {
    let finished = lab.kernel("overflow", 1, 256, KERNEL_LIMIT).map_err(text)?;
    let error = finished.outcome.status(&finished.log).err();
    let error = error.ok_or_else(|| format!("it did not end as a panic\n{}", finished.console()))?;
    if crate::failure::status(&error) != crate::failure::PANIC || !text(error).contains("panicked") {
        return Err(format!("it did not end as a panic\n{}", finished.console()));
    }
    Ok(None)
}
