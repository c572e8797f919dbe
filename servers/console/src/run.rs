//! Start, adoption, and what happens after each arrival.

use sal_abi::boot::{ExitReason, Startup};
use sal_abi::message::Arrival;
use sal_abi::{Handle, Rights, Words};
use sal_console_core::{Console, event};
use sal_idl::{Attachments, Outcome};
use sal_proto::console;
use sal_rt::{Grants, clock, log, server, start, table};
use sal_sys::{capability, ipc};
use sal_vault::store;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::line::Line;
use crate::waiting::Waiting;

/// Badge of the driver's notification.
const DRIVER: u64 = 1;

/// The core names the bits for itself, because a library knows no interface; they are the same.
const _: () = {
    use sal_proto::console::event as wire;
    assert!(event::READABLE == wire::READABLE && event::WRITABLE == wire::WRITABLE);
    assert!(event::INTERRUPT == wire::INTERRUPT && event::QUIT == wire::QUIT);
    assert!(event::SUSPEND == wire::SUSPEND && event::WINDOW == wire::WINDOW);
    assert!(event::HANGUP == wire::HANGUP && event::STOP == wire::STOP);
};

/// The vault: two handles of its table, and the core's state.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Vault {
    /// The personality's notification; 0: nobody watches.
    watcher: u64,
    /// The notification that the driver raises here; 0: none was made yet.
    own: u64,
    core: sal_console_core::Vault,
}

/// The server.
pub(crate) struct Server {
    pub(crate) console: Console<'static>,
    pub(crate) line: Line,
    pub(crate) waiting: Waiting,
    watcher: Handle,
    /// Where the vault says under which handle the watcher lies in its table.
    kept: &'static mut u64,
    /// What the watcher was told.
    told: u64,
}

pub(crate) fn main(startup: &'static Startup) {
    let grants = Grants(startup);
    let endpoint = grants.need("endpoint").handle;
    let bytes = grants.vault().unwrap_or_default();
    let length = bytes.len();
    let Ok((vault, _)) = Vault::mut_from_prefix(bytes) else {
        die(format_args!("console: needs a vault of {} bytes, has {length}", size_of::<Vault>()));
    };
    let Vault { watcher, own, core } = vault;
    let line = Line::new(grants.need("uart").handle, notification(own, endpoint));
    let mut server = Server {
        console: adopted(core),
        line,
        waiting: Waiting::default(),
        watcher: table::find(*watcher, Rights::SEND).unwrap_or(Handle::NONE),
        kept: watcher,
        told: 0,
    };
    server.line.watch(&mut server.console);
    server.settle();
    server::serve(endpoint, &mut server)
}

fn die(what: core::fmt::Arguments<'_>) -> ! {
    start::die(ExitReason::MissingGrant, what)
}

/// A damaged vault is reported and begun anew: what was typed and written, but not delivered, is lost with it.
fn adopted(vault: &'static mut sal_console_core::Vault) -> Console<'static> {
    if let Err(fault) = vault.adopt(0).map(drop) {
        log::error!("console: {fault}; what was under way is lost");
        return vault.format(0);
    }
    match vault.adopt(0) {
        Ok(console) => console,
        Err(fault) => die(format_args!("console: {fault}, after it was found whole")),
    }
}

/// The notification for the driver, the same in each incarnation.
fn notification(word: &mut u64, endpoint: Handle) -> Handle {
    let made = table::notification(*word, endpoint, DRIVER, |kept| store::word64(word, kept));
    made.unwrap_or_else(|error| die(format_args!("console: can't make a notification: {}", error.name())))
}

impl Server {
    /// After whatever changed something: moves bytes, answers who waits, tells the watcher, until nothing moves.
    pub(crate) fn settle(&mut self) {
        loop {
            let moved = self.line.pump(&mut self.console, clock::now());
            let answered = self.answer_waiting();
            if !moved && !answered {
                break;
            }
        }
        let events = self.console.events();
        let news = events & !self.told;
        self.told = events;
        if news != 0 && !self.watcher.is_none() {
            let _ = ipc::notify(self.watcher, news);
        }
    }

    /// Keeps a watcher, for the successor too. The same one again changes nothing.
    pub(crate) fn keep_watcher(&mut self, watcher: Handle) {
        let object = |handle| capability::identify(handle).map(|it| it.object).ok();
        if !self.watcher.is_none() && object(self.watcher) == object(watcher) {
            let _ = capability::close(watcher);
            return;
        }
        if let Some(word) = table::keep(watcher, Rights::SEND) {
            store::word64(self.kept, word);
        }
        let old = core::mem::replace(&mut self.watcher, watcher);
        if !old.is_none() {
            let _ = capability::close(old);
        }
        self.told = 0;
    }
}

impl server::Service for Server {
    const ACCEPT: usize = 1;

    fn message(&mut self, arrival: Arrival, badge: u64, words: &Words, attachments: &mut dyn Attachments) -> Outcome {
        let outcome = console::dispatch(self, arrival, badge, words, attachments);
        self.settle();
        outcome
    }

    fn notified(&mut self, badge: u64, bits: u64) {
        if badge == DRIVER {
            self.line.told(bits);
            self.settle();
        }
    }

    fn deadline(&mut self) -> Option<u64> {
        self.waiting.deadline()
    }

    fn expired(&mut self) {
        self.settle();
    }
}
