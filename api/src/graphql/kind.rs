//! The closed sets, as the contract names and describes them: the words that rows hold, and no others.

use async_graphql::Enum;
use async_graphql::resolver_utils::EnumType;

/// The kinds of actors. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::ActorKind")]
pub enum ActorKind {
    /// A human being.
    Person,
    /// An AI coworker.
    Coworker,
    /// An automation that uses an API key of its own.
    Workflow,
    /// An outside system, such as a monitoring service, or Stint itself.
    System,
}

/// Which way to sort.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "domain::page::Direction")]
pub enum OrderDirection {
    /// Smallest, earliest, first in the alphabet.
    Asc,
    /// Largest, latest, last in the alphabet.
    Desc,
}

/// Where a request stands. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::RequestStatus")]
pub enum RequestStatus {
    /// Nobody works on it yet.
    Open,
    /// Someone works on it, or must pick it up again.
    InProgress,
    /// It waits for an answer of the requester.
    Pending,
    /// Done; may be opened again.
    Resolved,
    /// Done for good.
    Closed,
}

/// How urgent a request is. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::Priority")]
pub enum Priority {
    /// Can wait.
    Low,
    /// The usual.
    Normal,
    /// Before the usual ones.
    High,
    /// Now.
    Urgent,
}

/// Where a request came from. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::RequestSource")]
pub enum RequestSource {
    /// A person made it.
    Employee,
    /// A workflow made it.
    Workflow,
    /// An outside system made it.
    System,
}

/// Who may read a note. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::NoteVisibility")]
pub enum NoteVisibility {
    /// Everyone who sees the request, the requester included.
    Public,
    /// Everyone who sees the request, except callers with the role REQUESTER.
    Private,
}

/// What started a run. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::Trigger")]
pub enum Trigger {
    /// A new request came to the workspace's Triage coworker.
    Intake,
    /// The request was routed to the coworker by its identity.
    Routed,
    /// A person, a workflow or a system assigned the request to the coworker.
    Assigned,
    /// Another coworker handed the request over.
    Handoff,
    /// A person mentioned the coworker in a note.
    Mention,
    /// The requester answered a question of the coworker.
    Reply,
}

/// Where a dispatch stands. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::DispatchState")]
pub enum DispatchState {
    /// Waits for a worker, or for the coworker's run on the same request to end.
    Waiting,
    /// Became a run.
    Started,
    /// Will never become a run.
    Dropped,
}

/// Why a dispatch will never become a run. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::DropReason")]
pub enum DropReason {
    /// The coworker was not published.
    NotPublished,
    /// The request was assigned anew.
    Superseded,
    /// The request was resolved or closed meanwhile.
    RequestClosed,
    /// The request went through too many runs since a person last touched it.
    HopLimit,
}

/// Where a coworker stands. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::CoworkerState")]
pub enum CoworkerState {
    /// Never published: takes no work.
    Draft,
    /// Takes work.
    Published,
    /// Was published, takes no new work.
    Unpublished,
}

/// Whether a person must approve a call. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "domain::coworker::tools::Approval")]
pub enum ToolApproval {
    /// Never.
    Never,
    /// Each time.
    Always,
    /// When the tool says that the call destroys something.
    WhenDestructive,
}

/// Where an approval stands. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::ApprovalState")]
pub enum ApprovalState {
    /// A person must decide.
    Pending,
    /// The call may be made, once.
    Approved,
    /// The call must not be made.
    Denied,
    /// Nobody decided in time.
    Expired,
    /// The run ended before anybody decided: it was stopped, or the request was assigned anew or closed.
    Void,
}

/// What someone decides about a call.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "domain::run::approval::Decision")]
pub enum ApprovalDecision {
    /// It may be made, once, exactly as it is shown.
    Approve,
    /// It must not be made.
    Deny,
}

/// How bad a finding is. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "domain::coworker::lint::Severity")]
pub enum FindingSeverity {
    /// It will not work: publishing is refused, unless it is forced.
    Error,
    /// It may be meant like that.
    Warning,
}

/// The rules of the lint. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "domain::coworker::lint::Rule")]
pub enum FindingRule {
    /// A text names a tool that is not enabled, or a rule needs one.
    ToolNotEnabled,
    /// A text names a tool that does not exist. Words in double quotes are taken as no tool.
    ToolUnknown,
    /// The settings of tools name an action that does not exist.
    ActionUnknown,
    /// A tool of a tool server has the name of a tool of the playbook, and is called in its place.
    ToolShadowed,
    /// An out-of-scope rule routes to a coworker that does not exist, or to the coworker itself.
    RouteToNobody,
    /// An out-of-scope rule routes to a coworker that is not published.
    RouteToUnpublished,
    /// No end-of-run rule sets a status in which runs can leave a request.
    NoEndOfRunRule,
    /// Two end-of-run rules have the same words and set different statuses.
    EndOfRunAmbiguous,
    /// The identity has no scope.
    NoScope,
    /// The scope is nearly that of another published coworker: half of the words of the two in common are a warning, three quarters an error.
    ScopeCollision,
    /// The library has no skill with the handle.
    SkillUnknown,
}

/// Where a run stands: exactly these four.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::RunStatus")]
pub enum RunStatus {
    /// It works.
    Running,
    /// It ended with an outcome.
    Completed,
    /// It ended with a failure code.
    Failed,
    /// It waits for a person's decision.
    PausedForApproval,
}

