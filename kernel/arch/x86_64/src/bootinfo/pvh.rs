//! PVH: `struct hvm_start_info` (Xen, `public/arch-x86/hvm/start_info.h`), versions 0 and 1.

use super::{BadBoot, BootInfo, Physical, Span, u32_at, u64_at};

const MAGIC: u32 = 0x336e_c578;
const HEAD: usize = 40;
const TAIL: usize = 16;
const MODULE: usize = 32;
const RANGE: usize = 24;

/// Reads the structure at `address`.
pub(super) fn parse(info: &mut BootInfo, address: u64, memory: &Physical<'_>) -> Result<(), BadBoot> {
    let bad = |what| BadBoot { what, at: address };
    let head = memory(address, HEAD).ok_or(bad("PVH start_info is unreadable"))?;
    let field32 = |offset| u32_at(head, offset).unwrap_or(0);
    let field64 = |offset| u64_at(head, offset).unwrap_or(0);
    if field32(0) != MAGIC {
        return Err(bad("PVH start_info has no magic number"));
    }
    if field32(4) == 0 {
        return Err(bad("PVH start_info of version 0 has no memory map"));
    }
    info.rsdp = Some(field64(32)).filter(|a| *a != 0);
    if field32(12) > 0 {
        info.module = Some(module(field64(16), memory)?);
    }
    if field64(24) != 0 {
        cmdline(info, field64(24), memory)?;
    }
    let tail_at = address.saturating_add(HEAD as u64);
    let tail = memory(tail_at, TAIL).ok_or(bad("PVH start_info is cut off"))?;
    let (map, count) = (u64_at(tail, 0).unwrap_or(0), u32_at(tail, 8).unwrap_or(0));
    for i in 0..u64::from(count) {
        let entry = map.checked_add(i * RANGE as u64).and_then(|at| memory(at, RANGE));
        info.add_range(entry.ok_or(BadBoot { what: "PVH memory map is unreadable", at: map })?)?;
    }
    Ok(())
}

fn module(at: u64, memory: &Physical<'_>) -> Result<Span, BadBoot> {
    let entry = memory(at, MODULE).ok_or(BadBoot { what: "PVH module list is unreadable", at })?;
    let (start, length) = (u64_at(entry, 0).unwrap_or(0), u64_at(entry, 8).unwrap_or(0));
    start.checked_add(length).map(|end| Span { start, end }).ok_or(BadBoot { what: "PVH module wraps around", at })
}

fn cmdline(info: &mut BootInfo, at: u64, memory: &Physical<'_>) -> Result<(), BadBoot> {
    for length in 0..=info.cmdline.capacity() {
        let text = memory(at, length + 1).ok_or(BadBoot { what: "command line is unreadable", at })?;
        if let Some((0, text)) = text.split_last() {
            return info.set_cmdline(text, at);
        }
    }
    Err(BadBoot { what: "command line is longer than 1024 bytes", at })
}

#[cfg(test)]
mod tests {
    use super::super::{PVH_TAG, parse};
    use proptest::prelude::*;
    use std::vec::Vec;

    /// 64 KiB of memory with a start_info at 0x1000.
    fn image() -> Vec<u8> {
        let mut m = vec![0u8; 0x10000];
        let mut put = |at: usize, bytes: &[u8]| m[at..at + bytes.len()].copy_from_slice(bytes);
        put(0x1000, &super::MAGIC.to_le_bytes());
        put(0x1004, &1u32.to_le_bytes());
        put(0x100c, &1u32.to_le_bytes());
        put(0x1010, &0x2000u64.to_le_bytes());
        put(0x1018, &0x3000u64.to_le_bytes());
        put(0x1020, &0xf0000u64.to_le_bytes());
        put(0x1028, &0x4000u64.to_le_bytes());
        put(0x1030, &2u32.to_le_bytes());
        put(0x2000, &0x20_0000u64.to_le_bytes());
        put(0x2008, &0x1234u64.to_le_bytes());
        put(0x3000, b"selftest x=1\0");
        put(0x4000, &0u64.to_le_bytes());
        put(0x4008, &0x9fc00u64.to_le_bytes());
        put(0x4010, &1u32.to_le_bytes());
        put(0x4018, &0x10_0000u64.to_le_bytes());
        put(0x4020, &u64::MAX.to_le_bytes());
        put(0x4028, &2u32.to_le_bytes());
        m
    }

    fn read(m: &[u8], address: u64) -> Result<super::BootInfo, super::BadBoot> {
        let memory = |a: u64, n: usize| m.get(a as usize..(a as usize).checked_add(n)?);
        let mut info = super::BootInfo::EMPTY;
        parse(&mut info, PVH_TAG, address, &memory).map(|()| info)
    }

    #[test]
    fn a_good_one_is_read() {
        let m = image();
        let info = read(&m, 0x1000).unwrap();
        assert_eq!(info.cmdline.as_str(), "selftest x=1");
        assert!(info.has_word("selftest") && !info.has_word("self"));
        assert_eq!(info.module.unwrap().length(), 0x1234);
        assert_eq!(info.rsdp, Some(0xf0000));
        assert_eq!(info.ranges.len(), 2);
        assert_eq!(info.ranges[1].0.end, u64::MAX);
    }

    #[test]
    fn a_missing_magic_and_an_endless_command_line_are_told() {
        let mut m = image();
        m[0x3000..0x4000].fill(b'x');
        assert!(read(&m, 0x1000).unwrap_err().what.contains("longer than 1024"));
        m[0x1000] = 0;
        assert!(read(&m, 0x1000).unwrap_err().what.contains("magic"));
        assert!(read(&m, 0xfff0).unwrap_err().what.contains("unreadable"));
    }

    proptest! {
        #[test]
        fn changed_bytes_never_panic(edits in proptest::collection::vec((0usize..0x40, any::<u8>()), 0..16),
                                     lists in proptest::collection::vec((0x2000usize..0x4040, any::<u8>()), 0..16)) {
            let mut m = image();
            for (at, byte) in edits { m[0x1000 + at] = byte; }
            for (at, byte) in lists { m[at] = byte; }
            let _ = read(&m, 0x1000);
        }
    }
}
