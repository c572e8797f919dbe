//! The table, its vault, and the operations on it.

use crate::path;
use sal_vault::{Commit, Committed, Expected, Fault, Header};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// Prefixes that can be mounted at the same time.
pub const MOUNTS: usize = 48;
/// Clients that can watch at the same time.
pub const WATCHERS: usize = 16;
/// Version of the vault's layout.
pub const VAULT_VERSION: u32 = 1;
/// "NAME".
const KIND: u32 = u32::from_le_bytes(*b"NAME");

/// Why a request is refused. Nothing has changed then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// No prefix covers the path, or none is mounted there.
    NotFound,
    /// Another server is mounted at the prefix.
    Occupied,
    /// Not a valid path ([`path::is_valid`]).
    BadPath,
    /// No room in the table.
    Full,
    /// The prefix has another generation.
    Changed,
}

/// Capabilities that outlive the server, by number (never 0).
pub trait Capabilities {
    /// What a request brought along.
    type New: Copy;

    /// Keeps one; `None` if there is no room. It counts once its number is committed.
    fn keep(&mut self, new: Self::New) -> Option<u64>;
    /// Does number `kept` name the same object?
    fn is_same(&mut self, kept: u64, new: Self::New) -> bool;
    /// Number `kept` is not used any more.
    fn forget(&mut self, kept: u64);
}

/// One mounted prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Mount {
    /// The server's capability; 0: the row is free.
    server: u64,
    generation: u64,
    length: u64,
    prefix: [u8; path::MOST],
}

impl Mount {
    fn prefix(&self) -> &[u8] {
        self.prefix.get(..self.length as usize).unwrap_or(&[])
    }

    fn is(&self, prefix: &[u8]) -> bool {
        self.server != 0 && self.prefix() == prefix
    }
}

/// One client that is told of changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Watcher {
    /// Its badge, which may be 0.
    client: u64,
    /// Its notification's capability; 0: the row is free.
    notification: u64,
}

/// Everything that outlives the server. Zero bytes are the empty table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct State {
    generation: u64,
    mounts: [Mount; MOUNTS],
    watchers: [Watcher; WATCHERS],
}

/// The vault's layout.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Vault {
    header: Header,
    commit: Commit,
    copies: [State; 2],
}

/// Who serves a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resolved {
    /// The server's capability.
    pub server: u64,
    /// Bytes of the path that the prefix covers, its following slash included.
    pub covered: usize,
    /// The prefix's generation.
    pub generation: u64,
}

/// The name server.
pub struct Names<'a> {
    state: Committed<'a, State>,
}

