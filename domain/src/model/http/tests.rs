use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::refusal::{refusal, retry_after};
use super::*;
use crate::secret::Secret;

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let pairs = pairs.iter().map(|(name, value)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    });
    pairs.collect()
}

#[test]
fn the_wait_that_a_provider_asks_for_is_read_in_all_its_forms() {
    for (pairs, expected) in [
        (vec![("retry-after", "7")], Some(7_000)),
        (vec![("retry-after", "1.5")], Some(1_500)),
        (
            vec![("retry-after", "7"), ("retry-after-ms", "250")],
            Some(250),
        ),
        (
            vec![
                ("retry-after", "Sun, 22 Nov 2026 10:00:30 GMT"),
                ("date", "Sun, 22 Nov 2026 10:00:00 GMT"),
            ],
            Some(30_000),
        ),
        (
            vec![
                ("retry-after", "Sun, 22 Nov 2026 09:00:30 GMT"),
                ("date", "Sun, 22 Nov 2026 10:00:00 GMT"),
            ],
            Some(0),
        ),
        (vec![("retry-after", "-3")], None),
        (vec![("retry-after", "soon")], None),
        (vec![], None),
    ] {
        let wait = retry_after(&headers(&pairs)).map(|wait| wait.as_millis());
        assert_eq!(wait, expected, "{pairs:?}");
    }
}

#[test]
fn a_refusal_has_a_class_and_says_what_the_provider_says() {
    use ModelErrorClass::{Overloaded, RateLimited, Rejected};
    for (code, body, class, told) in [
        (
            429,
            r#"{"error":{"message":"Slow down."}}"#,
            RateLimited,
            "p gets too many requests (429): Slow down.",
        ),
        (
            429,
            r#"{"error":{"message":"No money.","code":"insufficient_quota"}}"#,
            Rejected,
            "p has no credit left for its key (429): No money.",
        ),
        (
            401,
            r#"{"error":"Bad key."}"#,
            Rejected,
            "p refuses the key (401): Bad key.",
        ),
        (
            404,
            r#"{"detail":"No such model."}"#,
            Rejected,
            "p does not know the model or the address (404): No such model.",
        ),
        (
            302,
            "",
            Rejected,
            "p sends us elsewhere, which is not followed; is its address right? (302)",
        ),
        (
            503,
            "upstream\n is down",
            Overloaded,
            "p failed or is overloaded (503): upstream is down",
        ),
        (
            529,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            Overloaded,
            "p failed or is overloaded (529): Overloaded",
        ),
        (
            400,
            r#"{"message":"max_tokens is too large"}"#,
            Rejected,
            "p refuses the request (400): max_tokens is too large",
        ),
    ] {
        let status = StatusCode::from_u16(code).expect("a status");
        let error = refusal("p", status, body);
        assert_eq!((error.class, error.message.as_str()), (class, told));
    }
}

/// A key that lies across the place where a long text is cut shows no part of it.
#[test]
fn what_a_provider_says_is_cut_once_its_key_is_taken_out() {
    let canary = "sk-canary/0123456789";
    let mut provider = Provider::new("mine", Kind::OpenAi);
    provider.key = Some(Secret::new(canary));
    let http = Http::new(&provider).expect("a client");
    let told = |body: String| {
        let error = refusal("mine", StatusCode::BAD_REQUEST, &body);
        http.told(error).message
    };
    for before in SHOWN - 80..SHOWN + 10 {
        for form in [canary.to_owned(), canary.replace('/', "\\/")] {
            let message = told(format!("{} {form} {}", "x".repeat(before), "y".repeat(500)));
            assert!(message.len() <= SHOWN, "{message}");
            assert!(!message.contains("sk-"), "{before}: {message}");
        }
    }
}

#[test]
fn settings_that_cannot_work_are_named_and_their_secrets_are_not() {
    let canary = "sk-canary-0123456789";
    let with = |change: fn(&mut Provider)| {
        let mut provider = Provider::new("mine", Kind::OpenAi);
        provider.key = Some(Secret::new(canary));
        change(&mut provider);
        Http::new(&provider)
    };
    let refused = |change| match with(change) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("it is refused"),
    };
    for (told, change) in [
        (
            "can't be read",
            (|p| p.base_url = "openai".into()) as fn(&mut Provider),
        ),
        ("an address such as", |p| {
            p.base_url = "ftp://models.example".into()
        }),
        ("holds a name or a password", |p| {
            p.base_url = "https://me:sk-canary-0123456789@models.example".into()
        }),
        ("can't be a header's name", |p| {
            p.key_header = Some("no header".into())
        }),
        ("can't be sent", |p| {
            p.key = Some(Secret::new("sk-canary-0123456789\n"))
        }),
    ] {
        let message = refused(change);
        assert!(
            message.contains(told) && message.contains("mine"),
            "{message}"
        );
        assert!(!message.contains(canary), "{message}");
    }
    let http = with(|_| {}).expect("a client");
    assert!(!format!("{http:?}").contains(canary));
    let said = http.scrub(format!("Incorrect API key provided: {canary}."));
    assert_eq!(said, "Incorrect API key provided: ‹secret:mine›.");
}

#[test]
fn addresses_are_put_together_whatever_the_base_looks_like() {
    let address = |kind, base: &str, query: &[(String, String)], path: &[&str]| {
        let mut provider = Provider::new("p", kind);
        provider.base_url = base.into();
        provider.query = query.to_vec();
        Http::new(&provider)
            .expect("a client")
            .url(path)
            .to_string()
    };
    let chat = ["chat", "completions"];
    assert_eq!(
        address(Kind::OpenAi, "http://localhost:11434/v1/", &[], &chat),
        "http://localhost:11434/v1/chat/completions"
    );
    let version = [("api-version".to_owned(), "2026-01-01".to_owned())];
    assert_eq!(
        address(
            Kind::OpenAi,
            "https://x.openai.azure.com/openai/v1",
            &version,
            &chat
        ),
        "https://x.openai.azure.com/openai/v1/chat/completions?api-version=2026-01-01"
    );
    for base in [
        "https://api.anthropic.com",
        "https://api.anthropic.com/",
        "https://api.anthropic.com/v1",
        "https://api.anthropic.com/v1/",
    ] {
        assert_eq!(
            address(Kind::Anthropic, base, &[], &["v1", "messages"]),
            "https://api.anthropic.com/v1/messages"
        );
    }
    let generate = ["models", "gemini-2.5-pro:streamGenerateContent"];
    for base in [
        "https://generativelanguage.googleapis.com",
        "https://generativelanguage.googleapis.com/v1beta/",
    ] {
        assert_eq!(
            address(Kind::Gemini, base, &[], &generate),
            "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-pro:streamGenerateContent"
        );
    }
}
