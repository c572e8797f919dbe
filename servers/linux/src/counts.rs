//! What the personality counts, for `/svc/linux/stats`: calls that nobody does yet, by name.

use crate::pool;
use crate::shared::{Core, Shared};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use sal_proto::supervisor::Client;
use sal_rt::{Connection, log};

/// How telling went.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// The supervisor knows all, or can't take more.
    All,
    /// The thread was interrupted; the rest is told the next time.
    Interrupted,
}

/// A counter: the call's number, the line's name, the value.
type Counter = (usize, String, u64);

/// Those that the supervisor has not heard of.
fn news(shared: &Shared) -> Vec<Counter> {
    let mut core = shared.core.lock();
    let Core { linux, machine } = &mut *core;
    if linux.missing_total() == machine.told_total {
        return Vec::new();
    }
    machine.told_total = linux.missing_total();
    let untold = linux.missing_calls().filter(|(_, number, n)| machine.told.get(number) != Some(n));
    let named = |name: &str| if name.is_empty() { String::from("enosys_unknown") } else { format!("enosys_{name}") };
    untold.map(|(name, number, n)| (number, named(name), n)).collect()
}

/// Tells the supervisor what is new.
pub(crate) fn tell(shared: &Shared) -> Told {
    let mut client = Client(Connection::plain(shared.supervisor));
    for (number, name, value) in news(shared) {
        match client.count(value, name.as_bytes()) {
            Ok(_) => {}
            Err(failure) if pool::interrupted(&failure) => {
                // Somebody else may have told more meanwhile: what is repeated is no harm.
                shared.core.lock().machine.told_total = u64::MAX;
                return Told::Interrupted;
            }
            // It is told no more until it changes.
            Err(failure) => log::warn!("the supervisor does not take {name}: {failure:?}"),
        }
        shared.core.lock().machine.told.insert(number, value);
    }
    Told::All
}
