//! The tool as a program: what it refuses before anything is built, with which status, on which stream.

use std::process::{Command, Output};

fn sal(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sal")).args(arguments).output().expect("the tool runs")
}

/// Refuses with status 2 and exactly one line on standard error.
fn refuses(arguments: &[&str], word: &str) {
    let output = sal(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(output.stdout.is_empty() && error.contains(word) && error.trim_end().lines().count() == 1, "{error}");
}

#[test]
fn impossible_machines_are_refused_in_one_line() {
    refuses(&["run", "--smp", "0"], "--smp 0");
    refuses(&["run", "--smp", "999", "--", "true"], "--smp 999");
}

#[test]
fn help_is_everywhere() {
    for arguments in
        [&["--help"][..], &["run", "--help"], &["test", "--help"], &["image", "--help"], &["bench", "--help"]]
    {
        let output = sal(arguments);
        assert!(output.status.success() && output.stdout.len() > 100);
        assert!(String::from_utf8_lossy(&output.stdout).contains("cargo sal"));
    }
}

#[test]
fn unknown_commands_are_refused() {
    assert_eq!(sal(&["fly"]).status.code(), Some(2));
    assert_eq!(sal(&["run", "--mem", "much"]).status.code(), Some(2));
}
