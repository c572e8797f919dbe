//! `/svc` as files: three operations on real files, the rest says what a read-only folder of text says.
//!
//! No answer is remembered: reading can be repeated, and an order carried out twice is the same as once (`Supervisor::control`).

use sal_idl::{Call, Stop};
use sal_proto::file::*;
use sal_supervise::files::{File, Node, Symbols as Names};
use sal_sys::machine::clock;
use zerocopy::IntoBytes;

use crate::watch::Watch;

/// Folders and texts, as stat(2) says it.
const FOLDER: u32 = 0o040_555;
const READABLE: u32 = 0o100_444;
const WRITABLE: u32 = 0o100_200;
/// `DT_DIR` and `DT_REG`.
const DT: [u8; 2] = [4, 8];
/// O_CREAT | O_EXCL: nothing can be created here.
const CREATE_NEW: u32 = 0o300;
/// Bytes handled in one piece: more than any of these texts has.
const PIECE: usize = 8192;

type Answer<T> = Result<T, Stop<Error>>;

/// Names of functions from the boot image's symbols.
pub(crate) struct Table(pub(crate) Option<sal_bootimage::Symbols<'static>>);

impl Names for Table {
    fn name(&self, program: &str, offset: u64) -> Option<(&str, u64)> {
        self.0.as_ref()?.find(program, offset)
    }
}

/// A file's number: service in the upper bits, file in the lower three (0: the service's folder). 0 is `/svc` itself.
fn number(node: Node) -> u64 {
    match node {
        Node::Top => 0,
        Node::Service(i) => (i as u64 + 1) << 3,
        Node::File(i, file) => {
            let place = File::NAMES.iter().position(|(_, f)| *f == file).unwrap_or(0);
            (i as u64 + 1) << 3 | (place as u64 + 1)
        }
    }
}

fn attributes(node: Node) -> Attributes {
    let mode = match node {
        Node::Top | Node::Service(_) => FOLDER,
        Node::File(_, File::Ctl) => WRITABLE,
        Node::File(..) => READABLE,
    };
    Attributes { inode: number(node) + 1, mode, links: 1, ..Attributes::default() }
}

impl Watch {
    fn at_path(&self, call: &mut Call<'_>, path: sal_idl::ReadLoan) -> Answer<Node> {
        let mut buffer = [0; 256];
        let bytes = call.read_all(path, &mut buffer)?.ok_or(Error::NameTooLong)?;
        let text = core::str::from_utf8(bytes).map_err(|_| Error::NotFound)?;
        Ok(self.supervisor.lookup(text).ok_or(Error::NotFound)?)
    }

    fn by_number(&self, file: u64) -> Answer<Node> {
        let services = self.supervisor.manifest().services.len();
        let service = (file >> 3).checked_sub(1).map(|i| i as usize).filter(|i| *i < services);
        let which = (file & 7).checked_sub(1).map(|i| File::NAMES.get(i as usize));
        match (service, which) {
            (None, None) if file == 0 => Ok(Node::Top),
            (Some(i), None) => Ok(Node::Service(i)),
            (Some(i), Some(Some((_, which)))) => Ok(Node::File(i, *which)),
            _ => Err(Stop::Error(Error::BadFile)),
        }
    }

    fn child(&self, folder: Node, name: &str) -> Option<Node> {
        match folder {
            Node::Top => self.supervisor.lookup(name),
            Node::Service(i) => File::NAMES.iter().find(|(n, _)| *n == name).map(|(_, file)| Node::File(i, *file)),
            Node::File(..) => None,
        }
    }
}

/// Operations that nothing in `/svc` takes, and what they answer.
macro_rules! refused {
    ($($op:ident: $error:ident,)*) => {
        $(fn $op(&mut self, _: &mut Call<'_>, _: $op::Arguments) -> Answer<$op::Results> {
            Err(Stop::Error(Error::$error))
        })*
    };
}

impl Server for Watch {
    /// One slot for all: no answer is kept in it.
    fn open_slot(&mut self, _: u64) -> Option<u16> {
        Some(1)
    }

    fn open(&mut self, call: &mut Call<'_>, a: open::Arguments) -> Answer<open::Results> {
        let node = self.at_path(call, a.path)?;
        if a.flags & CREATE_NEW == CREATE_NEW {
            return Err(Error::Exists.into());
        }
        call.write(a.attributes, 0, attributes(node).as_bytes())?;
        Ok(open::Results { file: number(node) })
    }

    fn close(&mut self, _: &mut Call<'_>, _: close::Arguments) -> Answer<close::Results> {
        Ok(close::Results {})
    }

    fn read(&mut self, call: &mut Call<'_>, a: read::Arguments) -> Answer<read::Results> {
        let Node::File(i, file) = self.by_number(a.file)? else {
            return Err(Error::IsADirectory.into());
        };
        let mut text = [0; PIECE];
        let room = text.get_mut(..PIECE.min(a.buffer.length as usize)).unwrap_or(&mut []);
        let count = self.supervisor.read(&self.symbols, i, file, a.offset, room);
        call.write(a.buffer, 0, room.get(..count).unwrap_or(&[]))?;
        Ok(read::Results { count: count as u32 })
    }

    fn write(&mut self, call: &mut Call<'_>, a: write::Arguments) -> Answer<write::Results> {
        let Node::File(i, File::Ctl) = self.by_number(a.file)? else {
            return Err(Error::Access.into());
        };
        let mut buffer = [0; 64];
        let text = call.read_all(a.bytes, &mut buffer)?.ok_or(Error::Invalid)?;
        let done = self.supervisor.control(&mut self.outside, clock(), i, text);
        done.map_err(|_| Error::Invalid)?;
        Ok(write::Results { count: a.bytes.length as u32 })
    }

    fn stat(&mut self, call: &mut Call<'_>, a: stat::Arguments) -> Answer<stat::Results> {
        let node = self.by_number(a.file)?;
        call.write(a.attributes, 0, attributes(node).as_bytes())?;
        Ok(stat::Results {})
    }

    fn stat_path(&mut self, call: &mut Call<'_>, a: stat_path::Arguments) -> Answer<stat_path::Results> {
        let node = self.at_path(call, a.path)?;
        call.write(a.attributes, 0, attributes(node).as_bytes())?;
        Ok(stat_path::Results {})
    }

    fn entries(&mut self, call: &mut Call<'_>, a: entries::Arguments) -> Answer<entries::Results> {
        let folder = self.by_number(a.file)?;
        if matches!(folder, Node::File(..)) {
            return Err(Error::NotADirectory.into());
        }
        let mut buffer = [0; 1024];
        let room = buffer.len().min(a.buffer.length as usize);
        let place = buffer.get_mut(..room).unwrap_or(&mut []);
        let mut used = 0;
        for index in a.cookie as usize.. {
            let Some(name) = self.supervisor.entry(folder, index) else {
                break;
            };
            let node = self.child(folder, name).ok_or(Error::Io)?;
            let kind = if matches!(node, Node::File(..)) { DT[1] } else { DT[0] };
            let entry = Entry { inode: number(node) + 1, next: index as u64 + 1, kind, name: name.as_bytes() };
            match entry.put(place, used) {
                Some(end) => used = end,
                None if used == 0 => return Err(Error::Invalid.into()),
                None => break,
            }
        }
        call.write(a.buffer, 0, place.get(..used).unwrap_or(&[]))?;
        Ok(entries::Results { bytes: used as u32 })
    }

    /// `echo kill > ctl` opens with O_TRUNC: cutting an order book changes nothing.
    fn truncate(&mut self, _: &mut Call<'_>, a: truncate::Arguments) -> Answer<truncate::Results> {
        match self.by_number(a.file)? {
            Node::File(_, File::Ctl) => Ok(truncate::Results {}),
            _ => Err(Error::Access.into()),
        }
    }

    fn truncate_path(&mut self, call: &mut Call<'_>, a: truncate_path::Arguments) -> Answer<truncate_path::Results> {
        match self.at_path(call, a.path)? {
            Node::File(_, File::Ctl) => Ok(truncate_path::Results {}),
            _ => Err(Error::Access.into()),
        }
    }

    fn sync(&mut self, _: &mut Call<'_>, _: sync::Arguments) -> Answer<sync::Results> {
        Ok(sync::Results {})
    }

    fn access(&mut self, call: &mut Call<'_>, a: access::Arguments) -> Answer<access::Results> {
        let mode = attributes(self.at_path(call, a.path)?).mode;
        // The owner's three bits, or anybody's.
        let may = mode >> 6 & 7 | mode & 7;
        if a.mask & !may & 7 != 0 {
            return Err(Error::Access.into());
        }
        Ok(access::Results {})
    }

    fn poll(&mut self, _: &mut Call<'_>, a: poll::Arguments) -> Answer<poll::Results> {
        const POLLIN: u32 = 1;
        const POLLOUT: u32 = 4;
        self.by_number(a.file)?;
        Ok(poll::Results { ready: POLLIN | POLLOUT })
    }

    fn file_system(&mut self, _: &mut Call<'_>, _: file_system::Arguments) -> Answer<file_system::Results> {
        // As /proc: a kind of its own, no blocks.
        const KIND: u64 = 0x9fa0;
        Ok(file_system::Results { kind: KIND, block: 4096, blocks: 0, free: 0, files: 0, files_free: 0, name_most: 24 })
    }

    refused! {
        make_directory: NotPermitted,
        make_node: NotPermitted,
        make_symlink: NotPermitted,
        unlink: NotPermitted,
        rename: NotPermitted,
        link: NotPermitted,
        set_mode: NotPermitted,
        set_owner: NotPermitted,
        read_link: Invalid,
        ioctl: NotATerminal,
    }
}
