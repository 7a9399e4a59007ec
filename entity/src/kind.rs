//! The closed sets that rows hold, stored as the words that the API shows.

use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, EnumIter, DeriveActiveEnum)]
        #[sea_orm(rs_type = "String", db_type = "Text")]
        pub enum $name {
            $($(#[$vdoc])* #[sea_orm(string_value = $text)] #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// The word that is stored and shown.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];
        }
    )+};
}

kinds! {
    /// Who or what acts.
    ActorKind {
        /// A human being.
        Person = "PERSON",
        /// An AI coworker.
        Coworker = "COWORKER",
        /// An automation that uses an API key of its own.
        Workflow = "WORKFLOW",
        /// An outside system, such as a monitoring service.
        System = "SYSTEM",
    }
    /// What an API key may do; the policy itself is `domain::access`.
    Role {
        /// Everything, including keys and prices.
        Admin = "ADMIN",
        /// Works on requests.
        Agent = "AGENT",
        /// Reads everything, changes nothing.
        Analyst = "ANALYST",
        /// Makes requests and sees only their own.
        Requester = "REQUESTER",
    }
    /// Where a request came from.
    RequestSource {
        /// A person made it.
        Employee = "EMPLOYEE",
        /// A workflow made it.
        Workflow = "WORKFLOW",
        /// An outside system made it.
        System = "SYSTEM",
    }
    /// A request's status.
    RequestStatus {
        /// Nobody works on it yet.
        Open = "OPEN",
        /// Someone works on it.
        InProgress = "IN_PROGRESS",
        /// It waits for an answer of the requester.
        Pending = "PENDING",
        /// Done; may be opened again.
        Resolved = "RESOLVED",
        /// Done for good.
        Closed = "CLOSED",
    }
    /// How urgent a request is.
    Priority {
        /// Can wait.
        Low = "LOW",
        /// The usual.
        Normal = "NORMAL",
        /// Before the usual ones.
        High = "HIGH",
        /// Now.
        Urgent = "URGENT",
    }
    /// Who may read a note.
    NoteVisibility {
        /// Everyone who sees the request, the requester included.
        Public = "PUBLIC",
        /// Not the requester.
        Private = "PRIVATE",
    }
    /// Where a coworker stands.
    CoworkerState {
        /// Never published.
        Draft = "DRAFT",
        /// Takes work.
        Published = "PUBLISHED",
        /// Was published, takes no new work.
        Unpublished = "UNPUBLISHED",
    }
    /// What made a dispatch, and so a run.
    Trigger {
        /// A new request, to the workspace's Triage coworker.
        Intake = "INTAKE",
        /// Routed by identity.
        Routed = "ROUTED",
        /// A person (or an automation) assigned it.
        Assigned = "ASSIGNED",
        /// Another coworker handed it over.
        Handoff = "HANDOFF",
        /// A person mentioned the coworker in a note.
        Mention = "MENTION",
        /// The requester answered.
        Reply = "REPLY",
    }
    /// Where a dispatch stands.
    DispatchState {
        /// Waits for a worker, or for the coworker's active run on the request to end.
        Waiting = "WAITING",
        /// Became a run.
        Started = "STARTED",
        /// Will never become a run; the reason says why.
        Dropped = "DROPPED",
    }
    /// Why a dispatch was dropped.
    DropReason {
        /// The coworker was not published, or was taken out of work while this waited.
        NotPublished = "NOT_PUBLISHED",
        /// The request was assigned anew.
        Superseded = "SUPERSEDED",
        /// The request was resolved or closed meanwhile.
        RequestClosed = "REQUEST_CLOSED",
        /// The request went through too many runs since a person last touched it.
        HopLimit = "HOP_LIMIT",
        /// The coworker's or the workspace's budget is used up.
        BudgetExhausted = "BUDGET_EXHAUSTED",
        /// Money is limited, and the model has no price.
        UnpricedModel = "UNPRICED_MODEL",
    }
    /// The spans of time that budgets are for; both in UTC.
    BudgetPeriod {
        /// A day.
        Day = "DAY",
        /// A month.
        Month = "MONTH",
    }
    /// A run's status, exactly as people see it.
    RunStatus {
        /// It works.
        Running = "RUNNING",
        /// It ended with an outcome.
        Completed = "COMPLETED",
        /// It ended with a failure code.
        Failed = "FAILED",
        /// It waits for a person's decision.
        PausedForApproval = "PAUSED_FOR_APPROVAL",
    }
    /// How a completed run ended.
    Outcome {
        /// The request is resolved.
        Resolved = "RESOLVED",
        /// It answered.
        Replied = "REPLIED",
        /// It assigned the request to someone else.
        HandedOff = "HANDED_OFF",
        /// It asked the requester and waits.
        AwaitingReply = "AWAITING_REPLY",
        /// It can't handle this, and says why.
        Declined = "DECLINED",
        /// Something outside is not available; someone must pick it up.
        Blocked = "BLOCKED",
        /// The request was assigned anew while it ran.
        Superseded = "SUPERSEDED",
    }
    /// Why a run failed.
    FailureCode {
        /// The model could not be reached or did not answer usably.
        ModelError = "MODEL_ERROR",
        /// Its turns were used up.
        LimitTurns = "LIMIT_TURNS",
        /// Its tool calls were used up.
        LimitToolCalls = "LIMIT_TOOL_CALLS",
        /// Its time was used up.
        LimitTime = "LIMIT_TIME",
        /// Its tokens were used up.
        LimitTokens = "LIMIT_TOKENS",
        /// Its money was used up.
        LimitCost = "LIMIT_COST",
        /// The coworker's or workspace's budget was used up.
        BudgetExhausted = "BUDGET_EXHAUSTED",
        /// A person stopped it.
        Stopped = "STOPPED",
        /// It killed its worker three times.
        Poisoned = "POISONED",
        /// It was begun by a release that this one can't continue.
        VersionUnsupported = "VERSION_UNSUPPORTED",
        /// A fault of Stint itself.
        Internal = "INTERNAL",
    }
    /// Who wrote a run's summary.
    SummaryAuthor {
        /// The coworker, in its closing turn.
        Coworker = "COWORKER",
        /// Stint, because no closing turn was possible.
        System = "SYSTEM",
    }
    /// The kinds of a run's steps.
    StepKind {
        /// The run began.
        RunStarted = "RUN_STARTED",
        /// A worker took the run over.
        Attempt = "ATTEMPT",
        /// The model thought.
        Thinking = "THINKING",
        /// A tool was called.
        ToolCall = "TOOL_CALL",
        /// A note was posted.
        Note = "NOTE",
        /// The request's status changed.
        StatusChange = "STATUS_CHANGE",
        /// The request was assigned to someone else.
        Handoff = "HANDOFF",
        /// A person was asked to approve a call.
        Approval = "APPROVAL",
        /// The run ended.
        Done = "DONE",
    }
    /// The kinds of entries on a request's timeline.
    RequestEventKind {
        /// The request was made.
        RequestCreated = "REQUEST_CREATED",
        /// A note was posted.
        NotePosted = "NOTE_POSTED",
        /// Its status changed.
        StatusChanged = "STATUS_CHANGED",
        /// It was assigned.
        Assigned = "ASSIGNED",
        /// A run started.
        RunStarted = "RUN_STARTED",
        /// A run ended.
        RunEnded = "RUN_ENDED",
        /// A dispatch was dropped.
        DispatchDropped = "DISPATCH_DROPPED",
        /// Nobody fits it clearly enough.
        LeftToPeople = "LEFT_TO_PEOPLE",
        /// Coworkers passed it on too often.
        Escalated = "ESCALATED",
        /// It was decided about a call of a coworker, or nobody did in time.
        ApprovalDecided = "APPROVAL_DECIDED",
    }
    /// Where an approval stands.
    ApprovalState {
        /// A person must decide.
        Pending = "PENDING",
        /// The call may be made, once.
        Approved = "APPROVED",
        /// The call must not be made.
        Denied = "DENIED",
        /// Nobody decided in time.
        Expired = "EXPIRED",
        /// The run ended before anybody decided: it was stopped, or the request was assigned anew.
        Void = "VOID",
    }
    /// What form the deliveries to a webhook endpoint have.
    WebhookKind {
        /// PagerDuty's webhooks, version 3.
        Pagerduty = "PAGERDUTY",
        /// Standard Webhooks 1.0, read by a mapping.
        Standard = "STANDARD",
        /// Any signed JSON, read by a mapping.
        Generic = "GENERIC",
    }
    /// What became of a delivery to a webhook endpoint.
    WebhookOutcome {
        /// It made a request.
        RequestMade = "REQUEST_MADE",
        /// It changed a request.
        RequestUpdated = "REQUEST_UPDATED",
        /// It belongs to a request and changed nothing of it.
        Recorded = "RECORDED",
        /// It belongs to no request and made none.
        Ignored = "IGNORED",
        /// Its event had been delivered before.
        Duplicate = "DUPLICATE",
        /// It was refused.
        Refused = "REFUSED",
    }
    /// Why a delivery was refused.
    WebhookRefusal {
        /// The endpoint is disabled.
        Disabled = "DISABLED",
        /// The endpoint has no secret to verify with.
        NoSecret = "NO_SECRET",
        /// The signature, or what belongs to it, is missing.
        SignatureMissing = "SIGNATURE_MISSING",
        /// No secret in force makes this signature.
        SignatureInvalid = "SIGNATURE_INVALID",
        /// It was signed too long ago, or for the future.
        TimestampOutOfRange = "TIMESTAMP_OUT_OF_RANGE",
        /// The body is larger than allowed.
        TooLarge = "TOO_LARGE",
        /// The body is no JSON.
        NotJson = "NOT_JSON",
        /// The body is JSON and does not hold what the endpoint needs.
        NotUnderstood = "NOT_UNDERSTOOD",
        /// Too many came at once.
        TooMany = "TOO_MANY",
    }
    /// What an alert tells of.
    AlertKind {
        /// A run ended, whichever way.
        RunEnded = "RUN_ENDED",
        /// A run failed.
        RunFailed = "RUN_FAILED",
        /// A coworker asks whether it may make a call.
        ApprovalRequested = "APPROVAL_REQUESTED",
        /// A request was resolved.
        RequestResolved = "REQUEST_RESOLVED",
        /// Much of a budget is used.
        BudgetNearing = "BUDGET_NEARING",
        /// A budget is used up.
        BudgetExhausted = "BUDGET_EXHAUSTED",
        /// A coworker's runs cost more than they did.
        CostClimbing = "COST_CLIMBING",
    }
    /// Where the delivery of an alert stands.
    AlertState {
        /// It is to be sent, or to be sent again.
        Waiting = "WAITING",
        /// The receiver took it.
        Delivered = "DELIVERED",
        /// It was tried as often as it is, in vain.
        GivenUp = "GIVEN_UP",
        /// Its endpoint was disabled before the receiver took it.
        Dropped = "DROPPED",
    }
    /// Why an endpoint is told of nothing.
    AlertDisabled {
        /// An administrator disabled it.
        ByHand = "BY_HAND",
        /// The receiver answered that it is gone.
        Gone = "GONE",
        /// Whatever was sent to it failed for days.
        Failing = "FAILING",
    }
    /// How the tools of a server are reached.
    ToolServerKind {
        /// A program that speaks the Model Context Protocol on its standard input and output.
        McpStdio = "MCP_STDIO",
        /// A server that speaks the Model Context Protocol over streamable HTTP.
        McpHttp = "MCP_HTTP",
        /// Calls over HTTP that an administrator declared.
        Http = "HTTP",
    }
    /// What happens when a call of a tool is repeated.
    ToolEffect {
        /// Only reads: may repeat.
        Read = "READ",
        /// May repeat under the same key.
        Idempotent = "IDEMPOTENT",
        /// At most once: after a crash in the window its outcome is unknown.
        Effect = "EFFECT",
    }
    /// By what else than the model a rollup keeps its figures apart.
    RollupCube {
        /// By the coworker.
        Coworker = "COWORKER",
        /// By coworker, source of the request, trigger and outcome of the run.
        Full = "FULL",
    }
    /// How long the buckets of a rollup are.
    RollupGrain {
        /// A quarter of an hour, UTC.
        Quarter = "QUARTER",
        /// An hour, UTC.
        Hour = "HOUR",
        /// A day of the reporting time zone.
        Day = "DAY",
        /// A week, from Monday on, of the reporting time zone.
        Week = "WEEK",
    }
    /// Whether the definition of an action is the one that an administrator knows.
    ToolActionState {
        /// It is.
        Ok = "OK",
        /// The server has changed it: it can't be called until an administrator accepts it.
        Changed = "CHANGED",
        /// The server does not have it any more.
        Gone = "GONE",
    }
}

impl RunStatus {
    /// Whether the run has not ended.
    pub const fn is_active(self) -> bool {
        match self {
            Self::Running | Self::PausedForApproval => true,
            Self::Completed | Self::Failed => false,
        }
    }
}

impl RequestStatus {
    /// Whether no more work is expected.
    pub const fn is_done(self) -> bool {
        match self {
            Self::Resolved | Self::Closed => true,
            Self::Open | Self::InProgress | Self::Pending => false,
        }
    }
}
