//! What an event does to its request: through the commands and the desk that people's calls go through.

use entity::{
    Millis, NoteVisibility, RequestStatus, Trigger, WebhookOutcome, coworker, request,
    webhook_subject,
};

use super::{Event, Filing, News};
use crate::access::Actor;
use crate::error::Result;
use crate::request::assign::{Assignee, assign, assigned_coworker};
use crate::request::desk::Desk;
use crate::request::route::Ahead;
use crate::request::status::allowed;
use crate::request::{CreateNote, CreateRequest, UpdateRequest};
use crate::run::approval::end_paused_if_closed;
use crate::store::{Command, Tx};

/// What became of an event.
#[derive(Debug)]
pub(super) struct Applied {
    pub(super) outcome: WebhookOutcome,
    pub(super) request: Option<request::Model>,
    pub(super) reason: Option<&'static str>,
}

impl Applied {
    fn made(request: request::Model) -> Self {
        Self {
            outcome: WebhookOutcome::RequestMade,
            request: Some(request),
            reason: None,
        }
    }

    fn updated(request: request::Model) -> Self {
        Self {
            outcome: WebhookOutcome::RequestUpdated,
            request: Some(request),
            reason: None,
        }
    }

    fn recorded(request: request::Model, reason: &'static str) -> Self {
        Self {
            outcome: WebhookOutcome::Recorded,
            request: Some(request),
            reason: Some(reason),
        }
    }

    const fn ignored(reason: &'static str) -> Self {
        Self {
            outcome: WebhookOutcome::Ignored,
            request: None,
            reason: Some(reason),
        }
    }
}

const LATE: &str = "A later event about it came before this one.";
const EARLY: &str = "It has no request: the event that opens it has not come, or came to another endpoint. What it says is kept for then.";
const SAME: &str = "It tells nothing that the request does not say already.";
const CLOSED: &str = "The request is closed for good.";
const THERE: &str = "The incident has its request already.";
const OTHER: &str = "It changes nothing of the request.";

/// Does to the request what the event says. `subject` is locked, and changed in memory only; `ahead` is where a new request
/// would go.
pub(super) async fn apply(
    tx: &Tx,
    actor: &Actor,
    event: &Event,
    subject: &mut webhook_subject::Model,
    known: Option<request::Model>,
    ahead: Option<&Ahead>,
) -> Result<Applied> {
    use RequestStatus as S;
    let at = event.at.unwrap_or_else(|| tx.at());
    let newest = hear(subject, &event.news, at);
    let applied = match (&event.news, known) {
        (News::Nothing(reason), _) => Applied::ignored(reason),
        (News::Stands(filing, status), known) => {
            stands(tx, actor, event, subject, known, (filing, *status), ahead).await?
        }
        (News::Opened(filing) | News::Reopened(filing), None) => {
            Applied::made(open(tx, actor, subject, filing, ahead).await?)
        }
        (
            News::Status(_) | News::Unacknowledged | News::Urgency(_) | News::Note(_) | News::Other,
            None,
        ) => Applied::ignored(EARLY),
        (_, Some(request)) if !newest => Applied::recorded(request, LATE),
        (News::Opened(_), Some(request)) => Applied::recorded(request, THERE),
        (News::Reopened(filing), Some(request)) if request.status == S::Closed => {
            Applied::made(open(tx, actor, subject, filing, ahead).await?)
        }
        (News::Reopened(_), Some(request)) => {
            let status = |row: &request::Model| (row.status == S::Resolved).then_some(S::Open);
            set_status(tx, actor, &request, status).await?
        }
        (News::Status(told), Some(request)) => {
            let status = |row: &request::Model| follows(row.status, *told);
            set_status(tx, actor, &request, status).await?
        }
        (News::Unacknowledged, Some(request)) => {
            // Whoever works on it here goes on, whatever became of the acknowledgement there.
            let idle = |row: &request::Model| {
                (row.status == S::InProgress && row.assignee_id.is_none()).then_some(S::Open)
            };
            set_status(tx, actor, &request, idle).await?
        }
        (News::Urgency(priority), Some(request)) if request.priority == *priority => {
            Applied::recorded(request, SAME)
        }
        (News::Urgency(priority), Some(request)) => {
            let change = UpdateRequest {
                priority: Some(*priority),
                ..update(actor, &request)
            };
            Applied::updated(change.run(tx).await?)
        }
        (News::Note(body), Some(request)) => {
            let note = CreateNote {
                actor: actor.clone(),
                request: request.id,
                body: body.clone(),
                visibility: NoteVisibility::Public,
                idempotency_key: None,
            };
            note.run(tx).await?;
            Applied::updated(request)
        }
        (News::Other, Some(request)) => Applied::recorded(request, OTHER),
    };
    if let (WebhookOutcome::RequestMade, Some(request)) = (applied.outcome, &applied.request) {
        subject.request_id = Some(request.id);
    }
    Ok(applied)
}

