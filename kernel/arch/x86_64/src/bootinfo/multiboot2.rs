//! Multiboot2 information (GNU Multiboot2 Specification 2.0, section 3.6): a total length, then tags on 8-byte boundaries.

use super::{BadBoot, BootInfo, Physical, Span, u32_at};

/// More than any loader writes; a larger length is rubbish.
const LIMIT: usize = 1 << 20;

/// Reads the information at `address`.
pub(super) fn parse(info: &mut BootInfo, address: u64, memory: &Physical<'_>) -> Result<(), BadBoot> {
    let bad = |what, at| BadBoot { what, at };
    let head = memory(address, 8).ok_or(bad("multiboot2 information is unreadable", address))?;
    let total = u32_at(head, 0).unwrap_or(0) as usize;
    if !(16..=LIMIT).contains(&total) {
        return Err(bad("multiboot2 information has an absurd length", address));
    }
    let all = memory(address, total).ok_or(bad("multiboot2 information is cut off", address))?;
    let mut offset = 8;
    while let (Some(kind), Some(size)) = (u32_at(all, offset), u32_at(all, offset + 4)) {
        let at = address + offset as u64;
        let size = size as usize;
        let body = if size < 8 { None } else { all.get(offset + 8..offset.saturating_add(size)) };
        let body = body.ok_or(bad("multiboot2 tag has a wrong size", at))?;
        if kind == 0 {
            return Ok(());
        }
        tag(info, kind, body, at + 8)?;
        offset += size.next_multiple_of(8);
    }
    Err(bad("multiboot2 tags have no end", address))
}

fn tag(info: &mut BootInfo, kind: u32, body: &[u8], at: u64) -> Result<(), BadBoot> {
    match kind {
        1 => info.set_cmdline(body.split(|byte| *byte == 0).next().unwrap_or(&[]), at)?,
        3 if info.module.is_none() => module(info, body, at)?,
        6 => ranges(info, body, at)?,
        14 if info.rsdp.is_none() => info.rsdp = Some(at),
        15 => info.rsdp = Some(at),
        _ => {}
    }
    Ok(())
}

fn module(info: &mut BootInfo, body: &[u8], at: u64) -> Result<(), BadBoot> {
    let [start, end] = [0, 4].map(|offset| u32_at(body, offset).map(u64::from));
    info.module = start.zip(end).filter(|(start, end)| start <= end).map(|(start, end)| Span { start, end });
    info.module.map(|_| ()).ok_or(BadBoot { what: "multiboot2 module ends before it starts", at })
}

fn ranges(info: &mut BootInfo, body: &[u8], at: u64) -> Result<(), BadBoot> {
    let bad = BadBoot { what: "multiboot2 memory map has a wrong entry size", at };
    let size = u32_at(body, 0).filter(|size| *size >= 24).ok_or(bad)?;
    body.get(8..).unwrap_or(&[]).chunks_exact(size as usize).try_for_each(|entry| info.add_range(entry))
}

#[cfg(test)]
mod tests {
    use super::super::{MULTIBOOT2_TAG, Use, parse};
    use proptest::prelude::*;
    use std::vec::Vec;

    fn tag(out: &mut Vec<u8>, kind: u32, body: &[u8]) {
        out.extend(kind.to_le_bytes());
        out.extend((body.len() as u32 + 8).to_le_bytes());
        out.extend(body);
        out.resize(out.len().next_multiple_of(8), 0);
    }

    fn image() -> Vec<u8> {
        let mut m = vec![0; 8];
        tag(&mut m, 1, b"hello selftest\0");
        tag(&mut m, 3, &[0, 0, 0x20, 0, 0, 0x10, 0x20, 0, b'm', 0]);
        let mut map = vec![24, 0, 0, 0, 0, 0, 0, 0];
        for (start, length, kind) in [(0u64, 0x9f000u64, 1u32), (0x10_0000, 0x700_0000, 1), (0x7f0_0000, 0x1000, 3)] {
            map.extend(start.to_le_bytes());
            map.extend(length.to_le_bytes());
            map.extend(kind.to_le_bytes());
            map.extend([0; 4]);
        }
        tag(&mut m, 6, &map);
        tag(&mut m, 15, &[7; 36]);
        tag(&mut m, 0, &[]);
        let total = (m.len() as u32).to_le_bytes();
        m[..4].copy_from_slice(&total);
        m
    }

    fn read(m: &[u8]) -> Result<super::BootInfo, super::BadBoot> {
        let memory = |a: u64, n: usize| m.get(a as usize..(a as usize).checked_add(n)?);
        let mut info = super::BootInfo::EMPTY;
        parse(&mut info, MULTIBOOT2_TAG, 0, &memory).map(|()| info)
    }

    #[test]
    fn a_good_one_is_read() {
        let m = image();
        let info = read(&m).unwrap();
        assert_eq!(info.cmdline.as_str(), "hello selftest");
        assert_eq!(info.module.unwrap().length(), 0x1000);
        assert_eq!(info.ranges.len(), 3);
        assert_eq!(info.ranges[2].1, Use::Acpi);
        let rsdp = info.rsdp.unwrap() as usize;
        assert_eq!(m[rsdp..rsdp + 36], [7; 36]);
    }

    #[test]
    fn every_truncation_is_refused() {
        let m = image();
        for n in 0..m.len() {
            assert!(read(&m[..n]).is_err(), "{n} bytes");
        }
    }

    proptest! {
        #[test]
        fn changed_bytes_never_panic(edits in proptest::collection::vec((0usize..200, any::<u8>()), 0..16)) {
            let mut m = image();
            for (at, byte) in edits { if let Some(b) = m.get_mut(at) { *b = byte; } }
            let _ = read(&m);
        }
    }
}
