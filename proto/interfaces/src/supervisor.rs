//! Orders to the supervisor and questions about services; `/svc` (through `file`) is made of the same.

use sal_idl::word_enum;

word_enum! {
    /// What is to be done to a service. The word is what `/svc/NAME/ctl` takes.
    pub enum Command {
        /// `kill`: as a fault would; it comes back.
        Kill = 0,
        /// `restart`: also when it was given up.
        Restart = 1,
        /// `hang`: makes it spin.
        Hang = 2,
        /// `pause`: it takes no call.
        Pause = 3,
        /// `resume`.
        Resume = 4,
    }
}

sal_idl::interface! {
    /// The supervisor.
    interface "supervisor" version 1;
    /// What can go wrong.
    errors {
        /// There is no such service.
        NotFound = 1,
        /// It makes no sense now; the service's log says why.
        Refused = 2,
        /// The caller's capability does not allow it.
        NotAllowed = 3,
        /// This client has no slot here, or all are taken.
        NoSlot = 4,
        /// There is no room for another counter, or its name is too long or no word.
        Full = 5,
    }
    /// Carries out `command` on the service `name`; *remembered*. Answers before the service is back.
    1 control(command: Command) reads(name);
    /// Text of `/svc/NAME/status` into `text`; `length` is its whole length.
    2 status() reads(name) writes(text) returns(length: u32);
    /// Counters of a service: incarnation, deaths by its own fault, ordered kills, recoveries measured, and the last one in microseconds.
    3 counters() reads(name) returns(incarnation: u32, crashes: u32, kills: u32, recovered: u32, last_us: u32);
    /// Ends the machine with `status`; what was logged goes out first.
    4 power_off(status: u8);
    /// `/svc/NAME/stats` of the caller's own service has a line `name value` from now on; the value that was told last counts.
    5 count(value: u64) reads(name);
}
