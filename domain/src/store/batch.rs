//! A batch: jobs that share a transaction, and what happens when one of them, or the commit, fails.

mod failed;

use std::time::Instant;

use entity::{FailureCode, Outcome};
use sea_orm::{
    DatabaseConnection, DatabaseTransaction, DbBackend, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
};

use self::failed::{Failed, before, commit_failed, pause};
use super::append::{Append, Applied, WRITING, stands};
use super::draft::Draft;
use super::fetch::{Counter, Fetched};
use super::job::{Job, Verdict};
use super::side::Side;
use super::tx::{After, Tx};
use crate::alert::Listening;
use crate::bus::Bus;
use crate::clock::Clock;
use crate::error::{Error, Fault, Result};
use crate::run::envelope;
use crate::run::log::fenced_off;
use crate::telemetry::figure;

/// How often a job is run again after a failure that is known not to have been committed.
const TRIES: u32 = 6;

/// Where and with what batches are run.
#[derive(Clone)]
pub(super) struct Bench {
    pub(super) conn: DatabaseConnection,
    pub(super) clock: Clock,
    pub(super) bus: Bus,
    pub(super) listening: Listening,
    /// Where the jobs of a failed batch are run, each in a task of its own, instead of here one by one: a row
    /// that somebody holds then keeps only those waiting who want it.
    pub(super) side: Option<Side>,
}

impl Bench {
    /// Runs the jobs in one transaction, answers each and performs the after-commit actions.
    /// Any failure but a job's own refusal rolls everything back, and each job is run alone; a command that could not have
    /// what somebody else holds is run alone, and the others stand.
    pub(super) async fn run(&self, mut jobs: Vec<Job>) {
        figure::batch(jobs.len());
        match self.attempt(&mut jobs).await {
            Ok(verdicts) => {
                for (job, verdict) in jobs.into_iter().zip(verdicts) {
                    match verdict {
                        Verdict::Missed => self.apart(job, false).await,
                        Verdict::Applied(_) | Verdict::Done | Verdict::Refused(_) => {
                            job.answer(Ok(verdict));
                        }
                    }
                }
            }
            Err(failed) if jobs.len() > 1 => {
                let (Failed::Before(err, _) | Failed::InCommit(err)) = &failed;
                tracing::warn!(jobs = jobs.len(), %err, "a batch failed; its jobs are run one by one");
                let unknown = matches!(failed, Failed::InCommit(_));
                for job in jobs {
                    self.apart(job, unknown).await;
                }
            }
            Err(failed) => {
                let Some(job) = jobs.pop() else { return };
                match &self.side {
                    Some(side) => {
                        self.aside(
                            side,
                            move |bench| async move { bench.again(job, failed).await },
                        );
                    }
                    None => self.again(job, failed).await,
                }
            }
        }
    }

    /// Runs a job of a batch by itself, where nobody else of the batch waits for it if there is such a place.
    async fn apart(&self, job: Job, unknown: bool) {
        match &self.side {
            Some(side) => {
                self.aside(
                    side,
                    move |bench| async move { bench.alone(job, unknown).await },
                );
            }
            None => self.alone(job, unknown).await,
        }
    }

    /// Does it in a task of its own, once there is a connection for it.
    fn aside<F>(&self, side: &Side, work: impl FnOnce(Self) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let bench = Self {
            conn: side.conn.clone(),
            side: None,
            ..self.clone()
        };
        let room = side.room.clone();
        // It waits for its place there: the lane goes on. There are no more of them than callers.
        tokio::spawn(async move {
            if let Ok(place) = room.acquire_owned().await {
                work(bench).await;
                drop(place);
            }
        });
    }

    /// Runs one job of a failed batch; `unknown` says that the batch may have been committed.
    async fn alone(&self, job: Job, unknown: bool) {
        if unknown {
            return self
                .again(job, Failed::InCommit(Error::CommitUnknown))
                .await;
        }
        let mut jobs = vec![job];
        let outcome = self.attempt(&mut jobs).await;
        let Some(job) = jobs.pop() else { return };
        match outcome {
            Ok(mut verdicts) => {
                job.answer(verdicts.pop().ok_or_else(|| Error::internal("no verdict")))
            }
            Err(failed) => self.again(job, failed).await,
        }
    }

