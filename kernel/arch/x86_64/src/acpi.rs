//! The little that the kernel wants of ACPI's tables: CPUs and interrupt controllers (MADT), the power-management timer (FADT).
//!
//! Pure, over the same view of physical memory as `bootinfo`. A table whose length or checksum is wrong is as good as absent.

use crate::bootinfo::{Physical, u32_at, u64_at};
use crate::layout::MAX_CPUS;
use arrayvec::ArrayVec;

/// An I/O APIC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IoApic {
    /// Physical address of its registers.
    pub address: u64,
    /// Its first global interrupt.
    pub first: u32,
}

/// Where an ISA line really arrives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Override {
    /// ISA line.
    pub line: u8,
    /// Global interrupt.
    pub global: u32,
    /// Active low.
    pub low: bool,
    /// Level-triggered.
    pub level: bool,
}

/// What was found.
#[derive(Debug)]
pub struct Acpi {
    /// Physical address of the local APIC.
    pub local_apic: u64,
    /// APIC ids of the usable CPUs.
    pub cpus: ArrayVec<u32, MAX_CPUS>,
    /// CPUs beyond `MAX_CPUS`.
    pub more_cpus: usize,
    /// I/O APICs.
    pub io_apics: ArrayVec<IoApic, 8>,
    /// ISA lines that are not global interrupt = line, edge, high.
    pub overrides: ArrayVec<Override, 16>,
    /// Port of the power-management timer (24 bits used of it).
    pub pm_timer: Option<u16>,
}

impl Acpi {
    /// Nothing.
    pub const EMPTY: Acpi = Acpi {
        local_apic: 0,
        cpus: ArrayVec::new_const(),
        more_cpus: 0,
        io_apics: ArrayVec::new_const(),
        overrides: ArrayVec::new_const(),
        pm_timer: None,
    };
}

/// Why ACPI is of no use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadAcpi {
    /// No root pointer.
    NoRoot,
    /// The root table is missing or damaged.
    BadRootTable,
    /// No sound table of CPUs and interrupt controllers, or it names no CPU or no I/O APIC.
    NoMadt,
}

const HEADER: usize = 36;
const TABLE_LIMIT: usize = 1 << 20;

/// Reads the tables into `acpi`; `rsdp` as the loader gave it, else it is searched for where BIOSes put it.
///
/// # Errors
/// See `BadAcpi`.
pub fn read(acpi: &mut Acpi, rsdp: Option<u64>, memory: &Physical<'_>) -> Result<(), BadAcpi> {
    let mut candidates = rsdp.into_iter().chain((0xe_0000..0x10_0000).step_by(16));
    let (at, width) = candidates.find_map(|at| root_table(at, memory)).ok_or(BadAcpi::NoRoot)?;
    let root = table(at, memory).ok_or(BadAcpi::BadRootTable)?;
    for entry in root.get(HEADER..).unwrap_or(&[]).chunks_exact(width) {
        let at = if width == 8 { u64_at(entry, 0) } else { u32_at(entry, 0).map(u64::from) };
        let Some(found) = at.and_then(|at| table(at, memory)) else {
            continue;
        };
        match found.first_chunk::<4>() {
            Some(b"APIC") => madt(acpi, found),
            Some(b"FACP") => acpi.pm_timer = pm_timer(found),
            _ => {}
        }
    }
    if acpi.cpus.is_empty() || acpi.io_apics.is_empty() { Err(BadAcpi::NoMadt) } else { Ok(()) }
}

fn sums_to_zero(bytes: &[u8]) -> bool {
    bytes.iter().fold(0u8, |sum, b| sum.wrapping_add(*b)) == 0
}

/// Address and entry width of the root table, from the root pointer at `at`.
fn root_table(at: u64, memory: &Physical<'_>) -> Option<(u64, usize)> {
    let first = memory(at, 20)?;
    if !first.starts_with(b"RSD PTR ") || !sums_to_zero(first) {
        return None;
    }
    let extended = if first.get(15).is_some_and(|revision| *revision >= 2) { memory(at, 36) } else { None };
    match extended.filter(|bytes| sums_to_zero(bytes)).and_then(|bytes| u64_at(bytes, 24)) {
        Some(xsdt) if xsdt != 0 => Some((xsdt, 8)),
        _ => Some((u64::from(u32_at(first, 16)?), 4)),
    }
}

fn table<'a>(at: u64, memory: &Physical<'a>) -> Option<&'a [u8]> {
    let length = u32_at(memory(at, HEADER)?, 4)? as usize;
    if !(HEADER..=TABLE_LIMIT).contains(&length) {
        return None;
    }
    memory(at, length).filter(|bytes| sums_to_zero(bytes))
}

fn madt(acpi: &mut Acpi, table: &[u8]) {
    acpi.local_apic = u32_at(table, 36).map_or(0, u64::from);
    let mut rest = table.get(44..).unwrap_or(&[]);
    while let [kind, length, ..] = *rest {
        let Some(entry) = rest.get(..usize::from(length)).filter(|_| length >= 2) else {
            return;
        };
        madt_entry(acpi, kind, entry);
        rest = rest.get(usize::from(length)..).unwrap_or(&[]);
    }
}

