//! Settings: by flag, by `STINT_*` variable, or from a TOML file; the first that names one wins, then the
//! default. A key that the file has and Stint does not know is an error, because a typo must not be
//! silent; an unknown variable is none, because orchestrators set their own (`STINT_PORT=tcp://…`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use domain::clock::Clock;
use domain::executor::Options;
use domain::model::Provider;
use domain::secret::Vault;
use domain::tool::Program;
use models::ModelTable;
use serde::Deserialize;

mod flags;
mod models;
mod tools;
pub(crate) mod vault;

pub use flags::{CommonFlags, LogFormat, Role, ServerFlags};
pub use models::ModelFlags;

/// The file's keys.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    database_url: Option<String>,
    redis_url: Option<String>,
    log: Option<String>,
    log_format: Option<LogFormat>,
    listen: Option<String>,
    role: Option<Role>,
    slots: Option<u32>,
    ui_url: Option<String>,
    allow_origin: Option<Vec<String>>,
    secret_key_file: Option<PathBuf>,
    approval_ttl: Option<String>,
    allow_private_host: Option<Vec<String>>,
    #[serde(default)]
    mcp: BTreeMap<String, Program>,
    lease: Option<String>,
    renew: Option<String>,
    reap: Option<String>,
    keep_deliveries: Option<String>,
    alert_retries: Option<Vec<String>>,
    otlp_endpoint: Option<String>,
    #[serde(default)]
    models: BTreeMap<String, ModelTable>,
}

/// What every command that touches a database needs.
#[derive(Clone, Debug)]
pub struct Common {
    /// The database.
    pub database_url: String,
    /// What to log, if it was said.
    pub log: Option<String>,
    /// How to log.
    pub log_format: LogFormat,
}

/// Everything that a server needs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The database.
    pub database_url: String,
    /// The Redis server over which nodes tell each other what is new.
    pub redis_url: Option<String>,
    /// The address to listen on.
    pub listen: String,
    /// What the process does.
    pub role: Role,
    /// A request's address for people, with `{number}` in it.
    pub ui_url: Option<String>,
    /// Origins whose pages may use the API.
    pub origins: Vec<String>,
    /// What secrets are kept under; without it, what lies beside an embedded database.
    pub vault: Option<Vault>,
    /// What tools may reach, and the programs that they may be.
    pub tools: domain::tool::Settings,
    /// How the worker works: its slots, its leases.
    pub worker: Options,
    /// How long a key is taken as valid without asking the database again.
    pub key_life: Duration,
    /// How patient sockets are.
    pub patience: crate::ws::Patience,
    /// How alerts are sent.
    pub alerts: domain::alert::Options,
    /// The collector that OpenTelemetry spans are sent to.
    pub otlp_endpoint: Option<String>,
    /// How many deliveries a webhook endpoint takes.
    pub hook_rate: crate::hooks::Rate,
    /// Where time comes from.
    pub clock: Clock,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            database_url: "sqlite://stint.db".to_owned(),
            redis_url: None,
            listen: "127.0.0.1:8080".to_owned(),
            role: Role::All,
            ui_url: None,
            origins: Vec::new(),
            vault: None,
            tools: domain::tool::Settings::default(),
            worker: Options::default(),
            key_life: crate::auth::LIFE,
            patience: crate::ws::Patience::default(),
            alerts: domain::alert::Options::default(),
            otlp_endpoint: None,
            hook_rate: crate::hooks::Rate::default(),
            clock: Clock::system(),
        }
    }
}

/// Settles the settings that all commands share.
///
/// # Errors
/// One sentence that names the file, the key and what is wrong with it.
pub fn common(flags: &CommonFlags) -> anyhow::Result<Common> {
    Ok(settle_common(flags, &read(flags.config.as_deref())?))
}

