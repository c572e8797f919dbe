//! Everything that must hold between two steps, looked at: for tests, for exploring small worlds, for a guest that samples itself.
//!
//! What must always hold: nothing here changes anything, allocates, or is needed by the kernel. The exclusive borrow of the kernel says that no
//! CPU steps meanwhile. The cost is quadratic in the number of objects.

use crate::cpu::{CPUS, Cpu};
use crate::hw::Hardware;
use crate::kernel::Kernel;
use crate::location::Location;
use crate::objects::Object;
use crate::process::State;
use crate::table::{CHUNK, CHUNKS, Kind};
use crate::thread::Wait;
use crate::threads::{NONE, pending};
use core::sync::atomic::{AtomicU32, Ordering};

/// A rule that doesn't hold, and the index of the object it is broken for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Broken {
    /// The rule.
    pub rule: &'static str,
    /// The object.
    pub index: u32,
}

/// What the rules are about in a thread's body.
#[derive(Clone, Copy, Debug)]
struct View {
    process: u32,
    base: u8,
    priority: u8,
    home: u32,
    pinned: bool,
    next: u32,
    prev: u32,
    wait: Wait,
    sequence: u32,
    serves: u32,
    started: bool,
    in_guest: bool,
    shot: (u64, u32),
}

type Checked = Result<(), Broken>;

fn rule(holds: bool, rule: &'static str, index: u32) -> Checked {
    if holds { Ok(()) } else { Err(Broken { rule, index }) }
}

fn load(word: &AtomicU32) -> u32 {
    word.load(Ordering::Acquire)
}

impl<H: Hardware> Kernel<H> {
    fn view(&mut self, index: u32) -> Option<View> {
        let t = self.threads.body(index)?;
        Some(View {
            process: t.process,
            base: t.base,
            priority: t.priority,
            home: t.home,
            pinned: t.pinned,
            next: t.next,
            prev: t.prev,
            wait: t.wait,
            sequence: t.sequence,
            serves: t.serves as u32,
            started: t.started,
            in_guest: t.in_guest,
            shot: t.shot,
        })
    }

    fn at(&self, index: u32) -> Location {
        self.threads.slot(index).map_or(Location::Free, |s| s.location().at())
    }

    fn pending_of(&self, index: u32) -> u32 {
        self.threads.slot(index).map_or(0, |s| load(&s.pending))
    }

    fn is_poked(&self, index: u32) -> bool {
        self.threads.slot(index).is_some_and(|s| s.poked.load(Ordering::Acquire))
    }

    /// Looks at every rule.
    ///
    /// # Errors
    /// The first rule found that doesn't hold.
    pub fn check(&mut self, cpus: &[Cpu<H>]) -> Result<(), Broken> {
        for cpu in cpus {
            self.check_cpu(cpu)?;
        }
        for e in 0..self.endpoints.count() {
            self.check_endpoint(e)?;
        }
        for n in 0..self.notifications.count() {
            self.check_notification(n)?;
        }
        for t in 0..self.threads.count() {
            self.check_thread(cpus, t)?;
        }
        for p in 0..self.processes.count() {
            self.check_process(p)?;
        }
        self.check_registry()?;
        self.check_references()?;
        (0..self.slots.count()).try_for_each(|s| self.check_slot(s))
    }

    fn check_cpu(&mut self, cpu: &Cpu<H>) -> Checked {
        let me = cpu.number();
        let (mut count, mut highest) = (0, None);
        for priority in 0..=255u8 {
            let (first, last, bit) = cpu.ready.list(priority);
            rule(bit == (first != NONE), "a ready bit is set exactly where a list is not empty", me)?;
            let (mut here, mut before) = (first, NONE);
            while here != NONE {
                let t = self.view(here).ok_or(Broken { rule: "ready links name threads", index: here })?;
                rule(self.at(here) == Location::Cpu(me), "a ready thread is on its CPU", here)?;
                rule(here != cpu.current, "the running thread is in no queue", here)?;
                rule(t.priority == priority, "a ready thread stands in its priority's list", here)?;
                rule(t.prev == before, "ready lists are linked both ways", here)?;
                rule(!t.pinned || t.home == me, "a pinned thread is ready at home", here)?;
                (before, here, highest) = (here, t.next, Some(priority));
                count += 1;
                rule(count <= self.threads.count(), "ready lists end", me)?;
            }
            rule(last == before, "a ready list's tail is its last", me)?;
        }
        rule(count == cpu.ready.count(), "ready threads are counted", me)?;
        for (_, thread, sequence) in cpu.timers.armed() {
            let now = self.view(thread).map_or(0, |t| t.sequence);
            rule(now.wrapping_sub(sequence) < u32::MAX / 2, "no deadline is armed for a wait to come", thread)?;
        }
        self.check_current(cpu, highest)
    }

