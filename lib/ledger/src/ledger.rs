//! The book of objects, its vault, and the operations on it.

use core::mem::{offset_of, size_of};
use sal_vault::{Answer, ClientSlots, Expected, Fault, Header, Lookup, Redo, RedoHead};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// Objects that there can be at the same time.
pub const OBJECTS: usize = 4096;
/// Client threads whose last answer is remembered.
pub const CLIENTS: usize = 64;
/// Version of the vault's layout.
pub const VAULT_VERSION: u32 = 1;
/// "MEMO".
const KIND: u32 = u32::from_le_bytes(*b"MEMO");
/// Room for the largest change: two rows, all answers, and what stands before each piece.
const LOG: usize = 8192;

/// Why a request is refused. Nothing has changed then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// The limit would be exceeded, or the object could not be made.
    NoMemory,
    /// The account has no object of that number.
    NotFound,
    /// No row is free.
    Full,
    /// No pages, or too many.
    BadLength,
}

/// One object; zero bytes are a free row that was never used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Object {
    /// Whose it is.
    pub account: u64,
    /// Its capability; 0: the row is free.
    pub kept: u64,
    /// What it is charged.
    pub pages: u64,
    /// How often the row was used; stays when it is freed.
    generation: u64,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Book {
    objects: [Object; OBJECTS],
    clients: ClientSlots<CLIENTS>,
}

/// The vault's layout.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Vault {
    header: Header,
    head: RedoHead,
    log: [u8; LOG],
    book: BookBytes,
}

/// The book as the log sees it.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(8))]
pub struct BookBytes([u8; size_of::<Book>()]);

/// A client thread's request, as it numbers it; a sequence number of 0 is remembered by nobody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Client {
    /// Whose slot it must be (`client_key`).
    pub key: u64,
    /// Its slot.
    pub slot: u16,
    /// The request's number.
    pub sequence: u32,
}

/// What an account has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Account {
    /// Pages.
    pub pages: u64,
    /// Objects.
    pub objects: u32,
}

/// The memory server's book.
pub struct Ledger<'a> {
    vault: &'a mut Vault,
    /// Pages of all objects; counted again at adoption.
    total: u64,
}

impl Client {
    /// A request that nobody remembers.
    pub const NOBODY: Client = Client { key: 0, slot: 0, sequence: 0 };
}

impl<'a> Ledger<'a> {
    /// Takes over a vault, or makes it one if it is blank. `owner`: the service's number.
    ///
    /// # Errors
    /// The vault is another's, or damaged.
    pub fn adopt(vault: &'a mut Vault, owner: u32) -> Result<Ledger<'a>, Fault> {
        let expected = Expected { kind: KIND, owner, version: VAULT_VERSION, length: size_of::<Vault>() as u64 };
        match vault.header.verify(expected) {
            Err(Fault::Blank) => {
                // Nothing valid lies here: a death in between leaves it blank.
                vault.book.zero();
                vault.head.zero();
                vault.header.stamp(expected);
            }
            Err(fault) => return Err(fault),
            Ok(()) => Redo::adopt(&mut vault.head, &mut vault.log, &mut vault.book.0)?,
        }
        vault.header.adopted();
        let total = objects(vault).iter().filter(|o| o.kept != 0).map(|o| o.pages).sum();
        Ok(Ledger { vault, total })
    }

    /// The slot of client thread `key`; `None` if all are taken.
    pub fn open_slot(&mut self, key: u64) -> Option<u16> {
        let mut clients = *self.clients()?;
        let slot = clients.open(key)?;
        self.commit(None, Some(&clients))?;
        Some(slot)
    }

    /// The client thread with that slot, if the slot is of this account: the upper half of its key is the account's number.
    pub fn client(&self, account: u64, slot: u16, sequence: u32) -> Option<Client> {
        let key = self.clients()?.key(slot)?;
        (key >> 32 == account & 0xffff_ffff).then_some(Client { key, slot, sequence })
    }

    /// What is known of a request: with a slot that is not this client's, `Closed`.
    pub fn lookup(&self, client: Client) -> Lookup {
        self.clients().map_or(Lookup::Closed, |all| all.lookup(client.key, client.slot, client.sequence))
    }

    /// A new object of `pages` for `account`, as long as all objects stay within `limit`. `make` makes it and puts its capability into the table;
    /// `answer` is remembered with it. The object's number.
    ///
    /// # Errors
    /// `BadLength`, `Full`, `NoMemory`.
    pub fn create(
        &mut self,
        (account, client): (u64, Client),
        pages: u64,
        limit: u64,
        make: impl FnOnce() -> Option<u64>,
        answer: impl FnOnce(u32) -> Answer,
    ) -> Result<u32, Error> {
        self.room(0, pages, limit)?;
        let row = objects(self.vault).iter().position(|object| object.kept == 0).ok_or(Error::Full)?;
        let generation = self.row(row).map_or(0, |object| object.generation) + 1;
        let number = number(row, generation);
        let kept = make().ok_or(Error::NoMemory)?;
        let object = Object { account, kept, pages, generation };
        let clients = self.remember(client, answer(number));
        self.commit(Some((row, object)), clients.as_ref()).ok_or(Error::Full)?;
        self.total += pages;
        Ok(number)
    }

    /// The object of that number, if it is the account's.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn find(&self, account: u64, number: u32) -> Result<Object, Error> {
        self.place(account, number).map(|(_, object)| object)
    }

