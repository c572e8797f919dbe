//! Round trips, every single-bit flip, every truncation, and bytes made up.

use crate::*;
use alloc::string::ToString;
use alloc::vec::Vec;
use alloc::{format, vec};
use proptest::prelude::*;
use sal_abi::Rights;

fn small_program() -> ProgramParts {
    let mut data = vec![7; 5000];
    data[8..16].copy_from_slice(&0x1010u64.to_le_bytes());
    data[4992..5000].copy_from_slice(&0x20u64.to_le_bytes());
    ProgramParts {
        machine: MACHINE_X86_64,
        entry: 0x10,
        segments: vec![
            SegmentParts { address: 0, size: 100, bytes: vec![0x90; 100], rights: Rights::READ.or(Rights::EXECUTE) },
            SegmentParts { address: 0x2000, size: 20000, bytes: data, rights: Rights::READ.or(Rights::WRITE) },
        ],
        relocations: vec![0x2000 + 4992, 0x2008],
    }
}

fn console_symbols() -> Vec<u8> {
    symbols(vec![(Name::new("console").unwrap(), vec![(16, "start".to_string()), (4096, std::string::String::new())])])
        .unwrap()
}

fn small_image(order: Order) -> Vec<u8> {
    let mut writer = ImageWriter::new();
    writer.add(Kind::RamDisk, RAM_DISK, vec![1, 2, 3]).unwrap();
    writer.add(Kind::Program, "console", small_program().encode().unwrap()).unwrap();
    writer.add(Kind::Symbols, SYMBOLS, console_symbols()).unwrap();
    writer.add(Kind::Manifest, MANIFEST, Vec::new()).unwrap();
    writer.finish(order)
}

#[test]
fn what_is_written_is_read() {
    let file = small_image(Order::Sorted);
    let image = Image::open(&file).unwrap();
    image.check().unwrap();
    assert_eq!(image.modules().count(), 4);
    assert_eq!(image.find(Kind::RamDisk, RAM_DISK).unwrap().bytes, [1, 2, 3]);
    assert!(image.find(Kind::Manifest, MANIFEST).unwrap().bytes.is_empty());
    assert_eq!(image.symbols().unwrap().find("console", 20), Some(("start", 4)));
    assert_eq!(image.symbols().unwrap().find("console", 4095), Some(("start", 4079)));
    assert_eq!(image.symbols().unwrap().find("console", 4096), None, "beyond the program's end");
    let program = image.program("console").unwrap();
    assert_eq!((program.entry, program.span), (0x10, 0x2000 + 0x5000));
    assert_eq!(program.relocations().collect::<Vec<_>>(), [0x2008, 0x2000 + 4992]);
    let missing = image.find(Kind::Program, "disk").unwrap_err().to_string();
    assert_eq!(missing, "boot image: no program `disk` in it");
}

#[test]
fn bytes_after_the_end_do_not_matter() {
    let mut file = small_image(Order::Sorted);
    let length = file.len() as u64;
    file.extend_from_slice(&[9; 777]);
    assert_eq!(Image::open(&file).unwrap().len(), length);
}

#[test]
fn the_order_of_adding_does_not_show_and_the_order_of_lying_does_not_matter() {
    let mut writer = ImageWriter::new();
    for name in ["b", "a", "c"] {
        writer.add(Kind::RamDisk, name, name.into()).unwrap();
    }
    let mut other = ImageWriter::new();
    for name in ["c", "b", "a"] {
        other.add(Kind::RamDisk, name, name.into()).unwrap();
    }
    assert_eq!(writer.finish(Order::Sorted), other.finish(Order::Sorted));
    let shuffled = (0..20).map(|seed| small_image(Order::Shuffled(seed))).collect::<Vec<_>>();
    assert!(shuffled.iter().any(|file| *file != shuffled[0]));
    for file in shuffled {
        let image = Image::open(&file).unwrap();
        image.check().unwrap();
        assert_eq!(image.find(Kind::RamDisk, RAM_DISK).unwrap().bytes, [1, 2, 3]);
        image.program("console").unwrap();
    }
}

#[test]
fn a_flipped_bit_anywhere_is_found() {
    let mut file = small_image(Order::Sorted);
    for bit in 0..file.len() * 8 {
        file[bit / 8] ^= 1 << (bit % 8);
        let checked = Image::open(&file).and_then(|image| image.check());
        assert!(checked.is_err(), "bit {bit} was not noticed");
        file[bit / 8] ^= 1 << (bit % 8);
    }
    Image::open(&file).unwrap().check().unwrap();
}

#[test]
fn a_damaged_module_is_named() {
    let mut file = small_image(Order::Sorted);
    let offset = Image::open(&file).unwrap().find(Kind::Program, "console").unwrap().offset as usize;
    file[offset + 4097] ^= 4;
    let error = Image::open(&file).unwrap().program("console").unwrap_err();
    assert_eq!(error.to_string(), "boot image: damaged: the checksum of module `console` does not match");
}

#[test]
fn a_truncated_file_is_an_error_at_every_length() {
    let file = small_image(Order::Sorted);
    for length in 0..file.len() {
        assert!(Image::open(&file[..length]).is_err(), "{length} bytes were taken for a whole image");
    }
}

