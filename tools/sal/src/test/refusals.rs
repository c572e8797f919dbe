//! Bad input: each is one clear line and a status that is not 0. And a machine that is nearly too small.

use super::Lab;
use super::cases::{Case, text};
use super::linux::{Root, SYSTEM, options};
use crate::cli::Run;
use crate::failure::{PANIC, USAGE, status};
use crate::machine::outcome::Outcome;
use crate::run;
use anyhow::{Context, Result, ensure};
use std::time::Instant;

/// A refused machine ends within so long, in seconds.
const LIMIT: u64 = 60;

/// One that must not be noticed needs a folder larger than this many MiB: no machine of that memory takes it.
const LARGE: usize = 40;

pub(super) const CASES: &[Case] = &[
    Case { name: "bad/truncated-program", rows: &[], exists, run: |lab| program(lab, |elf| elf.truncate(3000)) },
    Case { name: "bad/program-cut-in-its-head", rows: &[], exists, run: |lab| program(lab, |elf| elf.truncate(40)) },
    Case {
        name: "bad/program-of-another-machine",
        rows: &[],
        exists,
        // e_machine: AArch64.
        run: |lab| program(lab, |elf| elf[18..20].copy_from_slice(&[183, 0])),
    },
    Case {
        name: "bad/no-such-program",
        rows: &[],
        exists,
        run: |lab| one_line(lab, &["/bin/nothing-there"], 127, "nothing-there"),
    },
    Case { name: "bad/a-folder-as-program", rows: &[], exists, run: |lab| one_line(lab, &["/etc"], 126, "/etc") },
    Case {
        name: "bad/no-processors",
        rows: &[],
        exists,
        run: |lab| refused(lab, Run { smp: 0, ..options(None, &["true"], LIMIT) }, "--smp 0"),
    },
    Case {
        name: "bad/too-little-memory",
        rows: &[],
        exists,
        run: |lab| refused(lab, Run { mem: 8, ..options(None, &["true"], LIMIT) }, "--mem 8"),
    },
    Case { name: "bad/ram-disk-too-large", rows: &[], exists, run: ram_disk },
    Case { name: "bad/image-with-a-flipped-bit", rows: &["Q10"], exists, run: |lab| flipped(lab).map_err(text)? },
    Case { name: "small/32-mib-under-load", rows: &["A14"], exists, run: small },
];

fn exists(lab: &Lab) -> bool {
    lab.has_system(SYSTEM)
}

type Verdict = Result<Option<String>, String>;

/// A command that cannot run: that status, nothing on standard output, one line on standard error that names it.
fn one_line(lab: &Lab, command: &[&str], want: u8, named: &str) -> Verdict {
    let finished = lab.run(&options(None, command, LIMIT), Vec::new()).map_err(text)?;
    judge(&finished, want, named)
}

fn judge(finished: &super::lab::Finished, want: u8, named: &str) -> Verdict {
    let (status, error) = (finished.status()?, String::from_utf8_lossy(&finished.error));
    let line = error.trim_end();
    let told = line.lines().count() == 1 && line.contains(named) && finished.output.is_empty();
    if status == want && told {
        Ok(Some(line.to_string()))
    } else {
        Err(format!("status {status} (not {want}), errors {error:?}\n{}", finished.console()))
    }
}

/// Busybox with some damage, as the machine's only program: 126 and one line.
fn program(lab: &Lab, damage: fn(&mut Vec<u8>)) -> Verdict {
    let root = Root::new().map_err(text)?;
    let mut elf = std::fs::read(root.path().join("bin/busybox")).map_err(|error| error.to_string())?;
    damage(&mut elf);
    root.add("bin/broken", &elf).map_err(text)?;
    let finished = root.run(lab, &["/bin/broken"], LIMIT).map_err(text)?;
    judge(&finished, 126, "broken")
}

/// The tool refuses these options before it starts a machine.
fn refused(lab: &Lab, options: Run, named: &str) -> Verdict {
    let bundle = lab.bundle(&options.contents).map_err(text)?;
    let checked = run::check_size(&options).and_then(|()| run::check_memory(&bundle, options.mem));
    let error = checked.err().ok_or("it was not refused")?;
    let line = text(error.context("refused"));
    let line = line.strip_prefix("refused: ").unwrap_or(&line).to_string();
    let right = line.lines().count() == 1 && line.contains(named);
    right.then_some(Some(line.clone())).ok_or(line)
}

fn ram_disk(lab: &Lab) -> Verdict {
    let root = Root::new().map_err(text)?;
    root.add("large", &vec![7; LARGE << 20]).map_err(text)?;
    let options = Run { mem: 64, ..root.options(&["true"], LIMIT) };
    refused(lab, options, "RAM disk")
}

/// One bit of each of several places of the boot image is wrong: the kernel, or the tool for it, says so in one line.
fn flipped(lab: &Lab) -> Result<Verdict> {
    let options = options(None, &["true"], LIMIT);
    let bundle = lab.bundle(&options.contents)?;
    let good = std::fs::read(&bundle.image)?;
    let folder = tempfile::tempdir()?;
    let mut said = Vec::new();
    // The header, the table, and three places in the modules.
    for place in [9, 200, good.len() / 3, good.len() / 2, good.len() - 5000] {
        let mut bad = good.clone();
        bad[place] ^= 0x10;
        let image = folder.path().join(format!("image-{place}"));
        std::fs::write(&image, bad)?;
        let finished = lab.run_with(&options, Some(&image), Vec::new())?;
        if finished.outcome != Outcome::Refused {
            return Ok(Err(format!("byte {place} of {}: {:?}\n{}", good.len(), finished.outcome, finished.console())));
        }
        let error = finished.outcome.status(&finished.log).err().context("refused is an error")?;
        ensure!(status(&error) == PANIC && status(&error) != USAGE, "status {}", status(&error));
        said.push(format!("{error:#}"));
    }
    let multiline = said.iter().find(|line| line.lines().count() != 1);
    Ok(match multiline {
        Some(line) => Err(format!("more than one line: {line}")),
        None => Ok(said.pop()),
    })
}

/// A shell in 32 MiB while a program computes: it answers, and in time.
fn small(lab: &Lab) -> Verdict {
    let script = "while :; do :; done & hog=$!; i=0; while [ $i -lt 20 ]; do ls / >/dev/null; i=$((i+1)); done; echo $i; kill $hog";
    let options = Run { mem: 32, ..options(None, &["sh", "-c", script], LIMIT) };
    let start = Instant::now();
    let finished = lab.run(&options, Vec::new()).map_err(text)?;
    let output = String::from_utf8_lossy(&finished.output).into_owned();
    match finished.status()? {
        0 if output == "20\n" => Ok(Some(format!("boot and 20 commands in {:.1} s", start.elapsed().as_secs_f64()))),
        status => Err(format!("status {status}, output {output:?}\n{}", finished.console())),
    }
}
