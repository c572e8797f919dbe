//! The end of threads and processes. exit(2), wait(2). Must hold: a process whose last thread is gone is a zombie until
//! its parent has waited, or gone at once if the parent does not want to know.

use crate::ctx::Ctx;
use crate::errno::Errno;
use crate::os::Os;
use crate::platform::Platform;
use crate::signal::deliver::reaps_itself;
use crate::signal::{SIGKILL, SigInfo, code};
use crate::task::{ExitStatus, GroupId, Progress, Usage};
use crate::user::PAGE;
use crate::wait::WaitKey;

/// `FUTEX_OWNER_DIED`, `FUTEX_WAITERS`, `FUTEX_TID_MASK`
const OWNER_DIED: u32 = 0x4000_0000;
const WAITERS: u32 = 0x8000_0000;
const TID_MASK: u32 = 0x3fff_ffff;
/// `ROBUST_LIST_LIMIT`
const ROBUST_LIMIT: usize = 2048;

impl Ctx<'_> {
    /// Ends the caller. Its native thread must never name it again.
    pub(crate) fn exit_thread(&mut self) {
        self.release_memory();
        self.unqueue();
        let id = self.task;
        let Some(task) = self.os.tasks.get_mut(id) else {
            return;
        };
        self.os.futexes.leave(id, task);
        task.progress = Progress::None;
        let (group, tid, files, fs, mm) = (task.group, task.tid, task.files.table, task.files.fs, task.mm);
        let comm = task.comm;
        let faults = task.faults;
        let tgid = self.os.groups.get(group).map_or(0, |g| g.tgid);
        self.vfs.table_release(files, tgid);
        self.vfs.fs_release(fs);
        self.wake_for_files();
        let usage = Usage { cpu: self.platform.cpu_time(id), faults, resident: self.resident() };
        self.os.queues.wake(WaitKey::Vfork(id), &mut self.os.tasks, self.platform);
        self.os.leave_mm(mm, self.platform);
        self.sweep_objects();
        let uid = self.me().map_or(0, |t| t.credentials.uid[0]);
        self.os.tasks.remove(id);
        self.os.tids.remove(&tid);
        self.os.thread_gone(group, id, (usage, comm, uid), self.platform);
    }

    fn resident(&mut self) -> u64 {
        self.mm().map(|m| m.space).map_or(0, |space| self.platform.space_resident(space))
    }

    /// What exit and exec tell of the memory that the caller leaves: the thread id word and the robust futexes.
    pub(crate) fn release_memory(&mut self) {
        let Ok(task) = self.me_mut() else { return };
        let (clear, robust, tid) =
            (core::mem::take(&mut task.clear_child_tid), core::mem::take(&mut task.robust_list), task.tid);
        if robust != 0 {
            let _ = self.walk_robust(robust, tid);
        }
        if clear != 0 && self.mem.put_u32(clear, 0).is_ok() {
            self.wake_word(clear, 1);
        }
    }

    /// Wakes waiters at a word, under both its private and its shared key.
    pub(crate) fn wake_word(&mut self, address: u64, count: u64) {
        let Ok(mm) = self.me().map(|t| t.mm) else { return };
        let private = crate::futex::FutexKey::Private(mm, address);
        self.os.futexes.wake(private, count, u32::MAX, &mut self.os.tasks, self.platform);
        if let Some(shared) = self.shared_key(address) {
            self.os.futexes.wake(shared, count, u32::MAX, &mut self.os.tasks, self.platform);
        }
    }

    /// Futexes that the thread holds get `FUTEX_OWNER_DIED`. get_robust_list(2).
    fn walk_robust(&mut self, head: u64, tid: u32) -> Result<(), Errno> {
        let [first, offset, pending] = self.mem.get_words(head)?;
        let mut at = first & !1;
        for _ in 0..ROBUST_LIMIT {
            if at == head {
                break;
            }
            let next = self.mem.get_u64(at)? & !1;
            if at != pending & !1 {
                self.owner_died(at.wrapping_add(offset), tid)?;
            }
            at = next;
        }
        if pending & !1 != 0 {
            self.owner_died((pending & !1).wrapping_add(offset), tid)?;
        }
        Ok(())
    }

    fn owner_died(&mut self, word: u64, tid: u32) -> Result<(), Errno> {
        if !word.is_multiple_of(4) || word % PAGE > PAGE - 4 {
            return Err(Errno::EINVAL);
        }
        let mut value = self.mem.load_u32(word)?;
        while value & TID_MASK == tid {
            let seen = self.mem.compare_exchange_u32(word, value, value & WAITERS | OWNER_DIED)?;
            if seen == value {
                if value & WAITERS != 0 {
                    self.wake_word(word, 1);
                }
                break;
            }
            value = seen;
        }
        Ok(())
    }

    /// Lets objects go that nobody maps any more.
    pub(crate) fn sweep_objects(&mut self) {
        let gone = self.os.objects.extract_if(.., |_, o| alloc::sync::Arc::strong_count(o) == 1);
        for (id, object) in gone {
            match object.place {
                Some(place) => self.vfs.unpin(place),
                None => self.platform.shared_destroy(id),
            }
        }
    }
}

impl Os {
    fn thread_gone(
        &mut self,
        id: GroupId,
        task: crate::task::TaskId,
        (usage, comm, uid): (Usage, [u8; 16], u32),
        platform: &mut dyn Platform,
    ) {
        let Some(group) = self.groups.get_mut(id) else {
            return;
        };
        group.threads.retain(|t| *t != task);
        group.usage.add(usage);
        group.comm = comm;
        group.uid = uid;
        if !group.threads.is_empty() {
            self.queues.wake(WaitKey::Alone(id), &mut self.tasks, platform);
            return;
        }
        let status = group.exiting.unwrap_or(ExitStatus::Exited(group.leader_status));
        self.group_gone(id, status, platform);
    }

