//! A machine that stands still: QEMU is stopped by SIGSTOP for some seconds, while its clocks run on. Nobody in it has done anything wrong.

use super::pipeline::in_order;
use super::{Lab, Verdict, exists};
use crate::test::cases::{Case, text};
use crate::test::linux::options;
use std::time::Duration;

/// Seconds that the machine may take.
const LIMIT: u64 = 120;

/// How long it stands still.
const STILL: Duration = Duration::from_secs(5);

/// When: it has booted by then, and the script goes on until it has seen its clock jump.
const AFTER: Duration = Duration::from_secs(4);

const SCRIPT: &str = r#"n=0 after=0 seen= last=$(cut -d. -f1 /proc/uptime)
while [ $after -lt 20 ]; do
seq $n $((n + 499)) | cat
n=$((n + 500)) now=$(cut -d. -f1 /proc/uptime)
[ $((now - last)) -ge 4 ] && seen=1
last=$now
[ -n "$seen" ] && after=$((after + 1))
done
for s in /svc/*; do echo $s $(cat $s/status) $(grep hangs $s/stats); done >&2"#;

pub(super) const CASES: &[Case] = &[Case { name: "kill/nothing-while-stopped", rows: &["X5"], exists, run: stopped }];

/// Every service is its first incarnation, no hang was seen, and the program has lost nothing.
fn stopped(lab: &Lab) -> Verdict {
    let options = options(None, &["sh", "-c", SCRIPT], LIMIT);
    let finished = lab.run_stopped(&options, AFTER, STILL).map_err(text)?;
    let told = String::from_utf8_lossy(&finished.error).into_owned();
    let fail = |why: String| format!("{why}\n{told}\n{}", finished.console());
    let status = finished.status()?;
    in_order(&finished.output).map_err(fail)?;
    let (services, healthy) = (told.lines().count(), told.lines().filter(|line| is_healthy(line)).count());
    if status != 0
        || healthy != services
        || services != lab.bundle(&options.contents).map_err(text)?.manifest.services.len()
    {
        return Err(fail(format!("status {status}, {healthy} of {services} services are as they were")));
    }
    Ok(Some(format!("{services} services, none of them noticed {} s", STILL.as_secs())))
}

fn is_healthy(line: &str) -> bool {
    line.contains(" running incarnation 1 restarts 0") && line.ends_with("hangs 0")
}
