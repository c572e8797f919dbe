//! Runs jobs on as many threads as there are processors.

use super::report::Finding;
use super::{Job, Lab};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::mpsc::channel;

/// Runs all jobs, in their order as far as threads are free; `tell` gets the findings as they come.
pub(crate) fn run(jobs: Vec<Job>, lab: &Lab, mut tell: impl FnMut(Finding)) {
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get()).min(jobs.len());
    let queue = Mutex::new(jobs.into_iter());
    let (sender, findings) = channel();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (sender, queue) = (sender.clone(), &queue);
            scope.spawn(move || {
                while let Some(job) = next(queue) {
                    one(job, lab).into_iter().for_each(|finding| drop(sender.send(finding)));
                }
            });
        }
        drop(sender);
        findings.iter().for_each(&mut tell);
    });
}

fn next(queue: &Mutex<std::vec::IntoIter<Job>>) -> Option<Job> {
    queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).next()
}

/// A job that panics has failed; the others go on.
fn one(job: Job, lab: &Lab) -> Vec<Finding> {
    let name = job.name.clone();
    catch_unwind(AssertUnwindSafe(|| (job.run)(lab))).unwrap_or_else(|_| {
        let result = Err("the test itself panicked; its message stands above".to_string());
        vec![Finding { name, time: None, result }]
    })
}
