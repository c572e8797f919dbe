//! `tests/linux`: a program over Rust's standard library, linked statically in both ways, run in the machine. It says for each of its
//! checks `check NAME ok` or `check NAME FAILED why`, and at its end `all COUNT`.

use super::cases::{Case, text};
use super::linux::{Root, SYSTEM};
use super::report::Finding;
use super::{Job, Lab};
use crate::cli::Run;
use crate::command::output;
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

/// The cargo package.
const PACKAGE: &str = "sal-linux-std";

/// Its binary.
const BINARY: &str = "linux-std";

/// The compiler's own target: the host's Linux.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// It may take so long, in seconds.
const LIMIT: u64 = 120;

/// Instructions that `getppid` may take: twice Linux's 338, and a little (docs/bench.md has the whole table).
const SYSTEM_CALL: u64 = 700;

/// Tests of what the program does when it is told to.
pub(super) const CASES: &[Case] = &[Case {
    name: "guest/system-call",
    rows: &["L9"],
    exists: |lab| lab.has_system(SYSTEM),
    run: |lab| system_call(lab).map_err(text)?,
}];

/// What a Linux program's system call costs on a virtual processor of the kernel's, in a machine that counts instructions.
fn system_call(lab: &Lab) -> Result<Result<Option<String>, String>> {
    let root = Root::new()?;
    root.add("bin/linux-std", &std::fs::read(build_static(lab)?)?)?;
    let options = Run { icount: true, ..root.options(&["/bin/linux-std", "calls"], LIMIT) };
    let finished = lab.run(&options, Vec::new())?;
    let told = String::from_utf8_lossy(&finished.output).trim().parse::<u64>();
    Ok(match (finished.status(), told) {
        (Ok(0), Ok(cost)) if (1..=SYSTEM_CALL).contains(&cost) => Ok(Some(format!("{cost} instructions"))),
        (status, told) => {
            Err(format!("{status:?}, {told:?} instructions, at most {SYSTEM_CALL}\n{}", finished.console()))
        }
    })
}

/// How it is linked, beside statically.
const KINDS: [(&str, &[&str]); 2] = [("static", &["-Crelocation-model=static"]), ("static-pie", &[])];

/// One job per way of linking.
pub(super) fn jobs(lab: &Lab) -> Vec<Job> {
    let kinds = KINDS.iter().filter(|_| lab.has_system(SYSTEM));
    kinds.map(|(kind, flags)| job(kind, flags)).collect()
}

fn job(kind: &'static str, flags: &'static [&'static str]) -> Job {
    Job {
        name: format!("{kind}/"),
        collects: true,
        run: Box::new(move |lab| {
            let start = Instant::now();
            let (mut all, verdict) = match run(lab, kind, flags) {
                Ok(found) => found,
                Err(error) => (Vec::new(), Err(text(error))),
            };
            all.push(Finding { name: format!("{kind}/all"), time: Some(start.elapsed()), result: verdict });
            all
        }),
    }
}

/// Builds it for the host's Linux, linked statically at fixed addresses.
pub(super) fn build_static(lab: &Lab) -> Result<PathBuf> {
    let [(kind, flags), _] = KINDS;
    build(lab, kind, flags)
}

/// Builds it for the host's Linux.
fn build(lab: &Lab, kind: &str, flags: &[&str]) -> Result<PathBuf> {
    let target = lab.workspace.target.join("linux").join(kind);
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(&lab.workspace.root);
    command.args(["build", "--release", "--package", PACKAGE, "--target", TARGET, "--target-dir"]);
    command.arg(&target);
    let all = [&["-Ctarget-feature=+crt-static", "-Cstrip=symbols"], flags].concat();
    command.env("CARGO_ENCODED_RUSTFLAGS", all.join("\x1f"));
    // One of its checks is that a thread may panic and the others live.
    command.env("CARGO_PROFILE_RELEASE_PANIC", "unwind");
    output(&mut command, "building the program that uses Rust's standard library")?;
    Ok(target.join(TARGET).join("release").join(BINARY))
}

/// Findings of the checks, and the verdict on the whole.
type Found = (Vec<Finding>, Result<Option<String>, String>);

fn run(lab: &Lab, kind: &str, flags: &[&str]) -> Result<Found> {
    let program = build(lab, kind, flags)?;
    let root = Root::new()?;
    let bytes = std::fs::read(&program).with_context(|| program.display().to_string())?;
    root.add("bin/linux-std", &bytes)?;
    let finished = root.run(lab, &["/bin/linux-std"], LIMIT)?;
    let output = String::from_utf8_lossy(&finished.output).into_owned();
    let all = findings(kind, &output);
    let failed = all.iter().any(|finding| finding.result.is_err());
    let whole = output.lines().last() == Some(&format!("all {}", all.len()));
    let verdict = match finished.status() {
        Ok(0) if whole && !failed => Ok(Some(format!("{} checks", all.len()))),
        Ok(1) if whole && failed => Err("see above".into()),
        Ok(status) => {
            let last = output.lines().last().unwrap_or_default();
            Err(format!("status {status}, the last line is {last:?}\n{}", finished.console()))
        }
        Err(why) => Err(format!("after {:?}: {why}", output.lines().last().unwrap_or_default())),
    };
    Ok((all, verdict))
}

/// What the program's lines say.
fn findings(kind: &str, output: &str) -> Vec<Finding> {
    let of = |line: &str| {
        let (name, rest) = line.strip_prefix("check ")?.split_once(' ')?;
        let result = match rest.split_once(' ') {
            None if rest == "ok" => Ok(None),
            Some(("FAILED", why)) => Err(why.to_string()),
            _ => Err(format!("not understood: {line}")),
        };
        Some(Finding { name: format!("{kind}/{name}"), time: None, result })
    };
    output.lines().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_findings() {
        let found = findings("static", "check a/b ok\nnoise\ncheck c FAILED it is 3, not 4\nall 2\n");
        assert_eq!((found.len(), found[0].name.as_str()), (2, "static/a/b"));
        assert_eq!(found[1].result, Err("it is 3, not 4".into()));
    }
}
