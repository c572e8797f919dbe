//! Lines for busybox (`tests/linux/applets.tsv`), run in the machine and by the same busybox on the host: output, errors and status must
//! be the same, or both must have the shape that the table says.
//!
//! One boot runs many lines, one after another, each by a shell of its own. Should a line hang or end the machine, it has failed and the
//! next boot goes on behind it.

use super::cases::text;
use super::linux::{Root, SYSTEM};
use super::report::Finding;
use super::{Job, Lab};
use anyhow::{Context, Result, ensure};
use regex::Regex;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// The table, from the repository's top.
const TABLE: &str = "tests/linux/applets.tsv";

/// Lines per boot, about: a name's lines stay together.
const BATCH: usize = 45;

/// A boot with so many lines takes at most so long, in seconds: some lines sleep, and the machine is emulated on a busy computer.
const LIMIT: u64 = 150;

/// Boots of one batch that may end early.
const BOOTS: usize = 4;

/// Bytes of an output that are shown.
const SHOWN: usize = 700;

/// Runs lines: `sh lines/run BASE NUMBER...` in the folder BASE. Before each line it says `start NUMBER`, behind it `line NUMBER STATUS
/// OUTPUT ERRORS` with the two lengths, then output and errors.
const DRIVER: &str = r#"base=${1%/}; shift
PATH=$base/bin HOME=/root TZ=UTC; export PATH HOME TZ
umask 022
for n; do
	echo "start $n"
	mkdir -p "$base/work/$n" && cd "$base/work/$n" || exit 1
	sh ../../lines/$n.sh </dev/null >../$n.out 2>../$n.err
	status=$?
	cd "$base/work" || exit 1
	echo "line $n $status $(wc -c <$n.out) $(wc -c <$n.err)"
	cat $n.out $n.err
done
echo end
"#;

/// A line of the table.
#[derive(Clone, Debug)]
struct Line {
    /// Place in the table, from 0.
    number: usize,
    name: String,
    script: String,
    shape: Option<Regex>,
}

/// What a line brought.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Brought {
    status: u32,
    output: Vec<u8>,
    error: Vec<u8>,
}

/// Reads the table.
fn parse(table: &str) -> Result<Vec<Line>> {
    let rows = table.lines().filter(|row| !row.starts_with('#') && !row.trim().is_empty());
    rows.enumerate().map(|(number, row)| line(number, row)).collect()
}

fn line(number: usize, row: &str) -> Result<Line> {
    let fields = row.split('\t').collect::<Vec<_>>();
    ensure!(matches!(fields.len(), 2 | 3), "{TABLE}: two or three columns, not {}: {row}", fields.len());
    let shape = fields.get(2).map(|shape| Regex::new(shape)).transpose();
    Ok(Line {
        number,
        name: fields[0].into(),
        script: fields[1].replace('⏎', "\n").replace('⇥', "\t") + "\n",
        shape: shape.with_context(|| format!("{TABLE}: {row}"))?,
    })
}

/// Lines in batches; those of one name stay in one batch.
fn batches(lines: Vec<Line>) -> Vec<Vec<Line>> {
    let mut by_name = BTreeMap::<String, Vec<Line>>::new();
    for line in lines {
        by_name.entry(line.name.clone()).or_default().push(line);
    }
    let mut batches = vec![Vec::new()];
    for lines in by_name.into_values() {
        let last = batches.len() - 1;
        batches[last].extend(lines);
        if batches[last].len() >= BATCH {
            batches.push(Vec::new());
        }
    }
    batches.retain(|batch| !batch.is_empty());
    batches
}

/// One job per batch; one that fails if the table cannot be read.
pub(super) fn jobs(lab: &Lab) -> Vec<Job> {
    if !lab.has_system(SYSTEM) {
        return Vec::new();
    }
    let table = std::fs::read_to_string(lab.workspace.root.join(TABLE));
    let lines = table.context(TABLE).and_then(|table| parse(&table));
    match lines {
        Ok(lines) => batches(lines).into_iter().map(job).collect(),
        Err(error) => {
            let why = text(error);
            vec![of(move |_| vec![finding("table", Err(why), None)])]
        }
    }
}

fn of(run: impl FnOnce(&Lab) -> Vec<Finding> + Send + 'static) -> Job {
    Job { name: "applet/".into(), collects: true, run: Box::new(run) }
}

fn finding(name: &str, result: Result<Option<String>, String>, start: Option<Instant>) -> Finding {
    Finding { name: format!("applet/{name}"), time: start.map(|start| start.elapsed()), result }
}

fn job(lines: Vec<Line>) -> Job {
    of(move |lab| {
        let start = Instant::now();
        match compare(lab, &lines) {
            Ok(findings) => findings,
            Err(error) => {
                let name = format!("{}-and-others", lines[0].name);
                vec![finding(&name, Err(text(error)), Some(start))]
            }
        }
    })
}