    /// Runs a job again as long as that is safe and promises something.
    async fn again(&self, job: Job, mut failed: Failed) {
        let mut jobs = vec![job];
        // Once a commit's reply was lost, it may stand whatever later tries say: it may even be committed
        // only after they looked.
        let mut open = false;
        for attempt in 1..=TRIES {
            match &failed {
                Failed::Before(_, Fault::Retry | Fault::Lost) => {}
                Failed::Before(_, Fault::Constraint | Fault::Other) => break,
                Failed::InCommit(_) => open = true,
            }
            tokio::time::sleep(pause(attempt)).await;
            if open {
                match self.resolve(&jobs[0]).await {
                    Resolved::Stands(applied) => {
                        return jobs.remove(0).answer(Ok(Verdict::Applied(applied)));
                    }
                    Resolved::Repeat => {}
                    Resolved::Unknown => break,
                    Resolved::AskAgain => continue,
                }
            }
            match self.attempt(&mut jobs).await {
                // Lost to whom? Perhaps to its own first try.
                Ok(verdicts)
                    if open && matches!(verdicts[..], [Verdict::Applied(Applied::Lost)]) =>
                {
                    match self.resolve(&jobs[0]).await {
                        Resolved::Stands(applied) => {
                            return jobs.remove(0).answer(Ok(Verdict::Applied(applied)));
                        }
                        Resolved::Repeat => {
                            return jobs.remove(0).answer(Ok(Verdict::Applied(Applied::Lost)));
                        }
                        Resolved::Unknown | Resolved::AskAgain => {}
                    }
                }
                Ok(mut verdicts) => {
                    let verdict = verdicts.pop().ok_or_else(|| Error::internal("no verdict"));
                    return jobs.remove(0).answer(verdict);
                }
                Err(next) => failed = next,
            }
        }
        let err = match failed {
            Failed::Before(err, _) if !open => err,
            Failed::Before(err, _) | Failed::InCommit(err) => {
                tracing::warn!(%err, "a commit was not confirmed");
                Error::CommitUnknown
            }
        };
        jobs.remove(0).answer(Err(err));
    }

    /// Finds out by the write's own key whether a commit whose reply was lost stands.
    async fn resolve(&self, job: &Job) -> Resolved {
        match job {
            Job::Command(command) if command.repeatable() => Resolved::Repeat,
            Job::Command(_) => Resolved::Unknown,
            Job::Append(append, _) => match stands(&self.conn, append).await {
                // The next append learns of newer timeline entries.
                Ok(true) => Resolved::Stands(Applied::Committed { request_seq: 0 }),
                Ok(false) => Resolved::Repeat,
                Err(_) => Resolved::AskAgain,
            },
        }
    }