/// Remembers what an event tells of its subject; false if something newer told it otherwise.
fn hear(subject: &mut webhook_subject::Model, news: &News, at: Millis) -> bool {
    let newer = |before: Option<Millis>| before.is_none_or(|before| at >= before);
    let status = match news {
        News::Status(status) => *status,
        News::Reopened(_) | News::Unacknowledged => RequestStatus::Open,
        News::Urgency(priority) => {
            let newest = newer(subject.priority_at);
            if newest {
                (subject.priority, subject.priority_at) = (Some(*priority), Some(at));
            }
            return newest;
        }
        News::Opened(_) | News::Note(_) | News::Stands(..) | News::Other | News::Nothing(_) => {
            return true;
        }
    };
    let newest = newer(subject.status_at);
    if newest {
        (subject.status, subject.status_at) = (Some(status), Some(at));
    }
    newest
}

/// Makes the request, with what earlier events said that came before this one.
async fn open(
    tx: &Tx,
    actor: &Actor,
    subject: &webhook_subject::Model,
    filing: &Filing,
    ahead: Option<&Ahead>,
) -> Result<request::Model> {
    let Filing {
        title,
        description,
        priority,
        labels,
    } = filing;
    let create = CreateRequest {
        actor: actor.clone(),
        title: title.clone(),
        description: description.clone(),
        priority: subject.priority.unwrap_or(*priority),
        labels: labels.clone(),
        assignee: None,
        idempotency_key: None,
        ahead: ahead.cloned(),
    };
    let made = create.run(tx).await?;
    match subject
        .status
        .and_then(|status| follows(made.status, status))
    {
        Some(status) => {
            let mut desk = Desk::of(made);
            desk.set_status(tx.at(), actor, status)?;
            Ok(desk.save(tx))
        }
        None => Ok(made),
    }
}

/// The whole of a subject: makes the request, or brings it up to date.
async fn stands(
    tx: &Tx,
    actor: &Actor,
    event: &Event,
    subject: &mut webhook_subject::Model,
    known: Option<request::Model>,
    (filing, status): (&Filing, Option<RequestStatus>),
    ahead: Option<&Ahead>,
) -> Result<Applied> {
    // Before anything else: what is older than what the request says opens nothing either.
    let late = matches!((event.at, subject.status_at), (Some(at), Some(newest)) if at < newest);
    if let Some(request) = known.clone().filter(|_| late) {
        return Ok(Applied::recorded(request, LATE));
    }
    subject.status_at = event.at.or(subject.status_at);
    let reopens = status.is_none_or(|status| !status.is_done());
    let request = match known {
        Some(request) if request.status == RequestStatus::Closed && !reopens => {
            return Ok(Applied::recorded(request, CLOSED));
        }
        Some(request) if request.status != RequestStatus::Closed => request,
        // Closed for good, and back: another request for the same thing.
        Some(_) | None => {
            subject.status = status;
            return Ok(Applied::made(
                open(tx, actor, subject, filing, ahead).await?,
            ));
        }
    };
    subject.status = status.or(subject.status);
    let Filing {
        title,
        description,
        priority,
        labels,
    } = filing;
    let assignee = assigned_coworker(tx, actor, &request).await?;
    let change = UpdateRequest {
        title: Some(title.clone()),
        description: Some(description.clone()),
        priority: Some(*priority),
        labels: Some(labels.clone()),
        ..update(actor, &request)
    };
    let changed = change.run(tx).await?;
    let before = changed.status;
    let Some(status) = status.filter(|status| *status != before && before != RequestStatus::Closed)
    else {
        return Ok(Applied::updated(changed));
    };
    if !allowed(before).contains(&status) {
        let reason = "The request can't go from its status to this one; all else was taken over.";
        return Ok(Applied {
            reason: Some(reason),
            ..Applied::updated(changed)
        });
    }
    let mut desk = Desk::of(changed);
    turn(tx, &mut desk, actor, assignee, status).await?;
    Ok(Applied::updated(desk.save(tx)))
}

