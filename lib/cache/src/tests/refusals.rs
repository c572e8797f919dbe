//! What is refused, and that nothing has changed then.

use std::vec::Vec;

use sal_vault::Fault;
use sal_vault::store::kill;
use zerocopy::IntoBytes;

use super::Space;
use super::patterns::Desk;
use crate::*;

const LENGTH: u64 = 100 * PAGE;

fn file(file: u64) -> File {
    File { file, generation: 1 }
}

/// A cache for 3 objects and 4 waiting threads, with a file system and an object.
fn with_cache(work: impl FnOnce(&mut Cache<'_>, &mut Desk, System, ObjectId)) {
    let mut space = Space::new(3, 64, 4);
    let mut desk = Desk::default();
    let mut cache = space.adopt().finish(&mut desk).unwrap();
    let system = cache.attach(7, 1, (50, 64), &mut desk).unwrap();
    let object = cache.object(system, file(1), LENGTH, |_, pages| Some(u64::from(pages))).unwrap();
    work(&mut cache, &mut desk, system, object);
}

fn resumed(desk: &Desk, token: u64) -> Option<Verdict> {
    desk.answered.iter().find(|answer| answer.0 == Token(token)).map(|answer| answer.1)
}

#[test]
fn full_tables_refuse_and_serve_again_later() {
    with_cache(|cache, desk, system, object| {
        let second = cache.object(system, file(2), LENGTH, |_, _| Some(61)).unwrap();
        cache.object(system, file(3), LENGTH, |_, _| Some(62)).unwrap();
        let refused = cache.object(system, file(4), LENGTH, |_, _| panic!("no row is free"));
        assert_eq!(refused, Err(Error::NoMemory));
        assert_eq!(cache.object(system, file(2), 5, |_, _| panic!("it is open")), Ok(second));
        cache.close(system, second, desk).unwrap();
        let again = cache.object(system, file(2), LENGTH, |_, _| Some(63)).unwrap();
        assert!(again != second && again.0 as u32 == second.0 as u32, "the row comes again, the number doesn't");
        assert_eq!(cache.open(system, second), Err(Error::NotFound));
        // Threads that wait: four, each with a window.
        for n in 0..4 {
            cache.fault(object, 10 * n, Token(n), desk).unwrap();
        }
        let usage = cache.usage();
        assert_eq!(cache.fault(object, 0, Token(9), desk), Err(Error::NoMemory));
        assert_eq!(cache.fault(object, 77, Token(9), desk), Err(Error::NoMemory));
        assert_eq!(cache.usage(), usage);
        // Answered, there is room.
        cache.take_work(system, Request { slot: 0, sequence: 1 }, Token(20), desk).unwrap();
        let work = desk.given.pop_front().unwrap();
        cache.filled(system, work.number, Filled::ALL, desk).unwrap();
        assert_eq!(resumed(desk, 0), Some(Verdict::Repeat));
        cache.fault(object, 77, Token(9), desk).unwrap();
        // Calls that wait: once the work is taken, four.
        for slot in 0..8 {
            let _ = cache.take_work(system, Request { slot, sequence: 2 }, Token(30 + u64::from(slot)), desk);
        }
        assert_eq!(cache.take_work(system, Request { slot: 9, sequence: 1 }, Token(50), desk), Err(Error::NoMemory));
    });
}

#[test]
fn file_systems_are_sixteen_and_a_repeated_attach_is_the_same() {
    with_cache(|cache, desk, system, _| {
        for badge in 8..7 + SYSTEMS as u64 {
            cache.attach(badge, 1, (badge, 8), desk).unwrap();
        }
        assert_eq!(cache.attach(99, 1, (99, 8), desk), Err(Error::NoMemory));
        assert_eq!(cache.attach(99, 1, (99, 0), desk), Err(Error::BadLength));
        assert_eq!(cache.attach(99, 1, (99, STAGING + 1), desk), Err(Error::BadLength));
        desk.effects.clear();
        assert_eq!(cache.attach(7, 1, (50, 64), desk), Ok(system));
        assert_eq!(desk.effects, []);
        // The repetition came with another capability of the same memory: it is not kept.
        assert_eq!(cache.attach(7, 1, (500, 64), desk), Ok(system));
        assert_eq!(desk.effects, [Effect::Release { kept: 500 }]);
        // A successor's staging memory takes the place of the one before.
        assert_eq!(cache.attach(7, 2, (501, 32), desk), Ok(system));
        assert_eq!(desk.effects[1..], [Effect::Release { kept: 50 }]);
        assert!(cache.kept().any(|kept| kept == 501) && cache.kept().all(|kept| kept != 50));
    });
}

#[test]
fn lengths_and_names_that_are_none() {
    with_cache(|cache, desk, system, object| {
        let nobody = System(5);
        for length in [u64::MAX, 1 << 44, (1 << 44) - PAGE + 1] {
            let refused = cache.object(system, file(2), length, |_, _| panic!("too long"));
            assert_eq!(refused, Err(Error::BadLength));
            assert_eq!(cache.resize(system, object, length, desk), Err(Error::BadLength));
        }
        assert_eq!(cache.object(system, file(2), LENGTH, |_, _| None), Err(Error::NoMemory));
        assert_eq!(cache.find(system, file(2)), None);
        assert_eq!(cache.object(nobody, file(2), LENGTH, |_, _| panic!("nobody's")), Err(Error::NotFound));
        assert_eq!(cache.resize(nobody, object, 5, desk), Err(Error::NotFound));
        assert_eq!(cache.close(nobody, object, desk), Err(Error::NotFound));
        assert_eq!(cache.close(system, ObjectId(object.0 + 1), desk), Err(Error::NotFound));
        assert_eq!(cache.close(system, ObjectId(u64::MAX), desk), Err(Error::NotFound));
        let request = Request { slot: 0, sequence: 1 };
        assert_eq!(cache.take_work(nobody, request, Token(1), desk), Err(Error::NotFound));
        assert_eq!(cache.take_work(System(u32::MAX), request, Token(1), desk), Err(Error::NotFound));
        for (n, (id, page)) in [(object, 100), (object, u64::MAX), (ObjectId(9), 0)].into_iter().enumerate() {
            cache.fault(id, page, Token(n as u64), desk).unwrap();
            assert_eq!(resumed(desk, n as u64), Some(Verdict::Refused));
        }
        cache.referenced(ObjectId(u64::MAX), u32::MAX, &[u64::MAX; 3]);
        cache.referenced(object, u32::MAX, &[u64::MAX; 3]);
        assert_eq!(cache.usage().objects, 1);
    });
}

#[test]
fn an_item_is_its_taker_s_alone_and_is_filled_once() {
    with_cache(|cache, desk, system, object| {
        let other = cache.attach(8, 1, (51, 8), desk).unwrap();
        cache.fault(object, 50, Token(1), desk).unwrap();
        let notified: Vec<_> = desk.effects.iter().filter(|effect| matches!(effect, Effect::Notify { .. })).collect();
        assert_eq!(notified, [&Effect::Notify { system }]);
        let request = Request { slot: 3, sequence: 8 };
        cache.take_work(system, request, Token(2), desk).unwrap();
        let work = desk.given.pop_front().unwrap();
        assert_eq!((work.object, work.file, work.first, work.count), (object, 1, 50, 1));
        // Asked again with the same number, it is the same; with another, there is no more.
        cache.take_work(system, request, Token(3), desk).unwrap();
        assert_eq!(desk.given.pop_front(), Some(work));
        cache.take_work(system, Request { slot: 4, sequence: 8 }, Token(4), desk).unwrap();
        cache.take_work(system, Request { sequence: 9, ..request }, Token(5), desk).unwrap();
        assert_eq!(desk.given.pop_front(), None);
        assert_eq!(cache.filled(other, work.number, Filled::ALL, desk), Err(Error::NotFound));
        assert!(!cache.is_present(object, 50));
        cache.filled(system, work.number, Filled::from_runs([(1, Status::Failed)]), desk).unwrap();
        assert_eq!(resumed(desk, 1), Some(Verdict::Refused));
        cache.filled(system, work.number, Filled::ALL, desk).unwrap();
        cache.filled(system, 12_345, Filled::ALL, desk).unwrap();
        assert!(!cache.is_present(object, 50), "what was said once counts");
    });
}

#[test]
fn a_file_system_that_is_gone_leaves_nobody_waiting_wherever_the_cache_dies() {
    for stores in 0.. {
        let mut space = Space::new(3, 64, 8);
        let mut desk = Desk::default();
        let mut cache = space.adopt().finish(&mut desk).unwrap();
        let system = cache.attach(7, 1, (50, 64), &mut desk).unwrap();
        let other = cache.attach(8, 1, (51, 64), &mut desk).unwrap();
        let gone = cache.object(system, file(1), LENGTH, |_, _| Some(60)).unwrap();
        let stays = cache.object(other, file(1), LENGTH, |_, _| Some(61)).unwrap();
        cache.object(system, file(2), LENGTH, |_, _| Some(62)).unwrap();
        cache.fault(gone, 0, Token(1), &mut desk).unwrap();
        cache.fault(gone, 90, Token(2), &mut desk).unwrap();
        cache.fault(stays, 0, Token(3), &mut desk).unwrap();
        cache.take_work(system, Request { slot: 0, sequence: 1 }, Token(4), &mut desk).unwrap();
        cache.take_work(system, Request { slot: 1, sequence: 1 }, Token(5), &mut desk).unwrap();
        cache.take_work(system, Request { slot: 2, sequence: 1 }, Token(6), &mut desk).unwrap();
        let done = kill::after(stores, || cache.detach(system, &mut desk).unwrap()).is_some();
        if done {
            assert_eq!((resumed(&desk, 1), resumed(&desk, 2)), (Some(Verdict::Refused), Some(Verdict::Refused)));
            assert_eq!(resumed(&desk, 3), None);
            assert!(desk.effects.contains(&Effect::Forget { token: Token(6) }));
            assert_eq!((cache.usage().waiters, cache.usage().pending), (1, 1));
        } else {
            cache = space.adopt().finish(&mut desk).unwrap();
            let _ = cache.detach(system, &mut desk);
        }
        assert_eq!(cache.detach(system, &mut desk), Err(Error::NotFound));
        assert_eq!(cache.attached(7), None);
        assert_eq!(cache.kept().collect::<Vec<_>>(), [61, 51], "{stores} stores");
        for kept in [50, 60, 62] {
            assert!(desk.effects.contains(&Effect::Release { kept }), "{stores} stores: {kept} is left");
        }
        assert_eq!((cache.usage().objects, cache.usage().out, cache.usage().held), (1, 0, 0));
        if done {
            assert!(stores > 100);
            return;
        }
    }
}

#[test]
fn who_waits_for_a_page_that_became_out_of_date_has_it_read_again() {
    with_cache(|cache, desk, system, _| {
        // The file ends in its second page; then it grows while that page is being read.
        let object = cache.object(system, file(2), PAGE + 9, |_, _| Some(61)).unwrap();
        cache.fault(object, 1, Token(1), desk).unwrap();
        cache.take_work(system, Request { slot: 0, sequence: 1 }, Token(8), desk).unwrap();
        let work = desk.given.pop_front().unwrap();
        cache.resize(system, object, 5 * PAGE, desk).unwrap();
        cache.filled(system, work.number, Filled::ALL, desk).unwrap();
        assert_eq!((resumed(desk, 1), cache.is_present(object, 1)), (None, false));
        cache.take_work(system, Request { slot: 0, sequence: 2 }, Token(9), desk).unwrap();
        let again = desk.given.pop_front().unwrap();
        assert_eq!((again.first, again.count), (1, 1));
        // A successor's staging memory has fewer pages: what doesn't fit is begun anew, and the thread waits on.
        cache.fault(object, 3, Token(2), desk).unwrap();
        cache.take_work(system, Request { slot: 1, sequence: 1 }, Token(10), desk).unwrap();
        assert_eq!(desk.given.pop_front().unwrap().staging, 1);
        cache.attach(7, 2, (70, 1), desk).unwrap();
        for (sequence, (page, token)) in [(1, 1), (3, 2)].into_iter().enumerate() {
            let request = Request { slot: 0, sequence: 3 + sequence as u32 };
            cache.take_work(system, request, Token(11), desk).unwrap();
            let work = desk.given.pop_front().unwrap();
            assert_eq!((work.first, work.staging), (page, 0));
            cache.filled(system, work.number, Filled::ALL, desk).unwrap();
            assert_eq!(resumed(desk, token), Some(Verdict::Repeat));
        }
    });
}

#[test]
fn a_page_that_is_waited_for_is_read_before_what_lies_ahead() {
    with_cache(|cache, desk, system, object| {
        let other = cache.object(system, file(2), LENGTH, |_, _| Some(61)).unwrap();
        cache.fault(object, 0, Token(1), desk).unwrap();
        cache.fault(object, 1, Token(2), desk).unwrap(); // The marker: [4, 12) lies ahead.
        cache.fault(other, 50, Token(3), desk).unwrap();
        let mut order = Vec::new();
        for sequence in 1..4 {
            cache.take_work(system, Request { slot: 0, sequence }, Token(8), desk).unwrap();
            let work = desk.given.pop_front().unwrap();
            order.push((work.object, work.first, work.count));
        }
        assert_eq!(order, [(object, 0, 4), (other, 50, 1), (object, 4, 8)]);
    });
    // Read-ahead that somebody comes to wait for is read-ahead no more.
    with_cache(|cache, desk, system, object| {
        let other = cache.object(system, file(2), LENGTH, |_, _| Some(61)).unwrap();
        cache.fault(object, 0, Token(1), desk).unwrap();
        cache.fault(object, 1, Token(2), desk).unwrap();
        cache.fault(object, 7, Token(3), desk).unwrap();
        cache.fault(other, 50, Token(4), desk).unwrap();
        let mut order = Vec::new();
        for sequence in 1..4 {
            cache.take_work(system, Request { slot: 0, sequence }, Token(8), desk).unwrap();
            let work = desk.given.pop_front().unwrap();
            order.push((work.object, work.first, work.count));
        }
        assert_eq!(order, [(object, 0, 4), (object, 4, 8), (other, 50, 1)]);
    });
}

#[test]
fn work_for_a_closed_object_is_given_to_nobody() {
    with_cache(|cache, desk, system, object| {
        cache.fault(object, 50, Token(1), desk).unwrap();
        cache.take_work(system, Request { slot: 0, sequence: 1 }, Token(8), desk).unwrap();
        cache.died(system, desk).unwrap();
        cache.close(system, object, desk).unwrap();
        desk.given.clear();
        cache.attach(7, 2, (50, 64), desk).unwrap();
        cache.take_work(system, Request { slot: 0, sequence: 1 }, Token(9), desk).unwrap();
        assert_eq!((desk.given.len(), cache.usage().out), (0, 0));
    });
}

#[test]
fn a_slot_s_new_call_ends_the_one_that_waits() {
    with_cache(|cache, desk, system, object| {
        cache.take_work(system, Request { slot: 1, sequence: 4 }, Token(1), desk).unwrap();
        desk.effects.clear();
        cache.take_work(system, Request { slot: 1, sequence: 4 }, Token(2), desk).unwrap();
        assert_eq!(desk.effects, [Effect::Forget { token: Token(1) }]);
        cache.fault(object, 50, Token(3), desk).unwrap();
        let given = desk.effects.iter().find(|effect| matches!(effect, Effect::Give { .. }));
        assert!(matches!(given, Some(Effect::Give { token: Token(2), .. })), "{given:?}");
    });
}

#[test]
fn runs_of_statuses() {
    use Status::{BeyondEnd, Failed, Read};
    let bits = |runs: &[(u32, Status)]| Filled::from_runs(runs.iter().copied());
    assert_eq!(
        bits(&[(3, Read), (2, Failed), (2, Read), (9, BeyondEnd)]),
        bits(&[(3, Read), (2, BeyondEnd), (2, Read)])
    );
    assert_eq!(bits(&[(32, Read)]), Filled::ALL);
    assert_eq!(bits(&[(5, Failed), (u32::MAX, Read), (7, Failed)]), bits(&[(5, BeyondEnd), (27, Read)]));
    assert_eq!(bits(&[(u32::MAX, Failed), (4, Read)]), Filled::default());
}

#[test]
fn a_damaged_or_foreign_vault_is_reported() {
    let mut space = Space::new(3, 16, 4);
    space.adopt().finish(&mut Desk::default()).unwrap();
    let length = space.vault.len();
    for at in 0..24 {
        space.vault.as_mut_bytes()[at] ^= 1;
        let mut none = Space::new(3, 16, 4);
        core::mem::swap(&mut none.vault, &mut space.vault);
        assert!(none.try_adopt(9).is_err(), "byte {at}");
        core::mem::swap(&mut none.vault, &mut space.vault);
        space.vault.as_mut_bytes()[at] ^= 1;
    }
    assert!(space.try_adopt(8).is_err(), "another service's");
    assert!(space.try_adopt(9).is_ok());
    for short in 0..length {
        space.vault.truncate(length - 1 - short);
        assert!(space.try_adopt(9).is_err(), "{short} words are missing");
    }
}

#[test]
fn any_bytes_in_rows_are_read_without_a_panic() {
    let mut adopted = 0;
    for seed in 0..super::seeds(300, 20_000) {
        let mut random = super::Random::new(seed);
        let mut space = Space::new(3, 16, 4);
        let mut desk = Desk::default();
        {
            let mut cache = space.adopt().finish(&mut desk).unwrap();
            let system = cache.attach(7, 1, (50, 64), &mut desk).unwrap();
            cache.object(system, file(1), LENGTH, |_, _| Some(1)).unwrap();
        }
        // Behind header, head and log: counter, file systems, work, objects.
        let state = (vault_bytes(0) - (8 + SYSTEMS * 40 + WORK * 64)) / 8;
        for _ in 0..1 + random.below(5) {
            let at = state + random.below((space.vault.len() - state) as u64) as usize;
            space.vault[at] = [0, 1, 2, 3, u64::MAX, 1 << 32, random.below(u64::MAX)][random.below(7) as usize];
        }
        let mut shell = Blind;
        if let Ok(mut cache) = space.try_adopt(9).and_then(|found| found.finish(&mut shell).map_err(|_| Fault::Blank)) {
            adopted += 1;
            let objects = [ObjectId(1 << 32), ObjectId(2 << 32 | 1), ObjectId(u64::MAX << 32 | 2)];
            for n in 0..40 {
                let object = objects[random.below(3) as usize];
                let _ = cache.fault(object, random.below(120), Token(n), &mut shell);
                let request = Request { slot: random.below(3) as u32, sequence: n as u32 };
                let _ = cache.take_work(System(random.below(3) as u32), request, Token(n), &mut shell);
                let _ = cache.filled(System(0), random.below(12), Filled::ALL, &mut shell);
                let _ = cache.resize(System(0), object, random.below(LENGTH), &mut shell);
                if random.one_in(9) {
                    let _ = cache.attach(7, n as u32, (3, 64), &mut shell);
                    let _ = cache.close(System(0), object, &mut shell);
                }
            }
        }
    }
    assert!(adopted > 100, "{adopted} were not found out at adoption: the others say too little");
}

/// Does nothing.
struct Blind;

impl Shell for Blind {
    fn perform(&mut self, _: Effect) -> Result<(), Failed> {
        Ok(())
    }
}
