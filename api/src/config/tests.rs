use std::io::Write as _;

use super::*;

fn refused(flags: ServerFlags, file: &str) -> String {
    let (_kept, common) = with_file(file);
    format!(
        "{:#}",
        server(&common, &flags).expect_err("it must be refused")
    )
}

/// A file that lives as long as its guard.
struct Kept(PathBuf);

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn with_file(text: &str) -> (Kept, CommonFlags) {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let n = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("stint-config-{}-{n}.toml", std::process::id()));
    let mut file = std::fs::File::create(&path).expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    (
        Kept(path.clone()),
        CommonFlags {
            config: Some(path),
            ..CommonFlags::default()
        },
    )
}

#[test]
fn without_anything_the_defaults_hold() {
    let (common, settings) =
        server(&CommonFlags::default(), &ServerFlags::default()).expect("settings");
    assert_eq!(
        (common.database_url.as_str(), common.log_format),
        ("sqlite://stint.db", LogFormat::Text)
    );
    assert_eq!(
        (
            settings.listen.as_str(),
            settings.role,
            settings.worker.slots
        ),
        ("127.0.0.1:8080", Role::All, 64)
    );
    assert_eq!(
        (
            settings.worker.lease.as_secs(),
            settings.worker.renew.as_secs(),
            settings.worker.reap.as_secs()
        ),
        (15, 5, 5)
    );
    assert_eq!(settings.worker.keep_deliveries.as_secs(), 30 * 86_400);
    let retries = settings.alerts.retries.iter().map(|pause| pause.as_secs());
    assert_eq!(
        retries.collect::<Vec<_>>(),
        [5, 300, 1_800, 7_200, 18_000, 36_000]
    );
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
    let (_kept, common) = with_file(
        "listen = \"0.0.0.0:80\"\nslots = 8\nrole = \"worker\"\nlease = \"500ms\"\nrenew = \"100ms\"\nkeep_deliveries = \"90d\"\n\
         alert_retries = [\"1s\", \"2h\"]\napproval_ttl = \"7d\"\ndatabase_url = \"postgres://x@y/z\"\nallow_origin = [\"https://a.example\"]\nlog_format = \"json\"\n",
    );
    let flags = ServerFlags {
        slots: Some(4),
        ..ServerFlags::default()
    };
    let (common, settings) = server(&common, &flags).expect("settings");
    assert_eq!(
        (
            settings.worker.slots,
            settings.listen.as_str(),
            settings.role
        ),
        (4, "0.0.0.0:80", Role::Worker)
    );
    assert_eq!(
        (
            settings.worker.lease.as_millis(),
            settings.worker.renew.as_millis()
        ),
        (500, 100)
    );
    assert_eq!(settings.worker.keep_deliveries.as_secs(), 90 * 86_400);
    assert_eq!(
        (common.database_url.as_str(), common.log_format),
        ("postgres://x@y/z", LogFormat::Json)
    );
    assert_eq!(settings.origins, ["https://a.example"]);
    assert_eq!(settings.worker.approval_ttl.as_secs(), 7 * 86_400);
    assert_eq!(settings.alerts.retries, [1, 7_200].map(Duration::from_secs));
}

