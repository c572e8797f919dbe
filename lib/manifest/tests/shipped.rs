//! The manifests that the repository ships, through reader, checker and compact form.

use sal_manifest::{Broken, Header, Heartbeat, LogAccess, Restart, decode, encode, text};

const MODULES: &[&str] = &[
    "root",
    "supervisor",
    "memory",
    "names",
    "uart",
    "console",
    "linux",
    "faulty",
    "note",
    "manifest",
    "symbols",
    "ramdisk",
    "cmdline",
];

fn shipped(name: &str) -> sal_manifest::Manifest {
    let file = format!("{}/../../system/{name}", env!("CARGO_MANIFEST_DIR"));
    let source = std::fs::read_to_string(&file).unwrap();
    text::read(name, &source, MODULES).unwrap_or_else(|refusal| panic!("{refusal}"))
}

#[test]
fn the_default_system_starts_whom_others_wait_for_first() {
    let m = shipped("default.toml");
    let names: Vec<&str> = m.services.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names.len(), 6);
    assert_eq!(names[0], "supervisor");
    assert_eq!(names[5], "linux");
    for (i, s) in m.services.iter().enumerate() {
        assert!(s.uses.iter().all(|u| usize::from(u.service) < i), "{} starts before whom it calls", s.name);
    }
}

#[test]
fn a_service_has_what_its_entry_says_and_no_more() {
    let m = shipped("default.toml");
    let (_, uart) = m.find("uart").unwrap();
    assert_eq!((uart.ports[0].first, uart.ports[0].count, uart.ports.len()), (0x3f8, 8, 1));
    assert_eq!(uart.interrupts, [4]);
    assert!(uart.uses.is_empty() && uart.modules.is_empty());
    assert_eq!(uart.log, LogAccess::Read);
    assert_eq!(uart.heartbeat, Heartbeat::Turns { turn_ms: 10, missed: 3 });
    let (_, linux) = m.find("linux").unwrap();
    assert_eq!(linux.restart, Restart::EndsMachine);
    let may: Vec<(&str, bool)> =
        linux.uses.iter().map(|u| (m.services[usize::from(u.service)].name.as_str(), u.transfer)).collect();
    assert_eq!(may, [("memory", false), ("names", true), ("console", false), ("supervisor", false)]);
}

#[test]
fn the_test_system_is_the_default_one_and_services_for_tests() {
    let (test, default) = (shipped("test.toml"), shipped("default.toml"));
    for service in &default.services {
        let (_, same) = test.find(&service.name).unwrap();
        assert_eq!((&same.program, same.priority, &same.mounts), (&service.program, service.priority, &service.mounts));
    }
    assert_eq!(test.services.len(), default.services.len() + 3);
    let uses = |name: &str| test.find(name).unwrap().1.uses.len();
    assert_eq!((uses("note-a"), uses("note-b")), (1, 0));
}

#[test]
fn the_compact_form_gives_the_manifest_back() {
    let m = shipped("default.toml");
    let bytes = encode(&m);
    assert_eq!(decode(&bytes), Ok(m.clone()));
    let header = Header::read(&bytes).unwrap();
    let supervisor = &m.services[0];
    assert_eq!(
        (header.memory_kib, header.vault_kib, header.priority, header.services),
        (supervisor.memory_kib, supervisor.vault_kib, u32::from(supervisor.priority), 6)
    );
}

#[test]
fn a_cut_or_foreign_module_is_refused() {
    let bytes = encode(&shipped("default.toml"));
    for length in 0..bytes.len() {
        assert!(decode(&bytes[..length]).is_err(), "cut at {length}");
    }
    let mut foreign = bytes.clone();
    foreign[0] ^= 1;
    assert_eq!(decode(&foreign), Err(Broken::Header));
}
