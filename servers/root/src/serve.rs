//! The supervisor's calls.

use sal_abi::boot::ProcessState;
use sal_abi::{Error as KernelError, Rights};
use sal_bootimage::Name;
use sal_idl::{Call, Stop, Word};
use sal_load::Running;
use sal_load::{NAME, Row, What, name, text};
use sal_proto::estate::{
    Error, GrantKind, Report, Server, describe, fail, grant, kill, power_off, read, report, signal, spawn,
};
use sal_proto::service::{COMMITS, PLACE, Place, REQUEST_BADGE, REQUEST_WORD};
use sal_sys::{ipc, machine, memory, process};
use zerocopy::IntoBytes;

use crate::entry::{Entry, Means, Shape, Table};

/// Everything that the root task has.
pub(crate) struct Root {
    pub(crate) means: Means,
    pub(crate) table: Table,
}

type Answer<T> = Result<T, Stop<Error>>;

/// The supervisor's error for the kernel's.
fn blame(error: KernelError) -> Stop<Error> {
    Stop::Error(match error {
        KernelError::NoBudget | KernelError::TableFull => Error::NoResources,
        KernelError::BadArgument => Error::BadArgument,
        _ => Error::Kernel,
    })
}

impl Root {
    fn entry(&mut self, i: u16) -> Answer<&mut Entry> {
        self.table.get_mut(usize::from(i)).and_then(Option::as_mut).ok_or(Stop::Error(Error::NotFound))
    }

    /// The object that a grant names, and with which rights and badge it is given.
    fn row(&mut self, to: u16, field: [u8; 24], a: &grant::Arguments) -> Answer<Row> {
        let from = |endpoint, rights, badge| What::Capability(endpoint, rights, badge);
        let what = match a.kind {
            GrantKind::Log => from(self.means.log, Rights(a.rights), 0),
            GrantKind::Service => {
                let pass_on = if a.b == 1 { Rights::TRANSFER } else { Rights::NONE };
                from(self.entry(number(a.a)?)?.endpoint, Rights::SEND.or(pass_on), u64::from(to) + 1)
            }
            GrantKind::Mount => {
                from(self.entry(number(a.a)?)?.endpoint, Rights::SEND.or(Rights::BADGE).or(Rights::TRANSFER), 0)
            }
            GrantKind::Ports => {
                let count = a.b.checked_sub(a.a).ok_or(Stop::Error(Error::BadArgument))? + 1;
                let ports = machine::ports_narrow(self.means.ports, number(a.a)?, count).map_err(blame)?;
                from(ports, Rights::READ.or(Rights::WRITE), 0)
            }
            GrantKind::Interrupt => {
                from(machine::interrupt_narrow(self.means.interrupts, a.a).map_err(blame)?, Rights::ALL, 0)
            }
            GrantKind::Module => self.module(&field)?,
            GrantKind::Heartbeat => from(self.entry(to)?.notice, Rights::SEND, 0),
        };
        Ok(Row { name: field, what })
    }

    /// Where in the boot image the module lies that a grant's name, `module:NAME`, names.
    fn module(&self, field: &[u8; NAME]) -> Answer<What> {
        let wanted = text(field).strip_prefix("module:");
        if wanted == Some(sal_manifest::grant::COMMAND_LINE) {
            return Ok(What::Capability(self.means.command_line, Rights::READ, 0));
        }
        let wanted = wanted.and_then(Name::new);
        let found = self.means.image.modules().find(|m| Some(m.name) == wanted);
        found.map(|m| What::Module(m.offset, m.bytes.len() as u64)).ok_or(Stop::Error(Error::NoProgram))
    }
}

fn number(n: u64) -> Answer<u16> {
    u16::try_from(n).map_err(|_| Stop::Error(Error::BadArgument))
}

impl Server for Root {
    fn describe(&mut self, call: &mut Call<'_>, a: describe::Arguments) -> Answer<describe::Results> {
        let mut buffer = [0; NAME];
        let program = call.read_all(a.program, &mut buffer)?.ok_or(Stop::Error(Error::BadArgument))?;
        let shape = Shape {
            program: name(program),
            memory_kib: a.memory_kib,
            vault_kib: a.vault_kib,
            priority: a.priority,
            threads: a.threads,
            flags: a.flags,
        };
        let place = self.table.get_mut(usize::from(a.entry)).ok_or(Stop::Error(Error::NotFound))?;
        match place {
            Some(entry) if entry.shape == shape => (),
            Some(_) => return Err(Stop::Error(Error::Differs)),
            None => *place = Some(Entry::new(&self.means, u64::from(a.entry), shape).map_err(blame)?),
        }
        Ok(describe::Results {})
    }

