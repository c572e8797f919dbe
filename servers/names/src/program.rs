//! The shell: messages in, the table's answers out.

use crate::table::Table;
use sal_idl::{Attachments, Call, Give, Outcome, ReadLoan, Stop};
use sal_names_core::{Error as Refusal, Names, Vault, path};
use sal_proto::names::{self, CHANGED, ENTRY_HEAD, Error};
use sal_rt::abi::boot::{ExitReason, Startup};
use sal_rt::abi::message::Arrival;
use sal_rt::abi::{Rights, Words};
use sal_rt::server::Service;
use sal_rt::sys::ipc;
use sal_rt::{Grants, log, start};
use zerocopy::{FromBytes, FromZeros};

/// What a client may do with the server that it found.
const FOUND: Rights = Rights::SEND.or(Rights::TRANSFER);

/// Most bytes of a list that are put together at once; a longer buffer is filled as far.
const LIST_MOST: usize = 2048;

/// The service's number in its vault's header: the vault's kind says whose it is.
const OWNER: u32 = 0;

struct Server {
    names: Names<'static>,
    table: Table,
}

pub(crate) fn main(startup: &'static Startup) {
    let grants = Grants(startup);
    let endpoint = grants.need("endpoint").handle;
    let table = Table::new(grants.need("table").handle);
    let mut server = Server { names: adopt(grants), table };
    server.mount_granted(grants);
    server.tell();
    log::info!("incarnation {}: {} prefixes", startup.incarnation, server.names.count());
    sal_rt::server::serve(endpoint, &mut server)
}