    fn check_current(&mut self, cpu: &Cpu<H>, highest: Option<u8>) -> Checked {
        let me = cpu.number();
        let idle = self.posts.get(me as usize).is_some_and(|p| p.idle.load(Ordering::Acquire));
        rule(idle == (cpu.current == NONE), "a CPU is known to be idle exactly when it is", me)?;
        if cpu.current == NONE {
            return rule(highest.is_none(), "no CPU idles while a thread is ready there", me);
        }
        rule(self.at(cpu.current) == Location::Cpu(me), "the running thread is on its CPU", cpu.current)?;
        let t = self.view(cpu.current).ok_or(Broken { rule: "somebody runs", index: me })?;
        rule(highest.is_none_or(|h| h <= t.priority), "nobody ready ranks above who runs", cpu.current)?;
        rule(!t.pinned || t.home == me, "a pinned thread runs at home", cpu.current)
    }

    fn check_endpoint(&mut self, e: u32) -> Checked {
        let Some(body) = self.endpoints.lock_index(e).map(|b| b.clone()) else { return Ok(()) };
        let open = self.endpoints.slot(e).is_some_and(|s| load(&s.head().refs) != 0);
        let (callers, last) = self.walk(body.first_caller(), Location::Queued(e))?;
        rule(last == body.last_caller(), "an endpoint's last caller is its last", e)?;
        let (receivers, _) = self.walk(body.first_receiver(), Location::Receiving(e))?;
        rule(callers == 0 || receivers == 0, "callers wait only while nobody receives", e)?;
        rule(body.notified == NONE || receivers == 0, "bits wait only while nobody receives", e)?;
        rule(body.failed == 0 || callers == 0, "nobody waits at a failed endpoint", e)?;
        rule(open || callers + receivers == 0, "nobody waits where nobody can come", e)?;
        let most = body.first_caller().and_then(|c| self.view(c)).map_or(0, |c| c.priority);
        for s in body.servers.into_iter().filter(|s| *s != NONE) {
            rule(self.at(s) != Location::Free, "an endpoint's servers exist", s)?;
            let Some(t) = self.view(s) else { continue };
            rule(t.serves == e, "an endpoint's servers serve it", s)?;
            let asked = self.pending_of(s) & pending::BOOST != 0;
            let waits = matches!(self.at(s), Location::Parked);
            rule(
                waits || asked || t.priority >= most,
                "a server runs at no less than its queued callers' priority",
                s,
            )?;
        }
        Ok(())
    }

    /// Walks a queue of an endpoint: how many stand in it, and the last.
    fn walk(&mut self, first: Option<u32>, at: Location) -> Result<(u32, u32), Broken> {
        let (mut here, mut before, mut count, mut priority) = (first.unwrap_or(NONE), NONE, 0, u8::MAX);
        while here != NONE {
            let t = self.view(here).ok_or(Broken { rule: "queue links name threads", index: here })?;
            rule(self.at(here) == at, "a waiting thread is in the queue that its location names", here)?;
            rule(t.prev == before, "queues are linked both ways", here)?;
            if matches!(at, Location::Queued(_)) {
                rule(t.priority <= priority, "callers wait by priority", here)?;
                rule(matches!(t.wait, Wait::Call | Wait::Fault), "who is queued calls", here)?;
            } else {
                rule(t.wait == Wait::Receive, "who stands among receivers receives", here)?;
            }
            (before, here, priority) = (here, t.next, t.priority);
            count += 1;
            rule(count <= self.threads.count(), "queues end", before)?;
        }
        Ok((count, before))
    }

