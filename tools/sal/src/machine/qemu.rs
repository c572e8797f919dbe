//! QEMU: its arguments, its life. A machine that is dropped is killed; it also dies with the tool.

use crate::cli::Firmware;
use crate::host;
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

/// UEFI firmware, as Debian's `ovmf` has it.
const OVMF: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";

/// How the machine gets its kernel.
#[derive(Clone, Debug)]
pub(crate) enum Boot {
    /// QEMU loads it and starts it by its PVH note.
    Direct {
        /// ELF.
        kernel: PathBuf,
        /// The boot image.
        image: PathBuf,
        /// The kernel's command line.
        command_line: String,
    },
    /// Firmware and GRUB load it.
    Iso {
        /// The ISO file.
        file: PathBuf,
        /// Who loads it.
        firmware: Firmware,
    },
}

/// Where a debugger finds the machine, which waits for it before the first instruction.
#[derive(Clone, Debug)]
pub(crate) enum DebugServer {
    /// A TCP port of this computer.
    Port(u16),
    /// A Unix socket, made by QEMU.
    Socket(PathBuf),
}

impl DebugServer {
    /// As QEMU's `-gdb` takes it.
    fn address(&self) -> String {
        match self {
            DebugServer::Port(port) => format!("tcp:127.0.0.1:{port}"),
            DebugServer::Socket(path) => format!("unix:{},server=on,wait=off", path.display()),
        }
    }
}

/// A machine to start.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    /// How it boots.
    pub(crate) boot: Boot,
    /// Processors.
    pub(crate) smp: u32,
    /// Memory, MiB.
    pub(crate) mem: u64,
    /// A server for a debugger.
    pub(crate) debug: Option<DebugServer>,
    /// One nanosecond of virtual time per instruction?
    pub(crate) icount: bool,
}

impl Machine {
    /// QEMU's arguments.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        let mut all = Vec::new();
        let mut add = |words: &[&str]| all.extend(words.iter().map(OsString::from));
        add(&["-M", "q35", "-accel", "tcg", "-cpu", "max", "-display", "none", "-nodefaults", "-no-user-config"]);
        add(&["-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]);
        add(&["-chardev", "stdio,id=com1,signal=off", "-serial", "chardev:com1", "-monitor", "none"]);
        add(&["-smp", &self.smp.to_string(), "-m", &self.mem.to_string()]);
        if self.icount {
            add(&["-icount", "shift=0"]);
        }
        if let Some(server) = &self.debug {
            add(&["-S", "-gdb", &server.address()]);
        }
        self.add_boot(&mut all);
        all
    }

    fn add_boot(&self, all: &mut Vec<OsString>) {
        match &self.boot {
            Boot::Direct { kernel, image, command_line } => {
                all.extend(["-kernel".into(), kernel.into(), "-initrd".into(), image.into()]);
                all.extend(["-append".into(), command_line.into()]);
            }
            Boot::Iso { file, firmware } => {
                all.extend(["-cdrom".into(), file.into()]);
                if *firmware == Firmware::Uefi {
                    all.extend(["-drive".into(), format!("if=pflash,format=raw,readonly=on,file={OVMF}").into()]);
                }
            }
        }
    }

    /// Starts it.
    pub(crate) fn start(&self) -> Result<Running> {
        let qemu = host::find("qemu-system-x86_64").context("qemu-system-x86_64 is not on the PATH")?;
        // util-linux's setpriv has this computer's kernel kill QEMU when the thread that started it is gone, however it went.
        let mut command = match host::find("setpriv") {
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                command.args(["--pdeathsig", "KILL", "--"]).arg(qemu);
                command
            }
            None => Command::new(qemu),
        };
        command.args(self.arguments()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().context("cannot start QEMU")?;
        Ok(Running { child })
    }
}

/// A machine that runs. Dropping it kills it.
pub(crate) struct Running {
    child: Child,
}

impl Running {
    /// The serial line's two ends: what is written goes to the machine, what is read comes from it. Once.
    pub(crate) fn serial(&mut self) -> Option<(ChildStdin, ChildStdout)> {
        Some((self.child.stdin.take()?, self.child.stdout.take()?))
    }

    /// Where QEMU complains. Once.
    pub(crate) fn complaints(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    /// QEMU's process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) -> Result<ExitStatus> {
        // It may have ended by itself in the meantime: then there is nothing to kill.
        let _ = self.child.kill();
        Ok(self.child.wait()?)
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait()?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
