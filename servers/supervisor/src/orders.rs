//! The interface `supervisor`: the same as `/svc`, by name, for services that were granted it.

use alloc::format;
use sal_idl::{Call, ReadLoan, Stop};
use sal_proto::supervisor::*;
use sal_supervise::files::File;
use sal_supervise::state::{COUNTER_NAME, RECOVERIES};
use sal_supervise::world::World;
use sal_sys::machine::clock;

use crate::watch::Watch;

type Answer<T> = Result<T, Stop<Error>>;

impl Watch {
    fn by_name(&self, call: &mut Call<'_>, name: ReadLoan) -> Answer<usize> {
        let mut buffer = [0; 24];
        let name = call.read_all(name, &mut buffer)?.and_then(|bytes| core::str::from_utf8(bytes).ok());
        let found = name.and_then(|name| self.supervisor.manifest().find(name));
        Ok(found.map(|(i, _)| i).ok_or(Error::NotFound)?)
    }
}

impl Server for Watch {
    /// One slot for all: an order that is carried out twice is the same as once.
    fn open_slot(&mut self, _: u64) -> Option<u16> {
        Some(1)
    }

    fn control(&mut self, call: &mut Call<'_>, a: control::Arguments) -> Answer<control::Results> {
        let i = self.by_name(call, a.name)?;
        let word = format!("{:?}", a.command).to_lowercase();
        let done = self.supervisor.control(&mut self.outside, clock(), i, word.as_bytes());
        done.map_err(|_| Error::Refused)?;
        Ok(control::Results {})
    }

    fn status(&mut self, call: &mut Call<'_>, a: status::Arguments) -> Answer<status::Results> {
        let i = self.by_name(call, a.name)?;
        let mut text = [0; 512];
        let length = self.supervisor.read(&self.symbols, i, File::Status, 0, &mut text);
        let room = length.min(a.text.length as usize);
        call.write(a.text, 0, text.get(..room).unwrap_or(&[]))?;
        Ok(status::Results { length: length as u32 })
    }

    fn counters(&mut self, call: &mut Call<'_>, a: counters::Arguments) -> Answer<counters::Results> {
        let i = self.by_name(call, a.name)?;
        let s = self.supervisor.state().services.get(i).ok_or(Error::NotFound)?;
        let last = (s.recovered as usize).checked_sub(1).map(|n| n % RECOVERIES);
        Ok(counters::Results {
            incarnation: s.incarnation,
            crashes: s.crashes,
            kills: s.kills,
            recovered: s.recovered,
            last_us: last.and_then(|n| s.recoveries.get(n)).copied().unwrap_or(0),
        })
    }

    /// A service's badge is its place in the manifest and 1.
    fn count(&mut self, call: &mut Call<'_>, a: count::Arguments) -> Answer<count::Results> {
        let i = (call.badge as usize).checked_sub(1).ok_or(Error::NotAllowed)?;
        let mut buffer = [0; COUNTER_NAME];
        let name = call.read_all(a.name, &mut buffer)?.ok_or(Error::Full)?;
        self.supervisor.count(&mut self.outside, i, name, a.value).map_err(|_| Error::Full)?;
        Ok(count::Results {})
    }

    fn power_off(&mut self, _: &mut Call<'_>, a: power_off::Arguments) -> Answer<power_off::Results> {
        self.outside.power_off(u64::from(a.status));
        Ok(power_off::Results {})
    }
}
