//! Programs of the default root, run as `cargo sal run -- CMD` runs them: output, errors, status, input.

use super::cases::{note, text};
use super::report::Finding;
use super::{Job, Lab};
use crate::bundle::digest;
use crate::cli::{Contents, Firmware, Run};
use crate::failure::{TIMEOUT, status};
use std::time::Instant;

/// The manifest that starts them.
const SYSTEM: &str = "default";

/// A command that takes longer hangs, in seconds.
const LIMIT: u64 = 60;

/// What a run of the machine must bring.
struct Command {
    name: &'static str,
    /// Rows of heritage.md.
    rows: &'static [&'static str],
    /// Program and arguments.
    command: &'static [&'static str],
    input: fn() -> Vec<u8>,
    output: fn() -> Vec<u8>,
    error: &'static str,
    status: u8,
    /// Changes how it boots.
    boot: fn(&mut Run),
    /// Only with `--long`.
    long: bool,
}

/// Prints a word and ends.
const PLAIN: Command = Command {
    name: "",
    rows: &[],
    command: &["echo", "hello"],
    input: Vec::new,
    output: || b"hello\n".to_vec(),
    error: "",
    status: 0,
    boot: |_| (),
    long: false,
};

const COMMANDS: &[Command] = &[
    Command { name: "run/echo", rows: &["M14"], ..PLAIN },
    Command { name: "run/four-cpus", boot: |run| run.smp = 4, ..PLAIN },
    Command { name: "run/iso-bios", boot: |run| run.iso = Some(Firmware::Bios), ..PLAIN },
    Command { name: "run/iso-uefi", boot: |run| run.iso = Some(Firmware::Uefi), ..PLAIN },
    Command { name: "run/shuffled-1", rows: &["M17", "A12"], boot: |run| run.contents.shuffle = Some(1), ..PLAIN },
    Command { name: "run/shuffled-2", rows: &["M17", "A12"], boot: |run| run.contents.shuffle = Some(2), ..PLAIN },
    Command {
        name: "run/status-and-streams",
        command: &["sh", "-c", "echo out; echo err >&2; exit 7"],
        output: || b"out\n".to_vec(),
        error: "err\n",
        status: 7,
        ..PLAIN
    },
    Command { name: "run/signal", command: &["sh", "-c", "kill -9 $$"], output: Vec::new, status: 137, ..PLAIN },
    Command {
        // The reader has children that end: each interrupts its read, wherever that is, and no byte may go with it.
        name: "run/interrupted-input",
        command: &[
            "sh",
            "-c",
            "for i in 0 1 2 3 4 5; do for j in 0 1 2 3 4 5 6 7 8 9; do for k in 3 8; do sleep $i.$j$k & done; done; done; exec sha256sum",
        ],
        input: every_byte,
        output: || format!("{}  -\n", digest(&every_byte())).into_bytes(),
        ..PLAIN
    },
    Command { name: "run/binary-input", command: &["cat"], input: every_byte, output: every_byte, ..PLAIN },
    Command {
        name: "run/arguments",
        command: &["printf", "%s|", "a b", "", "\"'%$"],
        output: || b"a b||\"'%$|".to_vec(),
        ..PLAIN
    },
    Command {
        name: "run/full-of-files",
        command: &["sh", "-c", FULL_OF_FILES, "sh", "20000", "7777"],
        output: || b"7777\nfull\nsame\n".to_vec(),
        boot: |run| (run.mem, run.timeout) = (64, Some(4 * LIMIT)),
        ..PLAIN
    },
    Command {
        name: "run/hundred-thousand-files",
        command: &["sh", "-c", FULL_OF_FILES, "sh", "100000", "77777"],
        output: || b"77777\nfull\nsame\n".to_vec(),
        boot: |run| run.timeout = Some(10 * LIMIT),
        long: true,
        ..PLAIN
    },
    // What a program misses is counted by name, where everybody can read it, and a supervisor's death forgets nothing.
    Command {
        name: "run/missing-calls",
        command: &["sh", "-c", MISSING_CALLS],
        output: || b"enosys_ioprio_get 1\nenosys_ioprio_get 2\n".to_vec(),
        ..PLAIN
    },
];

