//! Death before every store, and every flipped bit.

use std::vec::Vec;
use std::{format, vec};

use zerocopy::{FromZeros, IntoBytes};

use super::*;
use crate::store::kill;

#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Account {
    balance: u64,
    moves: u64,
    name: [u8; 48],
    slots: ClientSlots<2>,
}

#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Layout {
    header: Header,
    commit: Commit,
    copies: [Account; 2],
    end: u64,
}

const EXPECTED: Expected = Expected { kind: 0x6163_6374, owner: 7, version: 1, length: size_of::<Layout>() as u64 };

fn account(balance: u64) -> Account {
    Account { balance, moves: 0, name: [b'n'; 48], slots: ClientSlots::new() }
}

fn made() -> Layout {
    let mut layout = Layout::new_zeroed();
    Committed::make(&mut layout.commit, &mut layout.copies, account(5));
    layout.header.stamp(EXPECTED);
    layout
}

fn value(layout: &mut Layout) -> Result<Account, Fault> {
    layout.header.verify(EXPECTED)?;
    Committed::adopt(&mut layout.commit, &mut layout.copies).map(|committed| *committed.get())
}

#[test]
fn a_vault_is_blank_until_it_is_whole() {
    let stores = kill::count(made).0;
    assert!(stores > 10);
    for death in 0..stores {
        let mut layout = Layout::new_zeroed();
        let done = kill::after(death, || {
            Committed::make(&mut layout.commit, &mut layout.copies, account(5));
            layout.header.stamp(EXPECTED);
        });
        assert!(done.is_none());
        assert_eq!(value(&mut layout), Err(Fault::Blank), "death {death}");
    }
}

#[test]
fn an_update_is_all_or_nothing() {
    let change = |account: &mut Account| {
        account.balance += 100;
        account.moves += 1;
        account.name = [b'm'; 48];
    };
    let mut after = account(5);
    change(&mut after);
    let mut seen = [0, 0];
    for death in 0.. {
        let mut layout = made();
        let mut committed = Committed::adopt(&mut layout.commit, &mut layout.copies).unwrap();
        let done = kill::after(death, || committed.update(change)).is_some();
        let found = value(&mut layout).unwrap();
        assert!(found == account(5) || found == after, "a mix after {death} stores");
        seen[usize::from(found == after)] += 1;
        if done {
            assert_eq!(found, after);
            break;
        }
        // The successor's own update works from whatever was left in the spare.
        let mut committed = Committed::adopt(&mut layout.commit, &mut layout.copies).unwrap();
        committed.update(change);
        assert_eq!(committed.get().moves, found.moves + 1);
    }
    assert!(seen[0] > 3 && seen[1] > 0, "{seen:?}");
}

#[test]
fn a_failed_update_changes_nothing() {
    let mut layout = made();
    let mut committed = Committed::adopt(&mut layout.commit, &mut layout.copies).unwrap();
    let number = committed.number();
    let result = committed.try_update(|account| {
        account.balance = 0;
        Err::<(), _>("no")
    });
    assert_eq!(result, Err("no"));
    assert_eq!(committed.number(), number);
    assert_eq!(value(&mut layout), Ok(account(5)));
}

#[test]
fn every_flipped_bit_of_the_current_record_is_found() {
    let mut layout = made();
    let before = layout.clone();
    let generation = core::mem::offset_of!(Header, generation) * 8..size_of::<Header>() * 8;
    let spare = core::mem::offset_of!(Layout, copies) * 8;
    let spare = spare..spare + size_of::<Account>() * 8;
    let spare_check = core::mem::offset_of!(Layout, commit) * 8 + 64;
    let spare_check = spare_check..spare_check + 32;
    for bit in 0..core::mem::offset_of!(Layout, end) * 8 {
        layout.as_mut_bytes()[bit / 8] ^= 1 << (bit % 8);
        let found = value(&mut layout);
        if [&generation, &spare, &spare_check].iter().any(|range| range.contains(&bit)) {
            assert_eq!(found, Ok(account(5)));
        } else {
            let fault = found.unwrap_err();
            assert!(format!("{fault}").starts_with("vault: "));
        }
        layout = before.clone();
    }
}

#[test]
fn a_header_names_what_differs() {
    let header = made().header;
    assert_eq!(header.verify(EXPECTED), Ok(()));
    assert_eq!(header.verify(Expected { kind: 1, ..EXPECTED }), Err(Fault::Kind(EXPECTED.kind)));
    assert_eq!(header.verify(Expected { owner: 1, ..EXPECTED }), Err(Fault::Owner(7)));
    assert_eq!(header.verify(Expected { version: 2, ..EXPECTED }), Err(Fault::Version(1)));
    assert_eq!(header.verify(Expected { length: 2, ..EXPECTED }), Err(Fault::Length(EXPECTED.length)));
    let mut header = header;
    assert_eq!((header.adopted(), header.adopted()), (1, 2));
    assert_eq!(header.verify(EXPECTED), Ok(()));
}

/// A state of 64 bytes, a log of 80, and a change of three pieces, two of which overlap.
#[derive(Clone)]
struct Large {
    head: RedoHead,
    log: [u8; 80],
    state: [u8; 64],
}

impl Large {
    fn new() -> Large {
        Large { head: RedoHead::new_zeroed(), log: [0; 80], state: [b'.'; 64] }
    }

