//! Children, pipes, and ends by signals. The program is its own child: with an argument it plays a role.

use crate::{Check, Verdict, io, same};
use std::env;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

pub(crate) const CHECKS: &[Check] = &[
    ("process/status", status),
    ("process/output", output),
    ("process/input", input),
    ("process/environment", environment),
    ("process/current-folder", current_folder),
    ("process/no-current-folder", no_current_folder),
    ("process/before-exec", before_exec),
    ("process/no-such-program", no_such_program),
    ("process/kill", kill),
    ("process/abort", abort),
    ("process/try-wait", try_wait),
    ("process/pipeline", pipeline),
    ("process/own-group", own_group),
    ("process/argument-zero", argument_zero),
    ("process/broken-pipe", broken_pipe),
    ("process/many", many),
    ("pipe/anonymous", anonymous),
    ("pipe/end-of-file", end_of_file),
    ("pipe/large", large),
    ("socket/pair", socket_pair),
    ("socket/datagrams", datagrams),
    ("socket/large", socket_large),
];

/// What the program does as its own child; the exit status.
pub(crate) fn play(role: &str) -> ExitCode {
    match role {
        "status" => return ExitCode::from(42),
        "words" => {
            println!("out");
            eprintln!("err");
        }
        "upper" => {
            let mut text = String::new();
            let _ = std::io::stdin().read_to_string(&mut text);
            print!("{}", text.to_uppercase());
        }
        "variable" => print!("{}", env::var("SAL_CHECK").unwrap_or_default()),
        "folder" => print!("{}", env::current_dir().unwrap_or_default().display()),
        "zero" => print!("{}", env::args().next().unwrap_or_default()),
        "sleep" => thread::sleep(Duration::from_secs(100)),
        "calls" => println!("{}", system_call()),
        "registers" => {
            if let Err(why) = crate::registers::write_lines() {
                eprintln!("registers: {why}");
                return ExitCode::FAILURE;
            }
        }
        "abort" => std::process::abort(),
        "endless" => while std::io::stdout().write_all(&[b'x'; 4096]).is_ok() {},
        _ => return ExitCode::from(2),
    }
    ExitCode::SUCCESS
}

/// Nanoseconds of a system call that does nothing else: the shortest of some rounds, each of many.
fn system_call() -> u128 {
    const CALLS: u32 = 10_000;
    let round = |_| {
        let start = std::time::Instant::now();
        let same = (0..CALLS).all(|_| std::os::unix::process::parent_id() == std::os::unix::process::parent_id());
        if same { start.elapsed().as_nanos() / u128::from(2 * CALLS) } else { u128::MAX }
    };
    (0..5).map(round).min().unwrap_or(u128::MAX)
}

/// Itself in that role.
fn child(role: &str) -> Result<Command, String> {
    let mut command = Command::new(env::current_exe().map_err(io)?);
    command.arg(role);
    Ok(command)
}

fn status() -> Verdict {
    let status = child("status")?.status().map_err(io)?;
    same((status.code(), status.success(), status.signal()), (Some(42), false, None))
}

fn output() -> Verdict {
    let output = child("words")?.output().map_err(io)?;
    same((output.stdout, output.stderr), (b"out\n".to_vec(), b"err\n".to_vec()))
}

fn input() -> Verdict {
    let mut child = child("upper")?.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(io)?;
    let mut to = child.stdin.take().ok_or("no pipe")?;
    to.write_all(b"shout").map_err(io)?;
    drop(to);
    same(child.wait_with_output().map_err(io)?.stdout, b"SHOUT".to_vec())
}

fn environment() -> Verdict {
    let output = child("variable")?.env_clear().env("SAL_CHECK", "a b=c").output().map_err(io)?;
    same(output.stdout, b"a b=c".to_vec())
}

/// Where the C library can't set the folder of a spawned program, the standard library forks, and learns over a pair of sockets
/// whether the child's exec went well.
fn current_folder() -> Verdict {
    let output = child("folder")?.current_dir("/").output().map_err(io)?;
    same(output.stdout, b"/".to_vec())
}

fn no_current_folder() -> Verdict {
    let kind = child("folder")?.current_dir("/no/such/folder").spawn().err().map(|error| error.kind());
    same(kind, Some(ErrorKind::NotFound))
}

/// Groups make the standard library fork for certain.
fn before_exec() -> Verdict {
    let output = child("words")?.gid(0).output().map_err(io)?;
    let absent = Command::new("/no/such/program").gid(0).spawn().err().map(|error| error.kind());
    same((output.stdout, absent), (b"out\n".to_vec(), Some(ErrorKind::NotFound)))
}

fn no_such_program() -> Verdict {
    let kind = Command::new("/no/such/program").spawn().err().map(|error| error.kind());
    same(kind, Some(ErrorKind::NotFound))
}

fn sleeper() -> Result<Child, String> {
    child("sleep")?.spawn().map_err(io)
}

fn kill() -> Verdict {
    let mut sleeper = sleeper()?;
    sleeper.kill().map_err(io)?;
    same(sleeper.wait().map_err(io)?.signal(), Some(9))
}

