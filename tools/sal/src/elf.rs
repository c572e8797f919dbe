//! From an ELF file to what the boot image holds: a program ready to load, and its functions' addresses and names.
//!
//! A program is a static position-independent executable for x86_64 whose only relocations are `R_X86_64_RELATIVE`; each of its
//! segments starts on a page of its own. Anything else is an error that says where.

use anyhow::{Context, Result, anyhow, bail, ensure};
use object::elf::{self, FileHeader64};
use object::endian::LittleEndian;
use object::read::elf::{FileHeader, ProgramHeader, Rela, SectionHeader, SectionTable, Sym};
use sal_abi::Rights;
use sal_bootimage::{MACHINE_X86_64, PAGE, ProgramParts, SegmentParts};

type Header = FileHeader64<LittleEndian>;
type Section = object::elf::SectionHeader64<LittleEndian>;
const LE: LittleEndian = LittleEndian;

/// The program module made from an ELF file.
pub(crate) fn program(file: &[u8]) -> Result<Vec<u8>> {
    let header = header(file)?;
    ensure!(
        header.e_type(LE) == elf::ET_DYN,
        "is not position-independent: link it as a static position-independent executable"
    );
    let mut segments = segments(header, file)?;
    let relocations = relocate(header, file, &mut segments)?;
    let parts = ProgramParts { machine: MACHINE_X86_64, entry: header.e_entry(LE), segments, relocations };
    Ok(parts.encode()?)
}

/// The functions of an ELF file: (address, name without hashes).
pub(crate) fn symbols(file: &[u8]) -> Result<Vec<(u64, String)>> {
    let sections = header(file)?.sections(LE, file).context("its section table is cut short")?;
    let table = sections.symbols(LE, file, elf::SHT_SYMTAB).context("its symbol table is cut short")?;
    let named = |symbol: &object::elf::Sym64<LittleEndian>| {
        let name = table.symbol_name(LE, symbol).ok().and_then(|name| std::str::from_utf8(name).ok())?;
        Some((symbol.st_value(LE), format!("{:#}", rustc_demangle::demangle(name))))
    };
    let code = |symbol: &&object::elf::Sym64<LittleEndian>| {
        let kind = symbol.st_type();
        let placed = symbol.st_shndx(LE) != elf::SHN_UNDEF;
        placed && (kind == elf::STT_FUNC || (kind == elf::STT_NOTYPE && symbol.st_bind() == elf::STB_GLOBAL))
    };
    Ok(table.iter().filter(code).filter_map(named).collect())
}

/// The functions of an executable's 64-bit half (the kernel's start below it is 32-bit code), by address: address, name, code up to the next one.
pub(crate) fn functions(file: &[u8]) -> Result<Vec<(u64, String, &[u8])>> {
    let mut symbols = symbols(file)?;
    symbols.sort();
    symbols.dedup_by_key(|(address, _)| *address);
    let starts = symbols.iter().skip(1).map(|(address, _)| *address).chain([u64::MAX]).collect::<Vec<_>>();
    let headers = header(file)?.program_headers(LE, file).context("its program headers are cut short")?;
    let high = |header: &&object::elf::ProgramHeader64<LittleEndian>| {
        header.p_flags(LE) & elf::PF_X != 0 && header.p_vaddr(LE) > 1 << 63
    };
    let segment = headers.iter().find(high).context("it has no code in the upper half")?;
    let code = segment.data(LE, file).map_err(|()| anyhow!("its code is cut short"))?;
    let within = |address: u64| usize::try_from(address.checked_sub(segment.p_vaddr(LE))?).ok();
    let all = symbols.into_iter().zip(starts).filter_map(|((address, name), next)| {
        let start = within(address).filter(|start| *start < code.len())?;
        Some((address, name, code.get(start..within(next)?.min(code.len()))?))
    });
    Ok(all.collect())
}

/// The header of a 64-bit, little-endian x86_64 file.
fn header(file: &[u8]) -> Result<&Header> {
    ensure!(file.starts_with(&elf::ELFMAG), "is no ELF file");
    let header = Header::parse(file).map_err(|_| anyhow!("is cut short: {} bytes", file.len()))?;
    ensure!(header.is_class_64() && header.is_little_endian(), "is not a 64-bit little-endian ELF file");
    let machine = header.e_machine(LE);
    ensure!(machine == elf::EM_X86_64, "is for another machine: ELF machine {machine}, not {MACHINE_X86_64} (x86_64)");
    Ok(header)
}

