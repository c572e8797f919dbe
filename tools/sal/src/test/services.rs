//! What becomes of services that are not the system's own: `system/test.toml` has one that dies at each start, and notes (tests/guest) at
//! paths of their own.

use super::Lab;
use super::cases::{Case, text};
use super::linux::options;
use crate::cli::{Contents, Run};

/// The manifest with services for tests.
pub(super) const SYSTEM: &str = "test";

/// Seconds that a machine may take.
const LIMIT: u64 = 90;

pub(super) const CASES: &[Case] = &[
    Case { name: "service/one-that-dies-at-each-start", rows: &["Q15"], exists, run: |lab| script(lab, &FAILED) },
    Case { name: "service/a-new-server-at-a-path", rows: &["Q4"], exists, run: |lab| script(lab, &NEW_SERVER) },
    Case { name: "service/a-prefix-led-elsewhere", rows: &["A7"], exists, run: |lab| script(lab, &REBOUND) },
    Case { name: "service/without-the-capability", rows: &["Q15"], exists, run: |lab| script(lab, &REFUSED) },
    Case { name: "service/clients-learn-of-a-restart", rows: &["X6"], exists, run: |lab| script(lab, &NEWS) },
];

fn exists(lab: &Lab) -> bool {
    lab.has_system(SYSTEM)
}

/// A script, and what its output must have, in this order.
struct Script {
    text: &'static str,
    wants: &'static [&'static str],
}

/// Its log has reason and functions, its callers get an error at once, and everybody else is well.
const FAILED: Script = Script {
    text: "until grep -q ^failed /svc/faulty/status; do sleep 0.05; done; \
        cat /svc/faulty/status /svc/faulty/log; \
        cat /faulty/anything 2>/dev/null; echo caller got $?; \
        echo restart >/svc/faulty/ctl; echo restart got $?; \
        until grep -q ^failed /svc/faulty/status; do sleep 0.05; done; \
        cat /svc/uart/status /svc/names/status",
    wants: &[
        "failed incarnation 10 restarts 9 last-crash page fault at 0x5a0\n",
        "died: page fault at 0x5a0\n",
        "    0: faulty::reads_what_is_not_there+0x",
        "    1: sal_rt::start::run+0x",
        "failed: 10 deaths without progress\n",
        "caller got 1\n",
        "restart got 0\n",
        "running incarnation 1 restarts 0\nrunning incarnation 1 restarts 0\n",
    ],
};

/// Used with `cat` and `echo`; killed and started again, it still works, and has the note.
const NEW_SERVER: Script = Script {
    text: "ls /note-a; echo first >/note-a/text; cat /note-a/text; \
        echo kill >/svc/note-a/ctl; cat /note-a/text; cat /svc/note-a/status; \
        echo second >/note-a/text; cat /note-a/text; \
        cat /note-b/text | wc -c; cat /note-a/nothing; echo $?",
    wants: &["ctl\nnews\ntext\nfirst\n", "first\nrunning incarnation 2 restarts 1\n", "second\n", "0\n1\n"],
};

/// The same name before and after, for a program that opens it anew. Who has it open keeps what it has.
const REBOUND: Script = Script {
    text: "echo of a >/note-a/text; echo of b >/note-b/text; \
        echo lead /work /note-a >/note-a/ctl; until cat /work/text 2>/dev/null; do sleep 0.02; done; \
        echo lead /work /note-b >/note-a/ctl; until grep 'of b' /work/text; do sleep 0.02; done; \
        echo kill >/svc/names/ctl; cat /work/text; \
        echo lead /work /note-a >/note-a/ctl; until grep 'of a' /work/text; do sleep 0.02; done",
    wants: &["of a\n", "of b\n", "of b\n", "of a\n"],
};

/// The same program leads a path with the capability, and is refused without it, whatever handle it tries.
const REFUSED: Script = Script {
    text: "echo lead /mine /note-b >/note-b/ctl; echo without $?; ls /mine 2>/dev/null; echo there $?; \
        echo lead /mine /note-b >/note-a/ctl; echo with $?; until ls /mine 2>/dev/null; do sleep 0.02; done; \
        cat /svc/note-b/status",
    wants: &["without 1\nthere 1\nwith 0\n", "ctl\nnews\ntext\n", "running incarnation 1 restarts 0\n"],
};

/// Who asked the name server for news is told of its restart, and of changes after it.
const NEWS: Script = Script {
    text: "before=$(cat /note-a/news); echo kill >/svc/names/ctl; \
        until [ $(cat /note-a/news) -gt $before ]; do sleep 0.02; done; echo restart told; \
        before=$(cat /note-a/news); echo lead /new /note-b >/note-a/ctl; \
        until [ $(cat /note-a/news) -gt $before ]; do sleep 0.02; done; echo change told; \
        echo kill >/svc/note-a/ctl; cat /note-a/news; before=$(cat /note-a/news); echo lead /newer /note-b >/note-a/ctl; \
        until [ $(cat /note-a/news) -gt $before ]; do sleep 0.02; done; echo successor told",
    wants: &["restart told\n", "change told\n", "successor told\n"],
};

/// These options, with the manifest for tests.
pub(super) fn in_test_system(options: Run) -> Run {
    Run { contents: Contents { system: SYSTEM.into(), ..options.contents }, ..options }
}

fn script(lab: &Lab, script: &Script) -> Result<Option<String>, String> {
    let finished =
        lab.run(&in_test_system(options(None, &["sh", "-c", script.text], LIMIT)), Vec::new()).map_err(text)?;
    let output = String::from_utf8_lossy(&finished.output).into_owned();
    let errors = String::from_utf8_lossy(&finished.error).into_owned();
    let mut rest = output.as_str();
    let missing = script.wants.iter().find(|want| match rest.split_once(**want) {
        Some((_, after)) => {
            rest = after;
            false
        }
        None => true,
    });
    match (finished.status().map_err(|why| format!("{why}\n{output}\n{errors}"))?, missing) {
        (_, None) => Ok(None),
        (status, Some(missing)) => {
            Err(format!("status {status}, {missing:?} is missing in\n{output}\n{errors}\n{}", finished.console()))
        }
    }
}