#[test]
fn what_is_wrong_is_named_with_its_key_and_the_remedy() {
    let unknown = refused(ServerFlags::default(), "lisen = \"x\"");
    assert!(
        unknown.contains(".toml can't be used: ") && unknown.contains("unknown field `lisen`"),
        "{unknown}"
    );
    let kind = refused(ServerFlags::default(), "slots = \"many\"");
    assert!(
        kind.contains("invalid type: string \"many\"") && kind.contains("slots"),
        "{kind}"
    );
    let syntax = refused(ServerFlags::default(), "slots = ");
    assert!(syntax.contains("can't be used"), "{syntax}");
    let some = |text: &str| Some(text.to_owned());
    for (flags, sentence) in [
        (
            ServerFlags {
                listen: some("8080"),
                ..ServerFlags::default()
            },
            "--listen (STINT_LISTEN, or listen in the settings file) can't be \"8080\": it is an address and a port, such as 127.0.0.1:8080",
        ),
        (
            ServerFlags {
                lease: some("15"),
                ..ServerFlags::default()
            },
            "--lease (STINT_LEASE, or lease in the settings file) can't be \"15\": a time is a number with its unit, such as 500ms, 15s or 2m",
        ),
        (
            ServerFlags {
                renew: some("8s"),
                ..ServerFlags::default()
            },
            "--renew (STINT_RENEW, or renew in the settings file) can't be \"8s\": leases of 15s must be renewed at least twice in their time",
        ),
        (
            ServerFlags {
                approval_ttl: some("0s"),
                ..ServerFlags::default()
            },
            "--approval-ttl (STINT_APPROVAL_TTL, or approval_ttl in the settings file) can't be \"0s\": it is between 1s and 30d",
        ),
        (
            ServerFlags {
                approval_ttl: some("1w"),
                ..ServerFlags::default()
            },
            "--approval-ttl (STINT_APPROVAL_TTL, or approval_ttl in the settings file) can't be \"1w\": a time is a number with its unit, such as 90s, 30m, 24h or 7d",
        ),
        (
            ServerFlags {
                ui_url: some("https://desk.example.com"),
                ..ServerFlags::default()
            },
            "--ui-url (STINT_UI_URL, or ui_url in the settings file) can't be \"https://desk.example.com\": it is an address with {number} in it",
        ),
        (
            ServerFlags {
                allow_origin: Some(vec!["*".to_owned()]),
                ..ServerFlags::default()
            },
            "--allow-origin (STINT_ALLOW_ORIGIN, or allow_origin in the settings file) can't be \"*\": an origin is a scheme and a host without a path, such as https://desk.example.com",
        ),
        (
            ServerFlags {
                keep_deliveries: some("7d"),
                ..ServerFlags::default()
            },
            "--keep-deliveries (STINT_KEEP_DELIVERIES, or keep_deliveries in the settings file) can't be \"7d\": it is between 30d and 36500d",
        ),
        (
            ServerFlags {
                keep_deliveries: some("720h"),
                ..ServerFlags::default()
            },
            "--keep-deliveries (STINT_KEEP_DELIVERIES, or keep_deliveries in the settings file) can't be \"720h\": it is a number of days, such as 30d",
        ),
        (
            ServerFlags {
                alert_retries: Some(vec!["5s".to_owned(), "often".to_owned()]),
                ..ServerFlags::default()
            },
            "--alert-retries (STINT_ALERT_RETRIES, or alert_retries in the settings file) can't be \"often\": a time is a number with its unit, such as 90s, 30m, 24h or 7d",
        ),
        (
            ServerFlags {
                slots: Some(0),
                ..ServerFlags::default()
            },
            "--slots (STINT_SLOTS, or slots in the settings file) can't be \"0\": a worker executes at least one run at once; for none, use --role api",
        ),
    ] {
        assert_eq!(refused(flags, ""), sentence);
    }
    let missing = CommonFlags {
        config: Some("/nowhere/stint.toml".into()),
        ..CommonFlags::default()
    };
    let error = format!("{:#}", common(&missing).expect_err("there is no such file"));
    assert!(
        error.starts_with("the settings file /nowhere/stint.toml can't be used: No such file"),
        "{error}"
    );
}

#[test]
fn providers_of_models_come_from_variables_and_from_the_file() {
    let (_kept, common) = with_file(
        "[models.local]\nkind = \"openai\"\nbase_url = \"http://localhost:11434/v1\"\nidle_timeout = \"5s\"\noutput_limit = \"max_completion_tokens\"\n\
         [models.azure]\nkind = \"openai\"\nbase_url = \"https://x.openai.azure.com/openai/v1\"\napi_key = \"sk-canary\"\napi_key_header = \"api-key\"\napi_version = \"2026-01-01\"\nheaders = { x-team = \"sk-canary\" }\n",
    );
    let flags = ServerFlags {
        models: ModelFlags {
            anthropic_api_key: Some(domain::secret::Secret::new("sk-canary")),
            openai_api_key: Some(domain::secret::Secret::new("")),
            ..ModelFlags::default()
        },
        ..ServerFlags::default()
    };
    let (_, settings) = server(&common, &flags).expect("settings");
    let providers = &settings.worker.providers;
    let names: Vec<&str> = providers
        .iter()
        .map(|provider| provider.name.as_str())
        .collect();
    assert_eq!(
        names,
        ["anthropic", "azure", "local"],
        "an empty variable is none"
    );
    assert_eq!(providers[0].base_url, "https://api.anthropic.com");
    assert_eq!(
        providers[1].query,
        [("api-version".to_owned(), "2026-01-01".to_owned())]
    );
    assert_eq!(providers[2].patience.idle.as_secs(), 5);
    assert!(!format!("{flags:?}{settings:?}").contains("canary"));
}

#[test]
fn a_provider_that_cannot_work_is_named_with_its_setting() {
    for (file, told) in [
        (
            "[models.x]\nkind = \"oracle\"\n",
            "oracle for key `models.x.kind`",
        ),
        (
            "[models.x]\nkind = \"openai\"\nkey = \"k\"\n",
            "unknown field `key`",
        ),
        (
            "[models.x]\nkind = \"openai\"\napi_key = \"k\"\napi_key_env = \"K\"\n",
            "the model provider x ([models.x] in the settings file): give one of api_key, api_key_file and api_key_env",
        ),
        (
            "[models.x]\nkind = \"openai\"\napi_key_file = \"/nowhere/key\"\n",
            "the key file /nowhere/key can't be read",
        ),
        (
            "[models.x]\nkind = \"openai\"\napi_key_env = \"STINT_TEST_NOT_SET\"\n",
            "api_key_env names STINT_TEST_NOT_SET",
        ),
        (
            "[models.x]\nkind = \"openai\"\nidle_timeout = \"5\"\n",
            "idle_timeout can't be \"5\"",
        ),
    ] {
        let message = refused(ServerFlags::default(), file);
        assert!(message.contains(told), "{message}");
    }
}
