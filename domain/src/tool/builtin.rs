//! The built-in tools that every coworker has: what they are called and what they take. They are the
//! commands that people use, run inside the append's own transaction (`executor::act`).

use std::sync::LazyLock;

use entity::{NoteVisibility, Outcome, RequestStatus};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::{Effect, ToolSpec};

/// The name of the tool that ends a run.
pub const FINISH: &str = "finish";
/// The name of the tool that asks the requester.
pub const ASK: &str = "ask_requester";

/// The server that built-in tools belong to; their names go without it.
pub const BUILT_IN: &str = "stint";

/// A call of a built-in tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Builtin {
    /// Posts a note on the request.
    PostNote(PostNote),
    /// Sets the request's status.
    SetStatus(SetStatus),
    /// Assigns the request to someone else.
    Reassign(Reassign),
    /// Asks the requester, and waits for the answer.
    AskRequester(AskRequester),
    /// Lists whom the request fits.
    ListCandidates(ListCandidates),
    /// Ends the run.
    Finish(Finish),
}

/// Arguments of `post_note`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PostNote {
    /// PUBLIC: the requester reads it. PRIVATE: only teammates do.
    #[schemars(schema_with = "visibilities")]
    pub visibility: NoteVisibility,
    /// The text, Markdown.
    pub body: String,
}

/// Arguments of `set_status`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetStatus {
    /// The new status.
    #[schemars(schema_with = "statuses")]
    pub status: RequestStatus,
}

/// Arguments of `reassign`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reassign {
    /// The handle of the coworker that shall go on; null leaves the request to people.
    pub to: Option<String>,
    /// Why, for whoever goes on.
    pub reason: String,
}

/// Arguments of `ask_requester`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AskRequester {
    /// The question, posted as a public note.
    pub question: String,
}

/// Arguments of `list_candidates`: none.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListCandidates {}

/// Arguments of `finish`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finish {
    /// How the run ends.
    #[schemars(schema_with = "outcomes")]
    pub outcome: Outcome,
    /// The end-of-run rule of your goal that you met, word for word; its status is set.
    #[serde(default)]
    pub rule: Option<String>,
    /// Why the run ends like this, in one sentence.
    pub reason: String,
    /// What you did and why, and what comes next, for someone who scans many runs.
    pub summary: String,
}

fn words(all: impl IntoIterator<Item = &'static str>) -> Schema {
    let all: Vec<&str> = all.into_iter().collect();
    json_schema!({ "type": "string", "enum": all })
}

fn visibilities(_: &mut SchemaGenerator) -> Schema {
    words(NoteVisibility::ALL.iter().map(|v| v.as_str()))
}

fn statuses(_: &mut SchemaGenerator) -> Schema {
    words(RequestStatus::ALL.iter().map(|s| s.as_str()))
}

fn outcomes(_: &mut SchemaGenerator) -> Schema {
    // Only Stint itself supersedes.
    words(
        Outcome::ALL
            .iter()
            .filter(|o| **o != Outcome::Superseded)
            .map(|o| o.as_str()),
    )
}

static SPECS: LazyLock<Vec<ToolSpec>> = LazyLock::new(|| {
    vec![
        spec::<PostNote>("post_note", "Posts a note on the request."),
        spec::<SetStatus>(
            "set_status",
            "Sets the request's status. Only if the request is assigned to you.",
        ),
        spec::<Reassign>(
            "reassign",
            "Assigns the request to another coworker. It is your last act: only `finish` may follow.",
        ),
        spec::<AskRequester>(
            ASK,
            "Asks the requester in a public note and sets the request to PENDING; finish with AWAITING_REPLY then.",
        ),
        spec::<Finish>(
            FINISH,
            "Ends the run. RESOLVED needs the status RESOLVED, AWAITING_REPLY the status PENDING, HANDED_OFF a \
             reassignment, BLOCKED a public note that explains what is not available; use DECLINED if you can't \
             handle the request, and say why.",
        ),
    ]
});

static TRIAGE: LazyLock<Vec<ToolSpec>> = LazyLock::new(|| {
    vec![spec::<ListCandidates>(
        "list_candidates",
        "Lists the coworkers that fit the request best, best first: handle, role, scope, the request's words that speak \
         for and against each, and where each would route it. Then `reassign` the request with a reason. If you can't \
         decide, finish with DECLINED: a clear ranking is followed then, else people decide.",
    )]
});

fn spec<T: JsonSchema>(name: &str, description: &str) -> ToolSpec {
    ToolSpec {
        name: name.into(),
        description: description.into(),
        parameters: schemars::schema_for!(T).to_value(),
        // They run in the append's transaction: there is no window in which they could repeat.
        effect: Effect::Effect,
        destructive: false,
    }
}

/// What a model needs to know of the built-in tools that every coworker has.
pub fn specs() -> &'static [ToolSpec] {
    &SPECS
}

/// What the Triage coworker has besides, where it is asked to route a new request.
pub fn triage_specs() -> &'static [ToolSpec] {
    &TRIAGE
}

impl Builtin {
    /// Reads a call; `None` if no built-in tool has this name.
    ///
    /// # Errors
    /// A sentence for the model that says what is wrong with the arguments.
    pub fn parse(tool: &str, arguments: &str) -> Option<Result<Self, String>> {
        fn read<'a, T: Deserialize<'a>>(
            arguments: &'a str,
            make: impl Fn(T) -> Builtin,
        ) -> Result<Builtin, String> {
            serde_json::from_str(arguments)
                .map(make)
                .map_err(|err| format!("the arguments do not fit: {err}"))
        }
        Some(match tool {
            "post_note" => read(arguments, Self::PostNote),
            "set_status" => read(arguments, Self::SetStatus),
            "reassign" => read(arguments, Self::Reassign),
            ASK => read(arguments, Self::AskRequester),
            "list_candidates" => read(arguments, Self::ListCandidates),
            FINISH => read(arguments, Self::Finish),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_tools_as_models_see_them() {
        insta::assert_json_snapshot!(
            specs()
                .iter()
                .chain(triage_specs())
                .map(|s| (&s.name, &s.parameters))
                .collect::<Vec<_>>()
        );
    }

    #[test]
    fn arguments_that_do_not_fit_are_told_to_the_model() {
        let err = Builtin::parse("set_status", r#"{"status":"DONE"}"#)
            .unwrap()
            .unwrap_err();
        assert!(err.contains("unknown variant `DONE`"), "{err}");
        assert!(Builtin::parse("device.telemetry", "{}").is_none());
    }
}
