//! What came out of the tests, as the user sees it.

use crate::say::say;
use std::time::Duration;

/// What came out of one test.
pub(crate) struct Finding {
    /// The test's name.
    pub(crate) name: String,
    /// How long it took; none where it ran together with others.
    pub(crate) time: Option<Duration>,
    /// Passed (with figures to print), or failed (why; can be many lines).
    pub(crate) result: Result<Option<String>, String>,
}

/// Collects findings and prints each as it comes.
pub(crate) struct Report<'a> {
    filter: Option<&'a str>,
    passed: usize,
    failed: Vec<Finding>,
}

impl<'a> Report<'a> {
    /// Nothing yet. Findings whose name lacks the filter's text are left out.
    pub(crate) fn new(filter: Option<&'a str>) -> Report<'a> {
        Report { filter, passed: 0, failed: Vec::new() }
    }

    /// Takes and prints a finding.
    pub(crate) fn add(&mut self, finding: Finding) {
        if self.filter.is_some_and(|filter| !finding.name.contains(filter)) {
            return;
        }
        let time = finding.time.map(|time| format!(" ({:.3} s)", time.as_secs_f64())).unwrap_or_default();
        match &finding.result {
            Ok(note) => {
                let note = note.as_deref().map(|note| format!(": {note}")).unwrap_or_default();
                say!("test {} ... ok{time}{note}", finding.name);
                self.passed += 1;
            }
            Err(why) => {
                say!("test {} ... FAILED{time}\n{}", finding.name, indent(why));
                self.failed.push(finding);
            }
        }
    }

    /// Prints what failed once more, and the closing line; returns the status to exit with.
    pub(crate) fn finish(self) -> u8 {
        if !self.failed.is_empty() {
            say!("\nfailed:");
            self.failed.iter().for_each(|finding| say!("  {}", finding.name));
        }
        say!("{} passed, {} failed", self.passed, self.failed.len());
        u8::from(!self.failed.is_empty())
    }
}

fn indent(text: &str) -> String {
    text.trim_end().lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}
