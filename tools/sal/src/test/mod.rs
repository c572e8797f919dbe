//! `cargo sal test`: host tests, then tests in the machine; each is named with its time, the last line is `N passed, N failed`.
//!
//! A job yields one finding or several (one boot can run many native tests). Jobs run on as many threads as there are processors, and
//! are told to the user as they end. What must hold: a test that hangs is ended and failed; nothing that fails is tried again.

mod applets;
mod cases;
mod commands;
mod frames;
mod host;
mod image;
mod kills;
mod lab;
mod linux;
mod native;
mod pool;
mod refusals;
mod report;
mod services;
mod std_program;
mod terminal;

use crate::cli::Test;
use crate::install::{Need, ensure};
use crate::workspace::Workspace;
use anyhow::Result;
use lab::Lab;
use report::{Finding, Report};

/// What runs a job.
type RunJob = Box<dyn FnOnce(&Lab) -> Vec<Finding> + Send>;

/// Something that yields findings.
pub(crate) struct Job {
    /// Its name, and what the names of its findings start with.
    pub(crate) name: String,
    /// Are its findings' names known only when it has run?
    pub(crate) collects: bool,
    /// Runs it.
    pub(crate) run: RunJob,
}

impl Job {
    /// May it yield something that the filter asks for?
    fn matches(&self, filter: Option<&str>) -> bool {
        let starts = |filter: &str| filter.starts_with(&self.name) || self.name.starts_with(filter);
        filter.is_none_or(|filter| self.name.contains(filter) || (self.collects && starts(filter)))
    }
}

/// Runs the tests; returns the status to exit with.
pub(crate) fn test(options: &Test) -> Result<u8> {
    let lab = Lab::new(Workspace::open()?, options.long);
    let filter = options.filter.as_deref();
    let mut report = Report::new(filter);
    let machine = cases::jobs(&lab);
    // A filter that machine tests start with means these: then the host tests need not be built.
    if !filter.is_some_and(|filter| machine.iter().any(|job| job.name.starts_with(filter))) {
        run(host::jobs(&lab), filter, &lab, &mut report);
    }
    if machine.iter().any(|job| job.matches(filter)) {
        ensure(&[Need::Qemu, Need::Iso, Need::Ovmf])?;
        lab.build_kernel()?;
    }
    run(machine, filter, &lab, &mut report);
    Ok(report.finish())
}

fn run(jobs: Vec<Job>, filter: Option<&str>, lab: &Lab, report: &mut Report) {
    let jobs = jobs.into_iter().filter(|job| job.matches(filter)).collect();
    pool::run(jobs, lab, |finding| report.add(finding));
}
