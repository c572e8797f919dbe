//! Second pass: entries together. Names exist, nothing is granted twice, budgets fit.

use super::Wrong;
use super::entry::{Draft, ServiceDraft};
use super::table::At;
use crate::grant::NAME_MOST;
use crate::{NAMES, PortRange, SERVICES, SUPERVISOR};
use alloc::{format, string::String, vec::Vec};

/// Grants that a start-up page holds beside the manifest's own: `abi::boot::GRANTS` less those that every service has.
const GRANTS_MOST: usize = 80;

/// Every check that needs more than one entry, or the boot image's list.
pub(super) fn check(draft: &Draft, modules: &[&str]) -> Result<(), Wrong> {
    has_supervisor(draft)?;
    programs(draft, modules)?;
    grants(draft)?;
    mounts(draft)?;
    ports(draft)?;
    interrupts(draft)?;
    budgets(draft)
}

fn key(service: &ServiceDraft, key: &str) -> String {
    format!("service.{}.{key}", service.service.name)
}

fn find<'a>(draft: &'a Draft, name: &str) -> Option<&'a ServiceDraft> {
    draft.services.iter().find(|s| s.service.name == name)
}

fn has_supervisor(draft: &Draft) -> Result<(), Wrong> {
    if let Some(s) = draft.services.get(SERVICES) {
        let what = format!("is one service too many; there can be {SERVICES}");
        return Err(Wrong::new(s.at, format!("service.{}", s.service.name), what));
    }
    let supervisor = find(draft, SUPERVISOR)
        .ok_or_else(|| Wrong::new(0, "service.supervisor", "is missing: nothing would start the services"))?;
    let higher =
        draft.services.iter().find(|s| s.service.priority >= supervisor.service.priority && s.at != supervisor.at);
    higher.map_or(Ok(()), |s| {
        let what = format!("{} is not below the supervisor's {}", s.service.priority, supervisor.service.priority);
        Err(Wrong::new(s.priority_at, key(s, "priority"), what))
    })
}

fn programs(draft: &Draft, modules: &[&str]) -> Result<(), Wrong> {
    let missing = |at: usize, key: String, name: &str| {
        let what = format!("the boot image has no module \"{name}\"; it has {}", modules.join(", "));
        Err(Wrong::new(at, key, what))
    };
    if !modules.contains(&draft.root.program.as_str()) {
        return missing(draft.root_at, "root.program".into(), &draft.root.program);
    }
    for s in &draft.services {
        if !modules.contains(&s.service.program.as_str()) {
            return missing(s.program_at, key(s, "program"), &s.service.program);
        }
        if let Some(m) = s.modules.iter().find(|m| !modules.contains(&m.value.as_str())) {
            return missing(m.at, key(s, "modules"), &m.value);
        }
        if let Some(m) = s.modules.iter().find(|m| m.value.len() + "module:".len() > NAME_MOST) {
            let what = format!("\"{}\" is too long for the name of a grant", m.value);
            return Err(Wrong::new(m.at, key(s, "modules"), what));
        }
    }
    Ok(())
}

fn grants(draft: &Draft) -> Result<(), Wrong> {
    for s in &draft.services {
        for (i, u) in s.uses.iter().enumerate() {
            endpoint_of(draft, &u.name, key(s, "uses"))?;
            if s.uses.iter().take(i).any(|other| other.name.value == u.name.value) {
                return Err(Wrong::new(u.name.at, key(s, "uses"), format!("\"{}\" stands there twice", u.name.value)));
            }
        }
        if let Some(pager) = &s.paged_by {
            endpoint_of(draft, pager, key(s, "paged_by"))?;
        }
        let count = s.uses.len() + s.ports.len() + s.interrupts.len() + s.modules.len();
        if count > GRANTS_MOST {
            let what = format!("has {count} grants, a start-up page holds {GRANTS_MOST}");
            return Err(Wrong::new(s.at, format!("service.{}", s.service.name), what));
        }
    }
    Ok(())
}

/// The service of that name must be there and have an endpoint.
fn endpoint_of(draft: &Draft, name: &At<String>, key: String) -> Result<(), Wrong> {
    match find(draft, &name.value) {
        Some(s) if s.service.endpoint => Ok(()),
        Some(_) => {
            Err(Wrong::new(name.at, key, format!("service \"{}\" has no endpoint (endpoint = true)", name.value)))
        }
        None => Err(Wrong::new(name.at, key, format!("there is no service \"{}\"", name.value))),
    }
}

fn mounts(draft: &Draft) -> Result<(), Wrong> {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for s in &draft.services {
        for m in &s.mounts {
            let refuse = |what: String| Err(Wrong::new(m.at, key(s, "mounts"), what));
            if !m.value.starts_with('/') || m.value.ends_with('/') || m.value.len() > NAME_MOST {
                return refuse(format!(
                    "\"{}\" is not an absolute path of at most {NAME_MOST} bytes without a slash at its end",
                    m.value
                ));
            }
            if !s.service.endpoint {
                return refuse("needs endpoint = true".into());
            }
            if find(draft, NAMES).is_none() {
                return refuse(format!("there is no service \"{NAMES}\" that could find it"));
            }
            if let Some((_, other)) = seen.iter().find(|(path, _)| *path == m.value) {
                return refuse(format!("service \"{other}\" mounts {} already", m.value));
            }
            seen.push((&m.value, &s.service.name));
        }
    }
    Ok(())
}

fn overlap(a: PortRange, b: PortRange) -> bool {
    let end = |r: PortRange| u32::from(r.first) + u32::from(r.count);
    u32::from(a.first) < end(b) && u32::from(b.first) < end(a)
}

fn ports(draft: &Draft) -> Result<(), Wrong> {
    let mut seen: Vec<(PortRange, &str)> = Vec::new();
    for s in &draft.services {
        for range in &s.ports {
            if let Some((_, other)) = seen.iter().find(|(r, _)| overlap(*r, range.value)) {
                let what = format!("service \"{other}\" has some of these ports already");
                return Err(Wrong::new(range.at, key(s, "ports"), what));
            }
            seen.push((range.value, &s.service.name));
        }
    }
    Ok(())
}

fn interrupts(draft: &Draft) -> Result<(), Wrong> {
    let mut seen: Vec<(u64, &str)> = Vec::new();
    for s in &draft.services {
        for line in &s.interrupts {
            if let Some((_, other)) = seen.iter().find(|(n, _)| *n == line.value) {
                let what = format!("service \"{other}\" has line {} already", line.value);
                return Err(Wrong::new(line.at, key(s, "interrupts"), what));
            }
            seen.push((line.value, &s.service.name));
        }
    }
    Ok(())
}

fn budgets(draft: &Draft) -> Result<(), Wrong> {
    let most = u64::from(draft.machine.memory_kib);
    let mut sum = u64::from(draft.machine.reserved_kib) + u64::from(draft.root.memory_kib);
    let mut percent = 0u32;
    for s in &draft.services {
        sum += u64::from(s.service.memory_kib) + u64::from(s.service.vault_kib);
        percent += u32::from(s.service.rest_percent);
        if sum > most {
            let what = format!("with this service the budgets add up to {sum} KiB, machine.memory_kib is {most}");
            return Err(Wrong::new(s.memory_at, key(s, "memory_kib"), what));
        }
        if percent > 100 {
            let what = format!("with this service the shares add up to {percent} percent");
            return Err(Wrong::new(s.rest_at, key(s, "rest_percent"), what));
        }
    }
    Ok(())
}