fn abort() -> Verdict {
    let status = child("abort")?.stderr(Stdio::null()).status().map_err(io)?;
    same(status.signal(), Some(6))
}

fn try_wait() -> Verdict {
    let mut sleeper = sleeper()?;
    let early = sleeper.try_wait().map_err(io)?.is_none();
    sleeper.kill().map_err(io)?;
    sleeper.wait().map_err(io)?;
    same((early, sleeper.try_wait().map_err(io)?.is_some()), (true, true))
}

fn pipeline() -> Verdict {
    let mut first = child("words")?.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(io)?;
    let between = first.stdout.take().ok_or("no pipe")?;
    let second = child("upper")?.stdin(between).output().map_err(io)?;
    first.wait().map_err(io)?;
    same(second.stdout, b"OUT\n".to_vec())
}

fn own_group() -> Verdict {
    let status = child("status")?.process_group(0).status().map_err(io)?;
    same(status.code(), Some(42))
}

fn argument_zero() -> Verdict {
    let output = child("zero")?.arg0("another name").output().map_err(io)?;
    same(output.stdout, b"another name".to_vec())
}

/// A writer whose reader is gone gets an error, since Rust ignores SIGPIPE.
fn broken_pipe() -> Verdict {
    let mut child = child("endless")?.stdout(Stdio::piped()).spawn().map_err(io)?;
    let mut piece = [0; 10];
    child.stdout.take().ok_or("no pipe")?.read_exact(&mut piece).map_err(io)?;
    same((piece, child.wait().map_err(io)?.code()), ([b'x'; 10], Some(0)))
}

fn many() -> Verdict {
    let children = (0..12).map(|_| child("status")?.spawn().map_err(io)).collect::<Result<Vec<_>, String>>()?;
    let mut right = 0;
    for mut child in children {
        right += usize::from(child.wait().map_err(io)?.code() == Some(42));
    }
    same(right, 12)
}

fn anonymous() -> Verdict {
    let (mut from, mut to) = std::io::pipe().map_err(io)?;
    to.write_all(b"through").map_err(io)?;
    drop(to);
    let mut text = String::new();
    from.read_to_string(&mut text).map_err(io)?;
    same(text, "through".into())
}

fn end_of_file() -> Verdict {
    let (from, mut to) = std::io::pipe().map_err(io)?;
    drop(from);
    same(to.write(b"x").err().map(|error| error.kind()), Some(ErrorKind::BrokenPipe))
}

fn large() -> Verdict {
    let (mut from, mut to) = std::io::pipe().map_err(io)?;
    let writer = thread::spawn(move || (0..200u8).try_for_each(|n| to.write_all(&[n; 5000])));
    let mut all = Vec::new();
    from.read_to_end(&mut all).map_err(io)?;
    let whole = writer.join().map_err(|_| "panicked")?.is_ok();
    let right = all.chunks(5000).enumerate().all(|(n, piece)| piece.iter().all(|byte| usize::from(*byte) == n));
    same((whole, all.len(), right), (true, 1_000_000, true))
}

fn socket_pair() -> Verdict {
    let (mut one, mut other) = UnixStream::pair().map_err(io)?;
    one.write_all(b"over").map_err(io)?;
    one.shutdown(Shutdown::Write).map_err(io)?;
    let mut text = String::new();
    other.read_to_string(&mut text).map_err(io)?;
    other.write_all(b"back").map_err(io)?;
    drop(other);
    one.read_to_string(&mut text).map_err(io)?;
    same(text, "overback".into())
}

fn datagrams() -> Verdict {
    let (one, other) = UnixDatagram::pair().map_err(io)?;
    one.set_nonblocking(true).map_err(io)?;
    let early = one.recv(&mut [0; 8]).err().map(|error| error.kind());
    for packet in [b"first".as_slice(), b"", b"second"] {
        other.send(packet).map_err(io)?;
    }
    let mut lengths = Vec::new();
    for _ in 0..3 {
        lengths.push(one.recv(&mut [0; 5]).map_err(io)?);
    }
    same((early, lengths), (Some(ErrorKind::WouldBlock), vec![5, 0, 5]))
}

/// Both ends at once, more than fits, from two threads.
fn socket_large() -> Verdict {
    let (mut one, mut other) = UnixStream::pair().map_err(io)?;
    let echo = thread::spawn(move || -> std::io::Result<u64> {
        let mut from = other.try_clone()?;
        let copied = std::io::copy(&mut from, &mut other)?;
        other.shutdown(Shutdown::Write)?;
        Ok(copied)
    });
    let mut to = one.try_clone().map_err(io)?;
    let writer = thread::spawn(move || {
        (0..200u8).try_for_each(|n| to.write_all(&[n; 5000])).and_then(|()| to.shutdown(Shutdown::Write))
    });
    let mut all = Vec::new();
    one.read_to_end(&mut all).map_err(io)?;
    let whole = writer.join().map_err(|_| "panicked")?.is_ok();
    let copied = echo.join().map_err(|_| "panicked")?.map_err(io)?;
    let right = all.chunks(5000).enumerate().all(|(n, piece)| piece.iter().all(|byte| usize::from(*byte) == n));
    same((whole, copied, all.len(), right), (true, 1_000_000, 1_000_000, true))
}