    fn check_notification(&mut self, n: u32) -> Checked {
        let Some(slot) = self.notifications.slot(n) else { return Ok(()) };
        let bound = slot.endpoint.load(Ordering::Acquire);
        let (bits, refs) = (slot.bits(), load(&slot.head().refs));
        let mut found = 0;
        for e in 0..self.endpoints.count() {
            let Some(body) = self.endpoints.lock_index(e) else { continue };
            let (mut here, mut last, mut steps) = (body.notified, NONE, 0);
            while let Some(s) = self.notifications.slot(here) {
                if here == n {
                    rule(e == bound as u32, "a notification is pending where it is bound", n)?;
                    found += 1;
                }
                (last, here) = (here, s.next());
                steps += 1;
                rule(steps <= self.notifications.count(), "lists of notifications end", e)?;
            }
            rule(last == body.last_notified, "the last pending notification is known", e)?;
        }
        rule(found <= 1, "a notification is pending once", n)?;
        let alive = refs != 0 && self.endpoints.lock(sal_kernel_mem::Id::from_word(bound)).is_some();
        rule(!alive || (found == 1) == (bits != 0), "a notification with bits set is pending", n)?;
        rule(refs != 0 || found == 0, "a closed notification is not pending", n)
    }

    /// In how many queues, cells, lists and CPUs a thread is.
    fn places(&mut self, cpus: &[Cpu<H>], index: u32) -> u32 {
        let mut count = 0;
        for cpu in cpus {
            count += u32::from(cpu.current == index);
            for priority in 0..=cpu.ready.highest().unwrap_or(0) {
                let mut here = cpu.ready.list(priority).0;
                while here != NONE {
                    count += u32::from(here == index);
                    here = self.view(here).map_or(NONE, |t| t.next);
                }
            }
        }
        for e in 0..self.endpoints.count() {
            let Some(body) = self.endpoints.lock_index(e).map(|b| b.clone()) else { continue };
            for first in [body.first_caller(), body.first_receiver()].into_iter().flatten() {
                let mut here = first;
                while here != NONE {
                    count += u32::from(here == index);
                    here = self.view(here).map_or(NONE, |t| t.next);
                }
            }
        }
        count + self.cells(index) + self.chains(index)
    }

    fn cells(&self, index: u32) -> u32 {
        let inside = |cell: &crate::cell::Cell| u32::from(cell.peek().is_some_and(|(t, _)| t == index));
        let built_in: u32 =
            (0..self.threads.count()).filter_map(|t| self.threads.slot(t)).map(|s| inside(&s.cell)).sum();
        let kept: u32 = (0..self.replies.count()).filter_map(|r| self.replies.slot(r)).map(|s| inside(&s.cell)).sum();
        built_in + kept
    }

    /// How often a thread stands in a chain through the mail links.
    fn chains(&self, index: u32) -> u32 {
        let mails = (0..CPUS).filter_map(|n| self.posts.get(n)).map(|p| load(&p.mail));
        let waiters = (0..self.processes.count()).filter_map(|p| self.processes.slot(p)).map(|p| load(&p.waiters));
        let shots = core::iter::once(load(&self.registry.lock().shot));
        mails.chain(waiters).chain(shots).map(|head| self.in_mail_chain(head, index)).sum()
    }

    fn in_mail_chain(&self, head: u32, index: u32) -> u32 {
        let (mut here, mut count) = (head, 0);
        while let Some(s) = self.threads.slot(here) {
            count += u32::from(here == index);
            here = load(&s.mail_next);
        }
        count
    }