fn update(actor: &Actor, request: &request::Model) -> UpdateRequest {
    UpdateRequest {
        actor: actor.clone(),
        request: request.id,
        title: None,
        description: None,
        status: None,
        priority: None,
        labels: None,
    }
}

/// The status that a request takes on when it is told one: an acknowledgement moves only what nobody works on, and nothing
/// opens what is done but an event that says so.
const fn follows(now: RequestStatus, status: RequestStatus) -> Option<RequestStatus> {
    use RequestStatus as S;
    match (now, status) {
        (S::Open, S::InProgress | S::Pending | S::Resolved | S::Closed) => Some(status),
        (S::InProgress | S::Pending, S::Resolved | S::Closed) => Some(status),
        (S::Resolved, S::Closed) => Some(status),
        (S::Open | S::InProgress | S::Pending | S::Resolved | S::Closed, _) => None,
    }
}

/// Sets the status that follows for the request as it is once it is locked.
async fn set_status(
    tx: &Tx,
    actor: &Actor,
    request: &request::Model,
    follows: impl Fn(&request::Model) -> Option<RequestStatus> + Send,
) -> Result<Applied> {
    let assignee = assigned_coworker(tx, actor, request).await?;
    let mut desk = Desk::lock(tx, actor, request.id).await?;
    let Some(status) = follows(&desk.request) else {
        let closed = desk.request.status == RequestStatus::Closed;
        return Ok(Applied::recorded(
            desk.request,
            if closed { CLOSED } else { SAME },
        ));
    };
    turn(tx, &mut desk, actor, assignee, status).await?;
    Ok(Applied::updated(desk.save(tx)))
}

/// Sets the status. What is opened again goes to the coworker that had it, if nothing is under way there.
async fn turn(
    tx: &Tx,
    desk: &mut Desk,
    actor: &Actor,
    assignee: Option<coworker::Model>,
    status: RequestStatus,
) -> Result<()> {
    let before = desk.set_status(tx.at(), actor, status)?;
    end_paused_if_closed(tx, desk).await?;
    let again = before.is_some_and(RequestStatus::is_done) && !status.is_done();
    let assignee = assignee.map(Assignee::Coworker).filter(|_| again);
    if let Some(assignee) = assignee
        && desk.assignee() == Some(assignee.parts())
    {
        assign(tx, desk, actor, Some(&assignee), None, Trigger::Assigned).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_says_so_opens_what_is_done() {
        use RequestStatus as S;
        for status in S::ALL {
            for done in [S::Resolved, S::Closed] {
                assert!(
                    follows(done, *status).is_none_or(S::is_done),
                    "{done:?} {status:?}"
                );
            }
            assert_ne!(follows(S::InProgress, *status), Some(S::Open));
        }
        assert_eq!(follows(S::Open, S::InProgress), Some(S::InProgress));
        assert_eq!(follows(S::Pending, S::InProgress), None);
        assert_eq!(follows(S::Pending, S::Resolved), Some(S::Resolved));
    }
}
