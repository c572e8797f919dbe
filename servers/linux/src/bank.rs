//! Chunks of memory for small files, mapped in this program's window: read and write of these files make no kernel call.

use crate::source::{Object, Source};
use sal_abi::PAGE;
use sal_rt::Mutex;
use sal_rt::map::Exclusive;
use sal_vfs::{CHUNK_PAGES, Errno};

/// Pages of a chunk: as large as there is room for.
const SIZES: [u64; 4] = [CHUNK_PAGES as u64, 64, 16, 4];

/// Where chunks come from.
pub(crate) struct Bank(pub(crate) &'static Mutex<Source>);

/// Some pages.
pub(crate) struct Chunk {
    bytes: Exclusive,
    /// The object's number at its source.
    number: u32,
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

impl AsMut<[u8]> for Chunk {
    fn as_mut(&mut self) -> &mut [u8] {
        self.bytes.as_mut()
    }
}

impl sal_vfs::Bank for Bank {
    type Chunk = Chunk;

    fn lend(&mut self) -> Result<Chunk, Errno> {
        let mut source = self.0.lock();
        let Object { memory, length, number } =
            SIZES.iter().find_map(|pages| source.whole(pages * PAGE)).ok_or(Errno::ENOSPC)?;
        match Exclusive::new(memory, length) {
            Ok(bytes) => Ok(Chunk { bytes, number }),
            Err(_) => {
                source.release(number);
                Err(Errno::ENOSPC)
            }
        }
    }

    fn take_back(&mut self, Chunk { bytes, number }: Chunk) {
        drop(bytes);
        self.0.lock().release(number);
    }
}
