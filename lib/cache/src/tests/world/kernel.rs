//! The kernel's side: effects, as often as they come.

use super::*;

impl World {
    fn resume(&mut self, token: Token, verdict: Verdict) {
        let Some(n) = self.readers.iter().position(|reader| reader.state == Reading::Waiting(token)) else { return };
        self.readers[n].state = Reading::Running;
        if verdict == Verdict::Repeat {
            return;
        }
        let Reader { system: s, file: f, page, .. } = self.readers[n];
        let disk = &self.systems[s].files[f];
        let beyond = page >= pages(disk.length) || disk.resizing.is_some_and(|before| page >= pages(before));
        let starved = disk.object.is_some_and(|(_, kept)| self.starved.contains(&(kept, page)));
        let fair = disk.bad.contains(&page) || beyond || disk.closing || starved;
        assert!(fair, "seed {}: system {s} file {f} page {page} was refused", self.seed);
        self.refused += 1;
        self.next_page(n);
    }

    fn give(&mut self, token: Token, work: Work) {
        for s in 0..SYSTEMS_HERE {
            let kept = Calling::Kept(Call::Take, token);
            let Some(t) = self.systems[s].threads.iter().position(|thread| thread.calling == kept) else { continue };
            let range = |work: &Work| work.staging..work.staging + work.count;
            // An item that is said to be filled is not touched any more.
            let said =
                |job: &&Job| self.systems[s].threads[0].calling != Calling::Queued(Call::Filled(job.work.number));
            for job in self.systems[s].jobs.iter().filter(said) {
                let (a, b) = (range(&job.work), range(&work));
                let apart = a.end <= b.start || b.end <= a.start;
                assert!(apart, "seed {}: {:?} and {work:?} share staging pages", self.seed, job.work);
            }
            let done = vec![None; work.count as usize];
            let thread = &mut self.systems[s].threads[t];
            thread.calling = Calling::No;
            thread.sequence += 1;
            self.systems[s].jobs.push(Job { work, done, reads: Vec::new() });
            return;
        }
        // The call was a dead file system's: nobody has told the cache yet.
        let dead = self.systems.iter().any(|system| !system.attached);
        assert!(dead, "seed {}: {work:?} goes to nobody", self.seed);
    }

    fn supply(&mut self, kept: u64, page: u32, from: u64, staging: u32) -> Result<(), Failed> {
        let Some(Kept::Object { present, pages, .. }) = self.table.get(&kept) else { panic!("supplies a closed one") };
        assert!(page < *pages, "seed {}", self.seed);
        if present.contains_key(&page) {
            return Ok(());
        }
        let no_memory = !self.calm && self.random.one_in(100);
        let Some(&Kept::Staging(memory)) = self.table.get(&from) else { panic!("supplies from nowhere") };
        let slot = self.stagings[memory].get_mut(staging as usize).expect("a staging page");
        if slot.is_none() {
            return Err(Failed::Vacant);
        }
        if no_memory {
            self.starved.insert((kept, page));
            return Err(Failed::NoMemory);
        }
        let frame = slot.take().ok_or(Failed::Vacant)?;
        if let Some(Kept::Object { present, .. }) = self.table.get_mut(&kept) {
            present.insert(page, frame);
        }
        self.supplies += 1;
        Ok(())
    }

    fn act(&mut self, effect: Effect) -> Result<(), Failed> {
        match effect {
            Effect::Give { token, work } => self.give(token, work),
            Effect::Supply { kept, page, from, staging, .. } => return self.supply(kept, page, from, staging),
            Effect::Resume { token, verdict } => self.resume(token, verdict),
            Effect::Discard { kept, first, count, .. } => {
                if let Some(Kept::Object { present, .. }) = self.table.get_mut(&kept) {
                    present.retain(|&page, _| page < first || page - first >= count);
                }
            }
            Effect::Empty { from, first, count } => {
                let Some(&Kept::Staging(memory)) = self.table.get(&from) else { panic!("empties nothing") };
                self.stagings[memory]
                    .iter_mut()
                    .skip(first as usize)
                    .take(count as usize)
                    .for_each(|slot| *slot = None);
            }
            Effect::Resize { kept, pages, .. } => {
                let Some(Kept::Object { present, pages: length, .. }) = self.table.get_mut(&kept) else {
                    panic!("resizes nothing")
                };
                *length = pages;
                present.retain(|&page, _| page < pages);
            }
            Effect::Release { kept } => {
                self.table.remove(&kept);
            }
            Effect::Notify { system } => {
                assert!(self.systems.iter().any(|known| known.system == Some(system)), "seed {}", self.seed);
            }
            Effect::Refuse { .. } | Effect::Forget { .. } => {}
        }
        Ok(())
    }
}

impl Shell for World {
    fn perform(&mut self, effect: Effect) -> Result<(), Failed> {
        self.point();
        let result = self.act(effect);
        self.point();
        result
    }
}
