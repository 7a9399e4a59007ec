//! Who may do what: [`allows`] is the policy, all of it.

use entity::Role;

/// With which rights someone acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// A key's role.
    Role(Role),
    /// A coworker whose run was triggered by an assignment of the request.
    AssignedRun,
    /// A coworker that was only mentioned.
    MentionedRun,
    /// An outside system through its webhook endpoint: it makes requests and keeps its own up to date.
    Webhook,
    /// Stint itself.
    Stint,
}

impl Standing {
    /// Every standing, in the order of the matrix.
    pub const ALL: [Self; 8] = [
        Self::Role(Role::Admin),
        Self::Role(Role::Agent),
        Self::Role(Role::Analyst),
        Self::Role(Role::Requester),
        Self::AssignedRun,
        Self::MentionedRun,
        Self::Webhook,
        Self::Stint,
    ];

    /// The name in the matrix.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Role(role) => role.as_str(),
            Self::AssignedRun => "ASSIGNED_RUN",
            Self::MentionedRun => "MENTIONED_RUN",
            Self::Webhook => "WEBHOOK",
            Self::Stint => "STINT",
        }
    }
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident: $phrase:literal),+ $(,)?) => {
        /// Everything that needs a permission.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Action { $($(#[$doc])* $name,)+ }

        impl Action {
            /// Every action, in the order of the matrix.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The name in the matrix.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }

            /// What the action is, to be read after "may not".
            pub const fn phrase(self) -> &'static str {
                match self { $(Self::$name => $phrase,)+ }
            }
        }
    };
}

actions! {
    /// Make a request.
    RequestCreate: "make requests",
    /// See one's own requests, with their public notes.
    RequestReadOwn: "see requests",
    /// See every request, with private notes.
    RequestReadAll: "see requests that are not their own",
    /// Change title, description, labels, priority.
    RequestUpdate: "change requests",
    /// Set a status.
    RequestSetStatus: "change a request's status",
    /// Assign a request.
    RequestAssign: "assign requests",
    /// Post a public note (requesters: on their own requests).
    NotePublic: "post public notes",
    /// Post a private note.
    NotePrivate: "post private notes",
    /// See coworkers and their versions.
    CoworkerRead: "see coworkers",
    /// Create and change coworkers.
    CoworkerWrite: "change coworkers",
    /// Publish and unpublish coworkers.
    CoworkerPublish: "publish coworkers",
    /// See runs, steps, events.
    RunRead: "see runs",
    /// Stop a run.
    RunStop: "stop runs",
    /// Decide whether a coworker may make a call.
    ApprovalDecide: "decide about the calls of coworkers",
    /// See metrics and cost.
    MetricsRead: "see metrics",
    /// Set model prices.
    PriceWrite: "set model prices",
    /// Create, list and revoke API keys.
    KeyManage: "manage API keys",
    /// Create, see and change webhook endpoints, and see what is delivered to them.
    HookManage: "manage webhook endpoints",
    /// Create, see and change alert endpoints, and see and replay what is sent to them.
    AlertManage: "manage alert endpoints",
    /// Declare, see and change tool servers, their actions, and the secrets that they are reached with.
    ToolManage: "manage tool servers and secrets",
    /// Change the workspace's settings.
    WorkspaceUpdate: "change the workspace's settings",
}

