//! The note as a folder of three files. No answer is remembered: reading can be repeated, a write says where it goes, and leading a prefix
//! somewhere twice is the same as once.

use crate::program::Note;
use alloc::format;
use sal_idl::{Call, ReadLoan, Stop};
use sal_proto::file::*;
use zerocopy::IntoBytes;

/// The files' names; a file's number is its place here, and one more. 0 is the folder.
const NAMES: [&str; 3] = ["text", "ctl", "news"];
const FOLDER: u64 = 0;
const TEXT: u64 = 1;
const CTL: u64 = 2;
const NEWS: u64 = 3;

/// `DT_REG`.
const REGULAR: u8 = 8;

type Answer<T> = Result<T, Stop<Error>>;

impl Note {
    fn at_path(&self, call: &mut Call<'_>, path: ReadLoan) -> Answer<u64> {
        let mut buffer = [0; 64];
        let bytes = call.read_all(path, &mut buffer)?.ok_or(Error::NameTooLong)?;
        match bytes {
            b"" => Ok(FOLDER),
            name => NAMES
                .iter()
                .position(|n| n.as_bytes() == name)
                .map_or(Err(Error::NotFound.into()), |i| Ok(i as u64 + 1)),
        }
    }

    fn attributes(&self, file: u64) -> Attributes {
        let (mode, size) = match file {
            FOLDER => (0o040_755, 0),
            TEXT => (0o100_644, self.text.get().length),
            CTL => (0o100_200, 0),
            _ => (0o100_444, 0),
        };
        Attributes { inode: file + 1, mode, links: 1, size, ..Attributes::default() }
    }

    fn cut(&mut self, file: u64, size: u64) {
        if file == TEXT {
            self.text.update(|text| text.length = text.length.min(size));
        }
    }

    fn order(&mut self, text: &[u8]) -> Answer<()> {
        let words = text.trim_ascii().strip_prefix(b"lead ").ok_or(Error::Invalid)?;
        let mut words = words.splitn(2, |byte| *byte == b' ');
        let (Some(prefix), Some(path)) = (words.next(), words.next()) else { return Err(Error::Invalid.into()) };
        if self.lead(prefix, path) { Ok(()) } else { Err(Error::NotPermitted.into()) }
    }

    fn put(&mut self, offset: u64, bytes: &[u8]) -> Answer<()> {
        self.text.try_update(|text| {
            let (from, end) = (offset as usize, offset as usize + bytes.len());
            text.bytes.get_mut(from..end).ok_or(Error::TooBig)?.copy_from_slice(bytes);
            text.length = text.length.max(end as u64);
            Ok(())
        })
    }
}

/// Operations that nothing here takes, and what they answer.
macro_rules! refused {
    ($($op:ident: $error:ident,)*) => {
        $(fn $op(&mut self, _: &mut Call<'_>, _: $op::Arguments) -> Answer<$op::Results> {
            Err(Stop::Error(Error::$error))
        })*
    };
}

impl Server for Note {
    /// One slot for all: no answer is kept in it.
    fn open_slot(&mut self, _: u64) -> Option<u16> {
        Some(1)
    }

    fn open(&mut self, call: &mut Call<'_>, a: open::Arguments) -> Answer<open::Results> {
        let file = self.at_path(call, a.path)?;
        call.write(a.attributes, 0, self.attributes(file).as_bytes())?;
        Ok(open::Results { file })
    }

    fn close(&mut self, _: &mut Call<'_>, _: close::Arguments) -> Answer<close::Results> {
        Ok(close::Results {})
    }

    fn read(&mut self, call: &mut Call<'_>, a: read::Arguments) -> Answer<read::Results> {
        let news = format!("{}\n", self.news);
        let text = self.text.get();
        let all = match a.file {
            TEXT => text.bytes.get(..text.length as usize).unwrap_or(&[]),
            NEWS => news.as_bytes(),
            _ => return Err(Error::BadFile.into()),
        };
        let rest = all.get(a.offset as usize..).unwrap_or(&[]);
        let part = rest.get(..rest.len().min(a.buffer.length as usize)).unwrap_or(&[]);
        call.write(a.buffer, 0, part)?;
        Ok(read::Results { count: part.len() as u32 })
    }

    fn write(&mut self, call: &mut Call<'_>, a: write::Arguments) -> Answer<write::Results> {
        let mut buffer = [0; 256];
        let bytes = call.read_all(a.bytes, &mut buffer)?.ok_or(Error::TooBig)?;
        match a.file {
            TEXT => self.put(a.offset, bytes)?,
            CTL => self.order(bytes)?,
            _ => return Err(Error::Access.into()),
        }
        Ok(write::Results { count: bytes.len() as u32 })
    }

    fn stat(&mut self, call: &mut Call<'_>, a: stat::Arguments) -> Answer<stat::Results> {
        call.write(a.attributes, 0, self.attributes(a.file).as_bytes())?;
        Ok(stat::Results {})
    }

    fn stat_path(&mut self, call: &mut Call<'_>, a: stat_path::Arguments) -> Answer<stat_path::Results> {
        let file = self.at_path(call, a.path)?;
        call.write(a.attributes, 0, self.attributes(file).as_bytes())?;
        Ok(stat_path::Results {})
    }

    fn truncate(&mut self, _: &mut Call<'_>, a: truncate::Arguments) -> Answer<truncate::Results> {
        self.cut(a.file, a.size);
        Ok(truncate::Results {})
    }

    fn truncate_path(&mut self, call: &mut Call<'_>, a: truncate_path::Arguments) -> Answer<truncate_path::Results> {
        let file = self.at_path(call, a.path)?;
        self.cut(file, a.size);
        Ok(truncate_path::Results {})
    }

    fn entries(&mut self, call: &mut Call<'_>, a: entries::Arguments) -> Answer<entries::Results> {
        let mut buffer = [0; 256];
        let room = buffer.len().min(a.buffer.length as usize);
        let place = buffer.get_mut(..room).unwrap_or(&mut []);
        let mut used = 0;
        for (index, name) in NAMES.iter().enumerate().skip(a.cookie as usize) {
            let number = index as u64 + 1;
            let entry = Entry { inode: number + 1, next: number, kind: REGULAR, name: name.as_bytes() };
            match entry.put(place, used) {
                Some(end) => used = end,
                None if used == 0 => return Err(Error::Invalid.into()),
                None => break,
            }
        }
        call.write(a.buffer, 0, place.get(..used).unwrap_or(&[]))?;
        Ok(entries::Results { bytes: used as u32 })
    }

    fn sync(&mut self, _: &mut Call<'_>, _: sync::Arguments) -> Answer<sync::Results> {
        Ok(sync::Results {})
    }

    fn access(&mut self, call: &mut Call<'_>, a: access::Arguments) -> Answer<access::Results> {
        self.at_path(call, a.path)?;
        Ok(access::Results {})
    }

    refused! {
        poll: NotSupported,
        file_system: NotSupported,
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