impl<'a> Names<'a> {
    /// Takes over a vault, or makes it one if it is blank. `owner`: the service's number in the estate.
    ///
    /// # Errors
    /// The vault is another's, or damaged.
    pub fn adopt(vault: &'a mut Vault, owner: u32) -> Result<Names<'a>, Fault> {
        let expected =
            Expected { kind: KIND, owner, version: VAULT_VERSION, length: core::mem::size_of::<Vault>() as u64 };
        let state = match vault.header.verify(expected) {
            Err(Fault::Blank) => {
                let made = Committed::make(&mut vault.commit, &mut vault.copies, State::new_zeroed());
                vault.header.stamp(expected);
                made
            }
            Err(fault) => return Err(fault),
            Ok(()) => Committed::adopt(&mut vault.commit, &mut vault.copies)?,
        };
        vault.header.adopted();
        Ok(Names { state })
    }

    /// The table's generation: grows with every change.
    pub fn generation(&self) -> u64 {
        self.state.get().generation
    }

    /// Prefixes mounted.
    pub fn count(&self) -> usize {
        self.state.get().mounts.iter().filter(|mount| mount.server != 0).count()
    }

    /// Mounts `server` at `prefix`, unless another server is there. The prefix's generation.
    ///
    /// # Errors
    /// `BadPath`, `Occupied`, `Full`.
    pub fn mount<C: Capabilities>(&mut self, prefix: &[u8], server: C::New, caps: &mut C) -> Result<u64, Error> {
        match self.find(prefix)? {
            Some((_, mount)) if caps.is_same(mount.server, server) => Ok(mount.generation),
            Some(_) => Err(Error::Occupied),
            None => self.put(prefix, server, caps),
        }
    }

    /// Mounts `server` at `prefix`, whoever was there. The prefix's generation.
    ///
    /// # Errors
    /// `BadPath`, `Full`.
    pub fn rebind<C: Capabilities>(&mut self, prefix: &[u8], server: C::New, caps: &mut C) -> Result<u64, Error> {
        match self.find(prefix)? {
            Some((_, mount)) if caps.is_same(mount.server, server) => Ok(mount.generation),
            _ => self.put(prefix, server, caps),
        }
    }

    /// Takes `prefix` away if its generation is `generation`, or whatever it is with 0.
    ///
    /// # Errors
    /// `BadPath`, `NotFound`, `Changed`.
    pub fn unmount(&mut self, prefix: &[u8], generation: u64, caps: &mut impl Capabilities) -> Result<(), Error> {
        let (row, mount) = self.find(prefix)?.ok_or(Error::NotFound)?;
        if generation != 0 && mount.generation != generation {
            return Err(Error::Changed);
        }
        self.state.update(|state| {
            state.generation += 1;
            state.set(row, Mount::new_zeroed());
        });
        caps.forget(mount.server);
        Ok(())
    }

    /// Who serves `path`: the longest prefix that covers it.
    ///
    /// # Errors
    /// `BadPath`, `NotFound`.
    pub fn resolve(&self, path: &[u8]) -> Result<Resolved, Error> {
        if !path::is_valid(path) {
            return Err(Error::BadPath);
        }
        let mounts = self.state.get().mounts.iter().filter(|mount| mount.server != 0);
        mounts
            .filter_map(|mount| Some((path::covered(mount.prefix(), path)?, mount)))
            .max_by_key(|(_, mount)| mount.length)
            .map(|(covered, mount)| Resolved { server: mount.server, covered, generation: mount.generation })
            .ok_or(Error::NotFound)
    }

    /// Mounted prefixes with their generations, from number `from` on.
    pub fn list(&self, from: usize) -> impl Iterator<Item = (&[u8], u64)> {
        let mounts = self.state.get().mounts.iter().filter(|mount| mount.server != 0);
        mounts.skip(from).map(|mount| (mount.prefix(), mount.generation))
    }

    /// From now on the client with badge `client` is told of changes at `notification`, and no more where it was told before.
    ///
    /// # Errors
    /// `Full`.
    pub fn watch<C: Capabilities>(&mut self, client: u64, notification: C::New, caps: &mut C) -> Result<(), Error> {
        let rows = &self.state.get().watchers;
        let own = rows.iter().position(|row| row.notification != 0 && row.client == client);
        let row = own.or_else(|| rows.iter().position(|row| row.notification == 0)).ok_or(Error::Full)?;
        let old = rows.get(row).map_or(0, |row| row.notification);
        if old != 0 && caps.is_same(old, notification) {
            return Ok(());
        }
        let kept = caps.keep(notification).ok_or(Error::Full)?;
        self.state.update(|state| {
            if let Some(row) = state.watchers.get_mut(row) {
                *row = Watcher { client, notification: kept };
            }
        });
        if old != 0 {
            caps.forget(old);
        }
        Ok(())
    }

    /// The notification of that client was found dead: it is not told any more.
    pub fn unwatch(&mut self, notification: u64, caps: &mut impl Capabilities) {
        self.state.update(|state| {
            let dead = state.watchers.iter_mut().filter(|row| row.notification == notification);
            dead.for_each(|row| *row = Watcher::new_zeroed());
        });
        caps.forget(notification);
    }

    /// Notifications to raise after a change, and once after adoption (a predecessor may have died between a change and telling it).
    pub fn watchers(&self) -> impl Iterator<Item = u64> {
        self.state.get().watchers.iter().map(|row| row.notification).filter(|number| *number != 0)
    }

    /// The row of exactly this prefix.
    fn find(&self, prefix: &[u8]) -> Result<Option<(usize, Mount)>, Error> {
        if !path::is_valid(prefix) {
            return Err(Error::BadPath);
        }
        let mounts = self.state.get().mounts.iter().enumerate();
        Ok(mounts.filter(|(_, mount)| mount.is(prefix)).map(|(row, mount)| (row, *mount)).next())
    }

    /// Writes a prefix's row, its old one or a free one.
    fn put<C: Capabilities>(&mut self, prefix: &[u8], server: C::New, caps: &mut C) -> Result<u64, Error> {
        let old = self.find(prefix)?;
        let free = || self.state.get().mounts.iter().position(|mount| mount.server == 0);
        let row = old.map(|(row, _)| row).or_else(free).ok_or(Error::Full)?;
        let server = caps.keep(server).ok_or(Error::Full)?;
        let mut mount = Mount { server, length: prefix.len() as u64, ..Mount::new_zeroed() };
        mount.prefix.iter_mut().zip(prefix).for_each(|(to, from)| *to = *from);
        let generation = self.state.update(|state| {
            state.generation += 1;
            mount.generation = state.generation;
            state.set(row, mount);
            state.generation
        });
        if let Some((_, mount)) = old {
            caps.forget(mount.server);
        }
        Ok(generation)
    }
}

impl State {
    fn set(&mut self, row: usize, mount: Mount) {
        if let Some(place) = self.mounts.get_mut(row) {
            *place = mount;
        }
    }
}