/// The policy: whether `standing` allows `action`.
pub const fn allows(standing: Standing, action: Action) -> bool {
    use Action as A;
    match standing {
        Standing::Stint | Standing::Role(Role::Admin) => true,
        Standing::Role(Role::Agent) => match action {
            A::RequestCreate
            | A::RequestReadOwn
            | A::RequestReadAll
            | A::RequestUpdate
            | A::RequestSetStatus
            | A::RequestAssign
            | A::NotePublic
            | A::NotePrivate
            | A::CoworkerRead
            | A::RunRead
            | A::RunStop
            | A::ApprovalDecide
            | A::MetricsRead => true,
            A::CoworkerWrite
            | A::CoworkerPublish
            | A::PriceWrite
            | A::KeyManage
            | A::HookManage
            | A::AlertManage
            | A::ToolManage
            | A::WorkspaceUpdate => false,
        },
        Standing::Role(Role::Analyst) => match action {
            A::RequestReadOwn
            | A::RequestReadAll
            | A::CoworkerRead
            | A::RunRead
            | A::MetricsRead => true,
            A::RequestCreate
            | A::RequestUpdate
            | A::RequestSetStatus
            | A::RequestAssign
            | A::NotePublic
            | A::NotePrivate
            | A::CoworkerWrite
            | A::CoworkerPublish
            | A::RunStop
            | A::ApprovalDecide
            | A::PriceWrite
            | A::KeyManage
            | A::HookManage
            | A::AlertManage
            | A::ToolManage
            | A::WorkspaceUpdate => false,
        },
        Standing::Role(Role::Requester) => match action {
            A::RequestCreate | A::RequestReadOwn | A::NotePublic => true,
            A::RequestReadAll
            | A::RequestUpdate
            | A::RequestSetStatus
            | A::RequestAssign
            | A::NotePrivate
            | A::CoworkerRead
            | A::CoworkerWrite
            | A::CoworkerPublish
            | A::RunRead
            | A::RunStop
            | A::ApprovalDecide
            | A::MetricsRead
            | A::PriceWrite
            | A::KeyManage
            | A::HookManage
            | A::AlertManage
            | A::ToolManage
            | A::WorkspaceUpdate => false,
        },
        Standing::AssignedRun => match action {
            A::RequestReadOwn
            | A::RequestReadAll
            | A::RequestSetStatus
            | A::RequestAssign
            | A::NotePublic
            | A::NotePrivate
            | A::CoworkerRead => true,
            A::RequestCreate
            | A::RequestUpdate
            | A::CoworkerWrite
            | A::CoworkerPublish
            | A::RunRead
            | A::RunStop
            | A::ApprovalDecide
            | A::MetricsRead
            | A::PriceWrite
            | A::KeyManage
            | A::HookManage
            | A::AlertManage
            | A::ToolManage
            | A::WorkspaceUpdate => false,
        },
        // It sees its own requests only, so that no sender reaches another's.
        Standing::Webhook => match action {
            A::RequestCreate
            | A::RequestReadOwn
            | A::RequestUpdate
            | A::RequestSetStatus
            | A::NotePublic => true,
            A::RequestReadAll
            | A::RequestAssign
            | A::NotePrivate
            | A::CoworkerRead
            | A::CoworkerWrite
            | A::CoworkerPublish
            | A::RunRead
            | A::RunStop
            | A::ApprovalDecide
            | A::MetricsRead
            | A::PriceWrite
            | A::KeyManage
            | A::HookManage
            | A::AlertManage
            | A::ToolManage
            | A::WorkspaceUpdate => false,
        },
        // R42: mentioned, not assigned: it may answer, the ticket stays where it is.
        Standing::MentionedRun => match action {
            A::RequestReadOwn
            | A::RequestReadAll
            | A::NotePublic
            | A::NotePrivate
            | A::CoworkerRead => true,
            A::RequestCreate
            | A::RequestUpdate
            | A::RequestSetStatus
            | A::RequestAssign
            | A::CoworkerWrite
            | A::CoworkerPublish
            | A::RunRead
            | A::RunStop
            | A::ApprovalDecide
            | A::MetricsRead
            | A::PriceWrite
            | A::KeyManage
            | A::HookManage
            | A::AlertManage
            | A::ToolManage
            | A::WorkspaceUpdate => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_by_action_matrix() {
        let mut matrix = format!("{:18}", "");
        for standing in Standing::ALL {
            matrix.push_str(&format!("{:>14}", standing.name()));
        }
        for action in Action::ALL {
            matrix.push_str(&format!("\n{:18}", action.name()));
            for standing in Standing::ALL {
                matrix.push_str(&format!(
                    "{:>14}",
                    if allows(standing, *action) {
                        "yes"
                    } else {
                        "-"
                    }
                ));
            }
        }
        insta::assert_snapshot!(matrix);
    }
}
