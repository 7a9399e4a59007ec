//! What can be said on the command line and by variables.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Deserialize;

use super::models::ModelFlags;

/// What a server does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// API and worker in one process
    #[default]
    All,
    /// Only the API
    Api,
    /// Only the worker that executes runs
    Worker,
}

impl Role {
    /// Whether runs are executed.
    pub const fn works(self) -> bool {
        matches!(self, Self::All | Self::Worker)
    }

    /// Whether the API is served.
    pub const fn serves(self) -> bool {
        matches!(self, Self::All | Self::Api)
    }
}

/// How logs are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// The flags of every command that touches a database.
#[derive(Args, Clone, Debug, Default)]
pub struct CommonFlags {
    /// The database: a file (sqlite://stint.db) or a server (postgres://user:password@host/name)
    /// [default: sqlite://stint.db]
    #[arg(
        long,
        value_name = "URL",
        env = "STINT_DATABASE_URL",
        hide_env_values = true
    )]
    pub database_url: Option<String>,
    /// A TOML file with settings; its keys are the flags' names with _ for -
    #[arg(long, value_name = "FILE", env = "STINT_CONFIG")]
    pub config: Option<PathBuf>,
    /// What to log: error, warn, info, debug or trace, also by module (info,domain=debug)
    /// [default: info for serve, else warn]
    #[arg(
        long,
        value_name = "LEVEL",
        env = "STINT_LOG",
        help_heading = "Logging"
    )]
    pub log: Option<String>,
    /// How to write logs [default: text]
    #[arg(
        long,
        value_name = "FORMAT",
        env = "STINT_LOG_FORMAT",
        help_heading = "Logging"
    )]
    pub log_format: Option<LogFormat>,
}

/// The flags of a server.
#[derive(Args, Clone, Debug, Default)]
pub struct ServerFlags {
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT", env = "STINT_LISTEN")]
    pub listen: Option<String>,
    /// A Redis server (redis://host:6379, or rediss:// with TLS) over which the nodes on one database tell each other what
    /// is new, so that they need not look; it holds nothing. Installations that share one take a database of it each:
    /// redis://host:6379/1 [default: none]
    #[arg(
        long,
        value_name = "URL",
        env = "STINT_REDIS_URL",
        hide_env_values = true
    )]
    pub redis_url: Option<String>,
    /// What this process does [default: all]
    #[arg(long, env = "STINT_ROLE")]
    pub role: Option<Role>,
    /// How many runs the worker executes at once [default: 64]
    #[arg(long, value_name = "N", env = "STINT_SLOTS")]
    pub slots: Option<u32>,
    /// Where people see a request, for Request.url: an address with a place for its number, such as
    /// https://desk.example.com/requests/{number}
    #[arg(long, value_name = "URL", env = "STINT_UI_URL")]
    pub ui_url: Option<String>,
    /// An origin whose pages may use the API from a browser, such as https://desk.example.com;
    /// repeat it, or separate several by commas
    #[arg(
        long,
        value_name = "ORIGIN",
        env = "STINT_ALLOW_ORIGIN",
        value_delimiter = ','
    )]
    pub allow_origin: Option<Vec<String>>,
    /// The key under which secrets are kept, such as those of webhook endpoints: 32 bytes in base64. Several with commas between
    /// them are replaced one after the other: the first one is used, all of them still open. Prefer the variable, or the file:
    /// others on the machine see flags [default: a file beside an embedded database]
    #[arg(
        long,
        value_name = "KEY",
        env = "STINT_SECRET_KEY",
        hide_env_values = true,
        help_heading = "Secrets"
    )]
    pub secret_key: Option<String>,
    /// A file with that key, or several, one a line
    #[arg(
        long,
        value_name = "FILE",
        env = "STINT_SECRET_KEY_FILE",
        help_heading = "Secrets"
    )]
    pub secret_key_file: Option<PathBuf>,
    /// For how long a person may approve a call of a coworker: 1s to 30d [default: 24h]
    #[arg(long, value_name = "TIME", env = "STINT_APPROVAL_TTL")]
    pub approval_ttl: Option<String>,
    /// A host that tools and alerts may reach though its address is not public, such as desk.internal:8443; repeat it, or
    /// separate several by commas
    #[arg(
        long,
        value_name = "HOST:PORT",
        env = "STINT_ALLOW_PRIVATE_HOST",
        value_delimiter = ',',
        help_heading = "Tools"
    )]
    pub allow_private_host: Option<Vec<String>>,
    /// For how long a worker owns a run without a sign of life [default: 15s]
    #[arg(
        long,
        value_name = "TIME",
        env = "STINT_LEASE",
        help_heading = "Leases"
    )]
    pub lease: Option<String>,
    /// How often a worker renews its leases; at most half a lease [default: 5s]
    #[arg(
        long,
        value_name = "TIME",
        env = "STINT_RENEW",
        help_heading = "Leases"
    )]
    pub renew: Option<String>,
    /// How often runs of dead workers are looked for [default: 5s]
    #[arg(long, value_name = "TIME", env = "STINT_REAP", help_heading = "Leases")]
    pub reap: Option<String>,
    /// For how many days deliveries of webhooks are kept, at least 30. What makes an event count once, and what made a request,
    /// stays [default: 30d]
    #[arg(
        long,
        value_name = "DAYS",
        env = "STINT_KEEP_DELIVERIES",
        help_heading = "Retention"
    )]
    pub keep_deliveries: Option<String>,
    /// How long after each failed try an alert is sent again, give or take a tenth, separated by commas; after the last it is
    /// given up [default: 5s,5m,30m,2h,5h,10h]
    #[arg(
        long,
        value_name = "TIMES",
        env = "STINT_ALERT_RETRIES",
        value_delimiter = ',',
        help_heading = "Alerts"
    )]
    pub alert_retries: Option<Vec<String>>,
    /// Where to send OpenTelemetry spans: a collector's HTTP address, such as http://localhost:4318 [default: nowhere]
    #[arg(
        long,
        value_name = "URL",
        env = "STINT_OTLP_ENDPOINT",
        help_heading = "Telemetry"
    )]
    pub otlp_endpoint: Option<String>,
    /// The providers of models.
    #[command(flatten)]
    pub models: ModelFlags,
    /// Let playbooks kill the process; for tests of crashes
    #[arg(long, env = "STINT_ALLOW_ABORTS", hide = true)]
    pub allow_aborts: bool,
}
