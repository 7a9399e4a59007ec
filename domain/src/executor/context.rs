//! What the model of one run reads besides the log: the request as the run found it, and the notes
//! that arrived since. A worker that takes over reads the same from the prompt parts that the log names.

use entity::{NoteId, request, run};
use sea_orm::ConnectionTrait;

use super::brief;
use super::prompt::{Prefix, Stored, brief_part, notes_part};
use crate::error::{Error, Result};
use crate::model::{Brief, Message, NoteBrief, Prompt};
use crate::run::envelope::unhex;
use crate::run::log::Log;

/// The most bytes of a tool's answer that a prompt holds; the log has all of it.
const SHOWN: usize = 64 * 1024;

/// What the model reads besides the log.
pub(super) struct Context {
    brief: Brief,
    request_part: Stored,
    news: Vec<News>,
    newest_note: Option<NoteId>,
    /// The newest entry of the request's timeline that was looked at.
    seen: i64,
}

/// Notes that arrived while the run went on.
struct News {
    /// How many messages stand before them.
    at: usize,
    notes: Vec<NoteBrief>,
    part: Stored,
}

impl Context {
    /// Reads it: from the request's rows, or as an earlier worker of this run read it.
    ///
    /// # Errors
    /// [`Error::Internal`] if a part that the log names is gone, else what the database said.
    pub(super) async fn read<C: ConnectionTrait>(
        conn: &C,
        log: &Log,
        request: &request::Model,
    ) -> Result<Self> {
        let (run, state) = (log.run(), log.state());
        let named: Vec<Vec<u8>> = state
            .parts
            .iter()
            .filter(|part| !part.kind.is_stable())
            .filter_map(|part| unhex(&part.digest))
            .collect();
        let (brief, news) = match named.first() {
            None => {
                let handle = state
                    .started
                    .as_ref()
                    .map_or("", |started| &started.coworker.handle);
                (brief::brief(conn, run, request, handle).await?, Vec::new())
            }
            Some(first) => {
                let texts = brief::load_parts(conn, run, &named).await?;
                let text = |digest: &[u8]| {
                    texts
                        .get(digest)
                        .ok_or_else(|| Error::internal("a prompt part is gone"))
                };
                let brief = serde_json::from_str(text(first)?).map_err(Error::internal)?;
                let mut news = Vec::with_capacity(state.notes_at.len());
                for (at, digest) in &state.notes_at {
                    let body = text(&unhex(digest).unwrap_or_default())?;
                    let notes: Vec<NoteBrief> =
                        serde_json::from_str(body).map_err(Error::internal)?;
                    news.push(News {
                        at: *at,
                        part: notes_part(&notes)?,
                        notes,
                    });
                }
                (brief, news)
            }
        };
        let newest = news
            .iter()
            .flat_map(|news| &news.notes)
            .chain(&brief.notes)
            .map(|note| note.at)
            .max();
        let newest_note = brief::newest_note(conn, run, newest).await?;
        let seen = if news.is_empty() { request.last_seq } else { 0 };
        Ok(Self {
            request_part: brief_part(&brief)?,
            brief,
            news,
            newest_note,
            seen,
        })
    }

    /// Looks for notes that arrived, if the request's timeline has grown to `request_seq` since; `at` is
    /// how many messages stand before them.
    ///
    /// # Errors
    /// What the database said.
    pub(super) async fn read_news<C: ConnectionTrait>(
        &mut self,
        conn: &C,
        run: &run::Model,
        request_seq: i64,
        at: usize,
    ) -> Result<()> {
        if request_seq <= self.seen {
            return Ok(());
        }
        let (notes, newest_note) = brief::notes(conn, run, self.newest_note).await?;
        self.seen = request_seq;
        self.newest_note = newest_note;
        if !notes.is_empty() {
            let part = notes_part(&notes)?;
            self.news.push(News { at, notes, part });
        }
        Ok(())
    }

    /// The request as the run found it.
    pub(super) fn brief(&self) -> &Brief {
        &self.brief
    }

    /// The parts after those that are stable.
    pub(super) fn parts(&self) -> impl Iterator<Item = &Stored> {
        std::iter::once(&self.request_part).chain(self.news.iter().map(|news| &news.part))
    }

    /// The whole prompt.
    pub(super) fn prompt(&self, prefix: &Prefix, log: &[Message]) -> Prompt {
        let parts = prefix.parts.iter().chain(self.parts());
        let parts = parts.map(|stored| stored.part.clone()).collect();
        let mut messages = Vec::with_capacity(log.len() + self.news.len());
        let mut news = self.news.iter().peekable();
        for (i, message) in log.iter().enumerate() {
            while let Some(news) = news.next_if(|news| news.at <= i) {
                messages.push(Message::Notes(news.notes.clone()));
            }
            messages.push(shown(message));
        }
        messages.extend(news.map(|news| Message::Notes(news.notes.clone())));
        Prompt {
            parts,
            brief: self.brief.clone(),
            messages,
        }
    }
}

/// A message as the model reads it: a long answer of a tool is cut, with a mark that says so.
fn shown(message: &Message) -> Message {
    match message {
        Message::Tool {
            call_id,
            tool,
            content,
            failed,
        } if content.len() > SHOWN => {
            let end = content.floor_char_boundary(SHOWN);
            let content = format!(
                "{}\n… cut: {end} of {} bytes shown",
                &content[..end],
                content.len()
            );
            Message::Tool {
                call_id: call_id.clone(),
                tool: tool.clone(),
                content,
                failed: *failed,
            }
        }
        Message::Tool { .. }
        | Message::Assistant { .. }
        | Message::Notes(_)
        | Message::Closing(_) => message.clone(),
    }
}
