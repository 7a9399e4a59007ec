//! How payloads are read, as the API shows and takes it.

use async_graphql::{InputObject, SimpleObject};
use domain::hook::{Mapping, Meaning};

use crate::graphql::kind::{Priority, RequestStatus};

/// Where the parts of a request are in a payload, by JSON Pointer (RFC 6901: `/data/title`). Only the title, and a generic endpoint's event id, must be there.
#[derive(SimpleObject, InputObject, Clone, Debug)]
#[graphql(input_name = "WebhookMappingInput")]
pub struct WebhookMapping {
    /// Where the title is. A delivery without a text, number or boolean there is refused; a longer one than 300 characters is cut.
    pub title: String,
    /// Where the text is; what is no text is written as JSON, what is longer than 64 KiB is cut. Empty where there is none.
    pub description: Option<String>,
    /// Where the urgency is: one of Stint's words in any case, or one of `priorities`. NORMAL where there is none or another.
    pub priority: Option<String>,
    /// What the sender's words for urgencies mean, at most 50.
    #[graphql(default)]
    pub priorities: Vec<WebhookPriorityMeaning>,
    /// Where the labels are: a list or one. Up to 20 are taken, and cut to 60 characters; none where there are none.
    pub labels: Option<String>,
    /// Where the status is: one of Stint's words in any case, or one of `statuses`. The status stays as it is where there is none or another.
    pub status: Option<String>,
    /// What the sender's words for statuses mean, at most 50.
    #[graphql(default)]
    pub statuses: Vec<WebhookStatusMeaning>,
    /// Where the name is of what the event is about. Events about the same thing go to the same request, whose title, text, urgency, labels and status they replace; an event without it makes a request of its own.
    pub subject: Option<String>,
    /// Generic endpoints: where the event's id is. An event counts once by it; a delivery without it is refused.
    pub event_id: Option<String>,
    /// Generic endpoints: the header that holds the event's id, where it is not in the payload. The signature covers the payload alone: whoever gets hold of a delivery can send it again under another id, and it counts again. Prefer `eventId` where the payload has one.
    pub event_id_header: Option<String>,
    /// Where the event's type is; `/type` for Standard Webhooks without it.
    pub event_type: Option<String>,
    /// The event types that count, at most 50; others are ignored. All without it.
    #[graphql(default)]
    pub event_types: Vec<String>,
    /// Where the time of the event is, as RFC 3339 or seconds since 1970; `/timestamp` for Standard Webhooks without it. An event that is older than what the request says already changes nothing.
    pub occurred_at: Option<String>,
    /// Generic endpoints: the header that holds the signature; `X-Hub-Signature-256` without it.
    pub signature_header: Option<String>,
}

macro_rules! meanings {
    ($($doc:literal $name:ident $input:literal of $set:ident),+ $(,)?) => {$(
        #[doc = $doc]
        #[derive(SimpleObject, InputObject, Clone, Debug)]
        #[graphql(input_name = $input)]
        pub struct $name {
            /// The sender's word, at most 60 characters; its case does not matter.
            pub value: String,
            /// What it means.
            pub means: $set,
        }

        impl From<Meaning<entity::$set>> for $name {
            fn from(Meaning { value, means }: Meaning<entity::$set>) -> Self {
                Self { value, means: means.into() }
            }
        }

        impl From<$name> for Meaning<entity::$set> {
            fn from($name { value, means }: $name) -> Self {
                Self { value, means: means.into() }
            }
        }
    )+};
}

meanings! {
    "What a sender's word for an urgency means." WebhookPriorityMeaning "WebhookPriorityMeaningInput" of Priority,
    "What a sender's word for a status means." WebhookStatusMeaning "WebhookStatusMeaningInput" of RequestStatus,
}

macro_rules! conversions {
    ($($from:ident => $to:ident),+ $(,)?) => {$(
        impl From<$from> for $to {
            fn from(mapping: $from) -> Self {
                let $from {
                    title,
                    description,
                    priority,
                    priorities,
                    labels,
                    status,
                    statuses,
                    subject,
                    event_id,
                    event_id_header,
                    event_type,
                    event_types,
                    occurred_at,
                    signature_header,
                } = mapping;
                Self {
                    title,
                    description,
                    priority,
                    priorities: priorities.into_iter().map(Into::into).collect(),
                    labels,
                    status,
                    statuses: statuses.into_iter().map(Into::into).collect(),
                    subject,
                    event_id,
                    event_id_header,
                    event_type,
                    event_types,
                    occurred_at,
                    signature_header,
                }
            }
        }
    )+};
}

conversions! {
    Mapping => WebhookMapping,
    WebhookMapping => Mapping,
}
