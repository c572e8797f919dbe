//! Files, folders, links, and where the program stands.

use crate::{Check, Verdict, io, same};
use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, IoSlice, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

pub(crate) const CHECKS: &[Check] = &[
    ("fs/write-read", write_read),
    ("fs/seek", seek),
    ("fs/append", append),
    ("fs/at-offset", at_offset),
    ("fs/vectored", vectored),
    ("fs/buffered-lines", lines),
    ("fs/set-length", set_length),
    ("fs/create-new", create_new),
    ("fs/folders", folders),
    ("fs/rename-remove", rename_remove),
    ("fs/links", links),
    ("fs/permissions", permissions),
    ("fs/times", times),
    ("fs/copy", copy),
    ("fs/canonicalize", canonicalize),
    ("fs/errors", errors),
    ("fs/lock", lock),
    ("fs/unlinked-file-lives", unlinked),
    ("env/variables", variables),
    ("env/current-folder", current_folder),
    ("env/program", program),
];

/// A fresh folder of this name.
fn folder(name: &str) -> Result<PathBuf, String> {
    let folder = env::temp_dir().join(format!("std-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).map_err(io)?;
    Ok(folder)
}

/// Runs a check in a fresh folder, which is removed behind it.
fn in_folder(name: &str, check: impl FnOnce(&Path) -> std::io::Result<Verdict>) -> Verdict {
    let folder = folder(name)?;
    let verdict = check(&folder).map_err(io)?;
    fs::remove_dir_all(&folder).map_err(io)?;
    verdict
}

fn write_read() -> Verdict {
    in_folder("write-read", |folder| {
        let bytes = (0..300_000u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>();
        let file = folder.join("f");
        fs::write(&file, &bytes)?;
        let size = fs::metadata(&file)?.len();
        Ok(same((size, fs::read(&file)? == bytes), (1_200_000, true)))
    })
}

fn seek() -> Verdict {
    in_folder("seek", |folder| {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(folder.join("f"))?;
        file.write_all(b"0123456789")?;
        file.seek(SeekFrom::Start(3))?;
        file.write_all(b"abc")?;
        file.seek(SeekFrom::End(12))?;
        file.write_all(b"!")?;
        let mut text = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut text)?;
        Ok(same((text, file.stream_position()?), (b"012abc6789\0\0\0\0\0\0\0\0\0\0\0\0!".to_vec(), 23)))
    })
}

fn append() -> Verdict {
    in_folder("append", |folder| {
        let file = folder.join("f");
        for word in ["a", "b", "c"] {
            OpenOptions::new().append(true).create(true).open(&file)?.write_all(word.as_bytes())?;
        }
        Ok(same(fs::read_to_string(&file)?, "abc".into()))
    })
}

fn at_offset() -> Verdict {
    in_folder("at-offset", |folder| {
        let file = File::create_new(folder.join("f"))?;
        file.write_all_at(b"world", 5)?;
        file.write_all_at(b"hello", 0)?;
        let file = File::open(folder.join("f"))?;
        let mut piece = [0; 4];
        file.read_exact_at(&mut piece, 3)?;
        Ok(same(&piece, b"lowo"))
    })
}

fn vectored() -> Verdict {
    in_folder("vectored", |folder| {
        let mut file = File::create(folder.join("f"))?;
        let count = file.write_vectored(&[IoSlice::new(b"one "), IoSlice::new(b""), IoSlice::new(b"two")])?;
        file.sync_all()?;
        Ok(same((count, fs::read_to_string(folder.join("f"))?), (7, "one two".into())))
    })
}

fn lines() -> Verdict {
    in_folder("lines", |folder| {
        let text = (0..5000).map(|n| format!("line {n}\n")).collect::<String>();
        fs::write(folder.join("f"), text)?;
        let lines = BufReader::new(File::open(folder.join("f"))?).lines();
        let last = lines.map_while(Result::ok).last();
        Ok(same(last, Some("line 4999".into())))
    })
}

fn set_length() -> Verdict {
    in_folder("set-length", |folder| {
        let file = File::create(folder.join("f"))?;
        (&file).write_all(b"hello")?;
        file.set_len(2)?;
        file.set_len(4)?;
        Ok(same(fs::read(folder.join("f"))?, b"he\0\0".to_vec()))
    })
}

fn create_new() -> Verdict {
    in_folder("create-new", |folder| {
        File::create_new(folder.join("f"))?;
        let again = File::create_new(folder.join("f")).err().map(|error| error.kind());
        Ok(same(again, Some(ErrorKind::AlreadyExists)))
    })
}

fn folders() -> Verdict {
    in_folder("folders", |folder| {
        fs::create_dir_all(folder.join("a/b/c"))?;
        for n in 0..300 {
            File::create(folder.join(format!("a/file-{n:03}")))?;
        }
        let entries = fs::read_dir(folder.join("a"))?.map(|entry| entry.map(|entry| entry.file_name()));
        let mut names = entries.collect::<std::io::Result<Vec<_>>>()?;
        names.sort();
        let kind = fs::read_dir(folder)?.next().transpose()?.map(|entry| entry.file_type().map(|kind| kind.is_dir()));
        fs::remove_dir_all(folder.join("a"))?;
        let (count, first) = (names.len(), names[0] == "b");
        Ok(same((count, first, kind.transpose()?, folder.join("a").exists()), (301, true, Some(true), false)))
    })
}

fn rename_remove() -> Verdict {
    in_folder("rename-remove", |folder| {
        fs::write(folder.join("a"), "a")?;
        fs::write(folder.join("b"), "b")?;
        fs::rename(folder.join("a"), folder.join("b"))?;
        let left = (folder.join("a").exists(), fs::read_to_string(folder.join("b"))?);
        fs::remove_file(folder.join("b"))?;
        Ok(same((left, folder.join("b").exists()), ((false, "a".into()), false)))
    })
}

fn links() -> Verdict {
    in_folder("links", |folder| {
        fs::write(folder.join("f"), "text")?;
        symlink("f", folder.join("s"))?;
        fs::hard_link(folder.join("f"), folder.join("h"))?;
        let found = fs::symlink_metadata(folder.join("s"))?.is_symlink();
        let (target, links) = (fs::read_link(folder.join("s"))?, fs::metadata(folder.join("s"))?.nlink());
        Ok(same((found, target, links), (true, PathBuf::from("f"), 2)))
    })
}

fn permissions() -> Verdict {
    in_folder("permissions", |folder| {
        let path = folder.join("f");
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        let first = fs::metadata(&path)?.permissions().mode() & 0o777;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o444))?;
        let second = fs::metadata(&path)?.permissions();
        Ok(same((first, second.mode() & 0o777, second.readonly()), (0o600, 0o444, true)))
    })
}