    fn check_thread(&mut self, cpus: &[Cpu<H>], index: u32) -> Checked {
        let at = self.at(index);
        let places = self.places(cpus, index);
        let Some(t) = self.view(index) else { return Ok(()) };
        if at == Location::Free {
            rule(self.pending_of(index) == 0, "nothing is pending for no thread", index)?;
            return rule(places == 0, "a free thread is nowhere", index);
        }
        let waits_to_start = at == Location::Parked && !t.started;
        rule(places == u32::from(!waits_to_start), "a thread is in exactly one place", index)?;
        self.check_place(at, index, &t)?;
        self.check_pending(at, index, &t)?;
        let owner = self.processes.slot(t.process).map_or(State::Free, |p| p.state());
        rule(matches!(owner, State::Alive | State::Dying), "a thread's process is alive or dying", index)?;
        let caller = self.threads.slot(index).and_then(|s| s.cell.peek());
        if let (Location::Cpu(_), Some((c, _))) = (at, caller) {
            let lent = self.view(c).map_or(0, |c| c.priority);
            let asked = self.pending_of(index) & pending::BOOST != 0;
            rule(asked || t.priority >= lent, "a server runs at no less than its caller's priority", index)?;
        }
        Ok(())
    }

    fn check_place(&mut self, at: Location, index: u32, t: &View) -> Checked {
        match at {
            Location::Served(s) => {
                let cell = self.threads.slot(s).and_then(|s| s.cell.peek());
                rule(cell == Some((index, t.sequence)), "a served thread is in its server's cell", index)?;
                rule(self.at(s) != Location::Free, "a server exists", s)?;
                rule(!matches!(self.at(s), Location::Receiving(_)), "who serves doesn't receive", s)
            }
            Location::Kept(r) => {
                let slot = self.replies.slot(r);
                let cell = slot.and_then(|s| s.cell.peek());
                rule(cell == Some((index, t.sequence)), "a kept thread is in its Reply's cell", index)?;
                rule(slot.is_some_and(|s| load(&s.head().refs) != 0), "somebody can use the Reply", index)
            }
            Location::Mail(n) => {
                let head = self.posts.get(n as usize).map_or(NONE, |p| load(&p.mail));
                rule(self.in_mail_chain(head, index) == 1, "mail is in its CPU's mailbox", index)
            }
            Location::Cpu(_) => rule(t.wait == Wait::None, "who runs doesn't wait", index),
            _ => Ok(()),
        }
    }

    /// What is asked of a thread sticks until it is done; until then a CPU has been told, unless it may wait for the thread's next step.
    fn check_pending(&self, at: Location, index: u32, t: &View) -> Checked {
        let asked = self.pending_of(index);
        let told = self.is_poked(index);
        rule(told == self.in_pokes(index), "a thread is marked poked exactly while it is in a list", index)?;
        // Who copies from it has been told by a mark in its cell.
        let told = told || self.cell_at(at).and_then(|cell| cell.held()).is_some_and(|(_, why)| why != 0);
        rule(told || asked & pending::KILL == 0, "a CPU knows of every kill", index)?;
        let later = matches!(at, Location::Served(_) | Location::Kept(_) | Location::Parked);
        rule(later || told || asked & pending::BOOST == 0, "a CPU knows of every boost", index)?;
        let waits = !matches!(at, Location::Cpu(_) | Location::Mail(_) | Location::Parked);
        rule(told || !waits || asked & pending::INTERRUPT == 0, "an interrupt ends a wait", index)?;
        rule(told || !t.in_guest || asked & pending::KICK == 0, "a kick ends a guest's run", index)
    }

    fn in_pokes(&self, index: u32) -> bool {
        (0..CPUS).filter_map(|n| self.posts.get(n)).any(|p| {
            let mut here = load(&p.pokes);
            while let Some(s) = self.threads.slot(here) {
                if here == index {
                    return true;
                }
                here = load(&s.poke_next);
            }
            false
        })
    }

