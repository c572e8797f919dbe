//! Running other programs: their output is shown only when they fail.

use anyhow::{Context, Result, bail};
use std::process::{Command, Output};

/// Lines of a failed program's output that are shown.
const SHOWN: usize = 20;

/// Runs it to its end; returns its standard output. An error says `what` failed and shows the end of its output.
pub(crate) fn output(command: &mut Command, what: &str) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("{what}: cannot run {program}"))?;
    if !output.status.success() {
        bail!("{what}: {program} failed ({}){}", output.status, tail(&output));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn tail(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    last_lines(&String::from_utf8_lossy(&text), SHOWN)
}

/// The last lines of a text, each indented on a line of its own.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines = text.trim_end().lines().collect::<Vec<_>>();
    lines[lines.len().saturating_sub(count)..].iter().map(|line| format!("\n  {line}")).collect()
}
