//! Third pass: the wait-for graph. A service waits for whom it calls, for its pager, for everything that is mounted if it calls
//! `names`, and, when it has died, for the supervisor, which waits for the root task. A cycle could wait for itself for ever, so it is
//! refused; without one the graph gives the start order.

use super::Wrong;
use super::entry::{Draft, ServiceDraft};
use crate::{Manifest, NAMES, ROOT, SUPERVISOR, Use};
use alloc::{format, string::String, vec, vec::Vec};

/// Why one waits for another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    Calls,
    PagedBy,
    FindsMounted,
    RestartedBy,
}

impl Why {
    fn words(self) -> &'static str {
        match self {
            Why::Calls => "calls",
            Why::PagedBy => "is paged by",
            Why::FindsMounted => "finds mounted",
            Why::RestartedBy => "is restarted by",
        }
    }

    fn key(self) -> &'static str {
        match self {
            Why::Calls | Why::FindsMounted => "uses",
            Why::PagedBy => "paged_by",
            Why::RestartedBy => "restart",
        }
    }
}

/// One waits for `to`; the text says so `at`.
#[derive(Clone, Copy)]
struct Edge {
    to: usize,
    why: Why,
    at: usize,
}

/// Start order, and names become indices.
pub(super) fn sorted(draft: Draft) -> Result<Manifest, Wrong> {
    let edges: Vec<Vec<Edge>> = (0..draft.services.len()).map(|i| edges_of(&draft, i)).collect();
    let order = start_order(&draft, &edges)?;
    let place = |name: &str| order.iter().position(|i| draft.services.get(*i).is_some_and(|s| s.service.name == name));
    let services = order.iter().filter_map(|i| draft.services.get(*i)).map(|s| {
        let mut service = s.service.clone();
        service.uses = s
            .uses
            .iter()
            .filter_map(|u| Some(Use { service: place(&u.name.value)? as u16, transfer: u.transfer }))
            .collect();
        service
    });
    let services = services.collect();
    Ok(Manifest { machine: draft.machine, boot: draft.boot, root: draft.root, services })
}

fn index(draft: &Draft, name: &str) -> Option<usize> {
    draft.services.iter().position(|s| s.service.name == name)
}

fn edges_of(draft: &Draft, me: usize) -> Vec<Edge> {
    let mut edges = Vec::new();
    let Some(s) = draft.services.get(me) else {
        return edges;
    };
    let mut add = |name: &str, why: Why, at: usize| edges.extend(index(draft, name).map(|to| Edge { to, why, at }));
    for u in &s.uses {
        add(&u.name.value, Why::Calls, u.name.at);
    }
    if let Some(pager) = &s.paged_by {
        add(&pager.value, Why::PagedBy, pager.at);
    }
    if let Some(u) = s.uses.iter().find(|u| u.name.value == NAMES) {
        let mounting = |o: &&ServiceDraft| !o.mounts.is_empty() && o.at != s.at;
        draft.services.iter().filter(mounting).for_each(|o| add(&o.service.name, Why::FindsMounted, u.name.at));
    }
    if s.service.name != SUPERVISOR {
        add(SUPERVISOR, Why::RestartedBy, s.at);
    }
    edges
}

/// Where the search stands with a service.
#[derive(Clone, Copy, PartialEq)]
enum Mark {
    New,
    Open,
    Done,
}

/// A depth-first search, with its path for the message.
struct Search<'a> {
    draft: &'a Draft,
    edges: &'a [Vec<Edge>],
    marks: Vec<Mark>,
    path: Vec<(usize, Edge)>,
    order: Vec<usize>,
}

fn start_order(draft: &Draft, edges: &[Vec<Edge>]) -> Result<Vec<usize>, Wrong> {
    let marks = vec![Mark::New; draft.services.len()];
    let mut search = Search { draft, edges, marks, path: Vec::new(), order: Vec::new() };
    for i in 0..draft.services.len() {
        search.visit(i)?;
    }
    Ok(search.order)
}

impl Search<'_> {
    fn visit(&mut self, i: usize) -> Result<(), Wrong> {
        match self.marks.get(i) {
            Some(Mark::Open) => return Err(self.cycle(i)),
            Some(Mark::New) => (),
            _ => return Ok(()),
        }
        self.mark(i, Mark::Open);
        for edge in self.edges.get(i).into_iter().flatten() {
            self.path.push((i, *edge));
            self.visit(edge.to)?;
            self.path.pop();
        }
        self.mark(i, Mark::Done);
        self.order.push(i);
        Ok(())
    }

    fn mark(&mut self, i: usize, mark: Mark) {
        if let Some(m) = self.marks.get_mut(i) {
            *m = mark;
        }
    }

    fn name(&self, i: usize) -> &str {
        self.draft.services.get(i).map_or(ROOT, |s| &s.service.name)
    }

    /// The path from `start` back to itself, in words, at the last edge of it that the text writes down.
    fn cycle(&self, start: usize) -> Wrong {
        let from = self.path.iter().position(|(i, _)| *i == start).unwrap_or(0);
        let cycle = self.path.get(from..).unwrap_or(&[]);
        let written = cycle.iter().rev().find(|(_, e)| e.why != Why::RestartedBy).or(cycle.last());
        let (at, key) =
            written.map_or((0, String::new()), |(i, e)| (e.at, format!("service.{}.{}", self.name(*i), e.why.key())));
        let mut what = format!("waits in a circle: {}", self.name(start));
        for (_, edge) in cycle {
            what += &format!(" {} {}", edge.why.words(), self.name(edge.to));
        }
        Wrong::new(at, key, what)
    }
}
