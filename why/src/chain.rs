//! Which process is which stage of a dump, a restore or an estimate: from parents and pipes alone, so that it is the same for
//! every backup program and every filter.
//!
//! ```text
//! dump      backup program ─► sendbackup ─► filter ─► filter ─► sendbackup ─► amandad ─► network, server
//! restore   server, network ─► amandad ─► restore ─► filter ─► extraction
//!           server, network ─► amrecover ─► filter ─► extraction
//! estimate  backup program
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::Serialize;

use crate::snapshot::{AMANDAD, AMRECOVER, Descriptor, Pid, Snapshot, Target};

/// What is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// A backup.
    Dump,
    /// A restore on the client, by amfetchdump through `amandad`, or by amrecover.
    Restore,
    /// An estimate of a dump's size.
    Estimate,
}

/// What a process does for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Reads the files, or estimates their size: tar, dump, an application and what it runs.
    Program,
    /// Amanda's sendbackup.
    Sendbackup,
    /// Compresses, encrypts, or undoes that.
    Filter,
    /// Amanda's amandad.
    Amandad,
    /// Amanda's restore or amrecover.
    Restore,
    /// Writes the restored files: tar, an application and what it runs.
    Extraction,
}

/// A pipe, and who reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Its inode.
    pub(crate) pipe: u64,
    /// What its readers are.
    pub(crate) role: Role,
    /// Its readers: several if one has handed its descriptor on to a child, and waits for that.
    pub(crate) readers: Vec<Pid>,
}

/// Something that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    /// What it is.
    pub(crate) kind: Kind,
    /// Its amandad, or amrecover: what has the connections to the server.
    pub(crate) amandad: Pid,
    /// The process that amandad has started for it; of an estimate, the one that estimates this disk; or amrecover again.
    pub(crate) service: Pid,
    /// Where its data come from: the backup programs, or for a restore amandad or amrecover.
    pub(crate) source: Vec<Pid>,
    /// The pipes that the data go through, in their order.
    pub(crate) steps: Vec<Step>,
}

impl Job {
    /// What its source is.
    pub(crate) fn source_role(&self) -> Role {
        match self.kind {
            Kind::Dump | Kind::Estimate => Role::Program,
            Kind::Restore if self.amandad == self.service => Role::Restore,
            Kind::Restore => Role::Amandad,
        }
    }
}

/// All that is under way.
pub(crate) fn jobs(look: &Snapshot) -> Vec<Job> {
    let of_process = |pid: Pid| {
        let parent = look.processes.get(&pid).map_or(0, |process| process.parent);
        match (look.name(parent), look.name(pid)) {
            (AMANDAD, "sendbackup") => vec![dump(look, parent, pid)],
            (AMANDAD, "restore") => vec![restore(look, parent, pid)],
            (AMANDAD, "sendsize") => estimates(look, parent, pid),
            (AMRECOVER, AMRECOVER) => Vec::new(),
            // While its user chooses, it has no pipes.
            (_, AMRECOVER) => {
                let job = restore(look, pid, pid);
                Some(job)
                    .filter(|job| !job.steps.is_empty())
                    .into_iter()
                    .collect()
            }
            _ => Vec::new(),
        }
    };
    look.family.iter().copied().flat_map(of_process).collect()
}

/// A pipe between two processes.
struct Edge {
    pipe: u64,
    from: Pid,
    to: Pid,
    /// The reader's descriptor.
    number: i32,
}

/// The pipes among these processes. Programs write no data to their standard error.
fn edges(look: &Snapshot, members: &BTreeSet<Pid>) -> Vec<Edge> {
    let ends: Vec<(Pid, &Descriptor, u64)> = members
        .iter()
        .flat_map(|pid| look.descriptors(*pid).iter().map(move |one| (*pid, one)))
        .filter_map(|(pid, one)| match one.target {
            Target::Pipe(inode) => Some((pid, one, inode)),
            _ => None,
        })
        .collect();
    let mut found = Vec::new();
    for (from, _, pipe) in ends
        .iter()
        .filter(|(_, one, _)| one.writes && one.number != 2)
    {
        let readers = ends
            .iter()
            .filter(|(to, one, same)| same == pipe && one.reads && to != from);
        found.extend(readers.map(|(to, one, _)| Edge {
            pipe: *pipe,
            from: *from,
            to: *to,
            number: one.number,
        }));
    }
    found
}

