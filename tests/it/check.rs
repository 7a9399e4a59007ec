//! `stint model check`: what works of the providers that are configured, and what does not.

use serde_json::{Value, json};
use tests::binary;
use tests::provider::{StubProvider, bytes, chunk, done, generated, http, stream};

use crate::model::CANARY;

#[tokio::test(flavor = "multi_thread")]
async fn model_check_says_what_works_and_what_does_not() {
    let list = json!({ "data": [{ "id": "m1" }, { "id": "m2" }] }).to_string();
    let json = ["content-type: application/json"];
    let answer = vec![
        stream(),
        bytes(
            chunk(json!({ "content": "Yes" }))
                + &done(
                    "stop",
                    json!({ "prompt_tokens": 12, "completion_tokens": 1 }),
                ),
        ),
    ];
    let works = StubProvider::start(vec![http("200 OK", &json, &list), answer]).await;
    let fails = StubProvider::start(vec![http(
        "401 Unauthorized",
        &json,
        &json!({ "error": { "message": format!("Bad key {CANARY}") } }).to_string(),
    )])
    .await;
    let (works, fails) = (works.url(), fails.url());
    let checked = |args: &'static [&'static str], env: Vec<(&'static str, String)>| {
        tokio::task::spawn_blocking(move || {
            let env: Vec<(&str, &str)> = env
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            binary::run_with(&[&["model", "check"], args].concat(), &env)
        })
    };
    let none = checked(&[], vec![]).await.unwrap();
    assert!(
        !none.status.success()
            && none
                .stderr
                .contains("no provider of models is configured; set STINT_OPENAI_API_KEY"),
        "{}",
        none.stderr
    );
    let listed = checked(&[], vec![("STINT_OPENAI_BASE_URL", works.clone())])
        .await
        .unwrap();
    assert!(
        listed.status.success() && listed.stdout.contains("lists 2 models: m1, m2"),
        "{}{}",
        listed.stdout,
        listed.stderr
    );
    let both = vec![
        ("STINT_OPENAI_BASE_URL", works),
        ("STINT_ANTHROPIC_BASE_URL", fails),
        ("STINT_ANTHROPIC_API_KEY", CANARY.to_owned()),
    ];
    let asked = checked(&["--model", "openai:m1", "--format", "json"], both.clone())
        .await
        .unwrap();
    assert!(!asked.status.success(), "one fails");
    let told: Value = serde_json::from_str(&asked.stdout).unwrap();
    assert_eq!(
        (&told[0]["works"], &told[0]["detail"]),
        (&json!(true), &json!("answers (12 tokens in, 1 out)")),
        "{told:#}"
    );
    assert_eq!(
        (&told[1]["works"], &told[1]["class"]),
        (&json!(false), &json!("rejected")),
        "{told:#}"
    );
    assert!(!format!("{}{}", asked.stdout, asked.stderr).contains(CANARY));
    let nobody = checked(&["--model", "mistral:large"], both.clone())
        .await
        .unwrap();
    assert!(
        !nobody.status.success()
            && nobody.stdout.is_empty()
            && nobody.stderr.contains(
                "--model can't be \"mistral:large\": no provider \"mistral\" is configured here, only anthropic, openai; \
                 name one of these, or give the settings file (--config) a table [models.mistral]"
            ),
        "{}",
        nobody.stderr
    );
    let wrong = checked(&["--model", "gpt"], both).await.unwrap();
    assert!(
        !wrong.status.success() && wrong.stderr.contains("--model can't be \"gpt\""),
        "{}",
        wrong.stderr
    );
}

/// Gemini is asked for its models, and for a word.
#[tokio::test(flavor = "multi_thread")]
async fn model_check_says_what_works_of_gemini() {
    let list = json!({ "models": [{ "name": "models/gemini-2.5-pro" }, { "name": "models/gemini-3.5-flash" }] });
    let list = http(
        "200 OK",
        &["content-type: application/json"],
        &list.to_string(),
    );
    let word = generated(&[json!({
        "candidates": [{ "content": { "parts": [{ "text": "Yes" }] }, "finishReason": "STOP" }],
        "usageMetadata": { "promptTokenCount": 12, "candidatesTokenCount": 1 },
    })]);
    let told = json!({ "error": { "code": 400, "message": format!("API key not valid: {CANARY}."), "status": "INVALID_ARGUMENT" } });
    let refuses = http(
        "400 Bad Request",
        &["content-type: application/json"],
        &told.to_string(),
    );
    let stub = StubProvider::start(vec![list, word, refuses]).await;
    let base = stub.url().replace("/v1", "");
    let check = |args: &'static [&'static str]| {
        let base = base.clone();
        let env = move || {
            binary::run_with(
                &[&["model", "check"], args].concat(),
                &[
                    ("STINT_GEMINI_BASE_URL", &base),
                    ("STINT_GEMINI_API_KEY", CANARY),
                ],
            )
        };
        tokio::task::spawn_blocking(env)
    };
    let listed = check(&[]).await.unwrap();
    assert!(
        listed.status.success(),
        "{}{}",
        listed.stdout,
        listed.stderr
    );
    assert!(
        listed
            .stdout
            .contains("lists 2 models: gemini-2.5-pro, gemini-3.5-flash"),
        "{}",
        listed.stdout
    );
    let asked = check(&["--model", "google:gemini-2.5-pro", "--format", "json"])
        .await
        .unwrap();
    let said: Value = serde_json::from_str(&asked.stdout).unwrap();
    assert_eq!(
        (&said[0]["works"], &said[0]["detail"]),
        (&json!(true), &json!("answers (12 tokens in, 1 out)")),
        "{said:#}"
    );
    let refused = check(&["--model", "google:gemini-2.5-pro"]).await.unwrap();
    assert!(
        !refused.status.success()
            && refused
                .stdout
                .contains("API key not valid: ‹secret:google›"),
        "{}{}",
        refused.stdout,
        refused.stderr
    );
    assert!(!format!("{}{}", refused.stdout, refused.stderr).contains(CANARY));
    let heads: Vec<String> = stub.asked().into_iter().map(|asked| asked.head).collect();
    assert!(
        heads[0].starts_with("GET /v1beta/models ")
            && heads[1]
                .starts_with("POST /v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse "),
        "{heads:?}"
    );
    assert!(
        heads
            .iter()
            .all(|head| head.contains(&format!("x-goog-api-key: {CANARY}"))),
        "{heads:?}"
    );
}
