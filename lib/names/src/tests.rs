//! The table against a plain model, and killed at every store.

use crate::{Capabilities, Error, MOUNTS, Names, Vault, WATCHERS, path};
use proptest::prelude::*;
use sal_vault::store::kill;
use std::boxed::Box;
use std::collections::{BTreeMap, BTreeSet};
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};
use zerocopy::FromZeros;

/// Capabilities as numbers: object times 1000 plus a running number, so that each keeping is told apart.
#[derive(Default)]
struct Caps {
    kept: BTreeSet<u64>,
    next: u64,
    room: Option<usize>,
}

impl Capabilities for Caps {
    type New = u64;

    fn keep(&mut self, object: u64) -> Option<u64> {
        if self.room.is_some_and(|room| self.kept.len() >= room) {
            return None;
        }
        self.next += 1;
        self.kept.insert(object * 1000 + self.next);
        Some(object * 1000 + self.next)
    }

    fn is_same(&mut self, kept: u64, object: u64) -> bool {
        kept / 1000 == object
    }

    fn forget(&mut self, kept: u64) {
        assert!(self.kept.remove(&kept), "forgotten twice: {kept}");
    }
}

fn blank() -> Box<Vault> {
    Box::new(Vault::new_zeroed())
}

#[test]
fn the_longest_prefix_of_whole_components_wins() {
    let (mut vault, mut caps) = (blank(), Caps::default());
    let mut names = Names::adopt(&mut vault, 4).unwrap();
    names.mount(b"/", 1, &mut caps).unwrap();
    names.mount(b"/dev", 2, &mut caps).unwrap();
    names.mount(b"/dev/console", 3, &mut caps).unwrap();
    let cases: &[(&str, u64, usize)] = &[
        ("/", 1, 1),
        ("/etc/passwd", 1, 1),
        ("/dev", 2, 4),
        ("/dev/null", 2, 5),
        ("/device", 1, 1),
        ("/dev/console", 3, 12),
        ("/dev/console/x", 3, 13),
        ("/dev/console2", 2, 5),
    ];
    for (path, object, covered) in cases {
        let found = names.resolve(path.as_bytes()).unwrap();
        assert_eq!((found.server / 1000, found.covered), (*object, *covered), "{path}");
    }
}

#[test]
fn what_is_no_path_is_refused() {
    let (mut vault, mut caps) = (blank(), Caps::default());
    let mut names = Names::adopt(&mut vault, 4).unwrap();
    let long = format!("/{}", "a".repeat(path::MOST));
    for bad in ["", "a", "//", "/a/", "/a//b", "/.", "/a/..", "/./a", long.as_str()] {
        assert_eq!(names.mount(bad.as_bytes(), 1, &mut caps), Err(Error::BadPath), "{bad}");
        assert_eq!(names.resolve(bad.as_bytes()), Err(Error::BadPath), "{bad}");
    }
    assert!(names.mount(&long.as_bytes()[..path::MOST], 1, &mut caps).is_ok());
    assert_eq!(caps.kept.len(), 1);
}

#[test]
fn a_prefix_is_rebound_at_run_time() {
    let (mut vault, mut caps) = (blank(), Caps::default());
    let mut names = Names::adopt(&mut vault, 4).unwrap();
    let first = names.mount(b"/media", 1, &mut caps).unwrap();
    assert_eq!(names.mount(b"/media", 1, &mut caps), Ok(first));
    assert_eq!(names.mount(b"/media", 2, &mut caps), Err(Error::Occupied));
    let second = names.rebind(b"/media", 2, &mut caps).unwrap();
    assert!(second > first);
    assert_eq!(names.rebind(b"/media", 2, &mut caps), Ok(second));
    assert_eq!(names.resolve(b"/media/a").unwrap().server / 1000, 2);
    assert_eq!(names.unmount(b"/media", first, &mut caps), Err(Error::Changed));
    names.unmount(b"/media", second, &mut caps).unwrap();
    assert_eq!(names.resolve(b"/media/a"), Err(Error::NotFound));
    assert!(names.generation() > second && caps.kept.is_empty());
}

#[test]
fn a_full_table_says_so_and_keeps_nothing() {
    let (mut vault, mut caps) = (blank(), Caps::default());
    let mut names = Names::adopt(&mut vault, 4).unwrap();
    for i in 0..MOUNTS {
        names.mount(format!("/{i}").as_bytes(), 1, &mut caps).unwrap();
    }
    assert_eq!(names.mount(b"/more", 1, &mut caps), Err(Error::Full));
    assert!(names.rebind(b"/0", 2, &mut caps).is_ok());
    for client in 0..WATCHERS as u64 {
        names.watch(client, 9, &mut caps).unwrap();
    }
    assert_eq!(names.watch(99, 9, &mut caps), Err(Error::Full));
    assert_eq!(caps.kept.len(), MOUNTS + WATCHERS);
    caps.room = Some(caps.kept.len());
    assert_eq!(names.rebind(b"/0", 3, &mut caps), Err(Error::Full));
    assert_eq!(names.resolve(b"/0").unwrap().server / 1000, 2);
}

