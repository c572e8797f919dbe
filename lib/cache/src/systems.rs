//! File systems: attached with a staging memory, dead, back.
//!
//! What must hold: an incarnation's work is given to nobody else while it lives; when it is dead its staging pages are emptied before they are
//! used again, so that a read that a device still carries out for it reaches nobody's page.

use crate::cache::{Cache, Error};
use crate::effects::{Effect, Shell, System, Token};
use crate::vault::{SystemRow, WorkRow, phase};

/// Most staging pages of a file system: 4 MiB. Fewer than four windows of them leave no room for reading ahead of several readers.
pub const STAGING: u32 = 1024;

/// A `take_work` that waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Taker {
    pub(crate) token: Token,
    pub(crate) system: u32,
    pub(crate) request: Request,
    pub(crate) since: u64,
}

/// A request as its client numbers it: the same when it is repeated, another one only after an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    /// The client thread's slot.
    pub slot: u32,
    /// Its sequence number.
    pub sequence: u32,
}

impl Cache<'_> {
    /// A file system begins, or begins again: `badge` names it, `incarnation` (not 0) the instance, `staging` the place of its staging memory's
    /// capability in the vault's table, `pages` its length. A repetition gives the same number, and releases the capability that came with it. Another
    /// incarnation's attach is the death of the one before: what that one had in hand is offered again.
    ///
    /// # Errors
    /// `BadLength`; `NoMemory`: all rows are taken. The capability is the shell's then.
    pub fn attach(
        &mut self,
        badge: u64,
        incarnation: u32,
        (staging, pages): (u64, u32),
        shell: &mut impl Shell,
    ) -> Result<System, Error> {
        if pages == 0 || pages > STAGING {
            return Err(Error::BadLength);
        }
        let row = SystemRow { badge, staging, retired: 0, incarnation, pages };
        let Some(known) = self.attached(badge) else {
            let place = self.vault.systems().iter().position(|row| row.badge == 0).ok_or(Error::NoMemory)?;
            self.vault.change().system(place, &row).commit()?;
            return Ok(System(place as u32));
        };
        match self.system_row(known) {
            Some(old) if old.incarnation != incarnation => {
                self.died(known, shell)?;
                let retired = if old.staging == staging { 0 } else { old.staging };
                self.vault.change().system(known.0 as usize, &SystemRow { retired, ..row }).commit()?;
                self.finish_attach(known, shell)?;
            }
            Some(old) if old.staging != staging => {
                let _ = shell.perform(Effect::Release { kept: staging });
            }
            _ => {}
        }
        Ok(known)
    }

    /// The file system with that badge.
    pub fn attached(&self, badge: u64) -> Option<System> {
        let place = self.vault.systems().iter().position(|row| row.badge == badge && badge != 0)?;
        Some(System(place as u32))
    }

    /// Releases the staging memory before, and takes back work that does not fit into the new one.
    pub(crate) fn finish_attach(&mut self, system: System, shell: &mut impl Shell) -> Result<(), Error> {
        let row = self.system_row(system).ok_or(Error::NotFound)?;
        if row.retired != 0 {
            let _ = shell.perform(Effect::Release { kept: row.retired });
            self.vault.change().system(system.0 as usize, &SystemRow { retired: 0, ..row }).commit()?;
        }
        let beyond = |work: &WorkRow| work.is_out() && work.system == system.0 && work.staging + work.count > row.pages;
        while let Some(place) = self.find_work(beyond) {
            let work = self.work_row(place);
            self.vault.change().work(place, &WorkRow::FREE).commit()?;
            self.requeue(work, shell);
        }
        Ok(())
    }

    /// The file system is dead: its waiting calls are forgotten, its work waits for its successor. Nothing depends on when, or whether, this is said
    /// before the successor attaches.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn died(&mut self, system: System, shell: &mut impl Shell) -> Result<(), Error> {
        self.system_row(system).ok_or(Error::NotFound)?;
        self.notified &= !(1 << system.0);
        for place in 0..self.takers.len() {
            self.forget_taker(place, |taker| taker.system == system.0, shell);
        }
        // Filled markers lie in the staging memory, which may go.
        while let Some(place) = self.find_work(|row| row.is_held() && row.system == system.0) {
            self.release_held(place, shell)?;
        }
        let taken = |row: &WorkRow| row.is_out() && row.phase == phase::TAKEN && row.system == system.0;
        while let Some(place) = self.find_work(taken) {
            let row = WorkRow { phase: phase::WAITING, slot: 0, sequence: 0, ..self.work_row(place) };
            self.vault.change().work(place, &row).commit()?;
            self.empty(&row, 0, row.count, shell);
        }
        Ok(())
    }

    /// The file system is gone for good (unmounted, or failed): all its objects are closed, who waits for them is refused. Repeated, it goes on where
    /// it was. Takes the time of all objects.
    ///
    /// # Errors
    /// `NotFound`; the answer to a repetition, too.
    pub fn detach(&mut self, system: System, shell: &mut impl Shell) -> Result<(), Error> {
        self.died(system, shell)?;
        let mut from = 0;
        while let Some(place) = self.rows_where(|row| row.is_open() && row.system == system.0, from) {
            let id = self.object_row(place).map(|row| row.id(place)).ok_or(Error::NotFound)?;
            self.close(system, id, shell)?;
            from = place + 1;
        }
        while let Some(place) = self.find_work(|row| row.number != 0 && row.system == system.0) {
            self.vault.change().work(place, &WorkRow::FREE).commit()?;
        }
        let row = self.system_row(system).ok_or(Error::NotFound)?;
        let _ = shell.perform(Effect::Release { kept: row.staging });
        let free = SystemRow { badge: 0, staging: 0, retired: 0, incarnation: 0, pages: 0 };
        self.vault.change().system(system.0 as usize, &free).commit()
    }

    /// A `take_work`: answered by [`Effect::Give`], now or when there is something to fill. One that was answered before the server's death is
    /// answered with the same. A slot's new request ends the one that waits.
    ///
    /// # Errors
    /// `NotFound`; `NoMemory`: too many wait.
    pub fn take_work(
        &mut self,
        system: System,
        request: Request,
        token: Token,
        shell: &mut impl Shell,
    ) -> Result<(), Error> {
        self.system_row(system).ok_or(Error::NotFound)?;
        self.notified &= !(1 << system.0);
        let same_slot = |taker: &Taker| taker.system == system.0 && taker.request.slot == request.slot;
        for place in 0..self.takers.len() {
            self.forget_taker(place, same_slot, shell);
        }
        let given = |row: &WorkRow| {
            row.is_out()
                && row.phase == phase::TAKEN
                && (row.system, row.slot, row.sequence) == (system.0, request.slot, request.sequence)
        };
        if let Some(place) = self.find_work(given) {
            self.give(place, token, shell);
            return Ok(());
        }
        let since = self.tick();
        let free = self.takers.iter_mut().find(|taker| taker.is_none()).ok_or(Error::NoMemory)?;
        *free = Some(Taker { token, system: system.0, request, since });
        self.dispatch(system, shell);
        Ok(())
    }

    fn forget_taker(&mut self, place: usize, is: impl Fn(&Taker) -> bool, shell: &mut impl Shell) {
        if let Some(taker) = self.takers.get_mut(place).and_then(|taker| taker.take_if(|taker| is(taker))) {
            let _ = shell.perform(Effect::Forget { token: taker.token });
        }
    }

    /// The place of the call that has waited longest.
    pub(crate) fn oldest_taker(&self, system: System) -> Option<usize> {
        let waiting = self.takers.iter().enumerate().filter_map(|(place, taker)| Some((place, taker.as_ref()?)));
        let own = waiting.filter(|(_, taker)| taker.system == system.0);
        own.min_by_key(|(_, taker)| taker.since).map(|(place, _)| place)
    }
}