    /// The object is to have `pages`: `resize` does it and says whether it could.
    ///
    /// # Errors
    /// `NotFound`, `BadLength`, `NoMemory`.
    pub fn resize(
        &mut self,
        account: u64,
        number: u32,
        pages: u64,
        limit: u64,
        resize: impl FnOnce(&Object) -> bool,
    ) -> Result<(), Error> {
        let (row, old) = self.place(account, number)?;
        self.room(old.pages, pages, limit)?;
        // While it grows, the book says more than there is; while it shrinks, too: a death in between leaves too much charged, until
        // the client, which has no answer, asks again.
        let most = Object { pages: pages.max(old.pages), ..old };
        self.commit(Some((row, most)), None).ok_or(Error::NoMemory)?;
        let done = resize(&old);
        let now = Object { pages: if done { pages } else { old.pages }, ..old };
        self.commit(Some((row, now)), None).ok_or(Error::NoMemory)?;
        self.total = self.total - old.pages + now.pages;
        if done { Ok(()) } else { Err(Error::NoMemory) }
    }

    /// The account gives the object back. Its capability's number, to be closed; `None` if there is no such object (any more).
    pub fn release(&mut self, account: u64, number: u32) -> Option<u64> {
        let (row, old) = self.place(account, number).ok()?;
        let free = Object { account: 0, kept: 0, pages: 0, ..old };
        self.commit(Some((row, free)), None)?;
        self.total -= old.pages;
        Some(old.kept)
    }

    /// What an account has.
    pub fn account(&self, account: u64) -> Account {
        let own = objects(self.vault).iter().filter(|o| o.kept != 0 && o.account == account);
        own.fold(Account::default(), |sum, o| Account { pages: sum.pages + o.pages, objects: sum.objects + 1 })
    }

    /// Pages of all objects.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// May `old` pages become `new` ones?
    fn room(&self, old: u64, new: u64, limit: u64) -> Result<(), Error> {
        match new {
            0 => Err(Error::BadLength),
            _ if new > 1 << 40 => Err(Error::BadLength),
            _ if self.total - old + new > limit && new > old => Err(Error::NoMemory),
            _ => Ok(()),
        }
    }

    fn row(&self, row: usize) -> Option<&Object> {
        objects(self.vault).get(row)
    }

    fn place(&self, account: u64, wanted: u32) -> Result<(usize, Object), Error> {
        let row = wanted as usize % OBJECTS;
        let object = self.row(row).filter(|o| o.kept != 0 && o.account == account);
        let object = object.filter(|o| number(row, o.generation) == wanted);
        object.map(|o| (row, *o)).ok_or(Error::NotFound)
    }

    fn clients(&self) -> Option<&ClientSlots<CLIENTS>> {
        Book::ref_from_bytes(&self.vault.book.0).ok().map(|book| &book.clients)
    }

    /// The clients' answers with this one; `None` for a request that nobody remembers.
    fn remember(&self, client: Client, answer: Answer) -> Option<ClientSlots<CLIENTS>> {
        let mut clients = *self.clients().filter(|_| client.sequence != 0)?;
        clients.record(client.slot, client.sequence, answer);
        Some(clients)
    }

    /// Changes a row and the answers, all or nothing.
    fn commit(&mut self, row: Option<(usize, Object)>, clients: Option<&ClientSlots<CLIENTS>>) -> Option<()> {
        let Vault { head, log, book, .. } = &mut *self.vault;
        let mut redo = Redo::begin(head, log, &mut book.0);
        if let Some((row, object)) = row {
            redo.write(offset_of!(Book, objects) + row * size_of::<Object>(), object.as_bytes()).ok()?;
        }
        if let Some(clients) = clients {
            redo.write(offset_of!(Book, clients), clients.as_bytes()).ok()?;
        }
        redo.commit();
        Some(())
    }
}

/// The rows. The book's bytes have its size and alignment, so it is always one.
fn objects(vault: &Vault) -> &[Object] {
    Book::ref_from_bytes(&vault.book.0).map_or(&[], |book| &book.objects)
}

/// Row and the low bits of its generation.
fn number(row: usize, generation: u64) -> u32 {
    (generation as u32).wrapping_mul(OBJECTS as u32).wrapping_add(row as u32)
}
