//! Faults: a thread needs a page of an object.
//!
//! What must hold: a thread that waits is in `waiters`, and its page is brought by a work row or a pending window, until it is answered.

use crate::cache::{Cache, Error, ObjectId};
use crate::effects::{Effect, Shell, System, Token, Verdict};
use crate::readahead::Window;
use crate::vault::{ObjectRow, WorkRow};
use crate::{Pending, WINDOW};

/// A thread that waits for a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Waiter {
    token: Token,
    object: ObjectId,
    page: u32,
}

/// Who brings a page that is not here.
enum Source {
    /// The work row at that place.
    Work(usize),
    /// The pending window at that place.
    Pending(usize),
}

impl Cache<'_> {
    /// The kernel's fault message: page `page` of the object is missing, and the thread behind `token` waits.
    ///
    /// # Errors
    /// `NoMemory`: too many threads wait. The token is the shell's; it answers it, and the thread asks again.
    pub fn fault(&mut self, object: ObjectId, page: u64, token: Token, shell: &mut impl Shell) -> Result<(), Error> {
        let row = self.open_object(object);
        let page = u32::try_from(page).ok().filter(|&page| row.is_some_and(|row| page < row.pages()));
        let (Some(row), Some(page)) = (row, page) else {
            self.resume(token, Verdict::Refused, shell);
            return Ok(());
        };
        if self.land_marker(object, page, shell) || self.pages.is_resident(object.row(), page) {
            self.resume(token, Verdict::Repeat, shell);
            self.dispatch(System(row.system), shell);
            return Ok(());
        }
        let waiter = self.waiters.iter().position(Option::is_none).ok_or(Error::NoMemory)?;
        match self.source(object, page) {
            Some(source) => self.join(source, (object, page)),
            None => self.miss(object, &row, page)?,
        }
        if let Some(place) = self.waiters.get_mut(waiter) {
            *place = Some(Waiter { token, object, page });
        }
        self.dispatch(System(row.system), shell);
        Ok(())
    }

    fn source(&self, object: ObjectId, page: u32) -> Option<Source> {
        let work = self.find_work(|row| row.is_out() && row.brings(object.0, page)).map(Source::Work);
        work.or_else(|| {
            let brings = |pending: &Option<Pending>| pending.is_some_and(|pending| pending.brings(object, page));
            self.pending.iter().position(brings).map(Source::Pending)
        })
    }

    /// The thread waits for a window that is already wanted. If it is that one's marker, the next one is.
    fn join(&mut self, source: Source, (object, page): (ObjectId, u32)) {
        let (marker, next, size) = match source {
            Source::Work(place) => {
                let row = self.work_row(place);
                let ahead = row.marker < row.count && self.reached >> place & 1 == 0;
                let marker = ahead.then(|| row.first + row.marker);
                if marker == Some(page) {
                    self.reached |= 1 << place;
                }
                (marker, row.next, row.size)
            }
            Source::Pending(place) => {
                let Some(Some(pending)) = self.pending.get_mut(place) else { return };
                pending.wanted = true;
                let marker = pending.marker.map(|marker| pending.first + marker);
                if marker == Some(page) {
                    pending.marker = None;
                }
                (marker, pending.first + pending.count, pending.count)
            }
        };
        if marker == Some(page) {
            self.read_ahead(object, next, size);
        }
    }

    /// The page is a marker that was filled: it goes into the object, and the next window is wanted. Whether the page is there now.
    fn land_marker(&mut self, object: ObjectId, page: u32, shell: &mut impl Shell) -> bool {
        let Some(place) = self.find_work(|row| row.is_held() && row.brings(object.0, page)) else { return false };
        let row = self.work_row(place);
        let _ = self.release_held(place, shell);
        self.read_ahead(object, row.next, row.size);
        self.pages.is_resident(object.row(), page)
    }

    /// Nobody brings the page: a window that begins with it.
    fn miss(&mut self, object: ObjectId, row: &ObjectRow, page: u32) -> Result<(), Error> {
        if !self.has_pending_room() {
            return Err(Error::NoMemory);
        }
        let Some(volatile) = self.volatile(object.row()) else { return Err(Error::NotFound) };
        let window = volatile.readahead.miss(page);
        let count = 1 + self.absent(object, page.saturating_add(1), window.count - 1, row.pages());
        self.follow(object, window.first + window.count, page + count);
        self.push(object, row.system, Window { count, ..window }, true);
        Ok(())
    }

    /// The window after one of `size` pages that ends before `next`, as far as it is not here or on its way.
    fn read_ahead(&mut self, object: ObjectId, next: u32, size: u32) {
        let Some(row) = self.open_object(object).filter(|_| self.has_pending_room()) else { return };
        let first = self.first_absent(object, next);
        if first >= row.pages() {
            return;
        }
        let Some(volatile) = self.volatile(object.row()) else { return };
        volatile.readahead.moved(next, first);
        let window = volatile.readahead.marked(first, size);
        let count = self.absent(object, first, window.count, row.pages());
        if count > 0 {
            self.follow(object, window.first + window.count, first + count);
            self.push(object, row.system, Window { count, ..window }, false);
        }
    }

    /// The reader is expected behind what was planned, or behind what is there already.
    fn follow(&mut self, object: ObjectId, planned: u32, end: u32) {
        let end = self.first_absent(object, end);
        if let Some(volatile) = self.volatile(object.row()) {
            volatile.readahead.moved(planned, end);
        }
    }

    /// How many pages from `first` are missing and on nobody's way, at most `most`, before `end`.
    fn absent(&self, object: ObjectId, first: u32, most: u32, end: u32) -> u32 {
        let mut stop = end.min(first.saturating_add(most));
        for (from, _) in self.coming(object).filter(|&(_, to)| to > first) {
            stop = stop.min(from.max(first));
        }
        (first..stop).take_while(|&page| !self.pages.is_resident(object.row(), page)).count() as u32
    }

    /// The first page from `first` on that isn't here or coming; looks through a window of pages that are here.
    fn first_absent(&self, object: ObjectId, first: u32) -> u32 {
        let mut page = first;
        for _ in 0..WINDOW {
            let coming = self.coming(object).find(|range| (range.0..range.1).contains(&page));
            page = match coming {
                Some((_, to)) => to,
                None if self.pages.is_resident(object.row(), page) => page.saturating_add(1),
                None => return page,
            };
        }
        page
    }

    /// Ranges of the object's pages that somebody brings, or that are held back.
    fn coming(&self, object: ObjectId) -> impl Iterator<Item = (u32, u32)> {
        let work =
            self.vault.work().iter().filter(move |row| row.number != 0 && row.object == object.0 && row.keep > 0);
        let pending = self.pending.iter().flatten().filter(move |pending| pending.object == object);
        let pending = pending.map(|pending| (pending.first, pending.first + pending.count));
        work.map(|row| (row.first, row.first + row.keep)).chain(pending)
    }

    /// Answers everybody who waits for the page.
    pub(crate) fn answer(&mut self, object: ObjectId, page: u32, verdict: Verdict, shell: &mut impl Shell) {
        self.answer_where(|waiter| waiter.object == object && waiter.page == page, verdict, shell);
    }

    /// Refuses everybody who waits for a page from `from` on.
    pub(crate) fn refuse_waiters(&mut self, object: ObjectId, from: u32, shell: &mut impl Shell) {
        self.answer_where(|waiter| waiter.object == object && waiter.page >= from, Verdict::Refused, shell);
    }

    fn answer_where(&mut self, is: impl Fn(&Waiter) -> bool, verdict: Verdict, shell: &mut impl Shell) {
        for waiter in self.waiters.iter_mut() {
            if let Some(Waiter { token, .. }) = waiter.take_if(|waiter| is(waiter)) {
                let _ = shell.perform(Effect::Resume { token, verdict });
            }
        }
    }

    /// Whether somebody waits for a page of [first, end).
    pub(crate) fn is_waited_for(&self, object: ObjectId, first: u32, end: u32) -> bool {
        self.waiters.iter().flatten().any(|waiter| waiter.object == object && (first..end).contains(&waiter.page))
    }

    /// A work row is over; who waits for a page that it did not bring has it brought by another, or asks again if there is no room.
    pub(crate) fn requeue(&mut self, work: WorkRow, shell: &mut impl Shell) {
        let object = ObjectId(work.object);
        for page in work.first..work.first + work.count {
            if !self.is_waited_for(object, page, page + 1) || self.source(object, page).is_some() {
                continue;
            }
            if self.has_pending_room() {
                self.push(object, work.system, Window { first: page, count: 1, marker: None }, true);
            } else {
                self.answer(object, page, Verdict::Repeat, shell);
            }
        }
    }
}