fn times() -> Verdict {
    in_folder("times", |folder| {
        let file = File::create(folder.join("f"))?;
        let when = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_000_000);
        file.set_modified(when)?;
        Ok(same(file.metadata()?.modified()?, when))
    })
}

fn copy() -> Verdict {
    in_folder("copy", |folder| {
        let bytes = (0..200_000u32).map(|n| (n * 7) as u8).collect::<Vec<_>>();
        fs::write(folder.join("f"), &bytes)?;
        let count = fs::copy(folder.join("f"), folder.join("g"))?;
        Ok(same((count, fs::read(folder.join("g"))? == bytes), (200_000, true)))
    })
}

fn canonicalize() -> Verdict {
    in_folder("canonicalize", |folder| {
        fs::create_dir(folder.join("a"))?;
        symlink("a", folder.join("l"))?;
        let path = fs::canonicalize(folder.join("l/../a/."))?;
        Ok(same(path, fs::canonicalize(folder)?.join("a")))
    })
}

fn errors() -> Verdict {
    in_folder("errors", |folder| {
        let kind = |result: std::io::Result<File>| result.err().map(|error| error.kind());
        let missing = kind(File::open(folder.join("nowhere")));
        fs::write(folder.join("f"), "")?;
        let through_file = kind(File::open(folder.join("f/x")));
        let folder_as_file = fs::write(folder, "").err().map(|error| error.kind());
        let not_empty = fs::remove_dir(folder).err().map(|error| error.kind());
        let want = (Some(ErrorKind::NotFound), Some(ErrorKind::NotADirectory));
        let more = (Some(ErrorKind::IsADirectory), Some(ErrorKind::DirectoryNotEmpty));
        Ok(same(((missing, through_file), (folder_as_file, not_empty)), (want, more)))
    })
}

fn lock() -> Verdict {
    in_folder("lock", |folder| {
        let first = File::create(folder.join("f"))?;
        first.lock()?;
        let second = File::open(folder.join("f"))?;
        let held = second.try_lock().is_err();
        first.unlock()?;
        Ok(same((held, second.try_lock().is_ok()), (true, true)))
    })
}

fn unlinked() -> Verdict {
    in_folder("unlinked", |folder| {
        fs::write(folder.join("f"), "still here")?;
        let mut file = File::open(folder.join("f"))?;
        fs::remove_file(folder.join("f"))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        Ok(same((text, file.metadata()?.nlink()), ("still here".into(), 0)))
    })
}

fn variables() -> Verdict {
    let path = env::var_os("PATH").is_some();
    let all = env::vars_os().count() > 0;
    same((path, all, env::var("NO_SUCH_VARIABLE").is_err()), (true, true, true))
}

fn current_folder() -> Verdict {
    let before = env::current_dir().map_err(io)?;
    env::set_current_dir("/").map_err(io)?;
    let root = env::current_dir().map_err(io)?;
    env::set_current_dir(&before).map_err(io)?;
    same((root, env::current_dir().map_err(io)?), (PathBuf::from("/"), before))
}

fn program() -> Verdict {
    let own = env::current_exe().map_err(io)?;
    let cores = std::thread::available_parallelism().map_err(io)?.get();
    let real = fs::metadata(&own).map_err(io)?.len() > 100_000;
    same((real, cores >= 1, env::args().count()), (true, true, 1))
}
