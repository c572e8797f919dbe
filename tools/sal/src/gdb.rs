//! A minimal client of GDB's remote protocol: enough to stop the machine, look into it, change it, and let it go on. Only what QEMU's
//! server needs is here ("GDB Remote Serial Protocol" in GDB's manual): packets `$data#checksum`, each acknowledged with `+`.

use anyhow::{Context, Result, anyhow, bail, ensure};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// The server answers at once, or has gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a socket that is not there yet is looked for.
const GLANCE: Duration = Duration::from_millis(5);

/// How the reply starts of a machine that stopped by itself (SIGTRAP).
const AT_BREAKPOINT: &str = "T05";

/// What stops the machine: not a packet, one byte.
const BREAK: u8 = 3;

/// A connection to a machine's debug server.
pub(crate) struct Debugger<S: Read + Write> {
    stream: S,
}

impl Debugger<UnixStream> {
    /// Connects to the server at this socket, as soon as QEMU has made it. QEMU stops the machine when somebody connects.
    pub(crate) fn connect_socket(path: &Path, limit: Duration) -> Result<Debugger<UnixStream>> {
        let start = Instant::now();
        let stream = loop {
            match UnixStream::connect(path) {
                Ok(stream) => break stream,
                Err(_) if start.elapsed() < limit => std::thread::sleep(GLANCE),
                Err(error) => return Err(error).context("cannot reach QEMU's debug server"),
            }
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut debugger = Debugger { stream };
        // QEMU answers for single registers only once it was asked to describe them.
        let description = debugger.ask("qXfer:features:read:target.xml:0,ffb")?;
        ensure!(description.starts_with(['l', 'm']), "the debug server does not describe its registers");
        Ok(debugger)
    }

    /// Lets the machine run until it stops at a breakpoint; if it does not within `limit`, stops it and returns none.
    pub(crate) fn resume_for(&mut self, limit: Duration) -> Result<Option<String>> {
        self.resume()?;
        self.stream.set_read_timeout(Some(limit))?;
        let mut first = [0];
        let read = self.stream.read(&mut first);
        self.stream.set_read_timeout(Some(PATIENCE))?;
        match read {
            Ok(1) if first == *b"$" => self.rest_of_packet().map(Some),
            Ok(_) => bail!("the debug server has gone"),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                let reply = self.stop()?;
                // It may have reached a breakpoint just before.
                Ok(Some(reply).filter(|reply| reply.starts_with(AT_BREAKPOINT)))
            }
            Err(error) => Err(error).context("the debug server does not answer"),
        }
    }
}

impl<S: Read + Write> Debugger<S> {
    /// Stops a machine that runs; returns the stop reply (`T05thread:..`).
    pub(crate) fn stop(&mut self) -> Result<String> {
        self.stream.write_all(&[BREAK])?;
        self.receive()
    }

    /// Lets the machine go on.
    pub(crate) fn resume(&mut self) -> Result<()> {
        self.send("c")
    }

    /// Lets the machine go on until it stops by itself, at a breakpoint; returns the stop reply.
    pub(crate) fn resume_until_stop(&mut self) -> Result<String> {
        self.ask("c")
    }

    /// Stops the machine before the instruction at this virtual address, whatever address space is loaded. The machine does not get past
    /// it before the breakpoint is removed.
    pub(crate) fn set_breakpoint(&mut self, address: u64) -> Result<()> {
        self.breakpoint("Z0", address)
    }

    /// Takes a breakpoint away.
    pub(crate) fn remove_breakpoint(&mut self, address: u64) -> Result<()> {
        self.breakpoint("z0", address)
    }

    fn breakpoint(&mut self, request: &str, address: u64) -> Result<()> {
        let reply = self.ask(&format!("{request},{address:x},1"))?;
        ensure!(reply == "OK", "the debug server refuses {request} at {address:#x}: {reply}");
        Ok(())
    }

    /// Lets the machine do one instruction, without interrupts or timers in it; returns the stop reply.
    pub(crate) fn step(&mut self) -> Result<String> {
        self.ask("s")
    }

    /// Chooses the processor (from 0) that registers and memory are seen from.
    pub(crate) fn select(&mut self, cpu: u32) -> Result<()> {
        // QEMU counts threads from 1.
        let reply = self.ask(&format!("Hg{:x}", cpu + 1))?;
        ensure!(reply == "OK", "no processor {cpu}: {reply}");
        Ok(())
    }

    /// A register's bytes, little-endian, by QEMU's number (x86_64: rax 0, rbx 1, rcx 2, rdx 3, rsi 4, rdi 5, rbp 6, rsp 7, r8..r15
    /// 8..15, rip 16, eflags 17).
    pub(crate) fn register(&mut self, number: u32) -> Result<u64> {
        let bytes = unhex(&self.ask(&format!("p{number:x}"))?)?;
        ensure!(!bytes.is_empty(), "no register {number}");
        let mut word = [0; 8];
        let length = bytes.len().min(8);
        word[..length].copy_from_slice(&bytes[..length]);
        Ok(u64::from_le_bytes(word))
    }

