//! Closed sets about webhooks.

use async_graphql::Enum;

/// What form the deliveries to a webhook endpoint have. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::WebhookKind")]
pub enum WebhookKind {
    /// PagerDuty's webhooks, version 3, signed in `X-PagerDuty-Signature`; it takes no mapping, and the secret is the one that PagerDuty shows.
    /// An incident that is triggered makes a request of the source SYSTEM, with the incident's title, what it says of service, urgency, teams
    /// and assignees, and its body; it goes to Triage or to whom it fits. Later events of the same incident change that same request, in
    /// whatever order they come: acknowledged → IN_PROGRESS (from OPEN), unacknowledged → OPEN (from IN_PROGRESS, where nobody is assigned),
    /// resolved → RESOLVED (unless CLOSED), reopened → OPEN (and its coworker is dispatched again; a CLOSED request is followed by a new one),
    /// the priority (P1 or SEV1 → URGENT, P2 → HIGH, P3 → NORMAL, P4 and P5 → LOW, else by urgency: high → HIGH, low → LOW), notes and status
    /// updates as public notes, which answer a coworker that asked. All else is only recorded on the request; what concerns no incident is
    /// ignored.
    Pagerduty,
    /// Standard Webhooks 1.0: `webhook-id`, `webhook-timestamp` (within 5 minutes) and `webhook-signature`, with a `whsec_` secret. A mapping says how to read the payload.
    Standard,
    /// Any JSON whose raw body is signed with HMAC-SHA256, in hexadecimal or base64, bare or after `sha256=`, in a header that the mapping names. A mapping says how to read the payload.
    Generic,
}

/// What became of a delivery. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::WebhookOutcome")]
pub enum WebhookOutcome {
    /// It made a request.
    RequestMade,
    /// It changed a request.
    RequestUpdated,
    /// It belongs to a request and changed nothing of it.
    Recorded,
    /// It belongs to no request and made none. Once the request is made, what came before is shown there.
    Ignored,
    /// Its event had been delivered before: it changed nothing.
    Duplicate,
    /// It was refused.
    Refused,
}

/// Why a delivery was refused. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::WebhookRefusal")]
pub enum WebhookRefusal {
    /// The endpoint is disabled (HTTP 410).
    Disabled,
    /// The endpoint has no secret to verify with (HTTP 401).
    NoSecret,
    /// The signature, or a header that belongs to it, is missing (HTTP 401).
    SignatureMissing,
    /// No secret in force makes this signature: another secret, or a body that was changed on its way (HTTP 401).
    SignatureInvalid,
    /// It was signed more than 5 minutes ago, or that far ahead (HTTP 401).
    TimestampOutOfRange,
    /// The body is larger than 512 KiB (HTTP 413).
    TooLarge,
    /// The body is no JSON (HTTP 400).
    NotJson,
    /// The body is JSON, and no request can be made or changed of it: it is not of the form that the endpoint's kind has, the mapping does not
    /// find the title or the event's id in it, the endpoint has no mapping yet, or what it says is no text that a request can have. The log's
    /// `reason` says which. Sending the same again changes nothing (HTTP 422).
    NotUnderstood,
    /// More came at once than the endpoint takes (HTTP 429). These are not in the log.
    TooMany,
}