/// How a completed run ended. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::Outcome")]
pub enum RunOutcome {
    /// The request is resolved.
    Resolved,
    /// It answered.
    Replied,
    /// It assigned the request to someone else.
    HandedOff,
    /// It asked the requester and waits for the answer.
    AwaitingReply,
    /// It can't handle the request, and says why.
    Declined,
    /// Something outside is not available; someone must pick the request up again.
    Blocked,
    /// The request was assigned anew while it ran.
    Superseded,
}

/// Why a run failed. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::FailureCode")]
pub enum RunFailureCode {
    /// The model could not be reached or gave no usable answer.
    ModelError,
    /// Its turns were used up.
    LimitTurns,
    /// Its tool calls were used up.
    LimitToolCalls,
    /// Its time was used up.
    LimitTime,
    /// Its tokens were used up.
    LimitTokens,
    /// Its money was used up.
    LimitCost,
    /// The budget of the coworker or of the workspace was used up.
    BudgetExhausted,
    /// Someone stopped it.
    Stopped,
    /// It killed its worker three times.
    Poisoned,
    /// It was begun by a release that this one can't continue.
    VersionUnsupported,
    /// A fault of Stint itself.
    Internal,
}

/// Who wrote a run's summary.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::SummaryAuthor")]
pub enum SummaryAuthor {
    /// The coworker itself, in its closing turn.
    Coworker,
    /// Stint, because no closing turn was possible.
    System,
}

/// The kinds of steps. May grow: meet an unknown type with the fields of Step.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::StepKind")]
pub enum StepKind {
    /// The run began.
    RunStarted,
    /// A worker took the run over from another that was lost.
    Attempt,
    /// The model thought.
    Thinking,
    /// A tool was called.
    ToolCall,
    /// A note was posted.
    Note,
    /// The request's status changed.
    StatusChange,
    /// The request was assigned to someone else.
    Handoff,
    /// A person was asked to approve a call.
    Approval,
    /// The run ended.
    Done,
}

/// Why a run changed hands. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "domain::run::event::Takeover")]
pub enum Takeover {
    /// The worker's lease ran out: it died, froze or lost the database.
    LeaseExpired,
    /// The worker gave the run back in order.
    HandedBack,
    /// The run was held past its deadline.
    Overdue,
}

/// Which prices a cost is calculated with.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pricing {
    /// The price that was in force at the time of each call, as it was recorded.
    AtRun,
    /// The price that is in force now.
    Current,
}

/// The kinds of tokens that are priced. They do not overlap. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "domain::metric::cost::TokenKind")]
pub enum TokenKind {
    /// Input that was neither read from a cache nor written to one.
    Input,
    /// Input that was served from a cache.
    CacheRead,
    /// Input that was written to a short-lived cache.
    CacheWriteShort,
    /// Input that was written to a long-lived cache.
    CacheWriteLong,
    /// Output, reasoning included.
    Output,
}

/// What part of a prompt tokens belong to. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "domain::model::tokens::ComponentKind")]
pub enum UsageComponentKind {
    /// The coworker's role, its scope and what is out of it.
    Identity,
    /// The coworker's soul.
    Soul,
    /// The coworker's goal: purpose, flow, non-goals, where to route, how runs end.
    Goal,
    /// What Stint tells every coworker.
    Instructions,
    /// A skill, by name.
    Skill,
    /// The definition of a tool, by name.
    ToolDefinition,
    /// The request, and the outcomes of earlier runs on it.
    Request,
    /// The request's notes.
    Notes,
    /// What the model said and asked for earlier in the run.
    History,
    /// What tools answered earlier in the run.
    ToolResults,
}

/// What an API key may do. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::Role")]
pub enum Role {
    /// Everything, including keys and prices.
    Admin,
    /// Works on requests.
    Agent,
    /// Reads everything, changes nothing.
    Analyst,
    /// Makes requests and sees only their own.
    Requester,
}

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

impl FindingRule {
    /// The word that programs know it by.
    pub fn word(self) -> &'static str {
        let items = <Self as EnumType>::items().iter();
        let mut named = items.filter(|item| item.value == self);
        named.next().map_or("", |item| item.name)
    }
}

/// How much a model shall reason. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "domain::model::Effort")]
pub enum ReasoningEffort {
    /// Not at all.
    None,
    /// As little as it can.
    Minimal,
    /// Little.
    Low,
    /// As it mostly does.
    Medium,
    /// Much.
    High,
    /// As much as it can.
    Max,
}

/// What a model is writing. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "domain::bus::delta::DeltaKind")]
pub enum DeltaKind {
    /// Its reasoning.
    Thinking,
    /// What it says.
    Text,
    /// The arguments of a tool call, JSON that is not whole yet.
    ToolCall,
}

macro_rules! words {
    ($($name:ident of $row:ident),+ $(,)?) => {$(
        impl $name {
            /// The word that rows hold.
            pub fn word(self) -> &'static str {
                entity::$row::from(self).as_str()
            }
        }
    )+};
}

words! {
    ActorKind of ActorKind,
    RequestStatus of RequestStatus,
    Priority of Priority,
    RequestSource of RequestSource,
    NoteVisibility of NoteVisibility,
    Trigger of Trigger,
    CoworkerState of CoworkerState,
    ApprovalState of ApprovalState,
    RunStatus of RunStatus,
    RunOutcome of Outcome,
    RunFailureCode of FailureCode,
    StepKind of StepKind,
    WebhookOutcome of WebhookOutcome,
}
