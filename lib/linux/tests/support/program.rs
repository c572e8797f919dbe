//! A program to start, and files.

use sal_linux_core::Store;
use sal_vfs::SliceSource;

pub fn put_file(vfs: &mut sal_vfs::Vfs<Store>, ctx: &sal_vfs::Ctx, path: &[u8], bytes: &[u8]) {
    let Ok(sal_vfs::Outcome::Done(fd)) = vfs.open(ctx, -100, path, 0o102, 0o755) else { panic!("open") };
    let Ok(sal_vfs::Outcome::Done(n)) = vfs.write(ctx, fd, &mut SliceSource(bytes), &mut Default::default()) else {
        panic!("write")
    };
    assert_eq!(n, bytes.len());
    vfs.close(ctx, fd).unwrap();
}

/// An ELF: code at 0x400000 (0x1000 bytes), data at 0x601f00 (0x80 bytes of file, 0x3000 in memory).
pub fn program() -> Vec<u8> {
    let mut b = vec![0u8; 0x2000];
    b[..16].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    put(&mut b, 16, &2u16.to_le_bytes());
    put(&mut b, 18, &62u16.to_le_bytes());
    put(&mut b, 20, &1u32.to_le_bytes());
    put(&mut b, 24, &0x40_0100u64.to_le_bytes());
    put(&mut b, 32, &64u64.to_le_bytes());
    put(&mut b, 52, &64u16.to_le_bytes());
    put(&mut b, 54, &56u16.to_le_bytes());
    put(&mut b, 56, &2u16.to_le_bytes());
    segment(&mut b, 64, 5, [0, 0x40_0000, 0x1000, 0x1000]);
    segment(&mut b, 120, 6, [0x1f00, 0x60_1f00, 0x80, 0x3000]);
    b[0x1f00..0x1f80].fill(0xd1);
    b[0x1f80..0x2000].fill(0xee);
    b
}

fn segment(b: &mut [u8], at: usize, flags: u32, [offset, address, file, memory]: [u64; 4]) {
    put(b, at, &1u32.to_le_bytes());
    put(b, at + 4, &flags.to_le_bytes());
    for (i, v) in [offset, address, address, file, memory, 4096].iter().enumerate() {
        put(b, at + 8 + i * 8, &v.to_le_bytes());
    }
}

pub fn put(b: &mut [u8], at: usize, v: &[u8]) {
    b[at..at + v.len()].copy_from_slice(v);
}
