use std::sync::Arc;

use super::*;
use crate::bus::delta::{Channels, Delta};
use crate::model::Deltas;

fn scrub(secrets: &[&str]) -> Scrub {
    let secrets: Vec<Secret> = secrets.iter().map(|secret| Secret::new(*secret)).collect();
    Scrub::new("mine", secrets.iter())
}

/// The pieces as they are shown.
fn shown(scrub: &Scrub, pieces: &[&str]) -> Vec<String> {
    let held = Held::new(scrub);
    let mut shown: Vec<String> = pieces.iter().map(|piece| held.text(piece)).collect();
    shown.extend(held.rest().into_iter().map(|(.., text)| text));
    shown
}

#[test]
fn a_secret_is_taken_out_wherever_it_is_cut() {
    let key = "sk-canary-7d1f0a9b2c";
    for (secrets, text, expected) in [
        (
            vec![key],
            format!("Sent: {key}."),
            "Sent: ‹secret:mine›.".to_owned(),
        ),
        // It begins again in the middle of what seemed to be it.
        (
            vec![key],
            format!("sk-cansk-{key}{key}sk-canary"),
            "sk-cansk-‹secret:mine›‹secret:mine›sk-canary".to_owned(),
        ),
        (
            vec!["aabaabaac"],
            "aabaabaabaac".to_owned(),
            "aab‹secret:mine›".to_owned(),
        ),
        // One within another, in any order.
        (
            vec!["secret-one", "secret-one-and-two"],
            "secret-one-and-two, secret-one-and".to_owned(),
            "‹secret:mine›, ‹secret:mine›-and".to_owned(),
        ),
        // More than a byte a character, in the secret and around it.
        (
            vec!["schlüssel-€-😀"],
            "ü€schlüssel-€-😀😀 schlüssel-€".to_owned(),
            "ü€‹secret:mine›😀 schlüssel-€".to_owned(),
        ),
        // Too short to be told from words.
        (vec!["please"], "please".to_owned(), "please".to_owned()),
    ] {
        let scrub = scrub(&secrets);
        assert_eq!(scrub.over(text.clone()), expected);
        let cuts: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        for (n, a) in cuts.iter().enumerate() {
            for b in &cuts[n..] {
                let pieces = shown(&scrub, &[&text[..*a], &text[*a..*b], &text[*b..]]);
                assert_eq!(pieces.concat(), expected, "cut at {a} and {b}");
                for secret in secrets.iter().filter(|secret| secret.len() >= LEAST) {
                    assert!(pieces.iter().all(|piece| !piece.contains(secret)));
                }
            }
        }
        let each: Vec<String> = text.chars().map(String::from).collect();
        let each: Vec<&str> = each.iter().map(String::as_str).collect();
        assert_eq!(shown(&scrub, &each).concat(), expected);
    }
}

#[test]
fn only_what_may_be_a_secret_is_held_back() {
    let scrub = scrub(&["sk-canary"]);
    assert_eq!(
        shown(&scrub, &["Ask", " the desk", "-top", "s"]),
        ["A", "sk the de", "sk-top", "", "s"]
    );
}

/// Thinking, text and each call are texts of their own; who comes in the middle of a secret does not see its end.
#[test]
fn each_text_has_an_end_of_its_own() {
    let scrub = scrub(&["sk-canary"]);
    let held = Held::new(&scrub);
    let (channels, run) = (
        Arc::new(Channels::default()),
        entity::RunId(uuid::Uuid::nil()),
    );
    let deltas = Deltas::of(&channels, run, 1, 1).without(&held);
    let call = |place, piece| deltas.tool_call(place, || "sk-canary.look".into(), piece);
    deltas.text("sk-c");
    let mut watch = channels.watch(run);
    deltas.thinking("sk-");
    call(0, "");
    call(0, "{\"a\":\"sk-");
    call(1, "sk-ca");
    deltas.text("anary, sk");
    deltas.thinking("canary");
    call(1, "nary");
    call(0, "can");
    deltas.rest();
    let mut seen = Vec::new();
    while let Ok(Delta {
        kind, call, text, ..
    }) = watch.heard.try_recv()
    {
        let tool = call.map(|call| (call.place, call.tool.to_string()));
        seen.push((kind, tool, text.to_string()));
    }
    let of = |place| Some((place, "‹secret:mine›.look".to_owned()));
    let expected = [
        (DeltaKind::ToolCall, of(0), ""),
        (DeltaKind::ToolCall, of(0), "{\"a\":\""),
        (DeltaKind::Text, None, "‹secret:mine›, "),
        (DeltaKind::Thinking, None, "‹secret:mine›"),
        (DeltaKind::ToolCall, of(1), "‹secret:mine›"),
        (DeltaKind::Text, None, "sk"),
        (DeltaKind::ToolCall, of(0), "sk-can"),
    ];
    assert_eq!(
        seen,
        expected.map(|(kind, call, text)| (kind, call, text.to_owned()))
    );
    assert_eq!(format!("{held:?}"), "Held(…)");
}
