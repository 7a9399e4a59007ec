//! The guard that every document passes before async-graphql sees it.
//!
//! async-graphql walks a document several times and expands every fragment spread anew each time, so
//! that a kilobyte of fragments that spread each other twice costs 2^30 steps before any limit of its
//! own applies. This guard measures each fragment once and adds the measures up: its cost is linear in
//! the text. Lists inside introspection are limited too, because introspection runs without a pause in
//! which a time-out could fire.
//!
//! What it measures is what would run: the document with its fragments expanded. `__schema` and `__type`
//! are exempt from the depth, not from the counts.

use std::collections::HashMap;

use async_graphql::ServerError;
use async_graphql_parser::types::{
    ExecutableDocument, OperationType, Selection, SelectionSet, VariableDefinition,
};

/// Tokens of a document, as the GraphQL specification counts them.
pub const TOKENS: u64 = 2_000;
/// Brackets open at once, of any kind: what the parser has to recurse into.
pub const NESTING: u64 = 100;
/// Fields, inline fragments and spreads, after expansion.
pub const NODES: u64 = 5_000;
/// Fields inside each other.
pub const DEPTH: u64 = 12;
/// Aliases, after expansion.
pub const ALIASES: u64 = 15;
/// Fields at the root of one operation, after expansion.
pub const ROOT_FIELDS: u64 = 10;
/// Directives, after expansion.
pub const DIRECTIVES: u64 = 50;
/// Lists of fields or types inside each other in introspection; the usual tools' query has one.
pub const INTROSPECTION_LISTS: u64 = 2;

/// Counts the tokens of a document that is not parsed yet, so that the parser never sees a long one.
///
/// # Errors
/// `QUERY_TOO_COMPLEX`, when there are more than [`TOKENS`] or brackets open deeper than [`NESTING`].
pub fn check_source(source: &str) -> Result<(), ServerError> {
    let (tokens, nesting) = count_tokens(source.as_bytes());
    allow("tokens", tokens, TOKENS)?;
    allow("nested brackets", nesting, NESTING)
}

/// Measures a parsed document, all its operations together.
///
/// # Errors
/// `QUERY_TOO_COMPLEX`, with the limit, its value and what the document has; also for fragments that
/// spread each other in a circle.
pub fn check_document(document: &ExecutableDocument) -> Result<(), ServerError> {
    let mut guard = Guard {
        document,
        fragments: HashMap::new(),
    };
    let mut total = Weight::default();
    for (_, operation) in document.operations.iter() {
        let operation = &operation.node;
        let mut weight = guard.selection_set(&operation.selection_set.node)?;
        weight.directives += operation.directives.len() as u64;
        weight.directives +=
            variable_directives(operation.variable_definitions.iter().map(|v| &v.node));
        total = total.beside(weight);
        total.depth = total.depth.max(weight.depth);
        total.roots = total.roots.max(weight.roots);
        if operation.ty == OperationType::Subscription && weight.roots > 1 {
            return Err(refusal("root fields", weight.roots, 1, "A subscription"));
        }
    }
    allow("selections", total.nodes, NODES)?;
    allow("levels", total.depth, DEPTH)?;
    allow("aliases", total.aliases, ALIASES)?;
    allow("root fields", total.roots, ROOT_FIELDS)?;
    allow("directives", total.directives, DIRECTIVES)?;
    // A fragment that no operation uses is still walked by the validation rules.
    for (name, fragment) in &document.fragments {
        let weight = guard.fragment(name)?;
        allow("selections", weight.nodes, NODES)?;
        allow(
            "directives",
            fragment.node.directives.len() as u64,
            DIRECTIVES,
        )?;
    }
    Ok(())
}

/// What a selection set weighs with its fragments expanded.
#[derive(Clone, Copy, Default)]
struct Weight {
    nodes: u64,
    aliases: u64,
    directives: u64,
    /// Fields directly in the set.
    roots: u64,
    depth: u64,
    /// Lists of `__Type` inside each other, below `__schema` or `__type`; elsewhere the fields' names
    /// mean nothing, so this is looked at only there.
    lists: u64,
}

impl Weight {
    /// The weight of two selections of one set.
    fn beside(self, other: Self) -> Self {
        Self {
            nodes: self.nodes.saturating_add(other.nodes),
            aliases: self.aliases.saturating_add(other.aliases),
            directives: self.directives.saturating_add(other.directives),
            roots: self.roots.saturating_add(other.roots),
            depth: self.depth.max(other.depth),
            lists: self.lists.max(other.lists),
        }
    }
}

struct Guard<'a> {
    document: &'a ExecutableDocument,
    /// `None` while a fragment is being measured: meeting it again then is a circle.
    fragments: HashMap<&'a str, Option<Weight>>,
}