    fn check_process(&mut self, p: u32) -> Checked {
        let Some(slot) = self.processes.slot(p) else { return Ok(()) };
        let (state, alive, waiters) = (slot.state(), load(&slot.alive), load(&slot.waiters));
        let (mut here, mut listed) = (load(&slot.first_thread), 0);
        let chunks = (0..CHUNKS).filter(|n| slot.table.chunk(*n).is_some()).count();
        if state == State::Free {
            return rule(chunks == 0, "a free process has no table", p);
        }
        while let Some(t) = self.threads.slot(here) {
            rule(t.location().at() != Location::Free, "a process's threads exist", here)?;
            here = load(&t.sibling);
            listed += 1;
            rule(listed <= alive, "a process's threads are counted", p)?;
        }
        let mut have = 0;
        for t in 0..self.threads.count() {
            let mine = self.at(t) != Location::Free && self.view(t).is_some_and(|t| t.process == p);
            have += u32::from(mine);
        }
        rule(listed == alive && have == alive, "a process's threads are counted and listed", p)?;
        rule(state == State::Dying || waiters == NONE, "one waits for the death of who is dying", p)?;
        if state == State::Dead {
            rule(alive == 0 && chunks == 0, "a dead process has no threads and no capabilities", p)?;
        }
        let listed = self.is_reaping(p);
        rule(listed == (state == State::Dying && alive == 0), "who has no threads left is being reaped", p)?;
        rule(!listed || self.reaping.load(Ordering::Acquire), "reaping is announced", p)
    }

    fn is_reaping(&self, p: u32) -> bool {
        let mut here = self.registry.lock().reaping;
        while let Some(slot) = self.processes.slot(here) {
            if here == p {
                return true;
            }
            here = load(&slot.head().link);
        }
        false
    }

    fn check_registry(&mut self) -> Checked {
        let (mut here, mut count) = (load(&self.registry.get_mut().shot), 0);
        while let Some(next) = self.threads.slot(here).map(|s| load(&s.mail_next)) {
            let mask = self.view(here).map_or(0, |t| t.shot.1);
            rule(mask != 0, "who waits for acknowledgements says whose", here)?;
            here = next;
            count += 1;
        }
        let counted = self.shots.load(Ordering::Acquire);
        rule(count == counted, "who waits for acknowledgements is counted", counted)
    }

    /// Capabilities that name an object.
    fn named(&self, kind: Kind, index: u32) -> u32 {
        let names = |s: u32| {
            let cap = self.slots.get(s).and_then(|s| s.current());
            cap.is_some_and(|(_, c)| c.kind == kind && c.object as u32 == index)
        };
        (0..self.slots.count()).filter(|s| names(*s)).count() as u32
    }

    fn check_references(&self) -> Checked {
        for (e, slot) in (0..).map_while(|n| Some((n, self.endpoints.slot(n)?))) {
            rule(load(&slot.head().refs) == self.named(Kind::Endpoint, e), "an endpoint's names are counted", e)?;
        }
        for (n, slot) in (0..).map_while(|n| Some((n, self.notifications.slot(n)?))) {
            rule(
                load(&slot.head().refs) == self.named(Kind::Notification, n),
                "a notification's names are counted",
                n,
            )?;
        }
        for (r, slot) in (0u32..).map_while(|n| Some((n, self.replies.slot(n)?))) {
            rule(load(&slot.head().refs) == self.named(Kind::Reply, r), "a Reply's names are counted", r)?;
            rule(load(&slot.head().refs) != 0 || !slot.cell.is_occupied(), "nobody waits in a closed Reply", r)?;
        }
        for (p, slot) in (0..).map_while(|n| Some((n, self.processes.slot(n)?))) {
            rule(load(&slot.head().refs) == self.named(Kind::Process, p), "a process's names are counted", p)?;
        }
        Ok(())
    }

