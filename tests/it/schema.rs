//! The JSON Schema of the files, as an editor uses it: what it marks as wrong, `stint apply` refuses.

use std::path::Path;

use jsonschema::Validator;
use serde_json::{Map, Value, json};
use tests::binary::run;

/// The schema that is printed, for an official validator.
fn printed() -> Validator {
    let printed = run(&["export", "--schema"]);
    assert!(printed.status.success(), "{}", printed.stderr);
    assert_eq!(
        printed.stdout,
        include_str!("../../api/src/files/stint.schema.json"),
        "the file beside the code is what is printed"
    );
    let schema = serde_json::from_str(&printed.stdout).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

/// The file whose playbook says all that one can say.
const FULL: &str = "full.yaml";

/// A playbook with every key.
fn playbook() -> Value {
    let everything = json!({
        "trigger": "MENTION", "status": ["OPEN", "PENDING"], "priority": "HIGH", "source": "SYSTEM", "title_contains": "Slow",
        "description_contains": "net", "first_run": true, "earlier_outcome": { "coworker": "aws", "outcome": ["HANDED_OFF", "BLOCKED"] },
        "note_by": "aws", "note_contains": "gateway", "result_of": "crm.look", "result_contains": "ok", "result_failed": false, "closing": false,
        "any": [{ "trigger": "REPLY" }], "not": { "source": "EMPLOYEE" },
    });
    json!({
        "tools": [{
            "name": "crm.look", "description": "Looks.", "effect": "IDEMPOTENT", "destructive": false, "parameters": { "type": "object" },
            "answers": [
                { "when": { "call": 1, "arguments_contain": "x" }, "delay": "1m", "response": [1, 2.5, true, null], "fault": { "class": "hang", "times": 2, "message": "Patience" } },
                { "fault": "offline" },
            ],
        }],
        "turns": [
            {
                "when": everything, "thinking": "a", "text": "b", "calls": [{ "tool": "crm.look", "arguments": { "z": 1 } }, { "tool": "t" }],
                "usage": { "input": 1, "cache_read": 2, "cache_write_short": 3, "cache_write_long": 4, "output": 5, "reasoning": 5 },
                "finish_reason": "length", "delay": "300ms", "fault": { "class": "rate_limited", "times": 1, "message": "m", "retry_after": "2s" }, "repeat": true,
            },
            { "fault": "abort" },
        ],
    })
}

/// The demo's coworkers, and a file of each other kind with all that it can say.
fn right() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../api/src/demo/coworkers");
    let mut files: Vec<(String, Value)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| {
            let path = file.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, serde_saphyr::from_str(&text).unwrap())
        })
        .collect();
    assert!(files.len() >= 4, "{files:?}");
    let mut full = files[0].1.clone();
    full["skills"] = json!(["vpn"]);
    full["published"] = json!(false);
    full["tools"] = json!([{ "server": "device", "actions": [{ "name": "reset", "enabled": true, "approval": "NEVER" }] }]);
    full["goal"]["outOfScope"] = json!([{ "when": "A door", "routeTo": "facilities" }]);
    full["model"]["playbook"] = playbook();
    files.push((FULL.into(), full.clone()));
    full["model"]["playbook"] = json!("turns: [{ text: Done. }]");
    files.push(("text.yaml".into(), full));
    let skill =
        json!({ "kind": "skill", "name": "VPN", "handle": "vpn", "text": "Look at the tunnel." });
    files.push(("skill.yaml".into(), skill));
    let tool = json!({ "name": "reset", "description": "Resets it.", "method": "POST", "url": "https://desk.example.com/{desk}", "query": ["wide"],
        "headers": [{ "name": "X-Team", "value": "it" }], "effect": "IDEMPOTENT", "destructive": true, "maxResponseBytes": 2000,
        "parameters": { "type": "object", "properties": { "desk": { "type": "string" }, "wide": { "type": "boolean" } }, "required": ["desk"] } });
    let header = json!({ "name": "Authorization", "value": "Bearer {{secret:desk}}" });
    for (file, reach) in [
        (
            "http.yaml",
            json!({ "type": "HTTP", "headers": [header], "tools": [tool] }),
        ),
        (
            "mcp-http.yaml",
            json!({ "type": "MCP_HTTP", "url": "https://wiki.example.com/mcp", "headers": [header] }),
        ),
        (
            "mcp-stdio.yaml",
            json!({ "type": "MCP_STDIO", "command": "notes" }),
        ),
    ] {
        let server = json!({ "kind": "tool-server", "name": "desk", "reach": reach });
        files.push((file.into(), server));
    }
    let price = json!({ "model": "openai:gpt-5", "aliases": ["openai:gpt-5-latest"], "serviceTier": "flex", "effectiveFrom": "2026-01-01T00:00:00Z",
        "input": 3, "cacheRead": 0.3, "cacheWriteShort": "3.75", "cacheWriteLong": 6, "output": 15, "source": "a test",
        "tiers": [{ "promptOver": 200_000, "input": 6, "output": "22.5" }] });
    files.push((
        "prices.yaml".into(),
        json!({ "kind": "prices", "prices": [price] }),
    ));
    files
}

/// A file with one fault, and what the fault is.
struct Wrong {
    file: String,
    fault: String,
    value: Value,
}

/// Where the tool of the sample says what its arguments are.
const PARAMETERS: &str = "/reach/tools/0/parameters";