/// Makes files until there is no room, at least `$1`, of which it reads `$2`; then removes them: what the root has in use is the same as
/// before.
const FULL_OF_FILES: &str = "mkdir /m; df / | awk 'END { print $3 }' > /before; \
    awk 'BEGIN { for (i = 0; i < 300000; i++) { f = \"/m/\" i; print i > f; close(f) } }' 2>/dev/null; \
    [ $(ls /m | wc -l) -ge $1 ] && cat /m/$2; mkdir /n 2>/dev/null || echo full; rm -r /m; mkdir /n && \
    df / | awk 'END { print $3 }' | cmp - /before && echo same";

/// Makes the same missing call before and after the supervisor is killed.
const MISSING_CALLS: &str = "ask() { ionice -p 1 2>/dev/null; grep ioprio /svc/linux/stats; }; ask; \
    echo kill > /svc/supervisor/ctl; ask";

/// 200,000 bytes, all values in changing neighbourhoods.
fn every_byte() -> Vec<u8> {
    (0..200_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// One job per command; none as long as a program of the default system is missing.
pub(crate) fn jobs(lab: &Lab) -> Vec<Job> {
    if !lab.has_system(SYSTEM) {
        return Vec::new();
    }
    let commands = COMMANDS.iter().filter(|command| lab.long || !command.long);
    let commands = commands.map(|command| job(command.name, command.rows, move |lab| check(lab, command)));
    let others = [job("run/no-such-command", &[], no_such_command), job("run/timeout", &[], timeout)];
    commands.chain(others).collect()
}

fn job(
    name: &'static str,
    rows: &'static [&'static str],
    check: impl Fn(&Lab) -> Result<(), String> + Send + 'static,
) -> Job {
    let run = move |lab: &Lab| {
        let start = Instant::now();
        let result = check(lab).map(|()| note(rows, None));
        vec![Finding { name: name.into(), time: Some(start.elapsed()), result }]
    };
    Job { name: name.into(), collects: false, run: Box::new(run) }
}

fn options(command: &[&str]) -> Run {
    let contents = Contents { root: None, system: SYSTEM.into(), shuffle: None };
    let command = command.iter().map(|word| word.to_string()).collect();
    Run { timeout: Some(LIMIT), command, ..Run::of(contents) }
}

fn check(lab: &Lab, command: &Command) -> Result<(), String> {
    let mut options = options(command.command);
    (command.boot)(&mut options);
    let finished = lab.run(&options, (command.input)()).map_err(text)?;
    let status = finished.status()?;
    let (output, error) = (String::from_utf8_lossy(&finished.output), String::from_utf8_lossy(&finished.error));
    if status != command.status {
        return Err(format!("status {status}, not {}; errors: {error}\n{}", command.status, finished.console()));
    }
    let expected = (command.output)();
    if finished.output != expected {
        let same = finished.output.iter().zip(&expected).take_while(|(a, b)| a == b).count();
        let (have, want) = (finished.output.len(), expected.len());
        let start = output.chars().take(200).collect::<String>();
        return Err(format!("output differs from byte {same} on ({have} bytes, not {want}); it starts: {start:?}"));
    }
    if error != command.error {
        return Err(format!("errors: {error:?}, not {:?}", command.error));
    }
    Ok(())
}

fn no_such_command(lab: &Lab) -> Result<(), String> {
    let finished = lab.run(&options(&["no-such-command"]), Vec::new()).map_err(text)?;
    let (status, error) = (finished.status()?, String::from_utf8_lossy(&finished.error));
    let told = error.contains("no-such-command") && error.trim_end().lines().count() == 1;
    if status == 127 && told { Ok(()) } else { Err(format!("status {status}, errors {error:?}")) }
}

fn timeout(lab: &Lab) -> Result<(), String> {
    let options = Run { timeout: Some(3), ..options(&["sleep", "1000"]) };
    let finished = lab.run(&options, Vec::new()).map_err(text)?;
    match finished.outcome.status(&finished.log) {
        Err(error) if status(&error) == TIMEOUT => Ok(()),
        other => Err(format!("it did not time out: {other:?}\n{}", finished.console())),
    }
}
