//! Checksums. Source: `checksums.rst`; for group descriptors without `metadata_csum`, `group_descr.rst`.
//!
//! ext4 and jbd2 chain the bare register of crc32c: it starts with what came before and is not inverted at the end.

use crc::{Algorithm, CRC_16_MODBUS, CRC_32_ISCSI, Crc, Table};

static ALGORITHM: Algorithm<u32> = Algorithm { xorout: 0, ..CRC_32_ISCSI };
static CRC32C: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&ALGORITHM);
static CRC16: Crc<u16> = Crc::<u16>::new(&CRC_16_MODBUS);

/// With what a chain starts that nothing precedes.
pub(crate) const START: u32 = !0;

/// Continues a chain with these pieces, one after the other.
pub(crate) fn crc32c(before: u32, pieces: &[&[u8]]) -> u32 {
    let mut digest = CRC32C.digest_with_initial(before.reverse_bits());
    pieces.iter().for_each(|piece| digest.update(piece));
    digest.finalize()
}

/// Continues a chain with `bytes`, but for the field of `N` bytes at offset `at` (the checksum itself), which counts as zeros.
///
/// A field that doesn't lie within `bytes` blanks nothing.
pub(crate) fn crc32c_blanked<const N: usize>(before: u32, bytes: &[u8], at: usize) -> u32 {
    match (bytes.get(..at), bytes.get(at.saturating_add(N)..)) {
        (Some(head), Some(tail)) => crc32c(before, &[head, &[0; N], tail]),
        _ => crc32c(before, &[bytes]),
    }
}

/// crc16 over these pieces, as group descriptors with `gdt_csum` have it.
pub(crate) fn crc16(pieces: &[&[u8]]) -> u16 {
    let mut digest = CRC16.digest();
    pieces.iter().for_each(|piece| digest.update(piece));
    digest.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_the_same_as_one_piece_and_not_inverted() {
        // The check value of crc32c, without its final inversion.
        assert_eq!(crc32c(START, &[b"123456789"]), !0xe306_9283);
        assert_eq!(crc32c(crc32c(START, &[b"1234"]), &[b"56", b"789"]), crc32c(START, &[b"123456789"]));
        assert_eq!(crc32c_blanked::<2>(7, b"abXYcd", 2), crc32c(7, &[b"ab\0\0cd"]));
    }
}
