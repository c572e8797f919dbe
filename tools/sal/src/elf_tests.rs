//! ELF files made by this computer's C compiler, which cargo needs as well, and their damaged copies.

use super::*;
use sal_bootimage::{Program, Symbols};
use std::path::Path;
use std::process::Command;

/// Pointers to data and to code, zero-filled memory, and an entry.
const SOURCE: &str = "
    static int zeros[5000];
    static int number = 7;
    int *table[3] = { &number, &zeros[4999], 0 };
    int add(int a) { return a + *table[0]; }
    int (*const function)(int) = add;
    void _start(void) { zeros[0] = function(1); for (;;); }
";

fn compile(source: &str, flags: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let (text, file) = (folder.path().join("a.c"), folder.path().join("a.elf"));
    std::fs::write(&text, source).unwrap();
    run(Command::new("cc")
        .args(["-O1", "-g0", "-ffreestanding", "-fno-builtin"])
        .args(flags)
        .arg("-o")
        .arg(&file)
        .arg(&text));
    read(&file)
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn read(file: &Path) -> Vec<u8> {
    std::fs::read(file).unwrap()
}

const STATIC_PIE: [&str; 4] = ["-static-pie", "-fPIE", "-nostdlib", "-Wl,-z,separate-code"];

fn good() -> Vec<u8> {
    compile(SOURCE, &STATIC_PIE)
}

fn refusal(file: &[u8]) -> String {
    format!("{:#}", program(file).expect_err("it was taken for a good program"))
}

/// The program as it lies in memory at `base`.
fn load(program: &Program<'_>, base: u64) -> Vec<u8> {
    let mut memory = vec![0; program.span as usize];
    for segment in program.segments() {
        let start = segment.address as usize;
        memory[start..start + segment.bytes.len()].copy_from_slice(segment.bytes);
        let end = start + segment.size as usize;
        program.relocate(&mut memory[start..end], segment.address, base);
    }
    memory
}

fn address(list: &[(u64, String)], name: &str) -> u64 {
    list.iter().find(|(_, found)| found == name).unwrap_or_else(|| panic!("no {name}")).0
}

#[test]
fn a_loaded_program_has_its_pointers_where_they_belong() {
    let file = good();
    let module = program(&file).unwrap();
    let program = Program::open(&module).unwrap();
    let functions = symbols(&file).unwrap();
    assert_eq!(program.entry, address(&functions, "_start"));
    let base = 0xffff_8000_1234_5000;
    let memory = load(&program, base);
    let words = memory.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap()));
    let add = base + address(&functions, "add");
    assert!(words.clone().any(|word| word == add), "no pointer to `add`");
    let pointers = words.filter(|word| (base..base + program.span).contains(word)).collect::<Vec<_>>();
    let number = pointers.iter().find(|word| memory[(**word - base) as usize..].starts_with(&7u32.to_le_bytes()));
    assert!(number.is_some(), "no pointer to `number`: {pointers:x?}");
    assert!(pointers.len() >= 3 && program.relocations().count() >= 3);
}

#[test]
fn symbols_say_where_an_address_is() {
    let functions = symbols(&good()).unwrap();
    let add = address(&functions, "add");
    let name = sal_bootimage::Name::new("a").unwrap();
    let module = sal_bootimage::symbols(vec![(name, functions)]).unwrap();
    assert_eq!(Symbols::open(&module).unwrap().find("a", add + 2), Some(("add", 2)));
}

#[test]
fn every_truncation_is_one_line_or_only_lacks_symbols() {
    let file = good();
    for length in (0..file.len()).step_by(61) {
        if let Err(error) = program(&file[..length]) {
            assert!(!format!("{error:#}").contains('\n'));
        }
    }
    assert!(refusal(&file[..3]).contains("no ELF file"));
    assert!(refusal(&file[..40]).contains("cut short: 40 bytes"));
    assert!(refusal(&file[..0x1000]).contains("cut short"));
}

#[test]
fn damaged_files_never_panic() {
    let file = good();
    for at in (0..file.len().min(0x400)).chain(file.len() - 0x400..file.len()) {
        for value in [0, 0x7f, 0xff] {
            let mut damaged = file.clone();
            damaged[at] = value;
            let _ = program(&damaged);
            let _ = symbols(&damaged);
        }
    }
}

#[test]
fn other_files_are_refused_with_the_reason() {
    let mut other = good();
    other[18] = 183;
    assert!(refusal(&other).contains("for another machine: ELF machine 183"));
    assert!(refusal(b"#!/bin/sh\n").contains("no ELF file"));
    let fixed = compile(SOURCE, &["-static", "-no-pie", "-fno-pie", "-nostdlib"]);
    assert!(refusal(&fixed).contains("not position-independent"));
    let dynamic = compile(SOURCE, &["-pie", "-fPIE", "-nostdlib", "-Wl,-dynamic-linker,/lib/ld.so"]);
    assert!(refusal(&dynamic).contains("dynamic linker"), "{}", refusal(&dynamic));
}

#[test]
fn a_relocation_that_no_loader_applies_is_named() {
    let source = "static int yes(void) { return 1; }
        static void *choose(void) { return yes; }
        int chosen(void) __attribute__((ifunc(\"choose\")));
        int (*pointer)(void) = chosen;
        void _start(void) { pointer(); for (;;); }";
    let why = refusal(&compile(source, &STATIC_PIE));
    assert!(why.contains("relocation of type 37") && why.contains("only R_X86_64_RELATIVE"), "{why}");
}