/// One entry (ACPI 6.5, 5.2.12); one that is too short is skipped.
fn madt_entry(acpi: &mut Acpi, kind: u8, entry: &[u8]) -> Option<()> {
    match kind {
        0 => add_cpu(acpi, u32::from(*entry.get(3)?), u32_at(entry, 4)?),
        9 => add_cpu(acpi, u32_at(entry, 4)?, u32_at(entry, 8)?),
        1 => {
            let io = IoApic { address: u64::from(u32_at(entry, 4)?), first: u32_at(entry, 8)? };
            let _ = acpi.io_apics.try_push(io);
        }
        2 => {
            let (line, flags) = (*entry.get(3)?, *entry.get(8)?);
            let it = Override { line, global: u32_at(entry, 4)?, low: flags & 3 == 3, level: flags >> 2 & 3 == 3 };
            let _ = acpi.overrides.try_push(it);
        }
        5 => acpi.local_apic = u64_at(entry, 4)?,
        _ => {}
    }
    Some(())
}

fn add_cpu(acpi: &mut Acpi, id: u32, flags: u32) {
    if flags & 1 == 1 && !acpi.cpus.contains(&id) && acpi.cpus.try_push(id).is_err() {
        acpi.more_cpus += 1;
    }
}

fn pm_timer(fadt: &[u8]) -> Option<u16> {
    let present = fadt.get(91).is_some_and(|length| *length == 4);
    u32_at(fadt, 76).filter(|_| present).and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn sealed(mut table: Vec<u8>, sum_at: usize) -> Vec<u8> {
        let sum = table.iter().fold(0u8, |s, b| s.wrapping_add(*b));
        table[sum_at] = table[sum_at].wrapping_sub(sum);
        table
    }

    fn acpi_table(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut t = name.to_vec();
        t.extend((36 + body.len() as u32).to_le_bytes());
        t.resize(36, 0);
        t.extend(body);
        sealed(t, 9)
    }

    const ROOT: usize = 0xe_0010;

    fn image() -> Vec<u8> {
        let mut m = vec![0u8; 0x10_0000];
        let mut madt = 0xfee0_0000u32.to_le_bytes().to_vec();
        madt.extend([1, 0, 0, 0]);
        madt.extend([0, 8, 0, 0, 1, 0, 0, 0]);
        madt.extend([0, 8, 1, 3, 1, 0, 0, 0]);
        madt.extend([0, 8, 2, 4, 0, 0, 0, 0]);
        madt.extend([1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0]);
        madt.extend([2, 10, 0, 9, 9, 0, 0, 0, 0x0d, 0]);
        let mut fadt = vec![0u8; 80];
        fadt[76 - 36..80 - 36].copy_from_slice(&0x608u32.to_le_bytes());
        fadt[91 - 36] = 4;
        let rsdt = [0x2000u32.to_le_bytes(), 0x3000u32.to_le_bytes()].concat();
        for (at, t) in [
            (0x1000, acpi_table(b"RSDT", &rsdt)),
            (0x2000, acpi_table(b"APIC", &madt)),
            (0x3000, acpi_table(b"FACP", &fadt)),
        ] {
            m[at..at + t.len()].copy_from_slice(&t);
        }
        let mut root = b"RSD PTR ".to_vec();
        root.resize(16, 0);
        root.extend(0x1000u32.to_le_bytes());
        m[ROOT..ROOT + 20].copy_from_slice(&sealed(root, 8));
        m
    }

    fn look(m: &[u8], rsdp: Option<u64>) -> Result<Acpi, BadAcpi> {
        let mut acpi = Acpi::EMPTY;
        let memory = |a: u64, n: usize| m.get(a as usize..(a as usize).checked_add(n)?);
        read(&mut acpi, rsdp, &memory).map(|()| acpi)
    }

    #[test]
    fn tables_are_read_by_pointer_and_by_search() {
        for rsdp in [Some(ROOT as u64), None, Some(5)] {
            let acpi = look(&image(), rsdp).unwrap();
            assert_eq!(acpi.cpus.as_slice(), [0, 3]);
            assert_eq!(acpi.local_apic, 0xfee0_0000);
            assert_eq!(acpi.io_apics.as_slice(), [IoApic { address: 0xfec0_0000, first: 0 }]);
            assert_eq!(acpi.overrides.as_slice(), [Override { line: 9, global: 9, low: false, level: true }]);
            assert_eq!(acpi.pm_timer, Some(0x608));
        }
    }

    #[test]
    fn a_flipped_bit_makes_the_table_absent() {
        let mut m = image();
        m[0x2030] ^= 1;
        assert_eq!(look(&m, None).unwrap_err(), BadAcpi::NoMadt);
        m[0x1004] ^= 1;
        assert_eq!(look(&m, None).unwrap_err(), BadAcpi::BadRootTable);
    }

    proptest! {
        #[test]
        fn rubbish_with_a_right_checksum_never_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut m = image();
            let t = acpi_table(b"APIC", &body);
            m[0x2000..0x2000 + t.len()].copy_from_slice(&t);
            let _ = look(&m, None);
        }
    }
}
