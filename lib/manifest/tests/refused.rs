//! Each refusal: a good manifest with one thing changed, and the exact line that it gives.

use sal_manifest::text;

const MODULES: &[&str] = &["root", "supervisor", "names", "uart", "console", "manifest"];

/// Lines are counted in the assertions below.
const GOOD: &str = r#"[machine]
memory_kib = 8192
reserved_kib = 1024
[boot]
command = ["/bin/sh"]
[root]
program = "root"
memory_kib = 64
[service.supervisor]
program = "supervisor"
priority = 240
memory_kib = 512
endpoint = true
modules = ["manifest"]
mounts = ["/svc"]
[service.uart]
program = "uart"
priority = 230
memory_kib = 512
endpoint = true
ports = ["0x3f8-0x3ff"]
interrupts = [4]
[service.names]
program = "names"
priority = 210
memory_kib = 512
endpoint = true
[service.console]
program = "console"
priority = 200
memory_kib = 512
endpoint = true
uses = ["uart", "names:transfer"]
mounts = ["/dev/console"]
rest_percent = 60
"#;

/// The line for `GOOD` with `from` replaced by `to`.
fn refusal(from: &str, to: &str) -> String {
    assert_eq!(GOOD.matches(from).count(), 1, "{from} stands there once");
    match text::read("x.toml", &GOOD.replace(from, to), MODULES) {
        Ok(_) => panic!("{to} was not refused"),
        Err(refusal) => refusal.to_string(),
    }
}

#[test]
fn the_good_one_is_good() {
    text::read("x.toml", GOOD, MODULES).unwrap();
}

#[test]
fn text_that_is_not_toml() {
    assert_eq!(refusal("[boot]", "[boot"), "x.toml:4: is not TOML: unclosed table, expected `]`");
}

#[test]
fn unknown_keys() {
    assert_eq!(
        refusal("interrupts", "interupts"),
        "x.toml:22: service.uart.interupts: no such key; there are cpu, endpoint, heartbeat, interrupts, log, memory_kib, modules, mounts, paged_by, ports, priority, program, rest_percent, restart, threads, uses, vault_kib, wired"
    );
    assert_eq!(
        refusal("[root]", "colour = \"red\"\n[root]"),
        "x.toml:6: boot.colour: no such key; there are command, console"
    );
    assert_eq!(
        refusal("[root]", "[disk]\n[root]"),
        "x.toml:6: disk: no such key; there are boot, machine, root, service"
    );
    assert_eq!(
        refusal("rest_percent = 60", "heartbeat = { turns = 3 }"),
        "x.toml:35: service.console.heartbeat.turns: no such key; there are missed, off, turn_ms"
    );
}

#[test]
fn missing_keys_and_wrong_types() {
    assert_eq!(refusal("priority = 230\n", ""), "x.toml:16: service.uart.priority: is missing");
    assert_eq!(
        refusal("priority = 230", "priority = \"high\""),
        "x.toml:18: service.uart.priority: is of type string, must be a number"
    );
    assert_eq!(
        refusal("priority = 230", "priority = 256"),
        "x.toml:18: service.uart.priority: 256 is not between 0 and 255"
    );
    assert_eq!(refusal("[4]", "4"), "x.toml:22: service.uart.interrupts: is of type integer, must be an array");
    assert_eq!(
        refusal("\"0x3f8-0x3ff\"", "\"0x3ff-0x3f8\""),
        "x.toml:21: service.uart.ports: \"0x3ff-0x3f8\" is not FIRST-LAST, as in \"0x3f8-0x3ff\""
    );
}

#[test]
fn words_that_are_none_of_the_choice() {
    assert_eq!(
        refusal("rest_percent = 60", "log = \"all\""),
        "x.toml:35: service.console.log: \"all\" is none of none, write, read, power"
    );
    assert_eq!(
        refusal("names:transfer", "names:own"),
        "x.toml:33: service.console.uses: \"own\" is no right; after the colon stands call or transfer"
    );
}

#[test]
fn names() {
    assert_eq!(refusal("[service.names]", "[service.uart]"), "x.toml:23: is not TOML: duplicate key");
    assert_eq!(
        refusal("[service.names]", "[service.Names]"),
        "x.toml:23: service.Names: a service's name has 1 to 24 letters a-z, digits and dashes"
    );
    assert_eq!(
        refusal("[service.names]", "[service.vault]"),
        "x.toml:23: service.vault: is the name of a grant that services have of their own; choose another"
    );
}

