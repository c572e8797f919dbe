//! Partners of an operation: in another address space, or in a thread of this one.

use crate::child::{Child, Plan, give};
use crate::harness::Step;
use crate::roles::{Role, echo};
use alloc::string::String;
use sal_rt::abi::Rights;
use sal_rt::handle::Endpoint;
use sal_rt::thread::{Options, spawn};

/// Rights of who serves an endpoint.
const SERVE: Rights = Rights(Rights::RECEIVE.0 | Rights::SEND.0);

/// An endpoint that a child in that role serves.
pub(crate) fn in_another_space(role: Role) -> Result<(Endpoint, Child), String> {
    let endpoint = Endpoint::create().step("endpoint")?;
    let rows = [give("endpoint", endpoint.handle(), SERVE)];
    let child = Plan::new(role, &rows).priority(255).start()?;
    Ok((endpoint, child))
}

/// An endpoint that a thread of this space serves.
pub(crate) fn in_this_space() -> Result<Endpoint, String> {
    let endpoint = Endpoint::create().step("endpoint")?;
    let handle = endpoint.handle();
    spawn(options(), move || echo(handle)).step("thread")?;
    Ok(endpoint)
}

/// As the root task's first thread.
pub(crate) fn options() -> Options {
    Options { priority: 255, cpu: None, fpu: false }
}