    /// Writes a register of 64 bits.
    pub(crate) fn set_register(&mut self, number: u32, value: u64) -> Result<()> {
        let reply = self.ask(&format!("P{number:x}={}", hex(&value.to_le_bytes())))?;
        ensure!(reply == "OK", "register {number} cannot be written: {reply}");
        Ok(())
    }

    /// Memory at a virtual address of the chosen processor.
    pub(crate) fn read(&mut self, address: u64, length: usize) -> Result<Vec<u8>> {
        let reply = self.ask(&format!("m{address:x},{length:x}"))?;
        unhex(&reply).with_context(|| format!("memory at {address:#x} cannot be read: {reply}"))
    }

    /// Writes memory at a virtual address.
    pub(crate) fn write(&mut self, address: u64, bytes: &[u8]) -> Result<()> {
        let reply = self.ask(&format!("M{address:x},{:x}:{}", bytes.len(), hex(bytes)))?;
        ensure!(reply == "OK", "memory at {address:#x} cannot be written: {reply}");
        Ok(())
    }

    fn ask(&mut self, request: &str) -> Result<String> {
        self.send(request)?;
        self.receive()
    }

    fn send(&mut self, data: &str) -> Result<()> {
        let packet = format!("${data}#{:02x}", checksum(data.as_bytes()));
        self.stream.write_all(packet.as_bytes())?;
        match self.byte()? {
            b'+' => Ok(()),
            other => bail!("the debug server answers {:?} to {data:?}", char::from(other)),
        }
    }

    fn receive(&mut self) -> Result<String> {
        while self.byte()? != b'$' {}
        self.rest_of_packet()
    }

    fn rest_of_packet(&mut self) -> Result<String> {
        let mut data = Vec::new();
        loop {
            match self.byte()? {
                b'#' => break,
                byte => data.push(byte),
            }
        }
        let told = String::from_utf8(vec![self.byte()?, self.byte()?])?;
        ensure!(u8::from_str_radix(&told, 16) == Ok(checksum(&data)), "the debug server's packet is damaged");
        self.stream.write_all(b"+")?;
        Ok(String::from_utf8(data)?)
    }

    fn byte(&mut self) -> Result<u8> {
        let mut byte = [0];
        self.stream.read_exact(&mut byte).context("the debug server does not answer")?;
        Ok(byte[0])
    }
}

fn checksum(data: &[u8]) -> u8 {
    data.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Result<Vec<u8>> {
    let pair = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(text, 16).ok()
    };
    let bytes = text.as_bytes().chunks(2).map(pair).collect::<Option<Vec<_>>>();
    bytes.filter(|_| text.len().is_multiple_of(2)).ok_or_else(|| anyhow!("{text:?} is not hexadecimal"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// A server whose replies are written beforehand; keeps what it is sent.
    struct Fake {
        replies: Cursor<Vec<u8>>,
        sent: Vec<u8>,
    }

    impl Read for Fake {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            self.replies.read(into)
        }
    }

    impl Write for Fake {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.sent.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn with(replies: &str) -> Debugger<Fake> {
        Debugger { stream: Fake { replies: Cursor::new(replies.into()), sent: Vec::new() } }
    }

    fn packet(data: &str) -> String {
        format!("${data}#{:02x}", checksum(data.as_bytes()))
    }

    #[test]
    fn registers_and_memory_are_read_and_written() {
        let replies = ["efcdab8967452301", "OK", "0aff", "OK"].map(|data| format!("+{}", packet(data))).concat();
        let mut debugger = with(&replies);
        assert_eq!(debugger.register(16).unwrap(), 0x0123_4567_89ab_cdef);
        debugger.set_register(16, 0x10).unwrap();
        assert_eq!(debugger.read(0xffff_8000_0000_1000, 2).unwrap(), [10, 255]);
        debugger.write(0x20, &[1, 2]).unwrap();
        let requests = ["p10", "P10=1000000000000000", "mffff800000001000,2", "M20,2:0102"];
        let expected = requests.map(|data| format!("{}+", packet(data))).concat();
        assert_eq!(String::from_utf8(debugger.stream.sent).unwrap(), expected);
    }

    #[test]
    fn a_breakpoint_is_set_reached_and_removed() {
        let replies = ["OK", "T05thread:01;", "OK"].map(|data| format!("+{}", packet(data))).concat();
        let mut debugger = with(&replies);
        debugger.set_breakpoint(0xffff_8000_0000_1000).unwrap();
        assert_eq!(debugger.resume_until_stop().unwrap(), "T05thread:01;");
        debugger.remove_breakpoint(0xffff_8000_0000_1000).unwrap();
        let requests = ["Z0,ffff800000001000,1", "c", "z0,ffff800000001000,1"];
        let expected = requests.map(|data| format!("{}+", packet(data))).concat();
        assert_eq!(String::from_utf8(debugger.stream.sent).unwrap(), expected);
    }

    #[test]
    fn refusals_and_damage_are_errors() {
        assert!(with(&format!("+{}", packet("E14"))).read(0, 4).is_err());
        assert!(with(&format!("+{}", packet("E22"))).set_register(1, 1).is_err());
        assert!(with("+$OK#00").write(0, &[0]).is_err());
        assert!(with("-").resume().is_err());
        assert!(with("").stop().is_err());
    }
}