    /// A filled slot stands in a table, and once in its tree, under one with no fewer rights.
    fn check_slot(&self, s: u32) -> Checked {
        let Some(slot) = self.slots.get(s) else { return Ok(()) };
        let Some((_, cap)) = slot.current() else {
            let links = load(&slot.parent) | load(&slot.child) | load(&slot.prev);
            return rule(links == 0, "an empty slot is in no tree", s);
        };
        let mut tables = (0..self.processes.count()).filter_map(|p| self.processes.table(p));
        let owned = tables.any(|t| (0..CHUNKS).any(|n| t.chunk(n) == Some(s / CHUNK)));
        rule(owned, "a capability stands in a table", s)?;
        let parent = load(&slot.parent).checked_sub(1);
        if let Some(parent) = parent.and_then(|p| self.slots.get(p)) {
            let from = parent.current().map(|(_, c)| c);
            rule(from.is_some_and(|p| p.kind == cap.kind && p.rights.has(cap.rights)), "rights only shrink", s)?;
        }
        let (mut here, mut before, mut steps) = (load(&slot.child), 0, 0);
        while let Some(child) = here.checked_sub(1).and_then(|c| self.slots.get(c)) {
            rule(load(&child.parent) == s + 1, "a child names its parent", here - 1)?;
            rule(load(&child.prev) == before, "children are linked both ways", here - 1)?;
            rule(child.current().is_some(), "a child is a capability", here - 1)?;
            (before, here) = (here, load(&child.next));
            steps += 1;
            rule(steps <= self.slots.count(), "lists of children end", s)?;
        }
        Ok(())
    }
}

impl<H: Hardware> Kernel<H> {
    /// Feeds what decides the kernel's future, without generations, wait numbers and absolute times: equal states feed equal words.
    pub fn fingerprint(&mut self, cpus: &[Cpu<H>], feed: &mut impl FnMut(u64)) {
        for t in 0..self.threads.count() {
            self.print_thread(t, feed);
        }
        for cpu in cpus {
            self.print_cpu(cpu, feed);
        }
        for e in 0..self.endpoints.count() {
            self.print_endpoint(e, feed);
        }
        for (r, slot) in (0u32..).map_while(|n| Some((n, self.replies.slot(n)?))) {
            let (caller, _) = slot.cell.peek().unwrap_or((NONE, 0));
            feed(r as u64 | (load(&slot.head().refs) as u64) << 16 | (caller as u64) << 32);
        }
        for p in 0..self.processes.count() {
            let Some(slot) = self.processes.slot(p) else { continue };
            feed(slot.state() as u64 | (load(&slot.reaped) as u64) << 8 | (load(&slot.head().refs) as u64) << 32);
            self.print_chain(load(&slot.waiters), feed);
        }
        for s in 0..self.slots.count() {
            let Some((slot, (_, cap))) = self.slots.get(s).and_then(|s| Some((s, s.current()?))) else { continue };
            feed(s as u64 | (cap.kind as u64) << 16 | (cap.rights.0 as u64) << 24 | (cap.object & 0xff) << 40);
            feed(cap.badge);
            feed(load(&slot.parent) as u64 | (load(&slot.next) as u64) << 32);
        }
        let registry = self.registry.get_mut();
        feed(u64::from(registry.reaping.wrapping_add(1)));
        let shot = load(&registry.shot);
        self.print_chain(shot, feed);
        feed(u64::from(self.reaping.load(Ordering::Acquire)));
    }

    /// A loan's copy begins: the caller in service of the running thread is held. Its index.
    pub fn begin_copy(&self, cpu: &Cpu<H>) -> Option<u32> {
        self.threads.slot(cpu.current)?.cell.hold().map(|held| held.index())
    }

    /// The copy ends, and what was put off until then happens.
    pub fn finish_copy(&self, cpu: &mut Cpu<H>) {
        let Some(slot) = self.threads.slot(cpu.current) else { return };
        if let Some((held, _)) = slot.cell.held() {
            self.end_copy(cpu, &slot.cell, held);
        }
        self.settle(cpu);
    }

    /// The next deadline on a CPU whose wait goes on.
    pub fn counting_deadline(&mut self, cpu: &Cpu<H>) -> Option<u64> {
        let mut next = None;
        for (at, thread, sequence) in cpu.timers.armed() {
            let counts = self.view(thread).is_some_and(|v| v.sequence == sequence && v.wait != Wait::None);
            if counts {
                next = Some(next.map_or(at, |n: u64| n.min(at)));
            }
        }
        next
    }

