//! Threads whose vector registers are full, while the services under them die.

use super::order::{KILLS, LIMIT, LIMIT_PER_KILL, MANY};
use super::{Lab, Verdict, exists, pipeline};
use crate::cli::Run;
use crate::test::cases::{Case, text};
use crate::test::linux::Root;
use crate::test::std_program;

pub(super) const CASES: &[Case] = &[
    Case { name: "kill/registers", rows: &["X5"], exists, run: |lab| registers(lab, 1) },
    Case { name: "kill/registers-4-cpus", rows: &["X5"], exists, run: |lab| registers(lab, 4) },
];

/// Threads whose vector registers are full write lines, while the console and the UART's driver are killed in turn: they fail if a register is not
/// what it was before their system call.
const REGISTERS: &str = r#"
>/tmp/going
/bin/linux-std registers &
program=$!
n=0
while [ $n -lt $1 ]; do
	for victim in console uart; do
		sleep 0.0$((RANDOM % 90 + 10))
		echo kill >/svc/$victim/ctl || echo "kill $n refused" >&2
	done
	n=$((n + 1))
done
rm /tmp/going
wait $program || exit
cat /svc/console/stats >&2
"#;

fn registers(lab: &Lab, smp: u32) -> Verdict {
    let count = if lab.long { MANY } else { KILLS };
    let program = std_program::build_static(lab).map_err(text)?;
    let program = std::fs::read(program).map_err(|error| error.to_string())?;
    let root = Root::new().map_err(text)?;
    root.add("bin/linux-std", &program).map_err(text)?;
    let turns = (count / 2).to_string();
    let limit = LIMIT + LIMIT_PER_KILL * u64::from(count);
    let options = Run { smp, ..root.options(&["sh", "-c", REGISTERS, "sh", &turns], limit) };
    let finished = lab.run(&options, Vec::new()).map_err(text)?;
    let told = String::from_utf8_lossy(&finished.error).into_owned();
    let fail = |why: String| format!("{why}\n{told}\n{}", finished.console());
    match finished.status() {
        Ok(0) => (),
        Ok(status) => return Err(fail(format!("status {status}"))),
        Err(why) => return Err(format!("{why}\n{told}")),
    }
    let kills = pipeline::counts(&told).get("kills").copied().unwrap_or(0);
    let written = told.lines().filter_map(|line| line.strip_prefix("bytes ")?.parse::<usize>().ok()).sum::<usize>();
    let out = finished.output.len();
    if kills == 0 || written == 0 || out != written || told.contains("refused") {
        return Err(fail(format!("{kills} kills, {written} bytes written, {out} came out")));
    }
    Ok(Some(format!("{kills} kills of the console, {out} bytes")))
}