/// How many pipes away from `start` each process is, along pairs of a process and the next.
fn distances(pairs: &[(Pid, Pid)], start: Pid) -> BTreeMap<Pid, usize> {
    let mut found = BTreeMap::from([(start, 0)]);
    let mut open = VecDeque::from([(start, 0)]);
    while let Some((at, distance)) = open.pop_front() {
        for (_, next) in pairs.iter().filter(|(from, _)| *from == at) {
            found.entry(*next).or_insert_with(|| {
                open.push_back((*next, distance + 1));
                distance + 1
            });
        }
    }
    found
}

/// Collects steps in the order of the keys they are given.
#[derive(Default)]
struct Steps(BTreeMap<(usize, usize, u64), Step>);

impl Steps {
    /// `phase` comes first in the order, then `depth`.
    fn add(&mut self, phase: usize, depth: usize, pipe: u64, role: Role, reader: Pid) {
        let step = self.0.entry((phase, depth, pipe)).or_insert(Step {
            pipe,
            role,
            readers: Vec::new(),
        });
        if !step.readers.contains(&reader) {
            step.readers.push(reader);
        }
    }

    fn in_order(self) -> Vec<Step> {
        self.0.into_values().collect()
    }
}

/// The processes of a dump by what they are.
struct Parts {
    amandad: Pid,
    /// sendbackup, which without Amanda's patches forks to make the index.
    own: BTreeSet<Pid>,
    filters: BTreeSet<Pid>,
    programs: BTreeSet<Pid>,
    /// How many pipes behind sendbackup each process is, and how many before it.
    behind: BTreeMap<Pid, usize>,
    before: BTreeMap<Pid, usize>,
}

impl Parts {
    fn of(look: &Snapshot, amandad: Pid, service: Pid, edges: &[Edge]) -> Self {
        let members = look.tree(service);
        let inner = edges.iter().filter(|edge| members.contains(&edge.to));
        let forward: Vec<_> = inner.map(|edge| (edge.from, edge.to)).collect();
        let backward: Vec<_> = forward.iter().map(|(from, to)| (*to, *from)).collect();
        let (behind, before) = (distances(&forward, service), distances(&backward, service));
        let is_own = |pid: &Pid| *pid == service || look.name(*pid) == "sendbackup";
        let (own, others): (BTreeSet<Pid>, BTreeSet<Pid>) =
            members.iter().partition(|pid| is_own(pid));
        // What sendbackup feeds and does not get back is an index, or its command. What nobody may see feeds it, most likely.
        let hidden = |pid: &Pid| {
            look.processes
                .get(pid)
                .is_some_and(|one| one.descriptors.is_none())
        };
        let feeds = others
            .into_iter()
            .filter(|pid| before.contains_key(pid) || hidden(pid));
        let (filters, programs) = feeds.partition(|pid| behind.contains_key(pid));
        Self {
            amandad,
            own,
            filters,
            programs,
            behind,
            before,
        }
    }

    /// Phase and depth of a pipe in the order of the data, and what its reader is; `None` if it carries none.
    fn place(&self, edge: &Edge) -> Option<(usize, usize, Role)> {
        let far =
            |distances: &BTreeMap<Pid, usize>| distances.get(&edge.to).copied().unwrap_or_default();
        let approaching = usize::MAX - far(&self.before);
        let from = |set: &BTreeSet<Pid>| set.contains(&edge.from);
        let to = |set: &BTreeSet<Pid>| set.contains(&edge.to);
        if to(&self.programs) {
            Some((0, approaching, Role::Program))
        } else if to(&self.filters) {
            Some((1, far(&self.behind), Role::Filter))
        } else if to(&self.own) && from(&self.filters) {
            Some((1, usize::MAX, Role::Sendbackup))
        } else if to(&self.own) {
            Some((0, approaching, Role::Sendbackup))
        } else {
            (edge.to == self.amandad && from(&self.own)).then_some((2, 0, Role::Amandad))
        }
    }
}

