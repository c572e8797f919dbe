//! The rules at the top of the crate, one by one, in a simulated world.

mod sim;

use sal_supervise::state::{Landing, Phase, Request};
use sal_supervise::{FAILED_CODE, PROGRESS_BEATS, STUCK_TICKS};
use sim::{Mood, Run, index, manifest};

#[test]
fn every_service_is_described_granted_and_spawned_once_in_order() {
    let m = manifest();
    let run = Run::new(&m, u64::MAX);
    let started: Vec<&str> = run.sim.log.iter().filter_map(|l| l.strip_suffix(": started, incarnation 1")).collect();
    assert_eq!(started, ["uart", "memory", "names", "console", "linux"]);
    assert!(run.sim.entries.iter().skip(1).all(|e| e.described == 1 && e.granted == 1 && e.report.alive));
    assert!(!run.sim.entries[0].report.alive, "the root task starts the supervisor");
}

#[test]
fn an_idle_system_commits_nothing() {
    let m = manifest();
    let mut run = Run::new(&m, u64::MAX);
    run.ticks(20);
    let (commits, pings) = (run.sim.commits, run.sim.pings);
    run.ticks(100);
    assert_eq!(run.sim.commits, commits);
    assert_eq!(run.sim.pings, pings + 400, "four services have heartbeats");
}

#[test]
fn a_dead_service_comes_back_and_its_recovery_is_measured() {
    let m = manifest();
    let mut run = Run::new(&m, u64::MAX);
    let uart = index(&m, "uart");
    run.ticks(20);
    for n in 2..=4 {
        run.sim.crash(uart, Request::NONE);
        run.drain();
        assert_eq!(run.sim.entries[uart].report.incarnation, n);
        assert!(run.sim.entries[uart].report.alive);
        run.ticks(20);
    }
    let stats = run.text("uart/stats");
    assert!(stats.contains("crashes 3\n") && stats.contains("restarts 3\n"), "{stats}");
    assert!(stats.contains("recovery_us_median 1\n"), "{stats}");
    assert_eq!(run.text("uart/status"), "running incarnation 4 restarts 3 last-crash page fault at 0x0\n");
}

#[test]
fn one_that_dies_at_each_start_backs_off_and_fails() {
    let m = manifest();
    let mut run = Run::new(&m, u64::MAX);
    let names = index(&m, "names");
    run.ticks(20);
    run.sim.entries[names].mood = Mood::DiesAtStart;
    run.sim.crash(names, Request::NONE);
    run.drain();
    let at_once = run.sim.entries[names].report.incarnation;
    assert!(at_once < 8, "it waits between the later starts");
    run.ticks(300);
    let entry = &run.sim.entries[names];
    assert_eq!((entry.report.alive, entry.failed), (false, FAILED_CODE));
    assert_eq!(run.supervisor.state().services[names].phase(), Phase::Failed);
    assert!(run.text("names/status").starts_with("failed incarnation 11 restarts 10 last-crash exception 6"));
    assert!(run.text("names/log").contains("failed: 10 deaths without progress"));
    let others = run.sim.entries.iter().enumerate().skip(1).filter(|(i, _)| *i != names);
    assert!(others.into_iter().all(|(_, e)| e.report.alive && e.report.incarnation == 1));
}

#[test]
fn a_failed_service_can_be_restarted_by_hand() {
    let m = manifest();
    let mut run = Run::new(&m, u64::MAX);
    let names = index(&m, "names");
    run.sim.entries[names].mood = Mood::DiesAtStart;
    run.sim.crash(names, Request::NONE);
    run.drain();
    run.ticks(300);
    assert_eq!(run.control(names, "kill"), Some(false), "there is nothing to kill");
    run.sim.entries[names].mood = Mood::Well;
    assert_eq!(run.control(names, "restart\n"), Some(true));
    assert_eq!((run.sim.entries[names].report.alive, run.sim.entries[names].failed), (true, 0));
}