/// The vault's table; a damaged one is reported and begun anew (what is granted as a mount is mounted again, the rest is lost).
fn adopt(grants: Grants<'static>) -> Names<'static> {
    let Some(bytes) = grants.vault() else { no_vault("none was granted") };
    let Ok((vault, _)) = Vault::mut_from_prefix(bytes) else { no_vault("it is too small") };
    if let Err(fault) = Names::adopt(vault, OWNER).map(drop) {
        log::error!("{fault}: the table begins anew");
        vault.zero();
    }
    match Names::adopt(vault, OWNER) {
        Ok(names) => names,
        Err(_) => no_vault("it can't be written"),
    }
}

fn no_vault(why: &str) -> ! {
    start::die(ExitReason::MissingGrant, format_args!("names needs a vault: {why}"))
}

impl Server {
    /// Mounts every prefix that the manifest gives.
    fn mount_granted(&mut self, grants: Grants<'static>) {
        for grant in grants.all().iter().filter(|grant| grant.name().starts_with(b"/")) {
            if let Err(refusal) = self.names.rebind(grant.name(), grant.handle, &mut self.table) {
                log::error!("can't mount {}: {refusal:?}", grant.name().escape_ascii());
            }
        }
    }

    /// Tells every watcher that something changed. One whose notification is gone is not told again.
    fn tell(&mut self) {
        let watchers: [Option<u64>; sal_names_core::WATCHERS] = {
            let mut numbers = self.names.watchers();
            core::array::from_fn(|_| numbers.next())
        };
        for kept in watchers.into_iter().flatten() {
            let told = self.table.own(kept).and_then(|handle| ipc::notify(handle, CHANGED));
            if told.is_err() {
                self.names.unwatch(kept, &mut self.table);
            }
        }
    }

    /// Does `work`, and tells the watchers if it changed the table.
    fn change<R>(&mut self, work: impl FnOnce(&mut Server) -> Result<R, Refusal>) -> Result<R, Error> {
        let before = self.names.generation();
        let result = work(self).map_err(error);
        if self.names.generation() != before {
            self.tell();
        }
        result
    }
}

fn error(refusal: Refusal) -> Error {
    match refusal {
        Refusal::NotFound => Error::NotFound,
        Refusal::Occupied => Error::Occupied,
        Refusal::BadPath => Error::BadPath,
        Refusal::Full => Error::Full,
        Refusal::Changed => Error::Changed,
    }
}

/// The lent path, in `to`.
fn lent<'t>(call: &mut Call<'_>, loan: ReadLoan, to: &'t mut [u8; path::MOST]) -> Result<&'t [u8], Stop<Error>> {
    call.read_all(loan, to)?.ok_or(Stop::Error(Error::BadPath))
}

impl names::Server for Server {
    fn mount(&mut self, call: &mut Call<'_>, a: names::mount::Arguments) -> Result<names::mount::Results, Stop<Error>> {
        let mut buffer = [0; path::MOST];
        let prefix = lent(call, a.prefix, &mut buffer)?;
        let generation = self.change(|s| s.names.mount(prefix, a.server, &mut s.table))?;
        call.attachments().close(a.server);
        Ok(names::mount::Results { generation })
    }

    fn rebind(
        &mut self,
        call: &mut Call<'_>,
        a: names::rebind::Arguments,
    ) -> Result<names::rebind::Results, Stop<Error>> {
        let mut buffer = [0; path::MOST];
        let prefix = lent(call, a.prefix, &mut buffer)?;
        let generation = self.change(|s| s.names.rebind(prefix, a.server, &mut s.table))?;
        call.attachments().close(a.server);
        Ok(names::rebind::Results { generation })
    }

    fn unmount(
        &mut self,
        call: &mut Call<'_>,
        a: names::unmount::Arguments,
    ) -> Result<names::unmount::Results, Stop<Error>> {
        let mut buffer = [0; path::MOST];
        let prefix = lent(call, a.prefix, &mut buffer)?;
        self.change(|s| s.names.unmount(prefix, a.generation, &mut s.table))?;
        Ok(names::unmount::Results {})
    }

    fn resolve(
        &mut self,
        call: &mut Call<'_>,
        a: names::resolve::Arguments,
    ) -> Result<names::resolve::Results, Stop<Error>> {
        let mut buffer = [0; path::MOST];
        let found = self.names.resolve(lent(call, a.path, &mut buffer)?).map_err(error)?;
        let handle = self.table.own(found.server).map_err(|_| Error::NotFound)?;
        Ok(names::resolve::Results {
            covered: found.covered as u32,
            generation: found.generation,
            server: Give::copy(handle, FOUND),
        })
    }

    fn list(&mut self, call: &mut Call<'_>, a: names::list::Arguments) -> Result<names::list::Results, Stop<Error>> {
        let mut buffer = [0; LIST_MOST];
        let room = LIST_MOST.min(a.entries.length as usize);
        let (mut count, mut used) = (0, 0);
        for (prefix, generation) in self.names.list(a.from as usize) {
            let end = used + ENTRY_HEAD + prefix.len();
            let Some(place) = buffer.get_mut(used..end).filter(|_| end <= room) else {
                break;
            };
            let head = [&generation.to_le_bytes()[..], &(prefix.len() as u16).to_le_bytes(), prefix];
            place.iter_mut().zip(head.into_iter().flatten()).for_each(|(to, from)| *to = *from);
            (count, used) = (count + 1, end);
        }
        call.write(a.entries, 0, buffer.get(..used).unwrap_or(&[]))?;
        Ok(names::list::Results { count, bytes: used as u32, generation: self.names.generation() })
    }

    fn watch(&mut self, call: &mut Call<'_>, a: names::watch::Arguments) -> Result<names::watch::Results, Stop<Error>> {
        self.names.watch(call.badge, a.notification, &mut self.table).map_err(error)?;
        call.attachments().close(a.notification);
        Ok(names::watch::Results { generation: self.names.generation() })
    }
}

impl Service for Server {
    const ACCEPT: usize = 1;

    fn message(&mut self, arrival: Arrival, badge: u64, words: &Words, attachments: &mut dyn Attachments) -> Outcome {
        names::dispatch(self, arrival, badge, words, attachments)
    }
}
