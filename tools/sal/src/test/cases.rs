//! The tests in the machine. Each names the rows of heritage.md that it shows.

use super::report::Finding;
use super::{Job, Lab, applets, commands, frames, image, kills, native, refusals, services, std_program, terminal};
use crate::cli::Firmware;
use std::time::Instant;

/// A test in the machine.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Rows of heritage.md.
    pub(crate) rows: &'static [&'static str],
    /// Is what it needs there already?
    pub(crate) exists: fn(&Lab) -> bool,
    /// Runs it: figures to print, or why it failed.
    pub(crate) run: fn(&Lab) -> Result<Option<String>, String>,
}

const CASES: [Case; 7] = [
    Case { name: "kernel/selftest", rows: &[], exists: kernel_exists, run: |lab| selftest(lab, 1, None) },
    Case { name: "kernel/selftest-4-cpus", rows: &[], exists: kernel_exists, run: |lab| selftest(lab, 4, None) },
    Case {
        name: "kernel/selftest-iso-bios",
        rows: &[],
        exists: kernel_exists,
        run: |lab| selftest(lab, 2, Some(Firmware::Bios)),
    },
    Case {
        name: "kernel/selftest-iso-uefi",
        rows: &[],
        exists: kernel_exists,
        run: |lab| selftest(lab, 2, Some(Firmware::Uefi)),
    },
    Case { name: "kernel/debugger", rows: &[], exists: kernel_exists, run: debugger },
    Case { name: "kernel/stack-frames", rows: &[], exists: kernel_exists, run: frames::check },
    Case { name: "kernel/stack-overflow", rows: &[], exists: kernel_exists, run: overflow },
];

/// One job per test whose parts exist.
pub(crate) fn jobs(lab: &Lab) -> Vec<Job> {
    let cases = CASES
        .iter()
        .chain(image::CASES)
        .chain(refusals::CASES)
        .chain(terminal::CASES)
        .chain(kills::cases())
        .chain(services::CASES)
        .chain(std_program::CASES)
        .filter(|case| (case.exists)(lab))
        .map(job);
    cases
        .chain(native::jobs(lab))
        .chain(commands::jobs(lab))
        .chain(applets::jobs(lab))
        .chain(std_program::jobs(lab))
        .collect()
}

fn job(case: &'static Case) -> Job {
    let run = |lab: &Lab| {
        let start = Instant::now();
        let result = (case.run)(lab).map(|figures| note(case.rows, figures));
        vec![Finding { name: case.name.into(), time: Some(start.elapsed()), result }]
    };
    Job { name: case.name.into(), collects: false, run: Box::new(run) }
}

/// The figures with the rows before them.
pub(crate) fn note(rows: &[&str], figures: Option<String>) -> Option<String> {
    let rows = (!rows.is_empty()).then(|| format!("[{}]", rows.join(" ")));
    let all = rows.into_iter().chain(figures).collect::<Vec<_>>();
    (!all.is_empty()).then(|| all.join(" "))
}

fn kernel_exists(lab: &Lab) -> bool {
    lab.workspace.root.join("kernel/image/link.ld").exists()
}

/// An error as a reason.
pub(crate) fn text(error: anyhow::Error) -> String {
    format!("{error:#}")
}

fn selftest(lab: &Lab, cpus: u32, firmware: Option<Firmware>) -> Result<Option<String>, String> {
    let finished = lab.kernel("selftest", cpus, firmware).map_err(text)?;
    finished.status()?;
    let last = finished.log.last(1).first().map(|line| line.to_string()).unwrap_or_default();
    if last != "selftest: all passed" {
        return Err(format!("the last line is not `selftest: all passed`\n{}", finished.console()));
    }
    Ok(None)
}

/// The kernel's stack runs over: the guard page must be hit, and the tool must say that the kernel panicked.
fn overflow(lab: &Lab) -> Result<Option<String>, String> {
    let finished = lab.kernel("overflow", 1, None).map_err(text)?;
    let error = finished.outcome.status(&finished.log).err();
    let error = error.ok_or_else(|| format!("it did not end as a panic\n{}", finished.console()))?;
    if crate::failure::status(&error) != crate::failure::PANIC || !text(error).contains("panicked") {
        return Err(format!("it did not end as a panic\n{}", finished.console()));
    }
    Ok(None)
}

/// The debug client works against the real server: steps, looks, changes, goes on; and the kernel does not notice.
fn debugger(lab: &Lab) -> Result<Option<String>, String> {
    const RIP: u32 = 16;
    const RAX: u32 = 0;
    let finished = lab.debug_kernel("selftest", |mut debugger| {
        debugger.select(0)?;
        let first = debugger.register(RIP)?;
        debugger.step()?;
        anyhow::ensure!(debugger.register(RIP)? != first, "a step did not move the instruction pointer");
        debugger.set_register(RAX, 0x1234_5678)?;
        anyhow::ensure!(debugger.register(RAX)? == 0x1234_5678, "a register does not keep what is written");
        let place = 0x7_0000;
        debugger.write(place, b"salamandra")?;
        anyhow::ensure!(debugger.read(place, 10)? == b"salamandra", "memory does not keep what is written");
        debugger.resume()
    });
    match finished.map_err(text)?.status()? {
        0 => Ok(None),
        status => Err(format!("status {status}")),
    }
}
