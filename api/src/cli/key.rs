//! `stint key`.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use api::auth::MakeKey;
use api::config::{self, CommonFlags};
use clap::ValueEnum;
use domain::key::Holder;
use domain::store::{OpenOptions, Store};
use entity::Role;

use super::{print, say};

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Make an API key and print it, alone, to stdout
    ///
    /// Makes the database and the workspace if there are none. The key is shown only this once: Stint keeps
    /// its hash.
    Create(CreateArgs),
}

#[derive(clap::Args)]
pub(super) struct CreateArgs {
    /// What the key may do
    #[arg(long, value_enum, ignore_case = true, default_value = "ADMIN")]
    role: KeyRole,
    /// The workspace that it opens, by name [default: the only one]
    #[arg(long, value_name = "NAME")]
    workspace: Option<String>,
    /// What it is called in lists; a person's key carries the person's name
    #[arg(long, value_name = "NAME", default_value = "Admin")]
    name: String,
    /// For whom it acts; requests made with it have the source EMPLOYEE, WORKFLOW or SYSTEM
    #[arg(long, value_enum, ignore_case = true, default_value = "PERSON")]
    kind: KeyKind,
    #[command(flatten)]
    common: CommonFlags,
}

#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "UPPER")]
enum KeyRole {
    /// Everything, including keys and prices
    Admin,
    /// Work on requests
    Agent,
    /// Read everything, change nothing
    Analyst,
    /// Make requests and see only these
    Requester,
}

#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "UPPER")]
enum KeyKind {
    /// A person
    Person,
    /// An automation
    Workflow,
    /// An outside system, such as a monitoring service
    System,
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    let Command::Create(args) = command;
    let common = config::common(&args.common)?;
    super::log(&common, "warn")?;
    let role = match args.role {
        KeyRole::Admin => Role::Admin,
        KeyRole::Agent => Role::Agent,
        KeyRole::Analyst => Role::Analyst,
        KeyRole::Requester => Role::Requester,
    };
    let holder = match args.kind {
        KeyKind::Person => Holder::NewPerson(args.name.clone()),
        KeyKind::Workflow => Holder::Workflow(args.name.clone()),
        KeyKind::System => Holder::System(args.name.clone()),
    };
    let options = OpenOptions {
        own: false,
        ..OpenOptions::default()
    };
    let store = Store::open(&common.database_url, options).await?;
    let make = MakeKey {
        workspace: args.workspace,
        name: args.name,
        role,
        holder,
        only_first: false,
    };
    let key = store.write(make).await?.context("no key was made")?;
    print(&format!("{}\n", key.reveal()))?;
    if std::io::stdout().is_terminal() {
        say(format_args!("Keep it: it can't be shown again."));
    }
    Ok(())
}
