//! A program's memory as the personality reaches it. Must hold: every access may fail with `EFAULT`, at any byte.

use crate::errno::Errno;
use alloc::vec;
use alloc::vec::Vec;

/// Bytes of a page.
pub const PAGE: u64 = 4096;

/// The memory of the program that made the call. In the server: plain loads and stores with a fixup; in tests: a map.
/// Addresses at or above [`sal_abi::x86_64::GUEST_END`] are refused by the implementation.
pub trait UserMemory {
    /// Fills `buffer` from `address`; on failure the buffer's contents are unspecified.
    fn read(&mut self, address: u64, buffer: &mut [u8]) -> Result<(), Errno>;
    /// Writes `data` at `address`; on failure the bytes before the bad page may be written.
    fn write(&mut self, address: u64, data: &[u8]) -> Result<(), Errno>;
    /// Reads an aligned word, whole.
    fn load_u32(&mut self, address: u64) -> Result<u32, Errno>;
    /// Atomic compare and exchange of an aligned word; returns what was there.
    fn compare_exchange_u32(&mut self, address: u64, expected: u32, new: u32) -> Result<u32, Errno>;
}

/// What every caller of `UserMemory` wants on top.
impl dyn UserMemory + '_ {
    /// Reads an array.
    pub fn get<const N: usize>(&mut self, address: u64) -> Result<[u8; N], Errno> {
        let mut bytes = [0; N];
        self.read(address, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads a `u32`.
    pub fn get_u32(&mut self, address: u64) -> Result<u32, Errno> {
        Ok(u32::from_le_bytes(self.get(address)?))
    }

    /// Reads a `u64`.
    pub fn get_u64(&mut self, address: u64) -> Result<u64, Errno> {
        Ok(u64::from_le_bytes(self.get(address)?))
    }

    /// Reads `N` `u64`s in a row.
    pub fn get_words<const N: usize>(&mut self, address: u64) -> Result<[u64; N], Errno> {
        let mut words = [0; N];
        for (i, word) in words.iter_mut().enumerate() {
            *word = self.get_u64(address.wrapping_add(8 * i as u64))?;
        }
        Ok(words)
    }

    /// Writes a `u32`.
    pub fn put_u32(&mut self, address: u64, value: u32) -> Result<(), Errno> {
        self.write(address, &value.to_le_bytes())
    }

    /// Writes a `u64`.
    pub fn put_u64(&mut self, address: u64, value: u64) -> Result<(), Errno> {
        self.write(address, &value.to_le_bytes())
    }

    /// Writes `u64`s in a row.
    pub fn put_words(&mut self, address: u64, words: &[u64]) -> Result<(), Errno> {
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        self.write(address, &bytes)
    }

    /// Reads `length` bytes into a new vector.
    pub fn get_vec(&mut self, address: u64, length: usize) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0; length];
        self.read(address, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads a string up to its zero byte (not included), at most `limit` bytes with it; longer is `too_long`.
    /// Never reads beyond the page in which the string ends.
    pub fn get_string(&mut self, address: u64, limit: usize, too_long: Errno) -> Result<Vec<u8>, Errno> {
        let mut out = Vec::new();
        let mut at = address;
        while out.len() < limit {
            let here = (64 - at % 64).min((limit - out.len()) as u64) as usize;
            let mut piece = [0; 64];
            let piece = piece.get_mut(..here).ok_or(Errno::EFAULT)?;
            self.read(at, piece)?;
            if let Some(end) = piece.iter().position(|b| *b == 0) {
                out.extend_from_slice(piece.get(..end).unwrap_or_default());
                return Ok(out);
            }
            out.extend_from_slice(piece);
            at = at.wrapping_add(here as u64);
        }
        Err(too_long)
    }

    /// Reads a path: `ENAMETOOLONG` from 4096 bytes on, `EFAULT`.
    pub fn get_path(&mut self, address: u64) -> Result<Vec<u8>, Errno> {
        self.get_string(address, PAGE as usize, Errno::ENAMETOOLONG)
    }
}