    fn grant(&mut self, call: &mut Call<'_>, a: grant::Arguments) -> Answer<grant::Results> {
        let mut buffer = [0; NAME];
        let field = name(call.read_all(a.name, &mut buffer)?.ok_or(Stop::Error(Error::BadArgument))?);
        if !self.entry(a.entry)?.rows.iter().flatten().any(|r| r.name == field) {
            let row = self.row(a.entry, field, &a)?;
            self.entry(a.entry)?.add(row).map_err(blame)?;
        }
        Ok(grant::Results {})
    }

    fn spawn(&mut self, _: &mut Call<'_>, a: spawn::Arguments) -> Answer<spawn::Results> {
        let newest = self.entry(a.entry)?.incarnation;
        if a.incarnation < newest {
            return Err(Stop::Error(Error::WrongIncarnation));
        }
        let entry = self.table.get_mut(usize::from(a.entry)).and_then(Option::as_mut);
        if let Some(entry) = entry.filter(|e| e.incarnation != a.incarnation) {
            entry.spawn(&mut self.means, a.incarnation, (a.poison_badge, a.poison_word)).map_err(blame)?;
        }
        Ok(spawn::Results {})
    }

    fn kill(&mut self, _: &mut Call<'_>, a: kill::Arguments) -> Answer<kill::Results> {
        let entry = self.entry(a.entry)?;
        if entry.incarnation == a.incarnation && !entry.running.process.is_none() {
            process::kill(entry.running.process, a.reason).map_err(blame)?;
        }
        Ok(kill::Results {})
    }

    fn report(&mut self, call: &mut Call<'_>, a: report::Arguments) -> Answer<report::Results> {
        let about = report_on(self.entry(a.entry)?).map_err(blame)?;
        call.write(a.report, 0, about.as_bytes())?;
        Ok(report::Results {})
    }

    fn read(&mut self, call: &mut Call<'_>, a: read::Arguments) -> Answer<read::Results> {
        let entry = self.entry(a.entry)?;
        if entry.incarnation != a.incarnation || entry.running.space.is_none() {
            return Err(Stop::Error(Error::WrongIncarnation));
        }
        let mut buffer = [0; 256];
        let length = (a.to.length as usize).min(buffer.len());
        let place = buffer.get_mut(..length).unwrap_or(&mut []);
        let count = memory::space_read(entry.running.space, a.address, place).unwrap_or(0);
        call.write(a.to, 0, buffer.get(..count).unwrap_or(&[]))?;
        Ok(read::Results { count: count as u32 })
    }

    fn fail(&mut self, _: &mut Call<'_>, a: fail::Arguments) -> Answer<fail::Results> {
        ipc::fail(self.entry(a.entry)?.endpoint, a.code).map_err(blame)?;
        Ok(fail::Results {})
    }

    fn signal(&mut self, _: &mut Call<'_>, a: signal::Arguments) -> Answer<signal::Results> {
        ipc::notify(self.entry(a.entry)?.signal, a.bits).map_err(blame)?;
        Ok(signal::Results {})
    }

    fn power_off(&mut self, _: &mut Call<'_>, a: power_off::Arguments) -> Answer<power_off::Results> {
        machine::power_off(self.means.log, u64::from(a.status)).map_err(blame)?;
        Ok(power_off::Results {})
    }
}

/// `ThreadInfo`'s state of a thread whose call is queued or served.
const IN_A_CALL: u64 = 1;

/// State of the newest incarnation, and of the endpoint.
fn report_on(entry: &Entry) -> Result<Report, KernelError> {
    let at = ipc::endpoint_info(entry.endpoint)?;
    let mut report = Report {
        incarnation: entry.incarnation,
        image: entry.running.image,
        queued: at.queued as u32,
        receiving: at.receiving as u32,
        oldest_ns: at.oldest,
        ..Report::default()
    };
    if entry.running.process.is_none() {
        return Ok(report);
    }
    let info = process::process_info(entry.running.process)?;
    report.blocked = u32::from(process::thread_info(entry.running.thread).is_ok_and(|t| t.state == IN_A_CALL));
    report.alive = u32::from(info.state == ProcessState::Alive as u64);
    (report.reason, report.fault, report.cpu_ns) = (info.reason, info.fault, info.cpu);
    report.registers = [info.rip, info.rsp, info.rbp];
    if report.alive == 0 {
        report.request_badge = entry.running.user_word(REQUEST_BADGE);
        report.request_word = entry.running.user_word(REQUEST_WORD);
        report.place = place(&entry.running) as u32;
    }
    Ok(report)
}

/// What a dead process was at.
pub(crate) fn place(running: &Running) -> Place {
    let said = Place::get(running.user_word(PLACE)).unwrap_or(Place::Adoption);
    let commits = running.user_word(COMMITS);
    let committing = commits != 0 && running.word_at(commits) != 0;
    match said {
        Place::Request | Place::Notice if committing => Place::Commit,
        other => other,
    }
}