#[test]
fn ordered_kills_do_not_count() {
    let m = manifest();
    let mut run = Run::new(&m, u64::MAX);
    let uart = index(&m, "uart");
    for n in 0..100 {
        assert_eq!(run.control(uart, "kill"), Some(true), "kill {n}");
        assert!(run.sim.entries[uart].report.alive, "back at once, without a tick");
    }
    let s = &run.supervisor.state().services[uart];
    assert_eq!((s.kills, s.crashes, s.restarts, s.deaths_in_row, s.recovered), (100, 0, 100, 0, 100));
    assert_eq!(s.landed, [100, 0, 0, 0, 0], "none was in a request");
}

#[test]
fn deaths_after_progress_never_make_it_failed() {
    let m = manifest();
    let mut run = Run::new(&m, u64::MAX);
    let uart = index(&m, "uart");
    for _ in 0..50 {
        run.ticks(u32::from(PROGRESS_BEATS) + 1);
        run.sim.crash(uart, Request::NONE);
        run.drain();
        assert!(run.sim.entries[uart].report.alive);
    }
}

#[test]
fn a_service_that_spins_is_killed_after_three_turns_of_its_own() {
    let m = manifest();
    let mut run = Run::new(&m, u64::MAX);
    let console = index(&m, "console");
    run.ticks(10);
    assert_eq!(run.control(console, "hang"), Some(true));
    run.ticks(4);
    assert_eq!(run.sim.entries[console].report.incarnation, 1, "three turns, not fewer");
    run.ticks(2);
    assert_eq!(run.sim.entries[console].report.incarnation, 2);
    assert!(run.text("console/log").contains("hung and was killed: missed its heartbeats"));
    assert!(run.text("console/stats").contains("hangs 1\n"));
}

#[test]
fn a_service_without_cpu_is_not_hung() {
    let m = manifest();
    let mut run = Run::new(&m, u64::MAX);
    let console = index(&m, "console");
    run.ticks(10);
    run.sim.entries[console].mood = Mood::Starved;
    run.ticks(10_000);
    assert_eq!(run.sim.entries[console].report.incarnation, 1);
}

#[test]
fn a_machine_that_stood_still_kills_nothing() {
    let m = manifest();
    let mut run = Run::new(&m, u64::MAX);
    run.ticks(10);
    for _ in 0..50 {
        run.sim.now += 5_000_000_000;
        run.ticks(1);
    }
    assert!(run.sim.entries.iter().skip(1).all(|e| e.report.incarnation == 1 && e.report.alive));
}

#[test]
fn a_machine_that_stood_still_takes_nobodys_turns() {
    let m = manifest();
    let mut run = Run::new(&m, u64::MAX);
    let console = index(&m, "console");
    run.ticks(10);
    // It was on the CPU, and its clock ran on: at each look one turn counts.
    run.sim.entries[console].mood = Mood::StoodStill;
    run.ticks(4);
    assert_eq!(run.sim.entries[console].report.incarnation, 1);
    run.ticks(2);
    assert_eq!(run.sim.entries[console].report.incarnation, 2, "three looks later it has had three turns");
}

#[test]
fn a_supervisors_own_crash_is_counted_and_placed() {
    let m = manifest();
    let mut run = Run::new(&m, u64::MAX);
    run.ticks(3);
    run.supervisor_crashes(Landing::Commit);
    run.supervisor_crashes(Landing::Notice);
    let stats = run.text("supervisor/stats");
    assert!(stats.contains("kills 0\ncrashes 2\n") && stats.contains("restarts 2\n"), "{stats}");
    assert!(stats.contains("died_in_notice 1\ndied_in_commit 1\n"), "{stats}");
    assert!(stats.contains("recoveries 2\n") && stats.contains("recovery_us_median 2\n"), "{stats}");
    let log = run.text("supervisor/log");
    assert!(log.contains("died: page fault at 0x0\n") && log.contains("    0: supervisor+0x450\n"), "{log}");
}

#[test]
fn one_that_is_stuck_while_all_below_is_well_is_killed() {
    let m = manifest();
    let mut run = Run::new(&m, u64::MAX);
    let console = index(&m, "console");
    run.ticks(10);
    run.sim.entries[console].mood = Mood::Blocked;
    run.ticks(u32::from(STUCK_TICKS) - 5);
    assert_eq!(run.sim.entries[console].report.incarnation, 1);
    run.ticks(10);
    assert_eq!(run.sim.entries[console].report.incarnation, 2);
    assert!(run.text("console/log").contains("stuck in a call"));
}