/// Runs lines on both sides; one finding per name.
fn compare(lab: &Lab, lines: &[Line]) -> Result<Vec<Finding>> {
    let root = Root::new()?;
    root.add("lines/run", DRIVER.as_bytes())?;
    for line in lines {
        root.add(&format!("lines/{:03}.sh", line.number), line.script.as_bytes())?;
    }
    // The machine first: what the lines leave on the host must not get into its root.
    let there = in_machine(lab, &root, lines)?;
    let here = on_host(root.path(), lines)?;
    let mut by_name = BTreeMap::<&str, (usize, String)>::new();
    for line in lines {
        let (count, why) = by_name.entry(&line.name).or_default();
        *count += 1;
        if let Err(difference) = judge(line, here.get(&line.number), there.get(&line.number)) {
            *why += &format!("line {}: {}{difference}", line.number, line.script);
        }
    }
    let told = by_name.into_iter().map(|(name, (count, why))| {
        let result = if why.is_empty() { Ok(Some(format!("{count} lines"))) } else { Err(why) };
        finding(name, result, None)
    });
    Ok(told.collect())
}

/// What the machine did: results by number, or why a line has none.
fn in_machine(lab: &Lab, root: &Root, lines: &[Line]) -> Result<BTreeMap<usize, Result<Brought, String>>> {
    let mut all = BTreeMap::new();
    for _ in 0..BOOTS {
        let left = lines.iter().filter(|line| !all.contains_key(&line.number));
        let left = left.map(|line| format!("{:03}", line.number)).collect::<Vec<_>>();
        if left.is_empty() {
            break;
        }
        let mut command = vec!["sh", "/lines/run", "/"];
        command.extend(left.iter().map(String::as_str));
        let finished = root.run(lab, &command, LIMIT)?;
        let told = read(&finished.output);
        let cut = told.cut.or_else(|| {
            let first = left.first().and_then(|number| number.parse().ok());
            first.filter(|_| told.results.is_empty())
        });
        if let Some(number) = cut {
            let why = match finished.status() {
                Ok(status) => format!("the machine ended in it with status {status}\n{}", finished.console()),
                Err(why) => why,
            };
            let errors = String::from_utf8_lossy(&finished.error).into_owned();
            all.insert(number, Err(format!("it did not end: {why}\n{errors}")));
        }
        all.extend(told.results.into_iter().map(|(number, result)| (number, Ok(result))));
    }
    Ok(all)
}

/// What the same lines do with the same busybox on this computer.
fn on_host(base: &Path, lines: &[Line]) -> Result<BTreeMap<usize, Brought>> {
    let mut command = Command::new(base.join("bin/busybox"));
    command.args(["sh", "lines/run"]).arg(base);
    command.args(lines.iter().map(|line| format!("{:03}", line.number)));
    command.current_dir(base).env_clear().stdin(Stdio::null());
    let output = command.output().context("cannot run busybox on this computer")?;
    let mut told = read(&output.stdout);
    let place = base.to_str().context("the temporary folder's name is not text")?;
    for result in told.results.values_mut() {
        result.output = without(&result.output, place);
        result.error = without(&result.error, place);
    }
    Ok(told.results)
}

/// These bytes without any mention of a folder of this computer.
fn without(bytes: &[u8], folder: &str) -> Vec<u8> {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.replace(folder, "").into_bytes(),
        Err(_) => bytes.to_vec(),
    }
}

/// Errors without the shell's word on how a background job ended: whether it says so, and in which line, depends on when it looks.
fn without_ended_jobs(errors: &[u8]) -> Vec<u8> {
    const ENDS: [&[u8]; 5] = [b"Terminated\n", b"Killed\n", b"Hangup\n", b"User defined signal 1\n", b"Alarm clock\n"];
    let lines = errors.split_inclusive(|byte| *byte == b'\n');
    lines.filter(|line| !ENDS.contains(line)).flatten().copied().collect()
}

/// What a driver said.
#[derive(Default)]
struct Told {
    results: BTreeMap<usize, Brought>,
    /// The line that was started and did not end.
    cut: Option<usize>,
}

/// Takes a driver's output apart.
fn read(mut output: &[u8]) -> Told {
    let mut told = Told::default();
    while let Some(end) = output.iter().position(|byte| *byte == b'\n') {
        let head = String::from_utf8_lossy(&output[..end]).into_owned();
        output = &output[end + 1..];
        let words = head.split_whitespace().collect::<Vec<_>>();
        let number = |place: usize| words.get(place).and_then(|word| word.parse::<usize>().ok());
        match (words.first(), number(1), number(2), number(3), number(4)) {
            (Some(&"start"), Some(line), ..) => told.cut = Some(line),
            (Some(&"line"), Some(line), Some(status), Some(out), Some(err)) if output.len() >= out + err => {
                let result = Brought {
                    status: status as u32,
                    output: output[..out].to_vec(),
                    error: without_ended_jobs(&output[out..out + err]),
                };
                output = &output[out + err..];
                told.results.insert(line, result);
                told.cut = None;
            }
            _ => break,
        }
    }
    told
}

