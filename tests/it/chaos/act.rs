//! What people and an outside system do.

use proptest::array;
use proptest::prelude::*;
use proptest::sample::select;

use super::plan::STAFF;

/// Something that happens to a workspace. Requests and coworkers are named by their place, requests and approvals modulo how
/// many there are. Behind the last of [`STAFF`] comes Triage.
#[derive(Clone, Debug)]
pub enum Act {
    Assign {
        request: usize,
        to: Option<usize>,
    },
    /// Two people assign it at the same time.
    Rivals {
        request: usize,
        to: [usize; 2],
    },
    Mention {
        request: usize,
    },
    Note {
        request: usize,
    },
    Status {
        request: usize,
        status: &'static str,
    },
    Create {
        title: &'static str,
        to: Option<usize>,
    },
    /// Once, or in two copies at the same time.
    Deliver {
        incident: usize,
        event: usize,
        twice: bool,
    },
    Stop {
        run: usize,
    },
    /// About a call that waits for a person.
    Decide {
        approval: usize,
        approve: bool,
    },
    Unpublish {
        coworker: usize,
    },
    /// With another soul, or as it is.
    Publish {
        coworker: usize,
        changed: bool,
    },
    /// After a change of its own, so that there is something to bring back.
    Rollback {
        coworker: usize,
        version: i32,
    },
}

/// Anything that can happen.
pub fn act() -> impl Strategy<Value = Act> {
    let (request, coworker) = (0..8_usize, 0..STAFF.len());
    // Triage is taken out of work and comes back as often as two of the others.
    let maker = prop_oneof![4 => coworker.clone(), 2 => Just(STAFF.len())];
    let to = prop_oneof![1 => Just(None), 3 => coworker.clone().prop_map(Some)];
    let statuses = &["OPEN", "PENDING", "RESOLVED", "IN_PROGRESS", "CLOSED"][..];
    let titles = &["Zero, for tests", "Tests for three", "Nothing at all"][..];
    prop_oneof![
        3 => (request.clone(), to.clone()).prop_map(|(request, to)| Act::Assign { request, to }),
        2 => (request.clone(), array::uniform2(coworker)).prop_map(|(request, to)| Act::Rivals { request, to }),
        2 => request.clone().prop_map(|request| Act::Mention { request }),
        2 => request.clone().prop_map(|request| Act::Note { request }),
        2 => (request, select(statuses)).prop_map(|(request, status)| Act::Status { request, status }),
        3 => (select(titles), to).prop_map(|(title, to)| Act::Create { title, to }),
        4 => (0..2_usize, 0..5_usize, any::<bool>()).prop_map(|(incident, event, twice)| Act::Deliver { incident, event, twice }),
        3 => (0..5_usize).prop_map(|run| Act::Stop { run }),
        2 => (0..4_usize, any::<bool>()).prop_map(|(approval, approve)| Act::Decide { approval, approve }),
        2 => maker.clone().prop_map(|coworker| Act::Unpublish { coworker }),
        2 => (maker.clone(), any::<bool>()).prop_map(|(coworker, changed)| Act::Publish { coworker, changed }),
        4 => (maker, 1..3_i32).prop_map(|(coworker, version)| Act::Rollback { coworker, version }),
    ]
}
