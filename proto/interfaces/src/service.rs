//! What every service does beside its own interface: heartbeats, and orders that tests give. No messages: notifications only, so that the
//! supervisor never waits for whom it watches. The run-time's server loop (`sal-rt`) does all of it.
//!
//! The supervisor raises [`signal`] bits at the service's endpoint; they arrive with badge [`SIGNAL_BADGE`]. The service answers [`signal::PING`] by
//! raising [`answer::BEAT`] at the notification that it was granted as [`HEARTBEAT`].
//!
//! While a request is served, its badge and its word 0 stand in the run-time's words [`REQUEST_BADGE`] and [`REQUEST_WORD`] of the thread's message
//! page, and zero in both while none is: so the root task can read from a dead process what it was serving (poison). The word [`PLACE`] says what the
//! thread is at, and [`COMMITS`] where the count of its commits under way stands: where a death landed.

use sal_idl::word_enum;

/// Badge of the supervisor's signals. No client's badge is this.
pub const SIGNAL_BADGE: u64 = u64::MAX;

/// Name of the grant through which heartbeats are answered; a service without it is not watched.
pub const HEARTBEAT: &str = "heartbeat";

/// Name of the grant that is no handle: a request that killed two incarnations, its word 0 in the handle's place, its badge in the address's. It is answered
/// with an error instead of being served.
pub const POISON: &str = "poison";

/// Name of the grant of the vault's capability table: a process without threads, into which `Grant` puts and from which `Take` gets.
pub const TABLE: &str = "table";

/// Word of `MessagePage::user`: the badge of the request in service.
pub const REQUEST_BADGE: usize = 1;
/// Word of `MessagePage::user`: word 0 of the request in service; 0 if there is none.
pub const REQUEST_WORD: usize = 2;

/// Word of `MessagePage::user`: what the thread is at, a [`Place`]. A new page is zero.
pub const PLACE: usize = 5;
/// Word of `MessagePage::user`: address of the program's count of commits under way; 0: it keeps none.
pub const COMMITS: usize = 6;

word_enum! {
    /// What a service's thread is at.
    pub enum Place {
        /// It has not waited for a request yet: it adopts what its predecessor left.
        Adoption = 0,
        /// It waits.
        Waiting = 1,
        /// It serves a request.
        Request = 2,
        /// It follows a notification or its own clock.
        Notice = 3,
        /// It commits to its vault. Never in the page: the root task finds it by the count.
        Commit = 4,
    }
}

/// Name of a grant that is two numbers: reason and time (nanoseconds) of the predecessor's death. The supervisor's alone.
pub const PREDECESSOR: &str = "predecessor";
/// Name of a grant that is two numbers: the predecessor's [`Place`], and its instruction pointer relative to its image.
pub const PREDECESSOR_PLACE: &str = "predecessor.place";

/// What the supervisor raises.
pub mod signal {
    /// Answer with [`super::answer::BEAT`].
    pub const PING: u64 = 1;
    /// Spin for ever: for tests of the heartbeat.
    pub const HANG: u64 = 2;
    /// Take no further call until [`RESUME`]; heartbeats are answered.
    pub const PAUSE: u64 = 4;
    /// Go on.
    pub const RESUME: u64 = 8;
}

/// What the service raises.
pub mod answer {
    /// Alive.
    pub const BEAT: u64 = 1;
    /// A process of the service died: raised by the kernel, at the same notification.
    pub const DEATH: u64 = 2;
}