    fn print_thread(&mut self, index: u32, feed: &mut impl FnMut(u64)) {
        let Some(slot) = self.threads.slot(index) else { return };
        let word = slot.location().0 as u32;
        let (caller, boost) = (slot.cell.peek().map_or(NONE, |c| c.0), slot.boost.load(Ordering::Acquire));
        feed(word as u64 | (caller as u64) << 32);
        feed(slot.cell.held().map_or(0, |(_, why)| 1 | u64::from(why) << 1));
        let asked = load(&slot.pending);
        let Some(t) = self.view(index) else { return };
        if word == 0 {
            return;
        }
        feed(
            asked as u64
                | (boost as u64) << 8
                | (t.base as u64) << 16
                | (t.priority as u64) << 24
                | (t.serves as u64) << 32,
        );
        let flags = u64::from(t.pinned) | u64::from(t.started) << 1 | u64::from(t.in_guest) << 2;
        feed(flags | (t.home as u64) << 8 | (t.wait as u64) << 16 | (t.process as u64) << 24);
        if let Some(t) = self.threads.body(index) {
            feed(
                u64::from(t.accept)
                    | u64::from(t.cap_count) << 8
                    | u64::from(t.loan_count) << 16
                    | u64::from(t.floor) << 24,
            );
        }
    }

    fn print_cpu(&mut self, cpu: &Cpu<H>, feed: &mut impl FnMut(u64)) {
        feed(cpu.current as u64 | u64::from(cpu.resched) << 32);
        let mut bits = cpu.ready.highest();
        while let Some(priority) = bits {
            let mut here = cpu.ready.list(priority).0;
            while here != NONE {
                feed(here as u64 | (priority as u64) << 32);
                here = self.view(here).map_or(NONE, |t| t.next);
            }
            bits = (0..priority).rev().find(|p| cpu.ready.list(*p).2);
        }
        // Deadlines that still count, by the order of their times.
        for (at, thread, sequence) in cpu.timers.armed() {
            let counts = |k: &mut Self, t, s| k.view(t).is_some_and(|v| v.sequence == s && v.wait != Wait::None);
            if counts(self, thread, sequence) {
                let mut rank = 0;
                for (other, t, s) in cpu.timers.armed() {
                    rank += u64::from((other, t) < (at, thread) && counts(self, t, s));
                }
                feed(thread as u64 | rank << 32 | 1 << 48);
            }
        }
        let Some(post) = self.posts.get(cpu.number() as usize) else { return };
        let (mail, mut poke) = (load(&post.mail), load(&post.pokes));
        let seen = self.epoch.load(Ordering::Acquire).saturating_sub(post.seen.load(Ordering::Acquire));
        feed(u64::from(post.idle.load(Ordering::Acquire)) | seen.min(2) << 1);
        self.print_chain(mail, feed);
        while let Some(s) = self.threads.slot(poke) {
            feed(poke as u64 | 1 << 40);
            poke = load(&s.poke_next);
        }
    }

    fn print_chain(&self, head: u32, feed: &mut impl FnMut(u64)) {
        let mut here = head;
        while let Some(s) = self.threads.slot(here) {
            feed(here as u64 | 1 << 41);
            here = load(&s.mail_next);
        }
        feed(u64::MAX);
    }

    fn print_endpoint(&mut self, e: u32, feed: &mut impl FnMut(u64)) {
        let Some(body) = self.endpoints.lock_index(e).map(|b| b.clone()) else { return };
        let refs = self.endpoints.slot(e).map_or(0, |s| load(&s.head().refs));
        feed(body.failed ^ (refs as u64) << 32);
        for first in [body.first_caller(), body.first_receiver()] {
            let mut here = first.unwrap_or(NONE);
            while here != NONE {
                feed(here as u64);
                here = self.view(here).map_or(NONE, |t| t.next);
            }
            feed(u64::MAX);
        }
        let mut servers = body.servers;
        servers.sort_unstable();
        for s in servers.into_iter().filter(|s| *s != NONE) {
            feed(s as u64);
        }
        let mut here = body.notified;
        while let Some(n) = self.notifications.slot(here) {
            feed(here as u64 | n.bits() << 8);
            here = n.next();
        }
        feed(u64::MAX);
    }
}
