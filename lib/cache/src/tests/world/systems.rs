//! File systems at work: threads that take work, read pages in any order, say what was filled; and one that opens, closes, resizes.

use super::*;

impl World {
    /// A thread of a file system does something.
    pub(super) fn thread(&mut self) {
        let s = self.random.below(SYSTEMS_HERE as u64) as usize;
        let t = self.random.below(THREADS as u64) as usize;
        if !self.systems[s].attached {
            return;
        }
        let jobs = self.systems[s].jobs.len();
        let idle = self.systems[s].threads[t].calling == Calling::No;
        if t > 0 {
            if idle && jobs < 6 {
                self.call_from(s, t, Call::Take);
            }
        } else if jobs > 0 {
            let j = self.random.below(jobs as u64) as usize;
            for _ in 0..=self.random.below(16) {
                self.work_on(s, j);
            }
            let job = &self.systems[s].jobs[j];
            if idle && job.done.iter().all(Option::is_some) {
                self.call_from(s, t, Call::Filled(job.work.number));
            }
        }
    }

    fn call_from(&mut self, s: usize, t: usize, call: Call) {
        self.systems[s].threads[t].calling = Calling::Queued(call);
        self.queue.push_back(Client::Thread(s, t));
    }

    /// Begins or ends the read of a page.
    fn work_on(&mut self, s: usize, j: usize) {
        let (begin, pick) = (self.random.one_in(2), self.random.below(64) as usize);
        let work = self.systems[s].jobs[j].work;
        if !begin {
            let job = &mut self.systems[s].jobs[j];
            if !job.reads.is_empty() {
                let (at, frame, value) = job.reads.swap_remove(pick % job.reads.len());
                self.frames[frame] = value;
                job.done[at as usize] = Some(Status::Read);
            }
            return;
        }
        let job = &self.systems[s].jobs[j];
        let open = |at: &u32| job.done[*at as usize].is_none() && job.reads.iter().all(|read| read.0 != *at);
        let Some(at) = (0..work.count).find(open) else { return };
        let page = work.first + at;
        let f = (work.file as usize).wrapping_sub(s * FILES + 1);
        let disk = self.systems[s].files.get(f);
        let status = match disk {
            Some(disk) if page >= pages(disk.length) => Some(Status::BeyondEnd),
            Some(disk) if disk.bad.contains(&page) => Some(Status::Failed),
            _ => None,
        };
        let value = disk.map_or(0xdead, |disk| content(s, f, page, disk.length));
        if status.is_some() {
            self.systems[s].jobs[j].done[at as usize] = status;
            return;
        }
        let frame = self.staging_frame(s, work.staging + at);
        self.systems[s].jobs[j].reads.push((at, frame, value));
    }

    /// The frame of a staging page of the file system's; made if missing.
    fn staging_frame(&mut self, s: usize, page: u32) -> Frame {
        let frames = &mut self.frames;
        *self.stagings[self.systems[s].staging][page as usize].get_or_insert_with(|| {
            frames.push(0);
            frames.len() - 1
        })
    }

    /// The control thread of a file system asks something.
    pub(super) fn control(&mut self) {
        let s = self.random.below(SYSTEMS_HERE as u64) as usize;
        if self.systems[s].control != Calling::No {
            return;
        }
        let f = self.random.below(FILES as u64) as usize;
        let what = self.random.below(8);
        let length = random_length(&mut self.random);
        let calm = self.calm;
        let disk = &mut self.systems[s].files[f];
        let call = match what {
            _ if disk.wanted => Call::Open(f),
            0 if !calm && disk.object.is_some() => {
                disk.closing = true;
                Call::Close(f)
            }
            1 if !calm && disk.object.is_some() => {
                disk.resizing = Some(disk.length);
                disk.length = length;
                Call::Resize(f, length)
            }
            _ => return,
        };
        self.systems[s].control = Calling::Queued(call);
        self.queue.push_back(Client::Control(s));
    }
}
