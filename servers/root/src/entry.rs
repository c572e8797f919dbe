//! The estate's table: one entry per service, everything that outlives an incarnation.

use sal_abi::boot::GRANTS;
use sal_abi::{Error, Handle, PAGE, Rights};
use sal_bootimage::Image;
use sal_manifest::SERVICES;
use sal_proto::estate::flags::WIRED;
use sal_proto::service::SIGNAL_BADGE;
use sal_sys::process::Purpose;
use sal_sys::{capability, ipc, memory, process};

use crate::raw;

/// Grants of one entry; those that every service has come on top.
const ROWS: usize = 40;
const _: () = assert!(ROWS + 16 <= GRANTS);

/// Frames that a start takes beside the program's writable part: the whole stack (62), message page, start-up page, page tables,
/// objects.
const START_FRAMES: u64 = 96;

/// A grant that each incarnation gets.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) name: [u8; 24],
    pub(crate) handle: Handle,
    pub(crate) rights: Rights,
    pub(crate) badge: u64,
    /// For a module: where in the boot image, and how long. Then nothing but a mapping is granted.
    pub(crate) module: Option<(u64, u64)>,
}

/// What `describe` says, to be compared when it is repeated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) program: [u8; 24],
    pub(crate) memory_kib: u32,
    pub(crate) vault_kib: u32,
    pub(crate) priority: u8,
    pub(crate) threads: u16,
    pub(crate) flags: u32,
}

/// One service.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) shape: Shape,
    /// What the service spends.
    pub(crate) budget: Handle,
    /// What one start of it takes: the dead incarnation gives it back, so the next start finds it.
    pub(crate) start_budget: Handle,
    pub(crate) endpoint: Handle,
    /// Raised at the supervisor's endpoint: by the service (heartbeat) and by the kernel (death).
    pub(crate) notice: Handle,
    /// Raised at the service's endpoint, by the supervisor's order.
    pub(crate) signal: Handle,
    pub(crate) vault: Handle,
    /// Capabilities that outlive the service.
    pub(crate) table: Handle,
    pub(crate) rows: [Option<Row>; ROWS],
    pub(crate) incarnation: u32,
    pub(crate) space: Handle,
    pub(crate) process: Handle,
    pub(crate) thread: Handle,
    pub(crate) image: u64,
    pub(crate) message_page: u64,
}

/// Of what everything is made.
pub(crate) struct Means {
    pub(crate) image: Image<'static>,
    pub(crate) image_memory: Handle,
    pub(crate) space: Handle,
    pub(crate) budget: Handle,
    pub(crate) log: Handle,
    pub(crate) ports: Handle,
    pub(crate) interrupts: Handle,
    /// The root task's own endpoint.
    pub(crate) endpoint: Handle,
    /// The supervisor's, once there is one.
    pub(crate) supervisor: Handle,
    /// State of the generator of load addresses and seeds.
    pub(crate) random: u64,
    /// Clock and processors, from the root task's own start-up page.
    pub(crate) clock: [u64; 3],
}

impl Means {
    /// The next number of the generator (splitmix64): spreads the entropy that the kernel gave, adds none.
    pub(crate) fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.random ^ self.random >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

/// The table.
pub(crate) type Table = [Option<Entry>; SERVICES];

/// A name, cut to what a field holds.
pub(crate) fn name(text: &[u8]) -> [u8; 24] {
    let mut field = [0; 24];
    field.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
    field
}

/// The text in a field.
pub(crate) fn text(field: &[u8; 24]) -> &str {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    field
        .get(..end)
        .and_then(|bytes| core::str::from_utf8(bytes).ok())
        .unwrap_or("")
}

impl Entry {
    /// Makes what outlives the service. `index` is the badge that the supervisor sees.
    ///
    /// # Errors
    /// The kernel's; `BadArgument` if the boot image has no such program or the budget is too small to start it.
    pub(crate) fn new(means: &Means, index: u64, shape: Shape) -> Result<Entry, Error> {
        let program = means
            .image
            .program(text(&shape.program))
            .map_err(|_| Error::BadArgument)?;
        let writable = |s: &sal_bootimage::Segment<'_>| {
            s.rights.has(Rights::WRITE) || program.has_relocations(s.address, s.address + s.size)
        };
        let data: u64 = program.segments().filter(writable).map(|s| s.size / PAGE).sum();
        let frames = u64::from(shape.memory_kib) * 1024 / PAGE;
        // Page tables of what the service maps are charged to its space, so to the start's budget.
        let start = START_FRAMES + data + frames / 128;
        let own = frames
            .checked_sub(start)
            .filter(|n| *n > 0)
            .ok_or(Error::BadArgument)?;
        let vault_bytes = (u64::from(shape.vault_kib) * 1024).next_multiple_of(PAGE);
        // The vault, its table and the three objects at which it is called are paid here, once.
        let kept = capability::budget_create(means.budget, vault_bytes / PAGE + 16)?;
        let endpoint = ipc::endpoint_create(kept)?;
        let supervisor = if means.supervisor.is_none() {
            endpoint
        } else {
            means.supervisor
        };
        let listener = if index == 0 { means.endpoint } else { supervisor };
        let (vault, table) = match vault_bytes {
            0 => (Handle::NONE, Handle::NONE),
            bytes => (
                memory::memory_create(kept, bytes)?,
                process::process_create(kept, means.space, Handle::NONE, 0, Purpose::VaultTable)?,
            ),
        };
        fill(vault, vault_bytes)?;
        Ok(Entry {
            shape,
            budget: capability::budget_create(means.budget, own)?,
            start_budget: capability::budget_create(means.budget, start)?,
            endpoint,
            notice: ipc::notification_create(kept, listener, index)?,
            signal: ipc::notification_create(kept, endpoint, SIGNAL_BADGE)?,
            vault,
            table,
            rows: [None; ROWS],
            incarnation: 0,
            space: Handle::NONE,
            process: Handle::NONE,
            thread: Handle::NONE,
            image: 0,
            message_page: 0,
        })
    }

    /// Adds a grant, unless there is one of that name.
    ///
    /// # Errors
    /// `TableFull`.
    pub(crate) fn add(&mut self, row: Row) -> Result<(), Error> {
        if self.rows.iter().flatten().any(|r| r.name == row.name) {
            return Ok(());
        }
        let free = self
            .rows
            .iter_mut()
            .find(|r| r.is_none())
            .ok_or(Error::TableFull)?;
        *free = Some(row);
        Ok(())
    }

    pub(crate) fn wired(&self) -> bool {
        self.shape.flags & WIRED != 0
    }
}

/// Makes every page of a memory present, so that no later fault can find the budget spent.
///
/// # Errors
/// The kernel's.
pub(crate) fn fill(memory: Handle, bytes: u64) -> Result<(), Error> {
    (0..bytes / PAGE).try_for_each(|page| raw::write(memory, page * PAGE, &[0]))
}