    /// Runs the commands one after the other, then writes their drafts and all appends set-wise.
    async fn attempt(&self, jobs: &mut [Job]) -> Result<Vec<Verdict>, Failed> {
        let tx = begin(&self.conn)
            .await
            .map_err(|err| before(Error::from_db(&err)))?;
        let alone = jobs.len() == 1;
        let mut verdicts: Vec<Option<Verdict>> = jobs.iter().map(|_| None).collect();
        let fetched = if alone {
            Fetched::default()
        } else {
            Fetched::fetch(&tx, jobs.iter().filter_map(Job::needs))
                .await
                .map_err(before)?
        };
        let mut after = After {
            conn: tx,
            batch: Draft::default(),
            fetched,
            signals: Vec::new(),
            entries: Vec::new(),
        };
        let (mut signals, mut entries) = (Vec::new(), Vec::new());
        let mut commands: Vec<_> = jobs
            .iter_mut()
            .zip(&mut verdicts)
            .filter_map(|(job, verdict)| match job {
                Job::Command(command) => Some((command, verdict)),
                Job::Append(..) => None,
            })
            .collect();
        // Counters are locked last, and one at a time.
        commands.sort_by_key(|(command, _)| match command.needs().counter {
            None => (0, None),
            Some(Counter::Request(workspace)) => (1, Some(workspace)),
            Some(Counter::Run) => (2, None),
        });
        for (command, verdict) in commands {
            let needs = command.needs();
            let tx = Tx::new(
                after.conn,
                after.batch,
                after.fetched,
                (self.clock.clone(), self.listening.clone()),
                alone,
            );
            match command.run(&tx).await {
                Ok(()) => after = tx.keep().await.map_err(before)?,
                Err(err) => {
                    let missed = tx.has_missed();
                    match tx.take_back().await.map_err(before)? {
                        Some(kept) if missed => {
                            after = kept;
                            *verdict = Some(Verdict::Missed);
                        }
                        Some(kept) if err.is_refusal() => {
                            after = kept;
                            *verdict = Some(Verdict::Refused(err));
                        }
                        None if err.is_refusal() && alone => {
                            return Ok(vec![Verdict::Refused(err)]);
                        }
                        Some(_) | None => return Err(before(err)),
                    }
                }
            }
            after.fetched.has_run(needs);
            signals.append(&mut after.signals);
            entries.append(&mut after.entries);
        }
        let After {
            conn,
            batch,
            fetched,
            ..
        } = after;
        fetched.give_back(&conn).await.map_err(before)?;
        let hot: Vec<(usize, &Append)> = jobs
            .iter()
            .enumerate()
            .filter_map(|(i, job)| match job {
                Job::Append(append, _) => Some((i, &**append)),
                Job::Command(_) => None,
            })
            .collect();
        let appends: Vec<&Append> = hot.iter().map(|(_, append)| *append).collect();
        let ended = ended(batch.appends.iter());
        let expires = |append: &Append| append.not_after.is_some();
        let expiring = self.conn.get_database_backend() == DbBackend::Postgres
            && (batch.appends.iter().any(expires) || appends.iter().any(|one| expires(one)));
        let looked = Instant::now();
        let (applied, lost) = batch
            .write(&conn, &self.clock, &appends)
            .await
            .map_err(before)?;
        if expiring && looked.elapsed() > WRITING {
            // It waited for rows that others hold, and what it says may be theirs by now: it looks again.
            conn.rollback()
                .await
                .map_err(|err| before(Error::from_db(&err)))?;
            return Err(before(Error::Unavailable {
                message: "what may be written for a time only took too long to be written".into(),
            }));
        }
        if lost {
            // The command that was fenced off must not stand: alone it is refused, in a batch each is
            // run alone.
            conn.rollback()
                .await
                .map_err(|err| before(Error::from_db(&err)))?;
            if alone {
                figure::lease_lost();
            }
            return if alone {
                Ok(vec![Verdict::Refused(fenced_off())])
            } else {
                Err(before(fenced_off()))
            };
        }
        let mut stand = Vec::new();
        for ((i, append), applied) in hot.iter().zip(applied) {
            match applied {
                Applied::Committed { .. } => stand.push(*append),
                Applied::Lost => figure::lease_lost(),
            }
            verdicts[*i] = Some(Verdict::Applied(applied));
        }
        let backend = self.conn.get_database_backend();
        conn.commit()
            .await
            .map_err(|err| commit_failed(backend, &err))?;
        for result in ended.into_iter().chain(self::ended(stand.into_iter())) {
            figure::run_ended(result);
        }
        self.bus.publish_entries(entries);
        signals.into_iter().for_each(|signal| self.bus.send(signal));
        Ok(verdicts
            .into_iter()
            .map(|v| v.unwrap_or(Verdict::Done))
            .collect())
    }
}

/// How the runs ended that these appends end.
fn ended<'a>(appends: impl Iterator<Item = &'a Append>) -> Vec<&'static str> {
    let endings = appends.flat_map(|append| append.events.iter().filter_map(envelope::ending));
    endings
        .map(|how| how.map_or_else(FailureCode::as_str, Outcome::as_str))
        .collect()
}

enum Resolved {
    Stands(Applied),
    Repeat,
    Unknown,
    AskAgain,
}

async fn begin(conn: &DatabaseConnection) -> Result<DatabaseTransaction, sea_orm::DbErr> {
    // A deferred BEGIN that turns from reading to writing fails at once, whatever the busy time-out.
    let immediate = (conn.get_database_backend() == DbBackend::Sqlite)
        .then_some(SqliteTransactionMode::Immediate);
    conn.begin_with_options(TransactionOptions {
        sqlite_transaction_mode: immediate,
        ..Default::default()
    })
    .await
}
