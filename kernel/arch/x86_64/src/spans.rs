//! Sets of physical ranges: what is RAM, and what of it is free.

use crate::bootinfo::Span;
use arrayvec::ArrayVec;

/// Disjoint ranges on page boundaries.
pub type Spans = ArrayVec<Span, 256>;

/// No room for another range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooMany;

/// Adds what of `span` (shrunk to whole pages) is in none of `holes` and not yet in `out`.
///
/// # Errors
/// `TooMany` if the pieces don't fit.
pub fn add(out: &mut Spans, span: Span, holes: &[Span]) -> Result<(), TooMany> {
    let mut rest = Span { start: span.start.next_multiple_of(4096), end: span.end & !4095 };
    while rest.start < rest.end {
        let taken = out.iter().chain(holes).filter(|h| h.start < rest.end && h.end > rest.start && h.start < h.end);
        let Some(hole) = taken.min_by_key(|h| h.start).copied() else {
            return out.try_push(rest).map_err(|_| TooMany);
        };
        let head = Span { start: rest.start, end: hole.start & !4095 };
        if head.start < head.end {
            out.try_push(head).map_err(|_| TooMany)?;
        }
        rest.start = hole.end.checked_next_multiple_of(4096).unwrap_or(rest.end).max(rest.start);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn span(start: u64, length: u64) -> Span {
        Span { start, end: start + length }
    }

    proptest! {
        #[test]
        fn every_free_page_is_there_once_and_no_other(
            ranges in proptest::collection::vec((0u64..0x20_000, 0u64..0x8000), 1..6),
            holes in proptest::collection::vec((0u64..0x20_000, 0u64..0x4000), 0..6),
        ) {
            let holes: std::vec::Vec<Span> = holes.into_iter().map(|(s, l)| span(s, l)).collect();
            let mut out = Spans::new();
            for (s, l) in &ranges { add(&mut out, span(*s, *l), &holes).unwrap(); }
            for page in (0..0x30_000u64).step_by(4096) {
                let whole = ranges.iter().any(|(s, l)| *s <= page && s + l >= page + 4096);
                let hit = holes.iter().any(|h| h.start < h.end && h.start < page + 4096 && h.end > page);
                let times = out.iter().filter(|o| o.start <= page && o.end >= page + 4096).count();
                prop_assert_eq!(times, usize::from(whole && !hit), "page {:#x}", page);
            }
        }
    }
}
