//! The book against a plain model, killed at every store.

use crate::{Client, Error, Ledger, OBJECTS, Vault};
use proptest::prelude::*;
use sal_vault::Lookup;
use sal_vault::store::kill;
use std::boxed::Box;
use std::collections::BTreeMap;
use std::vec::Vec;
use zerocopy::FromZeros;

fn blank() -> Box<Vault> {
    Box::new(Vault::new_zeroed())
}

fn create(ledger: &mut Ledger<'_>, account: u64, pages: u64, limit: u64) -> Result<u32, Error> {
    ledger.create((account, Client::NOBODY), pages, limit, || Some(77), |_| [0; 8])
}

#[test]
fn what_is_charged_never_exceeds_the_limit() {
    let mut vault = blank();
    let mut ledger = Ledger::adopt(&mut vault, 3).unwrap();
    let a = create(&mut ledger, 1, 6, 10).unwrap();
    assert_eq!(create(&mut ledger, 2, 5, 10), Err(Error::NoMemory));
    let b = create(&mut ledger, 2, 4, 10).unwrap();
    assert_eq!(ledger.resize(2, b, 5, 10, |_| panic!("not allowed")), Err(Error::NoMemory));
    ledger.resize(1, a, 5, 10, |o| o.kept == 77).unwrap();
    ledger.resize(2, b, 5, 10, |_| true).unwrap();
    assert_eq!((ledger.account(1).pages, ledger.account(2).pages, ledger.total()), (5, 5, 10));
    assert_eq!(ledger.resize(2, b, 4, 10, |_| false), Err(Error::NoMemory));
    assert_eq!(ledger.account(2).pages, 5);
    assert_eq!(create(&mut ledger, 1, 0, 100), Err(Error::BadLength));
    assert_eq!(create(&mut ledger, 1, u64::MAX, u64::MAX), Err(Error::BadLength));
}

#[test]
fn an_object_is_its_account_s_alone_and_its_number_is_not_used_again() {
    let mut vault = blank();
    let mut ledger = Ledger::adopt(&mut vault, 3).unwrap();
    let first = create(&mut ledger, 1, 1, 100).unwrap();
    assert_eq!(ledger.find(2, first), Err(Error::NotFound));
    assert_eq!(ledger.release(2, first), None);
    assert_eq!(ledger.release(1, first), Some(77));
    assert_eq!(ledger.release(1, first), None);
    let second = create(&mut ledger, 1, 1, 100).unwrap();
    assert_ne!(first, second);
    assert_eq!(first as usize % OBJECTS, second as usize % OBJECTS);
    assert_eq!(ledger.find(1, first), Err(Error::NotFound));
}

#[test]
fn a_full_book_says_so_before_anything_is_made() {
    let mut vault = blank();
    let mut ledger = Ledger::adopt(&mut vault, 3).unwrap();
    for _ in 0..OBJECTS {
        create(&mut ledger, 1, 1, u64::MAX).unwrap();
    }
    let made = ledger.create((1, Client::NOBODY), 1, u64::MAX, || panic!("no row is free"), |_| [0; 8]);
    assert_eq!(made, Err(Error::Full));
    assert_eq!(ledger.account(1).objects as usize, OBJECTS);
}

#[test]
fn a_client_finds_the_answer_to_its_last_request() {
    let mut vault = blank();
    let mut ledger = Ledger::adopt(&mut vault, 3).unwrap();
    let slot = ledger.open_slot(9).unwrap();
    assert_eq!(ledger.open_slot(9), Some(slot));
    let client = Client { key: 9, slot, sequence: 1 };
    assert_eq!(ledger.lookup(client), Lookup::New);
    let number = ledger.create((1, client), 1, 9, || Some(5), |n| [u64::from(n); 8]).unwrap();
    let mut ledger = Ledger::adopt(&mut vault, 3).unwrap();
    assert_eq!(ledger.lookup(client), Lookup::Answered([u64::from(number); 8]));
    assert_eq!(ledger.lookup(Client { sequence: 2, ..client }), Lookup::New);
    assert_eq!(ledger.lookup(Client { key: 8, ..client }), Lookup::Closed);
    let key = 3 << 32 | 7;
    let third = ledger.open_slot(key).unwrap();
    assert_eq!(ledger.client(3, third, 5), Some(Client { key, slot: third, sequence: 5 }));
    assert_eq!(ledger.client(4, third, 5), None);
    assert_eq!(ledger.client(3, 63, 5), None);
    assert!(ledger.open_slot(8).is_some_and(|other| other != slot));
}

