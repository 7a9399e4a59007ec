use super::*;

fn read(json: &str) -> ModelConfig {
    serde_json::from_str(json).expect("a model")
}

fn refused(json: &str) -> String {
    match read(json).check().expect_err("it is refused") {
        Error::Invalid { field, message, .. } => format!("{field}: {message}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_short_form_names_provider_and_model() {
    for json in [
        r#""local:llama3.2:3b""#,
        r#"{"provider":"local:llama3.2:3b"}"#,
        r#"{"provider":"local","model":"llama3.2:3b"}"#,
    ] {
        let config = read(json);
        assert_eq!(config.model.as_deref(), Some("llama3.2:3b"), "{json}");
        assert_eq!(config.name(), "local:llama3.2:3b");
        config.check().expect("it works");
    }
    assert_eq!(read(r#"{"provider":"scripted"}"#).name(), "scripted");
}

#[test]
fn what_is_written_reads_back() {
    let json = r#"{"provider":"anthropic","model":"claude-opus-5","parameters":{"temperature":0.7,"topP":0.95,"thinkingBudgetTokens":2048,"longCache":true}}"#;
    let config = read(json);
    config.check().expect("it works");
    assert_eq!(serde_json::to_string(&config).expect("JSON"), json);
    let short = r#"{"provider":"scripted","playbook":"turns: []"}"#;
    assert_eq!(serde_json::to_string(&read(short)).expect("JSON"), short);
}

#[test]
fn what_cannot_work_is_refused_with_its_field_and_the_remedy() {
    for (json, told) in [
        (
            r#""oracle""#,
            "model.model: the provider oracle needs the name of its model, such as openai:gpt-5-mini",
        ),
        (
            r#"{"provider":"Open AI","model":"x"}"#,
            "model.provider: \"Open AI\" can't be a provider's name: it is 1 to 40 of a-z, 0-9, - and _, such as openai or anthropic",
        ),
        (
            r#""openai:two words""#,
            "model.model: a model's name has up to 150 bytes and no blanks in it",
        ),
        (
            r#"{"provider":"openai:x","playbook":"turns: []"}"#,
            "model.playbook: only the scripted model plays a playbook; leave it out",
        ),
        (
            r#"{"provider":"scripted","model":"x"}"#,
            "model.model: the scripted model has no name of its own; leave it out",
        ),
        (
            r#"{"provider":"openai:x","parameters":{"temperature":2.001}}"#,
            "model.parameters.temperature: model.parameters.temperature must be from 0 to 2",
        ),
        (
            r#"{"provider":"openai:x","parameters":{"topP":-1}}"#,
            "model.parameters.topP: model.parameters.topP must be from 0 to 1",
        ),
        (
            r#"{"provider":"openai:x","parameters":{"thinkingBudgetTokens":1000}}"#,
            "model.parameters.thinkingBudgetTokens: model.parameters.thinkingBudgetTokens is 1000; it must be from 1024 to 1000000, or 0 for none",
        ),
    ] {
        assert_eq!(refused(json), told, "{json}");
    }
    let unknown = serde_json::from_str::<ModelConfig>(r#"{"provider":"openai:x","top":1}"#);
    assert!(
        unknown
            .expect_err("a typo is not silent")
            .to_string()
            .contains("unknown field")
    );
}