#[test]
fn one_that_waits_for_a_server_which_is_not_well_is_left_alone() {
    let m = manifest();
    let mut run = Run::new(&m, u64::MAX);
    let (console, uart) = (index(&m, "console"), index(&m, "uart"));
    run.ticks(10);
    run.sim.entries[console].mood = Mood::Blocked;
    run.sim.entries[uart].mood = Mood::Starved;
    run.ticks(10 * u32::from(STUCK_TICKS));
    assert_eq!(run.sim.entries[console].report.incarnation, 1);
}

#[test]
fn the_request_in_service_at_two_deaths_is_named_to_the_third() {
    let m = manifest();
    let mut run = Run::new(&m, u64::MAX);
    let uart = index(&m, "uart");
    let (bad, other) = (Request { client: 7, word: 0x1234 }, Request { client: 8, word: 0x77 });
    let die = |run: &mut Run, request| {
        run.ticks(10);
        run.sim.crash(uart, request);
        run.drain();
        run.sim.entries[uart].poison
    };
    assert_eq!(die(&mut run, bad), Request::NONE);
    assert_eq!(die(&mut run, other), Request::NONE, "two different ones");
    assert_eq!(die(&mut run, bad), Request::NONE);
    assert_eq!(die(&mut run, bad), bad);
    assert!(run.text("uart/log").contains("request 0x1234 was in service at two deaths: it gets an error"));
}

#[test]
fn who_dies_twice_between_requests_poisons_nothing() {
    let m = manifest();
    let mut run = Run::new(&m, u64::MAX);
    let uart = index(&m, "uart");
    for _ in 0..2 {
        run.sim.crash(uart, Request::in_service(7, 0));
        run.ticks(20);
    }
    let s = &run.supervisor.state().services[uart];
    assert_eq!((s.crashes, s.poisoned, s.poison, s.landed[1]), (2, 0, Request::NONE, 0));
    let numbered = 9 | 1 << 40;
    assert_eq!(Request::in_service(7, numbered), Request { client: 7, word: numbered });
    assert_eq!(Request::in_service(7, 9), Request::NONE, "it may be another one of its kind");
}

#[test]
fn an_ordered_kill_suspects_nobody() {
    let m = manifest();
    let mut run = Run::new(&m, u64::MAX);
    let uart = index(&m, "uart");
    for _ in 0..3 {
        run.sim.entries[uart].report.request = Request { client: 7, word: 9 };
        run.sim.entries[uart].report.landing = Landing::Request;
        assert_eq!(run.control(uart, "kill"), Some(true));
        assert_eq!(run.sim.entries[uart].poison, Request::NONE);
    }
    let text = run.text("uart/stats");
    assert!(
        text.contains("died_idle 0\ndied_in_request 3\ndied_in_notice 0\ndied_in_commit 0\ndied_in_adoption 0\n"),
        "{text}"
    );
}

#[test]
fn the_end_of_linux_is_the_machines() {
    let m = manifest();
    let mut run = Run::new(&m, u64::MAX);
    let linux = index(&m, "linux");
    run.sim.crash(linux, Request::NONE);
    run.sim.entries[linux].report.reason = 42 << 8;
    run.drain();
    assert_eq!(run.sim.powered_off, Some(42));
    assert_eq!(run.sim.entries[linux].report.incarnation, 1);
}

#[test]
fn commands_that_make_no_sense_are_refused_and_logged() {
    let m = manifest();
    let mut run = Run::new(&m, u64::MAX);
    let uart = index(&m, "uart");
    assert_eq!(run.control(uart, "explode"), Some(false));
    assert!(run.text("uart/log").contains("command refused; there are kill, restart, hang, pause, resume"));
    assert_eq!(run.control(0, "hang"), Some(false), "nobody would notice");
}

#[test]
fn a_paused_service_is_not_asked() {
    let m = manifest();
    let mut run = Run::new(&m, u64::MAX);
    let uart = index(&m, "uart");
    run.ticks(3);
    assert_eq!(run.control(uart, "pause"), Some(true));
    assert!(run.text("uart/status").starts_with("paused "));
    run.sim.entries[uart].mood = Mood::Spins;
    run.ticks(100);
    assert_eq!(run.sim.entries[uart].report.incarnation, 1);
    run.sim.entries[uart].mood = Mood::Well;
    assert_eq!(run.control(uart, "resume"), Some(true));
    assert!(run.text("uart/status").starts_with("running "));
}