fn dump(look: &Snapshot, amandad: Pid, service: Pid) -> Job {
    let mut all = look.tree(service);
    all.insert(amandad);
    let mut edges = edges(look, &all);
    let hidden = unseen_inputs(look, service, &edges);
    // The request.
    edges.retain(|edge| edge.from != amandad);
    let parts = Parts::of(look, amandad, service, &edges);
    let mut steps = Steps::default();
    for edge in &edges {
        if let Some((phase, depth, role)) = parts.place(edge) {
            steps.add(phase, depth, edge.pipe, role, edge.to);
        }
    }
    for pipe in hidden {
        steps.add(0, usize::MAX, pipe, Role::Sendbackup, service);
    }
    Job {
        kind: Kind::Dump,
        amandad,
        service,
        source: parts.programs.into_iter().collect(),
        steps: steps.in_order(),
    }
}

/// The pipes that a process reads and of which no writer is seen: without the right to see tar's descriptors, those from tar.
fn unseen_inputs(look: &Snapshot, pid: Pid, edges: &[Edge]) -> Vec<u64> {
    let all = look.descriptors(pid);
    let pipe = |one: &Descriptor| match one.target {
        Target::Pipe(inode) => Some(inode),
        _ => None,
    };
    let own: Vec<u64> = all
        .iter()
        .filter(|one| one.writes)
        .filter_map(pipe)
        .collect();
    let read = all.iter().filter(|one| one.reads).filter_map(pipe);
    read.filter(|inode| !own.contains(inode) && edges.iter().all(|edge| edge.pipe != *inode))
        .collect()
}

fn restore(look: &Snapshot, amandad: Pid, service: Pid) -> Job {
    let mut all = look.tree(service);
    all.insert(amandad);
    let mut edges = edges(look, &all);
    edges.retain(|edge| edge.to != amandad && (edge.to == service || edge.number == 0));
    // restore hands the pipe on to the program it starts, and keeps its own descriptor.
    let taken: BTreeSet<u64> = edges
        .iter()
        .filter(|edge| edge.to != service)
        .map(|edge| edge.pipe)
        .collect();
    edges.retain(|edge| edge.to != service || !taken.contains(&edge.pipe));
    let forward: Vec<_> = edges.iter().map(|edge| (edge.from, edge.to)).collect();
    let depths = distances(&forward, amandad);
    let feeds = |pid: Pid| {
        edges
            .iter()
            .any(|edge| edge.from == pid && edge.to != service)
    };
    let mut steps = Steps::default();
    for Edge { pipe, to, .. } in &edges {
        let role = match *to {
            to if to == service => Role::Restore,
            to if feeds(to) => Role::Filter,
            _ => Role::Extraction,
        };
        if let Some(depth) = depths.get(to) {
            steps.add(0, *depth, *pipe, role, *to);
        }
    }
    Job {
        kind: Kind::Restore,
        amandad,
        service,
        source: vec![amandad],
        steps: steps.in_order(),
    }
}

