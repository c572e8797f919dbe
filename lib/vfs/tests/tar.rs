//! Loading the root from a tar archive: what GNU tar and pax write, and everything broken.

#![allow(unreachable_pub)]

mod common;

use common::*;
use proptest::prelude::*;
use sal_vfs::*;

const NOW: Time = Time { sec: 9, nsec: 0 };

/// One ustar entry.
fn entry(name: &[u8], kind: u8, mode: u32, link: &[u8], data: &[u8]) -> Vec<u8> {
    let mut h = vec![0u8; 512];
    h[..name.len()].copy_from_slice(name);
    h[100..107].copy_from_slice(format!("{mode:07o}").as_bytes());
    h[108..115].copy_from_slice(b"0000003");
    h[116..123].copy_from_slice(b"0000004");
    let size = if kind == b'1' { 0 } else { data.len() };
    h[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    h[136..147].copy_from_slice(format!("{:011o}", 1234567).as_bytes());
    h[156] = kind;
    h[157..157 + link.len()].copy_from_slice(link);
    h[257..265].copy_from_slice(b"ustar\x0000");
    h[329..336].copy_from_slice(b"0000001");
    h[337..344].copy_from_slice(b"0000003");
    seal(&mut h);
    h.extend_from_slice(data);
    h.resize(h.len().next_multiple_of(512), 0);
    h
}

fn seal(h: &mut [u8]) {
    h[148..156].fill(b' ');
    let sum: u32 = h[..512].iter().map(|b| u32::from(*b)).sum();
    h[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
}

fn load(parts: &[Vec<u8>]) -> (World, Result<usize, TarError>) {
    let mut w = World::new();
    let archive = parts.concat();
    let result = w.vfs.load_tar(&archive, NOW);
    (w, result)
}

#[test]
fn every_kind_of_entry() {
    let end = vec![0; 1024];
    let (mut w, result) = load(&[
        entry(b"./", b'5', 0o755, b"", b""),
        entry(b"./bin/", b'5', 0o750, b"", b""),
        entry(b"./bin/box", b'0', 0o4755, b"", b"program"),
        entry(b"bin/sh", b'1', 0o644, b"./bin/box", b""),
        entry(b"bin/ls", b'2', 0o777, b"box", b""),
        entry(b"null", b'3', 0o666, b"", b""),
        entry(b"deep/er/file", 0, 0o600, b"", &[7; 5000]),
        end,
    ]);
    assert_eq!(result, Ok(7));
    assert_eq!(w.get("/bin/ls").unwrap(), b"program");
    let s = w.stat("/bin/sh", 0).unwrap();
    assert_eq!((s.mode, s.nlink, s.uid, s.gid, s.mtime), (0o104755, 2, 3, 4, Time { sec: 1234567, nsec: 0 }));
    assert_eq!(w.stat("/bin", 0).unwrap().mode, 0o040750);
    assert_eq!(w.stat("/null", 0).unwrap().rdev, makedev(1, 3));
    assert_eq!(w.get("/deep/er/file").unwrap(), [7; 5000]);
    assert_eq!(w.stat("/deep/er", 0).unwrap().mode, 0o040755);
}

#[test]
fn long_names() {
    let long = format!("{}/{}", "d".repeat(200), "f".repeat(200));
    let pax = |key: &str, value: &str| {
        let body = format!(" {key}={value}\n");
        let mut len = body.len();
        while len != body.len() + len.to_string().len() {
            len = body.len() + len.to_string().len();
        }
        format!("{len}{body}").into_bytes()
    };
    let records = [pax("path", "p\u{e4}x"), pax("mtime", "77.25"), pax("comment", "none")].concat();
    let (mut w, result) = load(&[
        entry(b"././@LongLink", b'L', 0, b"", format!("{long}\0").as_bytes()),
        entry(b"cut", b'0', 0o644, b"", b"gnu"),
        entry(b"x", b'x', 0, b"", &records),
        entry(b"cut", b'0', 0o644, b"", b"pax"),
        entry(b"plain", b'0', 0o644, b"", b"plain"),
    ]);
    assert_eq!(result, Ok(3));
    assert_eq!(w.get(&format!("/{long}")).unwrap(), b"gnu");
    assert_eq!(w.get("/p\u{e4}x").unwrap(), b"pax");
    assert_eq!(w.stat("/p\u{e4}x", 0).unwrap().mtime, Time { sec: 77, nsec: 250_000_000 });
    assert_eq!(w.get("/plain").unwrap(), b"plain");
}

#[test]
fn what_the_hosts_tar_writes() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("root");
    std::fs::create_dir_all(root.join("etc")).unwrap();
    std::fs::write(root.join("etc/motd"), "hello\n").unwrap();
    std::fs::write(root.join("n".repeat(150)), "long").unwrap();
    std::os::unix::fs::symlink("etc/motd", root.join("m")).unwrap();
    std::fs::hard_link(root.join("etc/motd"), root.join("h")).unwrap();
    for format in ["gnu", "pax", "ustar"] {
        let archive = temp.path().join("a.tar");
        let mut tar = std::process::Command::new("tar");
        tar.arg("-C").arg(&root).arg(format!("--format={format}")).arg("-cf").arg(&archive).arg(".");
        // A host without tar still has the archives made by hand above.
        let Ok(status) = tar.stderr(std::process::Stdio::null()).status() else {
            return;
        };
        // ustar can't hold a name of 150 bytes without a slash, and says so.
        assert!(status.success() || format == "ustar");
        let mut w = World::new();
        w.vfs.load_tar(&std::fs::read(&archive).unwrap(), NOW).unwrap();
        assert_eq!(w.get("/m").unwrap(), b"hello\n");
        assert_eq!(w.stat("/h", 0).unwrap().nlink, 2);
        if format != "ustar" {
            assert_eq!(w.get(&format!("/{}", "n".repeat(150))).unwrap(), b"long");
        }
    }
}

#[test]
fn what_is_wrong_is_said() {
    let good = entry(b"a", b'0', 0o644, b"", b"12345");
    let mut torn = good.clone();
    torn[3] ^= 1;
    let cases: Vec<(Vec<Vec<u8>>, &str)> = vec![
        (vec![good.clone(), torn], "tar archive, byte 1024: the header's checksum is wrong"),
        (vec![good[..600].to_vec(), vec![]], ""),
        (vec![good[..515].to_vec()], "tar archive, byte 0: ends within a file"),
        (vec![good[..300].to_vec()], "tar archive, byte 0: ends within a header"),
        (vec![entry(b"../x", b'0', 0o644, b"", b"")], "tar archive, byte 0: a name that is not allowed (../x)"),
        (vec![entry(b"x", b'1', 0, b"y", b"")], "tar archive, byte 0: a hard link to nothing that came before (x)"),
        (vec![entry(b"x", b'S', 0, b"", b"")], "tar archive, byte 0: an entry of a type that is not known (x)"),
        (
            vec![good.clone(), entry(b"a/b", b'0', 0o644, b"", b"")],
            "tar archive, byte 1024: a name below something that is no directory (a/b)",
        ),
    ];
    for (parts, want) in cases {
        let said = load(&parts).1.err().map(|e| e.to_string()).unwrap_or_default();
        assert_eq!(said, want);
    }
}

#[test]
fn too_large_for_the_file_system() {
    let mut w = World::with_pages(1);
    let error = w.vfs.load_tar(&entry(b"a", b'0', 0o644, b"", &[1; 9000]), NOW).unwrap_err();
    assert_eq!(error.errno, Some(Errno::ENOSPC));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
    /// Any damage is an error or another archive; never a panic.
    #[test]
    fn damage_is_survived(at in 0usize..3000, byte: u8, cut in 0usize..3000, reseal: bool) {
        let mut archive = [
            entry(b"x", b'x', 0, b"", b"18 path=some/name\n"),
            entry(b"f", b'0', 0o644, b"", b"data"),
            entry(b"l", b'1', 0o644, b"some/name", b""),
        ].concat();
        let at = at % archive.len();
        archive[at] = byte;
        if reseal {
            let start = at / 512 * 512;
            seal(&mut archive[start..]);
        }
        archive.truncate(archive.len() - cut % archive.len());
        let _ = load(&[archive]);
    }
}
