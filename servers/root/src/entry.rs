//! The estate's table: one entry per service, everything that outlives an incarnation.

use sal_abi::boot::GRANTS;
use sal_abi::{Error, Handle, PAGE, Rights};
use sal_bootimage::Image;
use sal_load::{Random, Row, Running, Spec, What, fill, text};
use sal_manifest::SERVICES;
use sal_proto::estate::flags::{OWN_PRIORITY, WIRED};
use sal_proto::service::{POISON, PREDECESSOR, PREDECESSOR_PLACE, SIGNAL_BADGE, TABLE, answer::DEATH};
use sal_sys::process::Purpose;
use sal_sys::{capability, ipc, memory, process};

/// Grants of one entry; those that every service has come on top.
const ROWS: usize = 40;
const _: () = assert!(ROWS + 16 <= GRANTS);

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
    pub(crate) running: Running,
    /// What the next incarnation is told of this one's death: the supervisor, who can't look at it.
    pub(crate) died: Option<Died>,
}

/// A death, for the successor.
#[derive(Clone, Copy)]
pub(crate) struct Died {
    pub(crate) reason: u64,
    pub(crate) at: u64,
    pub(crate) place: u64,
    /// Instruction pointer relative to the image.
    pub(crate) offset: u64,
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
    /// The machine's command line.
    pub(crate) command_line: Handle,
    /// The root task's own endpoint.
    pub(crate) endpoint: Handle,
    /// The supervisor's, once there is one.
    pub(crate) supervisor: Handle,
    /// State of the generator of load addresses and seeds.
    pub(crate) random: Random,
    /// Clock and processors, from the root task's own start-up page.
    pub(crate) clock: [u64; 3],
}

/// The table.
pub(crate) type Table = [Option<Entry>; SERVICES];

impl Entry {
    /// Makes what outlives the service. `index` is the badge that the supervisor sees.
    ///
    /// # Errors
    /// The kernel's; `BadArgument` if the boot image has no such program or the budget is too small to start it.
    pub(crate) fn new(means: &Means, index: u64, shape: Shape) -> Result<Entry, Error> {
        let start = sal_load::frames(&means.image, text(&shape.program)).ok_or(Error::BadArgument)?;
        let frames = u64::from(shape.memory_kib) * 1024 / PAGE;
        // What is charged to the service's space, so to the start's budget: page tables of what it maps, its threads' FPU states and stacks' tables.
        let start = start + frames / 128 + u64::from(shape.threads) * 5 / 4;
        let own = frames.checked_sub(start).ok_or(Error::BadArgument)?;
        let vault_bytes = (u64::from(shape.vault_kib) * 1024).next_multiple_of(PAGE);
        // The vault, its table and the three objects at which it is called are paid here, once.
        let kept = capability::budget_create(means.budget, vault_bytes / PAGE + 16)?;
        let endpoint = ipc::endpoint_create(kept)?;
        let listener = if index == 0 { means.endpoint } else { means.supervisor };
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
            running: Running::default(),
            died: None,
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
        let free = self.rows.iter_mut().find(|r| r.is_none());
        *free.ok_or(Error::TableFull)? = Some(row);
        Ok(())
    }

    /// Spawns an incarnation; what there is of the one before is killed first.
    ///
    /// # Errors
    /// The kernel's; then there is no living incarnation.
    pub(crate) fn spawn(&mut self, means: &mut Means, incarnation: u32, poison: (u64, u64)) -> Result<(), Error> {
        self.running.clear();
        sal_load::settle(self.start_budget)?;
        let spec = Spec {
            image: &means.image,
            image_memory: means.image_memory,
            program: text(&self.shape.program),
            budget: self.start_budget,
            notice: self.notice,
            death_bits: DEATH,
            priority: self.shape.priority,
            own_priority: self.shape.flags & OWN_PRIORITY != 0,
            wired: self.shape.flags & WIRED != 0,
            incarnation,
            clock: means.clock,
        };
        let own = self.own_rows(poison);
        let rows = own.iter().chain(&self.rows).flatten();
        self.running = sal_load::spawn(&spec, rows, &mut means.random)?;
        self.incarnation = incarnation;
        Ok(())
    }

    /// What every service gets of its own, and the request that it must not serve (badge, word 0).
    fn own_rows(&self, (badge, word): (u64, u64)) -> [Option<Row>; 7] {
        let manage = Rights::READ.or(Rights::MANAGE);
        let spend = Rights::SPEND.or(manage).or(Rights::TRANSFER);
        let serve = Rights::RECEIVE.or(Rights::SEND).or(Rights::BADGE).or(Rights::TRANSFER);
        let row = |n, what| Some(Row::new(n, what));
        let kept = !self.vault.is_none();
        [
            row("budget", What::Capability(self.budget, spend, 0)),
            row("endpoint", What::Capability(self.endpoint, serve, 0)),
            row("vault", What::Memory(self.vault)).filter(|_| kept),
            row(TABLE, What::Capability(self.table, manage, 0)).filter(|_| kept),
            row(POISON, What::Numbers(word, badge)).filter(|_| word != 0),
            self.died.and_then(|d| row(PREDECESSOR, What::Numbers(d.reason, d.at))),
            self.died.and_then(|d| row(PREDECESSOR_PLACE, What::Numbers(d.place, d.offset))),
        ]
    }
}