#[test]
fn a_backtrace_follows_frame_pointers_and_ends_where_they_stop_rising() {
    let m = manifest();
    let mut run = Run::new(&m, u64::MAX);
    let uart = index(&m, "uart");
    run.ticks(10);
    let entry = &mut run.sim.entries[uart];
    entry.report.registers = [0x1450, 0x8000, 0x8010];
    entry.stack = vec![(0x8010, 0x8040, 0x1300), (0x8040, 0x8010, 0x1200)];
    run.sim.crash(uart, Request::NONE);
    run.drain();
    let log = run.text("uart/log");
    assert!(log.contains("    0: uart+0x450\n    1: uart+0x300\n    2: uart+0x200\n"), "{log}");
    assert!(!log.contains("3: uart"), "{log}");
}

struct Names;

impl sal_supervise::files::Symbols for Names {
    fn name(&self, program: &str, offset: u64) -> Option<(&str, u64)> {
        (program == "uart" && offset >= 0x400).then_some(("uart::receive", offset - 0x400))
    }
}

#[test]
fn the_log_names_functions() {
    let m = manifest();
    let mut run = Run::new(&m, u64::MAX);
    let uart = index(&m, "uart");
    run.sim.entries[uart].report.registers = [0x1450, 0, 0];
    run.sim.crash(uart, Request::NONE);
    run.drain();
    let mut text = [0; 4096];
    let n = run.supervisor.read(&Names, uart, sal_supervise::files::File::Log, 0, &mut text);
    let log = str::from_utf8(&text[..n]).unwrap();
    assert!(log.contains("    0: uart::receive+0x50\n"), "{log}");
}

#[test]
fn folders_list_services_and_files() {
    use sal_supervise::files::Node;
    let m = manifest();
    let run = Run::new(&m, u64::MAX);
    let s = &run.supervisor;
    assert_eq!(s.lookup(""), Some(Node::Top));
    assert_eq!(s.lookup("/uart/"), Some(Node::Service(index(&m, "uart"))));
    assert_eq!((s.lookup("disk"), s.lookup("uart/disk"), s.lookup("uart/log/x")), (None, None, None));
    let names: Vec<&str> = (0..).map_while(|i| s.entry(Node::Top, i)).collect();
    assert_eq!(names, ["supervisor", "uart", "memory", "names", "console", "linux"]);
    let files: Vec<&str> = (0..).map_while(|i| s.entry(Node::Service(1), i)).collect();
    assert_eq!(files, ["status", "stats", "log", "ctl"]);
}

#[test]
fn what_a_service_counts_itself_stands_in_its_stats_and_outlives_the_supervisor() {
    let m = manifest();
    let mut run = Run::new(&m, u64::MAX);
    let (linux, uart) = (index(&m, "linux"), index(&m, "uart"));
    let told = [(linux, "enosys_socket", 1), (uart, "lost", 7), (linux, "enosys_bpf", 2), (linux, "enosys_socket", 3)];
    for (i, name, value) in told {
        assert_eq!(run.alive(|s, sim, _| s.count(sim, i, name.as_bytes(), value).is_ok()), Some(true));
    }
    run.control(0, "kill");
    run.ticks(20);
    assert_eq!(run.deaths, 1);
    let text = run.text("linux/stats");
    assert!(text.ends_with("\nenosys_socket 3\nenosys_bpf 2\n"), "{text}");
    assert!(run.text("uart/stats").ends_with("\nlost 7\n"));
    for bad in ["", "two words", "x\ny", "a_name_of_thirty_three_characters"] {
        assert_eq!(run.alive(|s, sim, _| s.count(sim, linux, bad.as_bytes(), 1).is_err()), Some(true), "{bad}");
    }
    let more = (0..100)
        .filter(|n| run.alive(|s, sim, _| s.count(sim, uart, format!("n{n}").as_bytes(), 1).is_ok()) == Some(true));
    assert_eq!(more.count(), 61, "64 of all services together");
    assert_eq!(run.text("linux/stats"), text);
}
