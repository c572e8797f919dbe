//! Start, adoption, notifications, orders.

use sal_idl::{Attachments, Give, Outcome};
use sal_proto::names::{CHANGED, Client};
use sal_rt::abi::boot::{ExitReason, Startup};
use sal_rt::abi::message::Arrival;
use sal_rt::abi::{Handle, Rights, Words};
use sal_rt::{Connection, Grants, log, server, start, table};
use sal_vault::{Commit, Committed, Expected, Header, store};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// Badge of the name server's notification.
const NAMES: u64 = 1;

/// Handles that [`Note::lead`] tries: all places of a table of that size, in the first generations.
const PLACES: u32 = 256;
const GENERATIONS: u32 = 4;

/// The note.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Text {
    pub(crate) length: u64,
    pub(crate) bytes: [u8; 504],
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Vault {
    header: Header,
    commit: Commit,
    copies: [Text; 2],
    /// The notification that the name server raises; 0: none was made yet.
    own: u64,
}

/// The service.
pub(crate) struct Note {
    pub(crate) text: Committed<'static, Text>,
    /// The name server, if the manifest lets this service use it.
    names: Option<Handle>,
    endpoint: Handle,
    pub(crate) news: u64,
}

pub(crate) fn main(startup: &'static Startup) {
    let grants = Grants(startup);
    let endpoint = grants.need("endpoint").handle;
    let Some((vault, _)) = grants.vault().and_then(|bytes| Vault::mut_from_prefix(bytes).ok()) else {
        start::die(ExitReason::MissingGrant, format_args!("note: needs a vault of {} bytes", size_of::<Vault>()));
    };
    let Vault { header, commit, copies, own } = vault;
    let names = grants.get("names").map(|grant| grant.handle);
    if let Some(names) = names {
        watch(names, endpoint, own);
    }
    let mut note = Note { text: adopted(header, commit, copies), names, endpoint, news: 0 };
    server::serve(endpoint, &mut note)
}

/// The text, or an empty one in a new vault.
fn adopted(
    header: &mut Header,
    commit: &'static mut Commit,
    copies: &'static mut [Text; 2],
) -> Committed<'static, Text> {
    let expected =
        Expected { kind: u32::from_le_bytes(*b"NOTE"), owner: 0, version: 1, length: size_of::<Vault>() as u64 };
    if header.verify(expected).is_err() {
        let made = Committed::make(commit, copies, Text::new_zeroed());
        header.stamp(expected);
        return made;
    }
    match Committed::adopt(commit, copies) {
        Ok(text) => text,
        Err(fault) => start::die(ExitReason::MissingGrant, format_args!("note: {fault}")),
    }
}

/// Has the name server tell of changes, to every incarnation.
fn watch(names: Handle, endpoint: Handle, own: &mut u64) {
    let word = *own;
    let told = match table::notification(word, endpoint, NAMES, |kept| store::word64(own, kept)) {
        Ok(notification) => Client(Connection::plain(names)).watch(Give::copy(notification, Rights::SEND)).map(drop),
        Err(error) => return log::error!("no notification: {}", error.name()),
    };
    if let Err(failure) = told {
        log::error!("the name server does not tell of changes: {failure:?}");
    }
}

impl Note {
    /// Has `prefix` lead to whoever serves `path`. Without a capability to the name server it tries every handle that it could have.
    pub(crate) fn lead(&self, prefix: &[u8], path: &[u8]) -> bool {
        let lead = |names: Handle| {
            let mut names = Client(Connection::plain(names));
            let Ok(found) = names.resolve(path) else { return false };
            names.rebind(prefix, Give::copy(found.server, Rights::SEND.or(Rights::TRANSFER))).is_ok()
        };
        match self.names {
            Some(names) => lead(names),
            None => {
                let handles = (0..GENERATIONS).flat_map(|generation| (0..PLACES).map(move |place| (generation, place)));
                let mut guesses = handles.map(|(generation, place)| Handle::new(generation, place));
                guesses.any(|guess| guess != self.endpoint && lead(guess))
            }
        }
    }
}

impl server::Service for Note {
    fn message(&mut self, arrival: Arrival, badge: u64, words: &Words, attachments: &mut dyn Attachments) -> Outcome {
        sal_proto::file::dispatch(self, arrival, badge, words, attachments)
    }

    fn notified(&mut self, badge: u64, bits: u64) {
        if badge == NAMES && bits & CHANGED != 0 {
            self.news += 1;
        }
    }
}
