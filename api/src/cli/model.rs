//! `stint model`.

use anyhow::{Context as _, bail};
use api::config::{self, CommonFlags, ModelFlags};
use comfy_table::{LineStyle, Table, TableStyle};
use domain::model::Models;
use domain::model::check::Checked;
use domain::model::scripted::Scripted;
use futures_util::future::join_all;
use serde_json::json;

use super::{Format, print, say};

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Call each configured provider of models once, and say what works
    ///
    /// A provider that --model names a model of gets a tiny prompt, with at most 16 tokens of answer; others are
    /// asked for the list of their models. Fails if one of them does not work.
    Check(CheckArgs),
}

#[derive(clap::Args)]
pub(super) struct CheckArgs {
    /// A model to ask, such as openai:gpt-5-mini; repeat it for others
    #[arg(long, value_name = "PROVIDER:MODEL")]
    model: Vec<String>,
    /// How to print what was found
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    models: ModelFlags,
    #[command(flatten)]
    common: CommonFlags,
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    let Command::Check(args) = command;
    let common = config::common(&args.common)?;
    super::log(&common, "warn")?;
    let providers = config::models(&args.common, &args.models)?;
    if providers.is_empty() {
        bail!(
            "no provider of models is configured; set STINT_OPENAI_API_KEY, STINT_OPENAI_BASE_URL, STINT_ANTHROPIC_API_KEY or STINT_GEMINI_API_KEY, \
             or give the settings file (--config) a table [models.NAME] with kind = \"openai\", \"anthropic\" or \"gemini\""
        );
    }
    let models = Models::new(Scripted::default(), providers)?;
    let mut named = Vec::new();
    for model in &args.model {
        let parted = model.split_once(':').filter(|(_, model)| !model.is_empty());
        let parted = parted.with_context(|| {
            format!("--model can't be {model:?}: it is a provider and its model, such as openai:gpt-5-mini")
        })?;
        if models.providers().all(|provider| provider.name != parted.0) {
            let all = models.providers().map(|provider| provider.name.as_str());
            let all = all.collect::<Vec<_>>().join(", ");
            bail!(
                "--model can't be {model:?}: no provider {:?} is configured here, only {all}; name one of these, or give the \
                 settings file (--config) a table [models.{}]",
                parted.0,
                parted.0
            );
        }
        named.push(parted);
    }
    let all = models.providers().map(|provider| provider.name.as_str());
    let unnamed = all.filter(|name| named.iter().all(|(provider, _)| provider != name));
    let calls = named
        .iter()
        .map(|(provider, model)| (*provider, Some(*model)));
    let calls = calls.chain(unnamed.map(|name| (name, None)));
    let checks = calls.map(|(name, model)| models.check(name, model));
    let checks: Vec<Checked> = join_all(checks)
        .await
        .into_iter()
        .collect::<Result<_, _>>()?;
    print(&match args.format {
        Format::Text => table(&checks),
        Format::Json => json_list(&checks)?,
    })?;
    let failed = checks.iter().filter(|check| check.result.is_err()).count();
    match failed {
        0 => Ok(()),
        1 => bail!("a provider does not work"),
        n => bail!("{n} calls did not work"),
    }
    .inspect(|()| say(format_args!("All of them work.")))
}

fn table(checks: &[Checked]) -> String {
    let line = LineStyle::none().fill('─');
    let mut table = Table::new();
    table.load_style(TableStyle::new().header_separator(line));
    table.set_header(["provider", "kind", "model", "ms", "", "address"]);
    for check in checks {
        let what = match &check.result {
            Ok(works) => format!("works: {works}"),
            Err(error) => format!("FAILS: {error}"),
        };
        table.add_row([
            check.provider.clone(),
            check.kind.as_str().to_owned(),
            check.model.clone().unwrap_or_default(),
            check.took.as_millis().to_string(),
            what,
            check.address.clone(),
        ]);
    }
    format!("{table}\n")
}

fn json_list(checks: &[Checked]) -> anyhow::Result<String> {
    let list = checks.iter().map(|check| {
        let (works, detail) = match &check.result {
            Ok(works) => (true, works.clone()),
            Err(error) => (false, error.message.clone()),
        };
        json!({
            "provider": check.provider,
            "kind": check.kind,
            "address": check.address,
            "model": check.model,
            "ms": u64::try_from(check.took.as_millis()).unwrap_or(u64::MAX),
            "works": works,
            "class": check.result.as_ref().err().map(|error| error.class),
            "detail": detail,
        })
    });
    let list: Vec<_> = list.collect();
    Ok(format!("{}\n", serde_json::to_string_pretty(&list)?))
}
