//! How many pages to read: per object a few streams, each the place where a sequential reader is expected next.
//!
//! A miss at a stream's place is sequential: the window doubles (4, 8, 16, 32 pages); a miss anywhere else is one page. Every window of several pages
//! has a **marker**: a page that is read but *held back* in its staging page, since a hit on a page that lies in the object would send no message.
//! The reader's fault on the marker is answered at once, and tells that the next window is wanted: it is read while the reader works on this
//! one. (The idea of the marker: F. Wu, H. Xi, C. Xu, "On the design of a new Linux readahead framework", 2008.) A marker knows its window, so readers of
//! one file don't disturb each other.

use crate::WINDOW;

/// Sequential readers that a file can have between their first two misses and their first marker.
const STREAMS: usize = 4;
/// The first window of a sequential reader, in pages.
const FIRST: u32 = 4;

/// One expected reader. Size 0: none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stream {
    /// The page after its last window.
    next: u32,
    /// The pages of its last window.
    size: u32,
}

/// An object's read-ahead state, the newest stream first. Not kept in the vault: a successor begins with small windows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ReadAhead([Stream; STREAMS]);

/// Pages to read, before they are bounded by what is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Window {
    pub(crate) first: u32,
    pub(crate) count: u32,
    /// The marker's place in the window.
    pub(crate) marker: Option<u32>,
}

impl ReadAhead {
    /// Nobody has read yet.
    pub(crate) const fn new() -> Self {
        ReadAhead([Stream { next: 0, size: 0 }; STREAMS])
    }

    /// A miss at `page`. Files are mostly read from their beginning: page 0 is taken for a sequential reader.
    pub(crate) fn miss(&mut self, page: u32) -> Window {
        let known = self.take(page);
        let count = match known {
            Some(size) => grow(size),
            None if page == 0 => FIRST,
            None => 1,
        };
        self.put(Stream { next: page.saturating_add(count), size: count });
        Window { first: page, count, marker: (count > 1).then_some(1) }
    }

    /// The reader has reached the marker of a window of `size` pages that ends before `next`: what to read there. All of it lies ahead, so
    /// its first page is its marker.
    pub(crate) fn marked(&mut self, next: u32, size: u32) -> Window {
        self.take(next);
        let count = grow(size);
        self.put(Stream { next: next.saturating_add(count), size: count });
        Window { first: next, count, marker: Some(0) }
    }

    /// The window that should have ended before `planned` ends before `actual`, or what lies between is there.
    pub(crate) fn moved(&mut self, planned: u32, actual: u32) {
        if let Some(stream) = self.0.iter_mut().find(|stream| stream.size != 0 && stream.next == planned) {
            stream.next = actual;
        }
    }

    /// Takes the stream that expects `page` out; the size of its last window.
    fn take(&mut self, page: u32) -> Option<u32> {
        let stream = self.0.iter_mut().find(|stream| stream.size != 0 && stream.next == page)?;
        Some(core::mem::take(&mut stream.size))
    }

    /// Puts a stream first; in place of a free one, or of the oldest.
    fn put(&mut self, stream: Stream) {
        let last = self.0.iter().position(|stream| stream.size == 0).unwrap_or(STREAMS - 1);
        self.0.get_mut(..=last).unwrap_or_default().rotate_right(1);
        let [first, ..] = &mut self.0;
        *first = stream;
    }
}

impl Default for ReadAhead {
    fn default() -> Self {
        Self::new()
    }
}

fn grow(size: u32) -> u32 {
    (size * 2).clamp(FIRST, WINDOW)
}