#[test]
fn missing_programs_and_modules() {
    assert_eq!(
        refusal("program = \"uart\"", "program = \"serial\""),
        "x.toml:17: service.uart.program: the boot image has no module \"serial\"; it has root, supervisor, names, uart, console, manifest"
    );
    assert_eq!(
        refusal("modules = [\"manifest\"]", "modules = [\"manifest\", \"symbols\"]"),
        "x.toml:14: service.supervisor.modules: the boot image has no module \"symbols\"; it has root, supervisor, names, uart, console, manifest"
    );
}

#[test]
fn no_supervisor_or_one_that_is_not_above() {
    assert_eq!(
        refusal("[service.supervisor]", "[service.boss]"),
        "x.toml:1: service.supervisor: is missing: nothing would start the services"
    );
    assert_eq!(
        refusal("priority = 230", "priority = 240"),
        "x.toml:18: service.uart.priority: 240 is not below the supervisor's 240"
    );
}

#[test]
fn grants_to_unknown_services() {
    assert_eq!(refusal("names:transfer", "disk"), "x.toml:33: service.console.uses: there is no service \"disk\"");
    assert_eq!(
        refusal("endpoint = true\nports", "ports"),
        "x.toml:32: service.console.uses: service \"uart\" has no endpoint (endpoint = true)"
    );
    assert_eq!(refusal("names:transfer", "uart"), "x.toml:33: service.console.uses: \"uart\" stands there twice");
}

#[test]
fn grants_given_twice() {
    assert_eq!(
        refusal("rest_percent = 60", "ports = [\"0x3f0-0x3f8\"]"),
        "x.toml:35: service.console.ports: service \"uart\" has some of these ports already"
    );
    assert_eq!(
        refusal("rest_percent = 60", "interrupts = [4]"),
        "x.toml:35: service.console.interrupts: service \"uart\" has line 4 already"
    );
    assert_eq!(
        refusal("/dev/console", "/svc"),
        "x.toml:34: service.console.mounts: service \"supervisor\" mounts /svc already"
    );
    assert_eq!(
        refusal("/dev/console", "dev/"),
        "x.toml:34: service.console.mounts: \"dev/\" is not an absolute path of at most 24 bytes without a slash at its end"
    );
}

#[test]
fn circles_in_the_wait_for_graph() {
    assert_eq!(
        refusal("interrupts = [4]", "uses = [\"console\"]"),
        "x.toml:33: service.console.uses: waits in a circle: uart calls console calls uart"
    );
    assert_eq!(
        refusal("modules = [\"manifest\"]", "uses = [\"uart\"]"),
        "x.toml:14: service.supervisor.uses: waits in a circle: supervisor calls uart is restarted by supervisor"
    );
    assert_eq!(
        refusal(
            "interrupts = [4]",
            "paged_by = \"names\"\n[service.pager]\nprogram = \"names\"\npriority = 1\nmemory_kib = 4\nendpoint = true\nuses = [\"pager\"]"
        ),
        "x.toml:28: service.pager.uses: waits in a circle: pager calls pager"
    );
    assert_eq!(
        refusal("interrupts = [4]", "uses = [\"names\"]"),
        "x.toml:33: service.console.uses: waits in a circle: uart finds mounted console calls uart"
    );
    assert_eq!(
        refusal("interrupts = [4]", "paged_by = \"console\""),
        "x.toml:33: service.console.uses: waits in a circle: uart is paged by console calls uart"
    );
}

#[test]
fn budgets_that_exceed_the_machine() {
    assert_eq!(
        refusal("reserved_kib = 1024", "reserved_kib = 6100"),
        "x.toml:31: service.console.memory_kib: with this service the budgets add up to 8212 KiB, machine.memory_kib is 8192"
    );
    assert_eq!(
        refusal("interrupts = [4]", "rest_percent = 41"),
        "x.toml:35: service.console.rest_percent: with this service the shares add up to 101 percent"
    );
}

#[test]
fn more_services_than_the_tables_hold() {
    let one = |i: usize| format!("[service.s{i}]\nprogram = \"names\"\npriority = 1\nmemory_kib = 4\n");
    let many: String = (0..13).map(one).collect();
    assert_eq!(refusal("rest_percent = 60", &many), "x.toml:83: service.s12: is one service too many; there can be 16");
}