/// What a client can ask; objects by the order of their making.
#[derive(Clone, Debug)]
enum Request {
    Create(u64, u64),
    Resize(usize, u64),
    Release(usize),
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        (1..3u64, 0..9u64).prop_map(|(account, pages)| Request::Create(account, pages)),
        (0..6usize, 0..9u64).prop_map(|(which, pages)| Request::Resize(which, pages)),
        (0..6usize).prop_map(Request::Release),
    ]
}

/// Number to (account, pages).
type Model = BTreeMap<u32, (u64, u64)>;

const LIMIT: u64 = 20;

fn apply(ledger: &mut Ledger<'_>, made: &[(u64, u32)], request: &Request, sequence: u32) -> Result<u32, Error> {
    let which = |i: usize| made.get(i).copied().unwrap_or((1, 12345));
    let client = Client { key: 9, slot: 0, sequence };
    match request {
        Request::Create(account, pages) => {
            if let Lookup::Answered([number, ..]) = ledger.lookup(client) {
                return Ok(number as u32);
            }
            ledger.create((*account, client), *pages, LIMIT, || Some(5), |n| [u64::from(n); 8])
        }
        Request::Resize(i, pages) => ledger.resize(which(*i).0, which(*i).1, *pages, LIMIT, |_| true).map(|()| 0),
        Request::Release(i) => {
            ledger.release(which(*i).0, which(*i).1);
            Ok(0)
        }
    }
}

fn model(model: &mut Model, made: &mut Vec<(u64, u32)>, request: &Request, got: Result<u32, Error>) {
    let which = |i: usize| made.get(i).map_or(12345, |(_, number)| *number);
    match (request, got) {
        (Request::Create(account, pages), Ok(number)) => {
            assert!(model.insert(number, (*account, *pages)).is_none());
            made.push((*account, number));
        }
        (Request::Resize(i, pages), Ok(_)) => model.get_mut(&which(*i)).unwrap().1 = *pages,
        (Request::Release(i), Ok(_)) => drop(model.remove(&which(*i))),
        (_, Err(_)) => {}
    }
}

fn holds(ledger: &Ledger<'_>, model: &Model) -> bool {
    let total: u64 = model.values().map(|(_, pages)| pages).sum();
    let same = |(number, (account, pages)): (&u32, &(u64, u64))| {
        ledger.find(*account, *number).is_ok_and(|object| object.pages == *pages)
    };
    let count = ledger.account(1).objects + ledger.account(2).objects;
    ledger.total() == total && total <= LIMIT && count as usize == model.len() && model.iter().all(same)
}

proptest! {
    #[test]
    fn any_requests_leave_what_the_model_says(requests in prop::collection::vec(request(), 0..80)) {
        let (mut vault, mut expected, mut made) = (blank(), Model::new(), Vec::new());
        Ledger::adopt(&mut vault, 3).unwrap().open_slot(9).unwrap();
        for (i, request) in requests.iter().enumerate() {
            let mut ledger = Ledger::adopt(&mut vault, 3).unwrap();
            let got = apply(&mut ledger, &made, request, i as u32 + 1);
            model(&mut expected, &mut made, request, got);
            prop_assert!(holds(&ledger, &expected));
        }
    }

    /// Killed before any store of the last request, which is then repeated: as if nothing had happened, and nothing made twice.
    #[test]
    fn a_repeated_request_has_its_effect_once(
        requests in prop::collection::vec(request(), 0..4), last in request(), from in 0..3u64,
    ) {
        let mut stores = from;
        loop {
            let (mut vault, mut expected, mut made) = (blank(), Model::new(), Vec::new());
            let mut ledger = Ledger::adopt(&mut vault, 3).unwrap();
            ledger.open_slot(9).unwrap();
            for (i, request) in requests.iter().enumerate() {
                let got = apply(&mut ledger, &made, request, i as u32 + 1);
                model(&mut expected, &mut made, request, got);
            }
            let sequence = requests.len() as u32 + 1;
            let done = kill::after(stores, || apply(&mut ledger, &made, &last, sequence));
            let mut ledger = Ledger::adopt(&mut vault, 3).unwrap();
            let got = apply(&mut ledger, &made, &last, sequence);
            model(&mut expected, &mut made, &last, got);
            prop_assert!(holds(&ledger, &expected), "killed before store {stores}");
            if done.is_some() {
                break;
            }
            stores += 3;
        }
    }
}