fn segments(header: &Header, file: &[u8]) -> Result<Vec<SegmentParts>> {
    let headers = header.program_headers(LE, file).context("its program headers are cut short")?;
    if headers.iter().any(|header| header.p_type(LE) == elf::PT_INTERP) {
        bail!("asks for a dynamic linker: link it statically");
    }
    let mut segments: Vec<SegmentParts> = Vec::new();
    for header in headers.iter().filter(|header| header.p_type(LE) == elf::PT_LOAD && header.p_memsz(LE) > 0) {
        let segment = segment(header, file)?;
        let free = segments.last().map_or(0, |last| (last.address + last.size).next_multiple_of(PAGE));
        ensure!(
            segment.address >= free,
            "has two segments on the page at {:#x}: link it with -zmax-page-size=4096",
            segment.address
        );
        segments.push(segment);
    }
    Ok(segments)
}

/// One segment, extended downwards to a page boundary.
fn segment(header: &object::elf::ProgramHeader64<LittleEndian>, file: &[u8]) -> Result<SegmentParts> {
    let address = header.p_vaddr(LE);
    let data =
        header.data(LE, file).map_err(|()| anyhow!("is cut short: the segment at {address:#x} is not all there"))?;
    ensure!(
        header.p_filesz(LE) <= header.p_memsz(LE),
        "has a segment at {address:#x} that is larger in the file than in memory"
    );
    let before = address % PAGE;
    let mut bytes = vec![0; before as usize];
    bytes.extend_from_slice(data);
    let size = header.p_memsz(LE).checked_add(before);
    let size = size.filter(|size| *size < 1 << 40 && address < 1 << 40);
    let size = size.ok_or_else(|| anyhow!("has a segment at {address:#x} that is larger than memory"))?;
    Ok(SegmentParts { address: address - before, size, bytes, rights: rights(header.p_flags(LE)) })
}

fn rights(flags: u32) -> Rights {
    let pairs = [(elf::PF_R, Rights::READ), (elf::PF_W, Rights::WRITE), (elf::PF_X, Rights::EXECUTE)];
    let given = pairs.iter().filter(|(flag, _)| flags & flag != 0);
    given.fold(Rights::NONE, |sum, (_, right)| sum.or(*right))
}

/// Puts every relocation's image-relative address into its place; returns the places.
fn relocate(header: &Header, file: &[u8], segments: &mut [SegmentParts]) -> Result<Vec<u64>> {
    let sections = header.sections(LE, file).context("its section table is cut short")?;
    let loaded = |section: &&Section| section.sh_flags(LE) & u64::from(elf::SHF_ALLOC) != 0;
    let mut places = Vec::new();
    for section in sections.iter().filter(loaded) {
        if let Some((list, link)) = section.rela(LE, file).context("its relocations are cut short")? {
            for rela in list {
                let place = rela.r_offset(LE);
                if rela.r_type(LE, false) != elf::R_X86_64_RELATIVE {
                    bail!("{}", unknown_relocation(&sections, file, rela, link));
                }
                store(segments, place, rela.r_addend(LE) as u64)
                    .ok_or_else(|| anyhow!("has a relocation at {place:#x}, outside its contents"))?;
                places.push(place);
            }
        } else if matches!(section.sh_type(LE), elf::SHT_REL | elf::SHT_RELR) {
            bail!("has relocations without addends: link it without -z pack-relative-relocs");
        }
    }
    Ok(places)
}

fn store(segments: &mut [SegmentParts], place: u64, value: u64) -> Option<()> {
    let within = |s: &&mut SegmentParts| s.address <= place && place - s.address < s.bytes.len() as u64;
    let segment = segments.iter_mut().find(within)?;
    let at = (place - segment.address) as usize;
    *segment.bytes.get_mut(at..)?.first_chunk_mut::<8>()? = value.to_le_bytes();
    Some(())
}

/// Which relocation it is, in which section, and against which symbol.
fn unknown_relocation(
    sections: &SectionTable<'_, Header>,
    file: &[u8],
    rela: &object::elf::Rela64<LittleEndian>,
    link: object::SectionIndex,
) -> String {
    let place = rela.r_offset(LE);
    let holds = |s: &&Section| (s.sh_addr(LE)..s.sh_addr(LE) + s.sh_size(LE)).contains(&place);
    let section = sections.iter().find(holds).and_then(|s| sections.section_name(LE, s).ok());
    let section = String::from_utf8_lossy(section.unwrap_or(b"no section")).into_owned();
    let symbol = sections.symbol_table_by_index(LE, file, link).ok().and_then(|table| {
        let symbol = table.symbol(rela.symbol(LE, false)?).ok()?;
        Some(String::from_utf8_lossy(table.symbol_name(LE, symbol).ok()?).into_owned())
    });
    let kind = rela.r_type(LE, false);
    let symbol = symbol.unwrap_or_else(|| "no symbol".to_string());
    format!(
        "has a relocation of type {kind} at {place:#x} in {section} against {symbol}: only R_X86_64_RELATIVE can be loaded"
    )
}

#[cfg(test)]
#[path = "elf_tests.rs"]
mod tests;