/// Settles all settings of a server.
///
/// # Errors
/// One sentence that names the setting, its value and the remedy.
pub fn server(common: &CommonFlags, flags: &ServerFlags) -> anyhow::Result<(Common, Settings)> {
    let file = read(common.config.as_deref())?;
    let common = settle_common(common, &file);
    let usual = Settings::default();
    let time = |flag: &Option<String>, file: &Option<String>, name, usual| match flag
        .as_ref()
        .or(file.as_ref())
    {
        Some(text) => parse_time(text).with_context(|| setting(name, text)),
        None => Ok(usual),
    };
    let worker = Options {
        slots: flags
            .slots
            .or(file.slots)
            .map_or(usual.worker.slots, |slots| slots as usize),
        lease: time(&flags.lease, &file.lease, "lease", usual.worker.lease)?,
        renew: time(&flags.renew, &file.renew, "renew", usual.worker.renew)?,
        reap: time(&flags.reap, &file.reap, "reap", usual.worker.reap)?,
        keep_deliveries: match flags
            .keep_deliveries
            .as_ref()
            .or(file.keep_deliveries.as_ref())
        {
            Some(text) => parse_days(text).with_context(|| setting("keep-deliveries", text))?,
            None => usual.worker.keep_deliveries,
        },
        approval_ttl: match flags.approval_ttl.as_ref().or(file.approval_ttl.as_ref()) {
            Some(text) => parse_ttl(text).with_context(|| setting("approval-ttl", text))?,
            None => usual.worker.approval_ttl,
        },
        aborts: flags.allow_aborts,
        providers: models::providers(&flags.models, file.models)?,
        ..usual.worker
    };
    // A key on the command line or in the environment comes before a file that the settings file names.
    let key_file = file
        .secret_key_file
        .as_ref()
        .filter(|_| flags.secret_key.is_none());
    let settings = Settings {
        database_url: common.database_url.clone(),
        redis_url: flags.redis_url.clone().or(file.redis_url),
        listen: flags.listen.clone().or(file.listen).unwrap_or(usual.listen),
        role: flags.role.or(file.role).unwrap_or_default(),
        ui_url: flags.ui_url.clone().or(file.ui_url),
        otlp_endpoint: flags.otlp_endpoint.clone().or(file.otlp_endpoint),
        origins: flags
            .allow_origin
            .clone()
            .or(file.allow_origin)
            .unwrap_or_default(),
        vault: vault::given(
            flags.secret_key.as_deref(),
            flags
                .secret_key_file
                .as_ref()
                .or(key_file)
                .map(PathBuf::as_path),
        )?,
        tools: tools::settle(
            flags
                .allow_private_host
                .as_ref()
                .or(file.allow_private_host.as_ref()),
            file.mcp,
        )?,
        alerts: domain::alert::Options {
            retries: match flags.alert_retries.as_ref().or(file.alert_retries.as_ref()) {
                Some(pauses) => parse_retries(pauses)?,
                None => usual.alerts.retries,
            },
            ..usual.alerts
        },
        worker,
        ..usual
    };
    check(&settings)?;
    Ok((common, settings))
}

/// Settles which providers of models there are.
///
/// # Errors
/// One sentence that names the provider, the setting and the remedy.
pub fn models(common: &CommonFlags, flags: &ModelFlags) -> anyhow::Result<Vec<Provider>> {
    models::providers(flags, read(common.config.as_deref())?.models)
}

fn settle_common(flags: &CommonFlags, file: &File) -> Common {
    Common {
        database_url: flags
            .database_url
            .clone()
            .or_else(|| file.database_url.clone())
            .unwrap_or_else(|| Settings::default().database_url),
        log: flags.log.clone().or_else(|| file.log.clone()),
        log_format: flags.log_format.or(file.log_format).unwrap_or_default(),
    }
}

