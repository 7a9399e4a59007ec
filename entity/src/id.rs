//! Typed ids: a [`RunId`] can't be passed where a [`RequestId`] is meant.

use sea_orm::{DbErr, DeriveValueType, TryFromU64};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, DeriveValueType,
        )]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl TryFromU64 for $name {
            fn try_from_u64(_: u64) -> Result<Self, DbErr> {
                Err(DbErr::ConvertFromU64(stringify!($name)))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

ids! {
    /// A workspace: the tenant that everything else belongs to.
    WorkspaceId,
    /// A person.
    PersonId,
    /// An API key (its id, never its secret).
    ApiKeyId,
    /// A request.
    RequestId,
    /// A note on a request.
    NoteId,
    /// One assignment of a request.
    AssignmentId,
    /// Work that waits for a coworker.
    DispatchId,
    /// A coworker.
    CoworkerId,
    /// One published version of a coworker.
    CoworkerVersionId,
    /// A skill of the library.
    SkillId,
    /// One version of a skill.
    SkillVersionId,
    /// A run: UUIDv7, so that ids order by start and partition by time.
    RunId,
    /// An event of a run.
    EventId,
    /// A call that a person must approve.
    ApprovalId,
    /// A row of the price table.
    ModelPriceId,
    /// A webhook endpoint: random, because it stands in an address.
    WebhookEndpointId,
    /// A secret of a webhook endpoint.
    WebhookSecretId,
    /// One delivery to a webhook endpoint.
    WebhookDeliveryId,
    /// An endpoint that is told of what happens.
    AlertEndpointId,
    /// A secret of such an endpoint.
    AlertSecretId,
    /// One alert on its way to one endpoint.
    AlertDeliveryId,
    /// A server of tools.
    ToolServerId,
    /// An action of a server of tools.
    ToolActionId,
    /// A secret that servers of tools are reached with (its id, never its value).
    SecretId,
}