#[test]
fn a_client_is_told_at_its_last_notification_only() {
    let (mut vault, mut caps) = (blank(), Caps::default());
    let mut names = Names::adopt(&mut vault, 4).unwrap();
    names.watch(0, 5, &mut caps).unwrap();
    names.watch(7, 6, &mut caps).unwrap();
    names.watch(0, 5, &mut caps).unwrap();
    names.watch(0, 8, &mut caps).unwrap();
    let mut told: Vec<_> = names.watchers().map(|number| number / 1000).collect();
    told.sort_unstable();
    assert_eq!(told, [6, 8]);
    let dead = names.watchers().find(|number| number / 1000 == 6).unwrap();
    names.unwatch(dead, &mut caps);
    assert_eq!((names.watchers().count(), caps.kept.len()), (1, 1));
}

#[test]
fn another_service_s_vault_is_refused() {
    let mut vault = blank();
    Names::adopt(&mut vault, 4).unwrap();
    assert!(Names::adopt(&mut vault, 5).is_err());
    assert!(Names::adopt(&mut vault, 4).is_ok());
}

/// What a client can ask.
#[derive(Clone, Debug)]
enum Request {
    Mount(String, u64),
    Rebind(String, u64),
    Unmount(String),
    Watch(u64, u64),
}

type Model = BTreeMap<String, u64>;

fn apply(names: &mut Names<'_>, caps: &mut Caps, request: &Request) -> Result<(), Error> {
    match request {
        Request::Mount(prefix, server) => names.mount(prefix.as_bytes(), *server, caps).map(drop),
        Request::Rebind(prefix, server) => names.rebind(prefix.as_bytes(), *server, caps).map(drop),
        Request::Unmount(prefix) => names.unmount(prefix.as_bytes(), 0, caps),
        Request::Watch(client, notification) => names.watch(*client, *notification, caps),
    }
}

fn model(model: &mut Model, request: &Request) -> Result<(), Error> {
    match request {
        Request::Mount(prefix, server) => match model.get(prefix) {
            Some(there) if there != server => return Err(Error::Occupied),
            _ => drop(model.insert(prefix.clone(), *server)),
        },
        Request::Rebind(prefix, server) => drop(model.insert(prefix.clone(), *server)),
        Request::Unmount(prefix) => return model.remove(prefix).map(drop).ok_or(Error::NotFound),
        Request::Watch(..) => {}
    }
    Ok(())
}

fn table(names: &Names<'_>) -> Model {
    let prefixes: Vec<String> = names.list(0).map(|(p, _)| String::from_utf8(p.to_vec()).unwrap()).collect();
    prefixes.into_iter().map(|p| (p.clone(), names.resolve(p.as_bytes()).unwrap().server / 1000)).collect()
}

fn request() -> impl Strategy<Value = Request> {
    let prefix = prop::sample::select(vec!["/", "/a", "/a/b", "/ab", "/c"]).prop_map(|p| p.to_string());
    let prefix2 = prefix.clone();
    let prefix3 = prefix.clone();
    prop_oneof![
        (prefix, 1..4u64).prop_map(|(p, s)| Request::Mount(p, s)),
        (prefix2, 1..4u64).prop_map(|(p, s)| Request::Rebind(p, s)),
        prefix3.prop_map(Request::Unmount),
        (0..3u64, 5..7u64).prop_map(|(c, n)| Request::Watch(c, n)),
    ]
}

proptest! {
    #[test]
    fn any_requests_leave_what_the_model_says(requests in prop::collection::vec(request(), 0..60)) {
        let (mut vault, mut caps, mut expected) = (blank(), Caps::default(), Model::new());
        let mut generation = 0;
        for request in &requests {
            let mut names = Names::adopt(&mut vault, 4).unwrap();
            let before = table(&names);
            let got = apply(&mut names, &mut caps, request);
            prop_assert_eq!(got, model(&mut expected, request));
            prop_assert_eq!(table(&names), expected.clone());
            if before != expected {
                prop_assert!(names.generation() > generation);
            }
            generation = names.generation();
            prop_assert_eq!(caps.kept.len(), names.count() + names.watchers().count());
        }
    }

    /// Killed before each store of the last request: the successor finds the table before it or after it, whole, and the repeated request gives
    /// what it would have given.
    #[test]
    fn a_death_at_any_store_leaves_before_or_after(
        requests in prop::collection::vec(request(), 0..6), last in request(),
    ) {
        let mut stores = 0;
        loop {
            let (mut vault, mut caps, mut before) = (blank(), Caps::default(), Model::new());
            let mut names = Names::adopt(&mut vault, 4).unwrap();
            for request in &requests {
                let _ = apply(&mut names, &mut caps, request);
                let _ = model(&mut before, request);
            }
            let mut after = before.clone();
            let _ = model(&mut after, &last);
            let done = kill::after(stores, || apply(&mut names, &mut caps, &last).is_ok());
            let mut names = Names::adopt(&mut vault, 4).unwrap();
            let found = table(&names);
            prop_assert!(found == before || found == after, "{found:?} is neither {before:?} nor {after:?}");
            let _ = apply(&mut names, &mut caps, &last);
            prop_assert_eq!(table(&names), after);
            if done.is_some() {
                break;
            }
            stores += 1;
        }
    }

    #[test]
    fn a_new_vault_killed_while_it_is_made_is_made_again(stores in 0..60u64) {
        let mut vault = blank();
        let _ = kill::after(stores, || Names::adopt(&mut vault, 4).map(drop));
        let names = Names::adopt(&mut vault, 4).unwrap();
        prop_assert_eq!(names.count(), 0);
    }
}