/// Whether anything may stand here: a tool's parameters are a schema themselves, and what it is sent and answers is its own.
fn is_free(place: &str) -> bool {
    let playbook = place.strip_prefix("/model/playbook/");
    place == PARAMETERS
        || playbook.is_some_and(|place| {
            ["/parameters", "/arguments", "/response"]
                .iter()
                .any(|end| place.ends_with(end))
        })
}

/// The pointers of all objects in a value, and of all other values that are no list.
fn places(value: &Value, at: &str, objects: &mut Vec<String>, plain: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            objects.push(at.to_owned());
            for (name, value) in fields {
                let place = format!("{at}/{name}");
                if !is_free(&place) {
                    places(value, &place, objects, plain);
                }
            }
        }
        Value::Array(items) => {
            for (i, value) in items.iter().enumerate() {
                places(value, &format!("{at}/{i}"), objects, plain);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            plain.push(at.to_owned());
        }
    }
}

/// Every file with each fault that can be made by rule: a key that nobody knows in each object, an object in the place
/// of each plain value, each object gone, and each key that must be there.
fn wrong() -> Vec<Wrong> {
    let mut all = Vec::new();
    for (file, mut right) in right() {
        // The demo's playbooks say nothing that the full one does not.
        if file != FULL
            && let Some(playbook) = right.pointer_mut("/model/playbook")
        {
            *playbook = json!("turns: [{ text: Done. }]");
        }
        let (mut objects, mut plain) = (Vec::new(), Vec::new());
        places(&right, "", &mut objects, &mut plain);
        let mut add = |fault: String, change: &dyn Fn(&mut Value)| {
            let mut value = right.clone();
            change(&mut value);
            all.push(Wrong {
                file: file.clone(),
                fault,
                value,
            });
        };
        let put = |value: &mut Value, at: &str, new: Value| *value.pointer_mut(at).unwrap() = new;
        for at in &objects {
            add(format!("an unknown key in {at:?}"), &|value| {
                let object = value.pointer_mut(at).unwrap();
                object["scoop"] = json!("x");
            });
            add(format!("a list for the object {at:?}"), &|value| {
                put(value, at, json!([1, 2]));
            });
        }
        for at in &plain {
            add(format!("an object for {at:?}"), &|value| {
                put(value, at, Value::Object(Map::new()));
            });
        }
        for key in [
            "kind", "name", "handle", "identity", "goal", "model", "text", "prices", "reach",
        ] {
            if right.get(key).is_some() {
                add(format!("no {key}"), &|value| {
                    value.as_object_mut().unwrap().remove(key);
                });
            }
        }
        for at in [
            "/reach/type",
            "/reach/command",
            "/reach/url",
            "/reach/tools",
            "/reach/tools/0/name",
            "/reach/tools/0/description",
            "/reach/tools/0/url",
            "/reach/headers/0/name",
            "/reach/headers/0/value",
            "/model/playbook/turns",
            "/model/playbook/tools/0/name",
            "/model/playbook/tools/0/description",
            "/model/playbook/tools/0/answers",
            "/model/playbook/turns/0/calls/0/tool",
            "/model/playbook/turns/0/fault/class",
        ] {
            if right.pointer(at).is_some() {
                let (object, key) = at.rsplit_once('/').unwrap();
                add(format!("no {at:?}"), &|value| {
                    let object = value.pointer_mut(object).unwrap();
                    object.as_object_mut().unwrap().remove(key);
                });
            }
        }
        for (at, word) in [
            ("/kind", "tool"),
            ("/goal/endOfRun/0/setStatus", "MAYBE"),
            ("/tools/0/actions/0/approval", "PERHAPS"),
            ("/reach/type", "SMTP"),
            ("/reach/tools/0/method", "FETCH"),
            ("/reach/tools/0/effect", "MAYBE"),
            (PARAMETERS, "text"),
            ("/model/playbook/tools/0/effect", "MAYBE"),
            ("/model/playbook/tools/0/parameters", "text"),
            ("/model/playbook/tools/0/answers/1/fault", "unreachable"),
            ("/model/playbook/turns/0/when/trigger", "HANDOF"),
            ("/model/playbook/turns/0/when/status/1", "DONE"),
            ("/model/playbook/turns/0/fault/class", "offline"),
            ("/model/playbook/turns/0/finish_reason", "bored"),
            ("/model/playbook/turns/0/delay", "3 sec"),
            ("/model/playbook/turns/0/when/note_by", ""),
        ] {
            if right.pointer(at).is_some() {
                add(format!("{word} for {at:?}"), &|value| {
                    put(value, at, json!(word));
                });
            }
        }
    }
    all
}

#[test]
fn the_schema_accepts_what_apply_reads_and_refuses_what_it_refuses() {
    let schema = printed();
    let read = |name: &str, value: &Value| {
        // Every JSON text is YAML.
        let text = serde_json::to_vec(value).unwrap();
        api::files::read::parse(vec![(name.to_owned(), text)])
    };
    for (file, value) in right() {
        let errors: Vec<_> = schema
            .iter_errors(&value)
            .map(|error| error.to_string())
            .collect();
        assert_eq!(errors, Vec::<String>::new(), "{file}");
        if let Err(problems) = read(&file, &value) {
            panic!("{file}: {problems}");
        }
    }
    let wrong = wrong();
    assert!(wrong.len() > 300, "{}", wrong.len());
    for Wrong { file, fault, value } in wrong {
        assert!(
            !schema.is_valid(&value),
            "the schema lets pass: {file}: {fault}"
        );
        assert!(
            read(&file, &value).is_err(),
            "apply lets pass: {file}: {fault}"
        );
    }
}