    fn change(&mut self, letter: u8) {
        let mut redo = Redo::begin(&mut self.head, &mut self.log, &mut self.state);
        redo.write(3, &[letter; 20]).unwrap();
        redo.write(60, &[letter; 4]).unwrap();
        redo.write(10, &[b'!'; 5]).unwrap();
        redo.commit();
    }

    fn adopt(&mut self) -> Result<(), Fault> {
        Redo::adopt(&mut self.head, &mut self.log, &mut self.state)
    }
}

#[test]
fn a_logged_change_is_all_or_nothing_through_deaths_of_adopters() {
    let (old, mut new) = (Large::new().state, Large::new());
    new.change(b'x');
    let mut seen = [0, 0];
    for death in 0.. {
        let mut large = Large::new();
        let done = kill::after(death, || large.change(b'x')).is_some();
        let left = large.clone();
        for second in 0.. {
            large = left.clone();
            let adopted = kill::after(second, || large.adopt()).is_some();
            large.adopt().unwrap();
            assert!(large.state == old || large.state == new.state, "a mix after {death}, {second} stores");
            seen[usize::from(large.state == new.state)] += 1;
            if adopted {
                break;
            }
        }
        if done {
            assert_eq!(large.state, new.state);
            break;
        }
        large.change(b'y');
        assert_eq!(large.state[60..], *b"yyyy");
    }
    assert!(seen[0] > 10 && seen[1] > 10, "{seen:?}");
}

#[test]
fn a_change_that_does_not_fit_is_refused() {
    let mut large = Large::new();
    let mut redo = Redo::begin(&mut large.head, &mut large.log, &mut large.state);
    assert_eq!(redo.write(60, &[1; 5]), Err(Full));
    assert_eq!(redo.write(usize::MAX, &[1; 5]), Err(Full));
    assert_eq!(redo.write(0, &[1; 64]), Ok(()));
    assert_eq!(redo.write(0, &[1; 1]), Err(Full));
    let _ = redo;
    large.adopt().unwrap();
    assert_eq!(large.state, [b'.'; 64]);
}

#[test]
fn a_corrupt_log_is_reported_and_not_carried_out() {
    let mut large = Large::new();
    let (stores, ()) = kill::count(|| large.clone().change(b'x'));
    // Right after the commit word: before carrying out (each piece is one store per two bytes at most) began.
    let armed = (0..stores)
        .map(|death| {
            let mut large = Large::new();
            kill::after(death, || large.change(b'x'));
            large
        })
        .find(|large| large.head.as_bytes()[..8] != [0; 8])
        .unwrap();
    for bit in 0..53 * 8 {
        large = armed.clone();
        large.log[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(large.adopt(), Err(Fault::Log(1)), "bit {bit}");
        assert_eq!(large.state, armed.state);
    }
}

#[test]
fn slots_answer_once() {
    let mut slots = ClientSlots::<2>::new();
    assert_eq!(slots.open(10), Some(0));
    assert_eq!(slots.open(11), Some(1));
    assert_eq!(slots.open(10), Some(0));
    assert_eq!(slots.open(12), None);
    assert_eq!(slots.lookup(10, 0, 5), Lookup::New);
    slots.record(0, 5, [3; 8]);
    assert_eq!(slots.lookup(10, 0, 5), Lookup::Answered([3; 8]));
    assert_eq!(slots.lookup(10, 0, 6), Lookup::New);
    assert_eq!(slots.lookup(10, 0, 4), Lookup::Stale);
    assert_eq!(slots.lookup(11, 0, 6), Lookup::Closed);
    assert_eq!(slots.lookup(10, 2, 6), Lookup::Closed);
    assert_eq!(slots.lookup(10, 0, 0), Lookup::Stale);
    slots.close(|key| key == 10);
    assert_eq!(slots.lookup(10, 0, 5), Lookup::Closed);
    assert_eq!(slots.open(12), Some(0));
    assert_eq!(slots.lookup(12, 0, 5), Lookup::New);
}

#[test]
fn sequence_numbers_wrap_past_zero() {
    let mut slots = ClientSlots::<1>::new();
    slots.open(1);
    slots.record(0, SEQUENCE_MASK, [0; 8]);
    let next = ClientSlots::<1>::next(SEQUENCE_MASK);
    assert_eq!(next, 1);
    assert_eq!(slots.lookup(1, 0, next), Lookup::New);
    assert_eq!(slots.lookup(1, 0, SEQUENCE_MASK - 1), Lookup::Stale);
}

/// A client that repeats its request until it is answered moves the money once, whenever the server dies.
#[test]
fn a_repeated_request_has_one_effect() {
    let serve = |layout: &mut Layout| -> u64 {
        let mut committed = Committed::adopt(&mut layout.commit, &mut layout.copies).unwrap();
        match committed.get().slots.lookup(9, 0, 1) {
            Lookup::Answered(answer) => answer[0],
            Lookup::New => committed.update(|account| {
                account.balance += 1;
                account.slots.record(0, 1, [account.balance; 8]);
                account.balance
            }),
            other => panic!("{other:?}"),
        }
    };
    let mut answers = Vec::new();
    for death in 0.. {
        let mut layout = made();
        Committed::adopt(&mut layout.commit, &mut layout.copies).unwrap().update(|account| account.slots.open(9));
        let first = kill::after(death, || serve(&mut layout));
        answers.push(serve(&mut layout));
        assert_eq!(value(&mut layout).unwrap().balance, 6);
        if first.is_some() {
            break;
        }
    }
    assert_eq!(answers, vec![6; answers.len()]);
}
