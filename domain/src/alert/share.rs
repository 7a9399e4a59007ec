//! Who gets the room that there is for tries: a few for each endpoint, and no workspace all of it.

use std::collections::HashMap;

use entity::{AlertEndpointId, WorkspaceId};

use super::claim::Due;

/// The tries under way at a node.
#[derive(Debug)]
pub(super) struct UnderWay {
    /// The most at once.
    at_once: usize,
    /// The most of these to one endpoint.
    to_one: usize,
    endpoints: HashMap<AlertEndpointId, usize>,
    workspaces: HashMap<WorkspaceId, usize>,
}

/// Who gets nothing more for now.
#[derive(Debug, Default)]
pub(super) struct Busy {
    pub(super) endpoints: Vec<AlertEndpointId>,
    pub(super) workspaces: Vec<WorkspaceId>,
}

impl UnderWay {
    pub(super) fn new(at_once: usize, to_one: usize) -> Self {
        Self {
            at_once,
            to_one,
            endpoints: HashMap::new(),
            workspaces: HashMap::new(),
        }
    }

    /// How many more tries there is room for.
    pub(super) fn room(&self) -> usize {
        let all: usize = self.workspaces.values().sum();
        self.at_once.saturating_sub(all)
    }

    /// Whether a workspace has as much as may be its: no more than there is room left. One whose endpoints all hang gets half,
    /// a second one a quarter, and so on: there is room for whoever comes next.
    fn is_full(&self, workspace: WorkspaceId) -> bool {
        let own = self.workspaces.get(&workspace).copied().unwrap_or(0);
        own >= self.room()
    }

    fn is_busy(&self, endpoint: AlertEndpointId) -> bool {
        self.endpoints
            .get(&endpoint)
            .is_some_and(|n| *n >= self.to_one)
    }

    pub(super) fn busy(&self) -> Busy {
        let endpoints = self.endpoints.keys().copied();
        let workspaces = self.workspaces.keys().copied();
        Busy {
            endpoints: endpoints.filter(|id| self.is_busy(*id)).collect(),
            workspaces: workspaces.filter(|id| self.is_full(*id)).collect(),
        }
    }

    pub(super) fn begin(&mut self, Due { id, workspace_id }: Due) {
        *self.endpoints.entry(id).or_default() += 1;
        *self.workspaces.entry(workspace_id).or_default() += 1;
    }

    pub(super) fn end(&mut self, Due { id, workspace_id }: Due) {
        less(&mut self.endpoints, id);
        less(&mut self.workspaces, workspace_id);
    }

    /// Shares the room out, one try after the other: to the workspace that has the fewest, of its endpoints to the one that
    /// has, else to the one that has waited longest. Gives each endpoint with how many tries it gets.
    pub(super) fn share(&self, due: &[Due]) -> Vec<(AlertEndpointId, usize)> {
        let mut all = Self {
            endpoints: self.endpoints.clone(),
            workspaces: self.workspaces.clone(),
            ..*self
        };
        let mut shares: Vec<(AlertEndpointId, usize)> = Vec::new();
        loop {
            let open = due
                .iter()
                .filter(|due| !all.is_busy(due.id) && !all.is_full(due.workspace_id));
            // The first of those that are alike: that is who has waited longest.
            let next = open.min_by_key(|due| {
                let own = |n: Option<&usize>| n.copied().unwrap_or(0);
                (
                    own(all.workspaces.get(&due.workspace_id)),
                    own(all.endpoints.get(&due.id)),
                )
            });
            let Some(next) = next.copied() else {
                return shares;
            };
            all.begin(next);
            match shares.iter_mut().find(|(id, _)| *id == next.id) {
                Some((_, most)) => *most += 1,
                None => shares.push((next.id, 1)),
            }
        }
    }
}

fn less<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: K) {
    if let Some(n) = counts.get_mut(&key) {
        *n -= 1;
        if *n == 0 {
            counts.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn due(workspace: u128, endpoint: u128) -> Due {
        Due {
            id: AlertEndpointId(Uuid::from_u128(1_000 * workspace + endpoint)),
            workspace_id: WorkspaceId(Uuid::from_u128(workspace)),
        }
    }

    fn begin(under_way: &mut UnderWay, due: &[Due]) -> usize {
        let shares = under_way.share(due);
        let mut begun = 0;
        for (id, most) in shares {
            let one = due.iter().find(|due| due.id == id).expect("it was due");
            (0..most).for_each(|_| under_way.begin(*one));
            begun += most;
        }
        begun
    }

    #[test]
    fn of_workspaces_that_hang_each_takes_half_of_what_is_left() {
        let mut under_way = UnderWay::new(64, 4);
        for (workspace, gets) in [(1, 32), (2, 16), (3, 8), (4, 4)] {
            let hanging: Vec<Due> = (0..50).map(|endpoint| due(workspace, endpoint)).collect();
            assert_eq!(begin(&mut under_way, &hanging), gets);
            assert_eq!(begin(&mut under_way, &hanging), 0);
        }
        let busy = under_way.busy();
        assert_eq!((busy.workspaces.len(), busy.endpoints.len()), (4, 0));
        assert_eq!(begin(&mut under_way, &[due(9, 1)]), 2);
        (0..4).for_each(|_| under_way.end(due(1, 0)));
        assert_eq!(under_way.room(), 6);
    }

    #[test]
    fn an_endpoint_gets_a_few_and_whoever_has_least_is_next() {
        let under_way = UnderWay::new(64, 4);
        let shares = under_way.share(&[due(1, 1), due(1, 2), due(2, 1)]);
        assert_eq!(
            shares,
            [due(1, 1), due(2, 1), due(1, 2)].map(|due| (due.id, 4))
        );
    }
}
