//! The host tests: what a bare `cargo test` runs, each in a process of its own, so that each has a time and can be ended when it hangs.

use super::report::Finding;
use super::{Job, Lab};
use crate::command::last_lines;
use crate::progress::Step;
use anyhow::{Context, Result, bail};
use cargo_metadata::Message;
use std::io::{BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A host test that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(180);

/// How often a running test is looked at.
const GLANCE: Duration = Duration::from_millis(2);

/// Lines of a failed test's output that are shown.
const SHOWN: usize = 40;

/// One executable with tests.
struct Binary {
    /// Its folder in the repository, and the file in `tests/`.
    title: String,
    file: PathBuf,
    folder: PathBuf,
}

/// One job per host test; one that fails if they do not build.
pub(crate) fn jobs(lab: &Lab) -> Vec<Job> {
    match all(lab) {
        Ok(jobs) => jobs,
        Err(error) => {
            let why = format!("{error:#}");
            let run = move |_: &Lab| vec![Finding { name: "host/build".into(), time: None, result: Err(why) }];
            vec![Job { name: "host/build".into(), collects: false, run: Box::new(run) }]
        }
    }
}

fn all(lab: &Lab) -> Result<Vec<Job>> {
    let mut jobs = vec![documentation(lab)];
    for binary in build(lab)? {
        let ignored = list(&binary, &["--ignored"])?;
        for test in list(&binary, &[])? {
            let takes_long = ignored.contains(&test);
            if !takes_long || lab.long {
                jobs.push(job(&binary, test, takes_long));
            }
        }
    }
    jobs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(jobs)
}

/// Builds the test executables.
fn build(lab: &Lab) -> Result<Vec<Binary>> {
    let _step = Step::start("building the host tests");
    let mut command = cargo(lab);
    command.args(["test", "--no-run", "--message-format=json-render-diagnostics"]);
    let output = command.stdin(Stdio::null()).output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("the host tests do not build{}", last_lines(&String::from_utf8_lossy(&output.stderr), 60));
    }
    let mut found = Vec::new();
    for message in Message::parse_stream(BufReader::new(&output.stdout[..])) {
        if let Message::CompilerArtifact(artifact) = message.context("cargo's messages cannot be read")?
            && artifact.profile.test
            && let Some(file) = artifact.executable
        {
            let folder = artifact.manifest_path.parent().map(|folder| folder.into()).unwrap_or_default();
            let room = artifact.manifest_path.parent().and_then(|f| f.strip_prefix(&lab.workspace.root).ok());
            let room = room.map(|room| room.to_string()).unwrap_or_default();
            // A folder's own tests need no further name; those in its `tests/` are called after their file.
            let file_name = artifact.target.is_test().then(|| format!("/{}", artifact.target.name));
            let title = room + &file_name.unwrap_or_default();
            found.push(Binary { title, file: file.into(), folder });
        }
    }
    Ok(found)
}

fn cargo(lab: &Lab) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(&lab.workspace.root);
    command
}

/// The names of an executable's tests.
fn list(binary: &Binary, extra: &[&str]) -> Result<Vec<String>> {
    let mut command = Command::new(&binary.file);
    command.args(["--list", "--format", "terse"]).args(extra);
    let text = crate::command::output(&mut command, "listing the host tests")?;
    Ok(text.lines().filter_map(|line| line.strip_suffix(": test").map(String::from)).collect())
}

fn job(binary: &Binary, test: String, takes_long: bool) -> Job {
    let name = format!("host/{}/{}", binary.title, test.replace("::", "/"));
    let mut command = Command::new(&binary.file);
    command.current_dir(&binary.folder).env("CARGO_MANIFEST_DIR", &binary.folder);
    command.args(["--exact", &test, "--nocapture"]);
    if takes_long {
        command.arg("--ignored");
    }
    from_command(name, command)
}

/// The examples in the documentation.
fn documentation(lab: &Lab) -> Job {
    let mut command = cargo(lab);
    command.args(["test", "--doc", "--quiet"]);
    from_command("host/documentation".into(), command)
}

fn from_command(name: String, mut command: Command) -> Job {
    let title = name.clone();
    let run = move |_: &Lab| {
        let start = Instant::now();
        let result = outcome(&mut command);
        vec![Finding { name: title, time: Some(start.elapsed()), result }]
    };
    Job { name, collects: false, run: Box::new(run) }
}

fn outcome(command: &mut Command) -> Result<Option<String>, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let cannot = |error: std::io::Error| format!("cannot run {program}: {error}");
    let (mut reader, writer) = std::io::pipe().map_err(|error| error.to_string())?;
    let both = writer.try_clone().map_err(|error| error.to_string())?;
    command.stdin(Stdio::null()).stdout(writer).stderr(both);
    let mut child = command.spawn().map_err(cannot)?;
    // The command keeps its own copies of the pipe's end: without them the reader sees the end when the child has gone.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let text = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = reader.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let ended = wait(&mut child);
    let text = text.join().unwrap_or_default();
    match ended {
        Some(true) => Ok(None),
        Some(false) => Err(last_lines(&text, SHOWN)),
        None => Err(format!("hangs: ended after {} s{}", LIMIT.as_secs(), last_lines(&text, SHOWN))),
    }
}

/// Waits for its end: did it succeed? None: it was killed because it took too long.
fn wait(child: &mut Child) -> Option<bool> {
    let start = Instant::now();
    while start.elapsed() < LIMIT {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status.success()),
            Ok(None) => std::thread::sleep(GLANCE),
            Err(_) => return Some(false),
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}
