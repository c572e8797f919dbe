//! Prefixes that other servers serve: the name server's table, mounted in the programs' file system.

use crate::pool::Pool;
use crate::shared::{Core, Mounted, Shared};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use linux_raw_sys::general::AT_FDCWD;
use sal_abi::{Handle, Rights};
use sal_idl::{Failure, Give};
use sal_proto::names::{Client, ENTRY_HEAD, Error};
use sal_rt::{Connection, log};
use sal_vfs::{MountKind, ServerId};

/// Bytes of the name server's table read at a time.
const LIST: usize = 2048;

/// The name server.
pub(crate) struct Names(Client<Connection>);

/// A line of its table: generation and prefix.
type Line = (u64, Vec<u8>);

impl Names {
    pub(crate) fn new(endpoint: Handle) -> Names {
        Names(Client(Connection::plain(endpoint)))
    }

    /// Has every change of the table told to `bell`.
    pub(crate) fn watch(&mut self, bell: Handle) {
        if let Err(failure) = self.0.watch(Give::copy(bell, Rights::SEND)) {
            log::error!("names does not tell of new mounts: {failure:?}");
        }
    }

    fn list(&mut self) -> Result<Vec<Line>, Failure<Error>> {
        let mut buffer = vec![0; LIST];
        let mut lines = Vec::new();
        loop {
            let reply = self.0.list(lines.len() as u32, buffer.as_mut_slice())?;
            if reply.count == 0 {
                return Ok(lines);
            }
            let mut rest = buffer.get(..reply.bytes as usize).unwrap_or_default();
            while let Some((line, after)) = line(rest) {
                lines.push(line);
                rest = after;
            }
        }
    }

    /// Brings the programs' mounts up to date.
    pub(crate) fn refresh(&mut self, shared: &'static Shared) {
        let lines = match self.list() {
            Ok(lines) => lines,
            Err(failure) => return log::error!("the table of names can't be read: {failure:?}"),
        };
        // /dev and what is in it are the personality's own.
        for (generation, prefix) in lines.iter().filter(|(_, p)| p.len() > 1 && !p.starts_with(b"/dev")) {
            let known = shared.servers.lock().iter().any(|m| m.prefix == *prefix && m.generation == *generation);
            if !known {
                self.add(shared, *generation, prefix);
            }
        }
    }

    fn add(&mut self, shared: &'static Shared, generation: u64, prefix: &[u8]) {
        let server = match self.0.resolve(prefix) {
            Ok(reply) => reply.server,
            Err(failure) => return log::error!("{}: {failure:?}", prefix.escape_ascii()),
        };
        // One per server that was ever mounted: calls may be under way at the old one.
        let pool: &'static Pool = Box::leak(Box::new(Pool::new(server)));
        let mut servers = shared.servers.lock();
        if let Some(mounted) = servers.iter_mut().find(|m| m.prefix == prefix) {
            (mounted.generation, mounted.pool) = (generation, pool);
            return;
        }
        let id = ServerId(servers.len() as u64);
        servers.push(Mounted { prefix: prefix.to_vec(), generation, pool });
        drop(servers);
        mount(&mut shared.core.lock(), prefix, MountKind::Remote(id));
    }
}

fn line(bytes: &[u8]) -> Option<(Line, &[u8])> {
    let (head, rest) = bytes.split_at_checked(ENTRY_HEAD)?;
    let generation = u64::from_le_bytes(head.get(..8)?.try_into().ok()?);
    let length = u16::from_le_bytes(head.get(8..10)?.try_into().ok()?);
    let (prefix, after) = rest.split_at_checked(usize::from(length))?;
    Some(((generation, prefix.to_vec()), after))
}

/// Mounts, and makes the folders on the way; what goes wrong is logged.
pub(crate) fn mount(core: &mut Core, path: &[u8], kind: MountKind) {
    let Core { linux, machine } = core;
    let result = linux.with_files(machine, |vfs, ctx| {
        let ends = path.iter().enumerate().skip(1).filter(|(_, b)| **b == b'/').map(|(i, _)| i);
        for end in ends.chain([path.len()]) {
            match vfs.mkdir(ctx, AT_FDCWD, path.get(..end).unwrap_or_default(), 0o755) {
                Ok(_) | Err(sal_vfs::Errno::EEXIST) => {}
                Err(error) => return Err(error),
            }
        }
        let source: &[u8] = match kind {
            MountKind::Dev => b"devtmpfs",
            MountKind::Proc => b"proc",
            _ => path,
        };
        vfs.mount(ctx, source, path, kind).map(drop)
    });
    if let Ok(Err(error)) = result {
        log::error!("mounting {}: {error:?}", path.escape_ascii());
    }
}