/// An estimate for each disk: sendsize starts a process for each, and that the backup program.
fn estimates(look: &Snapshot, amandad: Pid, service: Pid) -> Vec<Job> {
    let disks = look.children(service).into_iter().map(|disk| Job {
        kind: Kind::Estimate,
        amandad,
        service: disk,
        source: look
            .tree(disk)
            .into_iter()
            .filter(|pid| look.name(*pid) != "sendsize")
            .collect(),
        steps: Vec::new(),
    });
    disks.filter(|job| !job.source.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Process;

    /// A process: number, parent, name, and its descriptors: number, pipe, and `r` or `w`.
    type Given<'a> = (Pid, Pid, &'a str, &'a [(i32, u64, char)]);

    fn look(given: &[Given]) -> Snapshot {
        let mut look = Snapshot::default();
        for (pid, parent, name, descriptors) in given {
            let all = descriptors.iter().map(|(number, pipe, mode)| Descriptor {
                number: *number,
                target: Target::Pipe(*pipe),
                reads: *mode == 'r',
                writes: *mode == 'w',
            });
            let process = Process {
                parent: *parent,
                name: (*name).into(),
                state: 'S',
                descriptors: Some(all.collect()),
                ..Process::default()
            };
            look.processes.insert(*pid, process);
            look.family.insert(*pid);
        }
        look
    }

    fn one_job(given: &[Given]) -> Job {
        let mut found = jobs(&look(given));
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    fn steps(job: &Job) -> Vec<(u64, Role, Vec<Pid>)> {
        job.steps
            .iter()
            .map(|step| (step.pipe, step.role, step.readers.clone()))
            .collect()
    }

    #[test]
    fn a_dump_without_filters() {
        let job = one_job(&[
            (
                10,
                1,
                "amandad",
                &[(5, 100, 'r'), (6, 101, 'r'), (7, 102, 'w')],
            ),
            // The data, the messages; the request; tar's data and messages.
            (
                11,
                10,
                "sendbackup",
                &[
                    (0, 102, 'r'),
                    (150, 100, 'w'),
                    (152, 101, 'w'),
                    (4, 110, 'r'),
                    (5, 111, 'r'),
                ],
            ),
            (12, 11, "tar", &[(1, 110, 'w'), (2, 111, 'w')]),
        ]);
        assert_eq!((job.kind, job.amandad, job.service), (Kind::Dump, 10, 11));
        assert_eq!(job.source, [12]);
        let expected = [
            (110, Role::Sendbackup, vec![11]),
            (111, Role::Sendbackup, vec![11]),
            (100, Role::Amandad, vec![10]),
            (101, Role::Amandad, vec![10]),
        ];
        assert_eq!(steps(&job), expected);
    }

    #[test]
    fn two_filters_are_in_the_order_of_the_data() {
        let job = one_job(&[
            (10, 1, "amandad", &[(5, 100, 'r')]),
            (
                11,
                10,
                "sendbackup",
                &[(150, 100, 'w'), (4, 110, 'r'), (5, 120, 'w'), (6, 122, 'r')],
            ),
            (12, 11, "tar", &[(1, 110, 'w')]),
            // Their numbers say nothing: sendbackup starts the last one first.
            (13, 11, "openssl", &[(0, 121, 'r'), (1, 122, 'w')]),
            (14, 11, "gzip", &[(0, 120, 'r'), (1, 121, 'w')]),
        ]);
        let expected = [
            (110, Role::Sendbackup, vec![11]),
            (120, Role::Filter, vec![14]),
            (121, Role::Filter, vec![13]),
            (122, Role::Sendbackup, vec![11]),
            (100, Role::Amandad, vec![10]),
        ];
        assert_eq!(steps(&job), expected);
        assert_eq!(job.source, [12]);
    }

    #[test]
    fn an_application_and_what_it_runs_are_the_backup_program() {
        let job = one_job(&[
            (10, 1, "amandad", &[(5, 100, 'r')]),
            (11, 10, "sendbackup", &[(150, 100, 'w'), (4, 110, 'r')]),
            (12, 11, "ambsdtar", &[(1, 110, 'w'), (3, 130, 'r')]),
            (13, 12, "bsdtar", &[(1, 130, 'w')]),
        ]);
        let expected = [
            (130, Role::Program, vec![12]),
            (110, Role::Sendbackup, vec![11]),
            (100, Role::Amandad, vec![10]),
        ];
        assert_eq!(steps(&job), expected);
        assert_eq!(job.source, [12, 13]);
    }

    #[test]
    fn upstreams_index_is_neither_filter_nor_program() {
        let job = one_job(&[
            (10, 1, "amandad", &[(5, 100, 'r'), (6, 101, 'r')]),
            (11, 10, "sendbackup", &[(150, 100, 'w'), (4, 110, 'r')]),
            (
                12,
                11,
                "sendbackup",
                &[(0, 111, 'r'), (1, 110, 'w'), (7, 140, 'w')],
            ),
            (13, 12, "sh", &[(0, 140, 'r'), (1, 101, 'w')]),
            (14, 11, "tar", &[(1, 111, 'w')]),
        ]);
        let expected = [
            (111, Role::Sendbackup, vec![12]),
            (110, Role::Sendbackup, vec![11]),
            (100, Role::Amandad, vec![10]),
        ];
        assert_eq!(steps(&job), expected);
        assert_eq!(job.source, [14]);
    }

    #[test]
    fn a_tar_that_may_not_be_seen_is_the_program_all_the_same() {
        let mut look = look(&[
            (10, 1, "amandad", &[(5, 100, 'r')]),
            (
                11,
                10,
                "sendbackup",
                &[(150, 100, 'w'), (4, 110, 'r'), (7, 115, 'r'), (8, 115, 'w')],
            ),
            (12, 11, "tar", &[]),
        ]);
        look.processes.get_mut(&12).unwrap().descriptors = None;
        let job = jobs(&look).remove(0);
        assert_eq!(job.source, [12]);
        // Pipe 115 is one that sendbackup has for itself.
        let expected = [
            (110, Role::Sendbackup, vec![11]),
            (100, Role::Amandad, vec![10]),
        ];
        assert_eq!(steps(&job), expected);
    }

    #[test]
    fn each_dump_of_an_amandad_has_its_own_pipes() {
        let found = jobs(&look(&[
            (10, 1, "amandad", &[(5, 100, 'r'), (6, 200, 'r')]),
            (11, 10, "sendbackup", &[(150, 100, 'w')]),
            (21, 10, "sendbackup", &[(150, 200, 'w')]),
            (30, 1, "sendbackup", &[(150, 300, 'w')]),
        ]));
        let pipes: Vec<_> = found
            .iter()
            .map(|job| (job.service, job.steps[0].pipe))
            .collect();
        assert_eq!(pipes, [(11, 100), (21, 200)], "30 is nobody's service");
    }

    #[test]
    fn a_restore_through_a_filter() {
        let job = one_job(&[
            (10, 1, "amandad", &[(5, 100, 'w'), (6, 101, 'w')]),
            (11, 10, "restore", &[(0, 101, 'r'), (151, 100, 'r')]),
            (12, 11, "gzip", &[(0, 100, 'r'), (1, 110, 'w')]),
            (13, 11, "amgtar", &[(0, 110, 'r')]),
            (14, 13, "tar", &[(0, 110, 'r')]),
        ]);
        let expected = [
            (100, Role::Filter, vec![12]),
            (101, Role::Restore, vec![11]),
            (110, Role::Extraction, vec![13, 14]),
        ];
        assert_eq!(steps(&job), expected);
        assert_eq!((job.kind, job.source), (Kind::Restore, vec![10]));
    }

    #[test]
    fn a_restore_by_amrecover() {
        let job = one_job(&[
            (10, 1, "amrecover", &[(5, 100, 'w'), (6, 101, 'r')]),
            (11, 10, "tar", &[(0, 100, 'r'), (1, 101, 'w')]),
            (20, 1, "amrecover", &[]),
        ]);
        assert_eq!(steps(&job), [(100, Role::Extraction, vec![11])]);
        assert_eq!(
            (job.kind, job.source_role()),
            (Kind::Restore, Role::Restore)
        );
    }

    #[test]
    fn an_estimate_for_each_disk() {
        let found = jobs(&look(&[
            (10, 1, "amandad", &[]),
            (11, 10, "sendsize", &[]),
            (12, 11, "sendsize", &[]),
            (13, 12, "tar", &[]),
            (14, 11, "sendsize", &[]),
        ]));
        let found: Vec<_> = found
            .into_iter()
            .map(|job| (job.service, job.source))
            .collect();
        assert_eq!(found, [(12, vec![13])], "14 has no program yet");
    }
}
