//! The machine's log: the kernel's raw text and the services' lines, kept for error messages and written to `--log FILE`.

use anyhow::{Context, Result};
use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Lines that are kept.
const KEPT: usize = 20_000;

/// A line is written at the latest when it has so many bytes.
const LINE: usize = 4096;

/// Where text on the log comes from; lines of the two never mix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// Bytes outside frames.
    Kernel,
    /// The log channel.
    Services,
}

/// The log.
#[derive(Default)]
pub(crate) struct Log {
    kept: VecDeque<String>,
    file: Option<File>,
    partial: [Vec<u8>; 2],
}

impl Log {
    /// A log that also goes to that file.
    pub(crate) fn open(file: Option<&Path>) -> Result<Log> {
        let create =
            |file: &Path| File::create(file).with_context(|| format!("--log: cannot write {}", file.display()));
        Ok(Log { file: file.map(create).transpose()?, ..Log::default() })
    }

    /// Takes a byte of text.
    pub(crate) fn push(&mut self, source: Source, byte: u8) {
        let partial = &mut self.partial[source as usize];
        match byte {
            b'\n' => self.end_line(source),
            b'\r' => {}
            _ => {
                partial.push(byte);
                if partial.len() == LINE {
                    self.end_line(source);
                }
            }
        }
    }

    fn end_line(&mut self, source: Source) {
        let line = std::mem::take(&mut self.partial[source as usize]);
        if let Some(file) = &mut self.file {
            // A log that can't be written (a full disk) must not end the program that runs.
            let _ = file.write_all(&line).and_then(|()| file.write_all(b"\n"));
        }
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(String::from_utf8_lossy(&line).into_owned());
    }

    /// Ends lines that have begun.
    pub(crate) fn finish(&mut self) {
        for source in [Source::Kernel, Source::Services] {
            if !self.partial[source as usize].is_empty() {
                self.end_line(source);
            }
        }
    }

    /// All lines that are kept.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        self.kept.iter().map(String::as_str)
    }

    /// The last lines that are not blank.
    pub(crate) fn last(&self, count: usize) -> Vec<&str> {
        let told = self.kept.iter().map(String::as_str).filter(|line| !line.trim().is_empty());
        let told = told.collect::<Vec<_>>();
        told[told.len().saturating_sub(count)..].to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_two_sources_do_not_mix() {
        let mut log = Log::default();
        for (kernel, service) in b"ab\nc".iter().zip(b"x\r\nyz") {
            log.push(Source::Kernel, *kernel);
            log.push(Source::Services, *service);
        }
        log.finish();
        assert_eq!(log.last(10), ["ab", "x", "c", "y"]);
        assert_eq!(log.last(2), ["c", "y"]);
    }
}