fn read(path: Option<&Path>) -> anyhow::Result<File> {
    let Some(path) = path else {
        return Ok(File::default());
    };
    let unusable = || format!("the settings file {} can't be used", path.display());
    let text = std::fs::read_to_string(path).with_context(unusable)?;
    config::Config::builder()
        .add_source(config::File::from_str(&text, config::FileFormat::Toml))
        .build()
        .and_then(config::Config::try_deserialize)
        .with_context(unusable)
}

fn check(settings: &Settings) -> anyhow::Result<()> {
    let port = settings
        .listen
        .rsplit_once(':')
        .map(|(host, port)| (host, port.parse::<u16>()));
    if !matches!(port, Some((host, Ok(_))) if !host.is_empty()) {
        bail!(
            "{}: it is an address and a port, such as 127.0.0.1:8080",
            setting("listen", &settings.listen)
        );
    }
    if settings.worker.slots == 0 {
        bail!(
            "{}: a worker executes at least one run at once; for none, use --role api",
            setting("slots", "0")
        );
    }
    if let Some(url) = &settings.ui_url
        && (!url.contains("{number}") || !url.contains("://"))
    {
        bail!(
            "{}: it is an address with {{number}} in it",
            setting("ui-url", url)
        );
    }
    for origin in &settings.origins {
        let parts = origin
            .split_once("://")
            .map(|(scheme, host)| (matches!(scheme, "http" | "https"), host));
        if !matches!(parts, Some((true, host)) if !host.is_empty() && !host.contains(['/', '*'])) {
            bail!(
                "{}: an origin is a scheme and a host without a path, such as https://desk.example.com",
                setting("allow-origin", origin)
            );
        }
    }
    if settings.worker.renew * 2 > settings.worker.lease {
        bail!(
            "{}: leases of {:?} must be renewed at least twice in their time",
            setting("renew", &format!("{:?}", settings.worker.renew)),
            settings.worker.lease
        );
    }
    Ok(())
}

/// A setting by the names that it may have come under.
fn setting(name: &str, value: &str) -> String {
    let word = name.replace('-', "_");
    format!(
        "--{name} (STINT_{}, or {word} in the settings file) can't be {value:?}",
        word.to_uppercase()
    )
}

/// Reads `500ms`, `15s`, `2m`.
fn parse_time(text: &str) -> anyhow::Result<Duration> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => bail!("a time is a number with its unit, such as 500ms, 15s or 2m"),
    };
    match number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(milliseconds))
    {
        Some(time) if (10..=3_600_000).contains(&time) => Ok(Duration::from_millis(time)),
        Some(_) | None => bail!("it is between 10ms and 60m"),
    }
}

/// Reads `30d`: senders repeat what they delivered for about as long.
fn parse_days(text: &str) -> anyhow::Result<Duration> {
    let days = text
        .strip_suffix('d')
        .and_then(|days| days.parse::<u32>().ok());
    match days {
        Some(days @ 30..=36_500) => Ok(Duration::from_secs(u64::from(days) * 86_400)),
        Some(_) => bail!("it is between 30d and 36500d"),
        None => bail!("it is a number of days, such as 30d"),
    }
}

/// Reads `90s`, `30m`, `24h`, `7d`.
fn parse_ttl(text: &str) -> anyhow::Result<Duration> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => bail!("a time is a number with its unit, such as 90s, 30m, 24h or 7d"),
    };
    match number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(seconds))
    {
        Some(time) if (1..=30 * 86_400).contains(&time) => Ok(Duration::from_secs(time)),
        Some(_) | None => bail!("it is between 1s and 30d"),
    }
}

/// Reads `5s`, `5m`, `2h`: at most 20 pauses.
fn parse_retries(pauses: &[String]) -> anyhow::Result<Vec<Duration>> {
    let named = |text: &str| setting("alert-retries", text);
    if pauses.len() > 20 {
        bail!("{}: it is at most 20 pauses", named(&pauses.join(",")));
    }
    let pause = |text: &String| parse_ttl(text).with_context(|| named(text));
    pauses.iter().map(pause).collect()
}

#[cfg(test)]
mod tests;