    /// The last thread is gone.
    fn group_gone(&mut self, id: GroupId, status: ExitStatus, platform: &mut dyn Platform) {
        self.leader_ends(id, platform);
        let Some(group) = self.groups.get_mut(id) else {
            return;
        };
        group.zombie = Some(status);
        group.job = Default::default();
        let (pgid, timer) = (group.pgid, core::mem::take(&mut group.real_timer));
        if let Some(at) = timer.at {
            self.timers.remove(&(at, id));
            self.rearm(platform);
        }
        if self.init == Some(id) {
            self.init_status = Some(status);
            self.end_all(platform);
        }
        self.give_children_away(id, platform);
        if let Some(parent) = self.groups.get(id).and_then(|g| g.parent) {
            self.tell_orphans(parent, pgid, platform);
        }
        let (code, value) = match status {
            ExitStatus::Exited(c) => (code::CLD_EXITED, c as i32),
            ExitStatus::Killed(s) => (code::CLD_KILLED, s as i32),
        };
        self.notify_parent(id, code, value, platform);
        if self.is_unwanted(id) {
            self.reap(id);
        }
    }

    /// Does nobody wait for this zombie?
    fn is_unwanted(&self, id: GroupId) -> bool {
        let Some(group) = self.groups.get(id) else {
            return false;
        };
        match group.parent.and_then(|p| self.groups.get(p)) {
            None => self.init != Some(id),
            Some(parent) => group.exit_signal == crate::signal::SIGCHLD && reaps_itself(&parent.actions),
        }
    }

    /// Init has ended: so does everything.
    fn end_all(&mut self, platform: &mut dyn Platform) {
        let all: alloc::vec::Vec<GroupId> =
            self.groups.iter().filter(|(_, g)| g.zombie.is_none()).map(|(id, _)| id).collect();
        for id in all {
            self.end_group(id, ExitStatus::Killed(SIGKILL), platform);
        }
    }

    fn give_children_away(&mut self, id: GroupId, platform: &mut dyn Platform) {
        let Some(group) = self.groups.get_mut(id) else {
            return;
        };
        let children = core::mem::take(&mut group.children);
        let heir = self.heir(id);
        for child in children {
            let Some(group) = self.groups.get_mut(child) else {
                continue;
            };
            let pgid = group.pgid;
            group.parent = heir;
            group.exit_signal = crate::signal::SIGCHLD;
            let heir_tgid = heir.and_then(|h| self.groups.get(h)).map_or(0, |h| h.tgid);
            if let Some(group) = self.groups.get_mut(child) {
                group.parent_tgid = heir_tgid;
            }
            if let Some(heir) = heir.and_then(|h| self.groups.get_mut(h)) {
                heir.children.push(child);
            }
            self.parent_died(child, platform);
            self.hand_over_zombie(child, platform);
            self.tell_orphans(id, pgid, platform);
        }
    }

    fn hand_over_zombie(&mut self, child: GroupId, platform: &mut dyn Platform) {
        let Some(status) = self.groups.get(child).and_then(|g| g.zombie) else {
            return;
        };
        let (code, value) = match status {
            ExitStatus::Exited(c) => (code::CLD_EXITED, c as i32),
            ExitStatus::Killed(s) => (code::CLD_KILLED, s as i32),
        };
        self.notify_parent(child, code, value, platform);
        if self.is_unwanted(child) {
            self.reap(child);
        }
    }

    /// `PR_SET_PDEATHSIG`
    fn parent_died(&mut self, child: GroupId, platform: &mut dyn Platform) {
        let threads = self.groups.get(child).map(|g| g.threads.clone()).unwrap_or_default();
        for thread in threads {
            let signal = self.tasks.get(thread).map_or(0, |t| t.parent_death_signal);
            if signal != 0 {
                let _ = self.send_task(thread, SigInfo::from_kernel(signal), platform);
            }
        }
    }

    /// The nearest living ancestor that is a subreaper, or init.
    fn heir(&self, id: GroupId) -> Option<GroupId> {
        let mut at = self.groups.get(id)?.parent;
        while let Some(ancestor) = at {
            let group = self.groups.get(ancestor)?;
            if group.subreaper && group.zombie.is_none() {
                return Some(ancestor);
            }
            at = group.parent;
        }
        self.init.filter(|i| *i != id)
    }

    /// A zombie goes for good.
    pub(crate) fn reap(&mut self, id: GroupId) {
        let Some(group) = self.groups.remove(id) else {
            return;
        };
        self.tgids.remove(&group.tgid);
        if let Some(parent) = group.parent.and_then(|p| self.groups.get_mut(p)) {
            parent.children.retain(|c| *c != id);
            parent.children_usage.add(group.usage);
            parent.children_usage.add(group.children_usage);
        }
        if !self.groups.iter().any(|(_, g)| g.sid == group.sid) {
            self.sessions.remove(&group.sid);
        }
    }

    /// A timer of a process fires: the next time, if it repeats.
    pub(crate) fn fire_timer(&mut self, id: GroupId, now: u64) {
        let Some(group) = self.groups.get_mut(id) else {
            return;
        };
        let timer = &mut group.real_timer;
        timer.at = match timer.interval {
            0 => None,
            interval => timer.at.map(|at| at + interval * (now.saturating_sub(at) / interval + 1)),
        };
        if let Some(at) = timer.at {
            self.timers.insert((at, id));
        }
    }
}