/// Did the machine do what the host did?
fn judge(line: &Line, here: Option<&Brought>, there: Option<&Result<Brought, String>>) -> Result<(), String> {
    let here = here.ok_or("  the host's busybox did not finish it\n")?;
    let there = match there {
        Some(Ok(result)) => result,
        Some(Err(why)) => return Err(format!("  {why}\n")),
        None => return Err("  it was not reached\n".into()),
    };
    if here.status != there.status {
        let (here_text, there_text) = (show(here), show(there));
        return Err(format!(
            "  status {} here, {} there\n  here:  {here_text}\n  there: {there_text}\n",
            here.status, there.status
        ));
    }
    match &line.shape {
        None if here == there => Ok(()),
        None => Err(format!("  here:  {}\n  there: {}\n", show(here), show(there))),
        Some(shape) => [("here", here), ("there", there)].into_iter().try_for_each(|(side, result)| {
            let text = String::from_utf8_lossy(&[&result.output[..], &result.error].concat()).into_owned();
            shape
                .is_match(&text)
                .then_some(())
                .ok_or_else(|| format!("  {side} it is not of the shape {shape}: {}\n", show(result)))
        }),
    }
}

fn show(result: &Brought) -> String {
    let cut = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        format!("{:?}", text.chars().take(SHOWN).collect::<String>())
    };
    format!("{} errors {}", cut(&result.output), cut(&result.error))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What "First light" promises of busybox; `vi` and `less` are also typed into a terminal.
    const PROMISED: &str = "sh-pipe sh-redirection sh-here-document sh-background sh-substitution ls cat head tail wc grep sed awk find \
        sort uniq cut tr cmp diff dd od sha256sum md5sum gzip gunzip tar cp mv rm mkdir ln chmod touch test expr seq sleep kill ps free \
        uptime uname date env id stat df xargs tee time vi less";

    #[test]
    fn a_jobs_end_is_no_error_of_the_line() {
        assert_eq!(without_ended_jobs(b"Terminated\nsh: x: not found\nKilled\n"), b"sh: x: not found\n");
        assert_eq!(without_ended_jobs(b"Terminated early\n"), b"Terminated early\n");
    }

    fn table() -> Vec<Line> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(TABLE);
        parse(&std::fs::read_to_string(file).unwrap()).unwrap()
    }

    #[test]
    fn the_table_has_a_line_for_all_that_is_promised() {
        let lines = table();
        assert!(lines.len() >= 120, "{} lines", lines.len());
        for name in PROMISED.split_whitespace() {
            assert!(lines.iter().any(|line| line.name == name), "{name}");
        }
        let batches = batches(lines.clone());
        assert_eq!(batches.iter().map(Vec::len).sum::<usize>(), lines.len());
        let numbers =
            |batch: &Vec<Line>| batch.iter().map(|line| line.name.clone()).collect::<std::collections::BTreeSet<_>>();
        let names = batches.iter().map(numbers).collect::<Vec<_>>();
        assert!(names.windows(2).all(|pair| pair[0].is_disjoint(&pair[1])));
    }

    #[test]
    fn a_drivers_output_is_taken_apart_and_a_line_that_hangs_is_found() {
        let told = read(b"start 003\nline 003 1 4 2\na\nb\nxystart 004\nline 004 0 0 0\nstart 007\n");
        let result = Brought { status: 1, output: b"a\nb\n".to_vec(), error: b"xy".to_vec() };
        assert_eq!(told.results[&3], result);
        assert_eq!((told.results.len(), told.cut), (2, Some(7)));
        assert_eq!(read(b"start 001\nline 001 0 5 0\nab").cut, Some(1));
    }

    #[test]
    fn differences_are_seen() {
        let line = line(0, "x\techo").unwrap();
        let result = |output: &str, status| Brought { status, output: output.into(), error: Vec::new() };
        let same = |a: &Brought, b: Brought| judge(&line, Some(a), Some(&Ok(b)));
        assert!(same(&result("a", 0), result("a", 0)).is_ok());
        assert!(same(&result("a", 0), result("b", 0)).is_err());
        assert!(same(&result("a", 0), result("a", 1)).is_err());
        assert!(judge(&line, Some(&result("a", 0)), None).is_err());
        let shaped = super::line(0, "x\tdate\t^[0-9]+$").unwrap();
        assert!(judge(&shaped, Some(&result("1", 0)), Some(&Ok(result("23", 0)))).is_ok());
        assert!(judge(&shaped, Some(&result("1", 0)), Some(&Ok(result("x", 0)))).is_err());
    }
}