impl<'a> Guard<'a> {
    fn selection_set(&mut self, set: &'a SelectionSet) -> Result<Weight, ServerError> {
        let mut total = Weight::default();
        for selection in &set.items {
            let directives = selection.node.directives().len() as u64;
            let mut weight = match &selection.node {
                Selection::Field(field) => self.field(&field.node)?,
                Selection::InlineFragment(inline) => {
                    self.selection_set(&inline.node.selection_set.node)?
                }
                Selection::FragmentSpread(spread) => {
                    self.fragment(&spread.node.fragment_name.node)?
                }
            };
            weight.nodes = weight.nodes.saturating_add(1);
            weight.directives = weight.directives.saturating_add(directives);
            total = total.beside(weight);
        }
        Ok(total)
    }

    fn field(
        &mut self,
        field: &'a async_graphql_parser::types::Field,
    ) -> Result<Weight, ServerError> {
        let name = field.name.node.as_str();
        let mut weight = self.selection_set(&field.selection_set.node)?;
        weight.aliases += u64::from(field.alias.is_some());
        weight.roots = 1;
        weight.depth += 1;
        match name {
            "__schema" | "__type" => {
                allow(
                    "nested introspection lists",
                    weight.lists,
                    INTROSPECTION_LISTS,
                )?;
                weight.depth = 1;
                weight.lists = 0;
            }
            "fields" | "inputFields" | "interfaces" | "possibleTypes" => weight.lists += 1,
            _ => {}
        }
        Ok(weight)
    }

    fn fragment(&mut self, name: &str) -> Result<Weight, ServerError> {
        let Some((name, fragment)) = self.document.fragments.get_key_value(name) else {
            return Ok(Weight::default()); // the validation rules name it
        };
        match self.fragments.get(name.as_str()) {
            Some(Some(weight)) => return Ok(*weight),
            Some(None) => {
                let text =
                    format!("The fragment `{name}` spreads itself; fragments can't go in circles.");
                return Err(crate::operation::coded("QUERY_TOO_COMPLEX", text));
            }
            None => {}
        }
        self.fragments.insert(name, None);
        let weight = self.selection_set(&fragment.node.selection_set.node)?;
        self.fragments.insert(name, Some(weight));
        Ok(weight)
    }
}

fn variable_directives<'a>(variables: impl Iterator<Item = &'a VariableDefinition>) -> u64 {
    variables
        .map(|variable| variable.directives.len() as u64)
        .sum()
}

fn allow(what: &'static str, value: u64, limit: u64) -> Result<(), ServerError> {
    if value <= limit {
        Ok(())
    } else {
        Err(refusal(what, value, limit, "The document"))
    }
}

fn refusal(what: &'static str, value: u64, limit: u64, who: &str) -> ServerError {
    // An expanded count can be astronomical; its digits would help nobody.
    let has = if value > 1_000_000 {
        "more than 1000000".to_owned()
    } else {
        value.to_string()
    };
    let text = format!("{who} has {has} {what}; the limit is {limit}.");
    crate::operation::coded("QUERY_TOO_COMPLEX", text)
}

/// Tokens and the deepest nesting of brackets. Counting stops soon after a limit is passed.
fn count_tokens(source: &[u8]) -> (u64, u64) {
    let (mut at, mut tokens, mut open, mut deepest) = (0, 0, 0_u64, 0_u64);
    while at < source.len() && tokens <= TOKENS && deepest <= NESTING {
        let rest = &source[at..];
        let length = match rest[0] {
            b' ' | b'\t' | b'\r' | b'\n' | b',' => {
                at += 1;
                continue;
            }
            b'#' => {
                at += rest
                    .iter()
                    .position(|b| matches!(b, b'\n' | b'\r'))
                    .unwrap_or(rest.len());
                continue;
            }
            b'"' => string_length(rest),
            b'.' if rest.starts_with(b"...") => 3,
            b'_' | b'-' | b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => {
                1 + run(&rest[1..], |b| {
                    b.is_ascii_alphanumeric()
                        || b == b'_'
                        || (b == b'.' && !rest[0].is_ascii_alphabetic())
                })
            }
            b'{' | b'(' | b'[' => {
                open += 1;
                deepest = deepest.max(open);
                1
            }
            b'}' | b')' | b']' => {
                open = open.saturating_sub(1);
                1
            }
            _ => 1,
        };
        tokens += 1;
        at += length;
    }
    (tokens, deepest)
}

fn run(bytes: &[u8], belongs: impl Fn(u8) -> bool) -> usize {
    bytes
        .iter()
        .position(|b| !belongs(*b))
        .unwrap_or(bytes.len())
}

/// The length of the string or block string at the start, its quotes included; an unclosed one goes to
/// the end, which the parser refuses later.
fn string_length(text: &[u8]) -> usize {
    let block = text.starts_with(b"\"\"\"");
    let mut at = if block { 3 } else { 1 };
    while at < text.len() {
        let rest = &text[at..];
        if block && rest.starts_with(b"\\\"\"\"") {
            at += 4;
        } else if block && rest.starts_with(b"\"\"\"") {
            return at + 3;
        } else if !block && rest[0] == b'\\' {
            at += 2;
        } else if !block && rest[0] == b'"' {
            return at + 1;
        } else {
            at += 1;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests;
