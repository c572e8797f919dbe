//! The tool as a program, its output read by nobody.

use std::process::{Command, Stdio};

/// `cargo sal check | true`: the reader is gone before the first line.
#[test]
fn a_reader_that_has_gone_is_no_error() {
    let mut tool = Command::new(env!("CARGO_BIN_EXE_sal"));
    tool.arg("check").current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let mut child = tool.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() && !told.contains("panicked"), "{:?} {told}", ended.status);
}