#[test]
fn relocating_in_pieces_is_relocating_at_once() {
    let module = small_program().encode().unwrap();
    let program = Program::open(&module).unwrap();
    let base = 0xffff_8000_0000_0000;
    let data = program.segments().nth(1).unwrap();
    assert_eq!(data.bytes.len(), 5000);
    let mut whole = data.bytes.to_vec();
    whole.resize(8192, 0);
    let mut pieces = whole.clone();
    program.relocate(&mut whole, data.address, base);
    for (index, piece) in pieces.chunks_mut(4096).enumerate() {
        program.relocate(piece, data.address + 4096 * index as u64, base);
    }
    assert_eq!(whole, pieces);
    assert_eq!(whole[8..16], (base + 0x1010).to_le_bytes());
    assert_eq!(whole[4992..5000], (base + 0x20).to_le_bytes());
    assert_eq!(whole[16..4992], [7; 4976]);
    assert!(!program.has_relocations(0, 0x2000) && program.has_relocations(0x2000, 0x3000));
}

#[test]
fn a_program_that_contradicts_itself_is_refused() {
    let bad = |change: fn(&mut ProgramParts), what: &str| {
        let mut parts = small_program();
        change(&mut parts);
        let error = parts.encode().expect_err(what).to_string();
        assert!(error.contains(what), "{error} does not say {what}");
    };
    bad(|p| p.entry = 0x2000, "no executable segment");
    bad(|p| p.segments[1].address = 0, "overlap");
    bad(|p| p.segments[1].address = 0x2001, "page boundaries");
    bad(|p| p.segments[1].size = 100, "more contents");
    bad(|p| p.segments[0].rights = Rights::ALL, "unknown rights");
    bad(|p| p.segments[0].rights = Rights::EXECUTE.or(Rights::WRITE), "both written and executed");
    bad(|p| p.relocations.push(0x2011), "aligned");
    bad(|p| p.relocations.push(0x2008), "ascend");
    bad(|p| p.relocations.push(0x4000), "outside the segments");
    bad(|p| p.relocations.push(u64::MAX - 7), "outside the segments");
    bad(|p| p.segments.clear(), "without segments");
}

#[test]
fn names_are_checked() {
    let mut writer = ImageWriter::new();
    for name in ["", "a\0b", &"x".repeat(32)] {
        assert_eq!(writer.add(Kind::Program, name, Vec::new()), Err(Error::BadName));
    }
    writer.add(Kind::Program, &"x".repeat(31), Vec::new()).unwrap();
    assert!(writer.add(Kind::Program, &"x".repeat(31), Vec::new()).is_err());
    writer.add(Kind::Symbols, &"x".repeat(31), Vec::new()).unwrap();
}

#[test]
fn a_symbol_is_found_by_every_address_up_to_the_next() {
    let console = vec![(0x200, "b".into()), (0x100, "a::é".into()), (0x200, "z".into())];
    let [first, second] = ["console", "alone"].map(|name| Name::new(name).unwrap());
    let module = symbols(vec![(first, console), (second, vec![(0, "x".into())])]).unwrap();
    let symbols = Symbols::open(&module).unwrap();
    assert_eq!(symbols.find("console", 0xff), None);
    assert_eq!(symbols.find("console", 0x1ff), Some(("a::é", 0xff)));
    assert_eq!(symbols.find("console", u64::MAX), Some(("b", u64::MAX - 0x200)));
    assert_eq!(symbols.find("alone", 0x1ff), Some(("x", 0x1ff)));
    assert_eq!(symbols.find("other", 0x1ff), None);
}

/// Reads all that a reader can read, for its panics.
fn read_everything(bytes: &[u8]) {
    if let Ok(image) = Image::open(bytes) {
        let _ = image.check();
        for module in image.modules() {
            let _ = format!("{module:?}");
            let _ = image.program(module.name.as_str());
        }
    }
    if let Ok(program) = Program::open(bytes) {
        assert!(program.segments().count() > 0);
        assert!(program.segments().all(|s| s.address + s.size <= program.span));
    }
    if let Ok(symbols) = Symbols::open(bytes) {
        let _ = symbols.find("console", 0x1234);
    }
}

proptest! {
    #[test]
    fn made_up_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), which in 0..3usize) {
        let magic: &[u8] = [&b"SALIMAGE"[..], b"SALPROG1", b"SALSYMS1"][which];
        read_everything(&[magic, &bytes].concat());
        read_everything(&bytes);
    }

    #[test]
    fn a_program_with_changed_tables_is_refused_or_sound(changes in proptest::collection::vec((0..200usize, any::<u8>()), 1..6)) {
        let mut module = small_program().encode().unwrap();
        for (at, value) in changes {
            module[at] = value;
        }
        read_everything(&module);
        if let Ok(program) = Program::open(&module) {
            for segment in program.segments() {
                program.relocate(&mut segment.bytes.to_vec(), segment.address, 0x1000);
            }
        }
    }

    #[test]
    fn any_modules_come_back(modules in proptest::collection::btree_map("[a-z0-9.-]{1,31}", proptest::collection::vec(any::<u8>(), 0..9000), 0..8), seed: u64) {
        let mut writer = ImageWriter::new();
        for (name, bytes) in &modules {
            writer.add(Kind::RamDisk, name, bytes.clone()).unwrap();
        }
        let file = writer.finish(Order::Shuffled(seed));
        let image = Image::open(&file).unwrap();
        image.check().unwrap();
        for (name, bytes) in &modules {
            prop_assert_eq!(image.find(Kind::RamDisk, name).unwrap().bytes, &bytes[..]);
        }
    }
}
