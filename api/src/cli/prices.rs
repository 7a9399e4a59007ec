//! `stint prices import`.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use api::config::CommonFlags;
use domain::money::print_decimal;
use domain::price::import::{Changes, Read, changes, read};
use domain::price::{ImportPrices, NewPrice, Rates, STANDARD, own_prices};
use serde_json::{Value, json};

use super::{Format, files, print, say, style};

/// The most bytes of a file; the ecosystem's tables have about two million.
const LARGEST: u64 = 64 * 1024 * 1024;
/// The lines of a table on a terminal, and the models that are named as left out.
const SHOWN: usize = 40;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Take model prices from a JSON file: LiteLLM's model_prices_and_context_window.json, or models.dev's api.json
    ///
    /// Shows which prices differ from those in force, asks, and then sets all of them or none, from now on.
    /// What calls cost before stays. A model whose price can't be held exactly is left out, and named.
    Import(ImportArgs),
}

#[derive(clap::Args)]
pub(super) struct ImportArgs {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Only models of this provider, as the file calls it; repeat it, or separate several by commas
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    provider: Vec<String>,
    /// Set the prices without asking, as scripts do
    #[arg(long, short = 'y', conflicts_with = "dry_run")]
    yes: bool,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// How to print what changes
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// The workspace, by name [default: the only one]
    #[arg(long, value_name = "NAME")]
    workspace: Option<String>,
    #[command(flatten)]
    common: CommonFlags,
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Import(args) => import(args).await,
    }
}

async fn import(args: ImportArgs) -> anyhow::Result<()> {
    let name = args.file.display();
    let size = std::fs::metadata(&args.file).with_context(|| format!("{name} can't be read"))?;
    if size.len() > LARGEST {
        bail!("{name} has {} bytes; {LARGEST} are allowed", size.len());
    }
    let text =
        std::fs::read_to_string(&args.file).with_context(|| format!("{name} can't be read"))?;
    let mut said = read(&text).with_context(|| format!("{name} holds no prices"))?;
    said.only(&args.provider);
    if said.prices.is_empty() && said.left_out.is_empty() {
        bail!(
            "{name} has no model of {}; look how it spells its providers",
            args.provider.join(", ")
        );
    }
    let (store, actor) = super::open(&args.common, args.workspace.as_deref()).await?;
    let own = own_prices(store.read(), actor.workspace).await?;
    let changes = changes(&said, &own, store.now());
    match args.format {
        Format::Text => print(&table(&changes))?,
        Format::Json => print(&format!("{:#}\n", as_json(&changes, &said)))?,
    }
    left_out(&said, &changes);
    if changes.prices.is_empty() {
        say(format_args!(
            "Nothing to change: {} in force as the file says.",
            counted(changes.same)
        ));
        return Ok(());
    }
    let summary = format!(
        "{} to set, {} as they are",
        counted(changes.prices.len()),
        changes.same
    );
    if args.dry_run {
        say(format_args!("{summary}; nothing was changed."));
        return Ok(());
    }
    if !args.yes && !files::confirmed(&summary)? {
        say(format_args!("Nothing was changed."));
        return Ok(());
    }
    let prices = changes.prices.into_iter().map(|(_, price)| price).collect();
    store.write(ImportPrices { actor, prices }).await?;
    let strong = style::STRONG;
    say(format_args!("{strong}Imported:{strong:#} {summary}."));
    Ok(())
}

fn left_out(read: &Read, changes: &Changes) {
    let warning = style::WARNING;
    let all = || read.left_out.iter().chain(&changes.left_out);
    for model in all().take(SHOWN) {
        say(format_args!(
            "{warning}left out:{warning:#} {}: {}",
            model.model, model.why
        ));
    }
    let more = all().count().saturating_sub(SHOWN);
    if more > 0 {
        say(format_args!(
            "… and {more} more are left out; --format json names them."
        ));
    }
}

/// USD per million tokens, a line for each price and each of its tiers.
fn table(changes: &Changes) -> String {
    use comfy_table::{Attribute, Cell, CellAlignment, LineStyle, Table, TableStyle};
    if changes.prices.is_empty() {
        return String::new();
    }
    let mut table = Table::new();
    table
        .load_style(TableStyle::new().header_separator(LineStyle::none().fill('─')))
        .set_header(
            [
                "Model",
                "Prompt",
                "Input",
                "Cache read",
                "Write 5 min",
                "Write 1 h",
                "Output",
            ]
            .map(|title| Cell::new(title).add_attribute(Attribute::Bold)),
        );
    for (before, price) in changes.prices.iter().take(SHOWN) {
        for (place, (over, rates)) in lines(price).into_iter().enumerate() {
            let before = before.as_ref().and_then(|before| {
                let mut lines = lines(before).into_iter();
                lines
                    .find(|(length, _)| *length == over)
                    .map(|(_, rates)| rates)
            });
            let model = if place == 0 {
                named(price)
            } else {
                String::new()
            };
            let prompt = if over == 0 {
                String::new()
            } else {
                format!("> {over}")
            };
            let then = before.map(cells);
            let now = cells(rates).into_iter().enumerate().map(|(i, now)| {
                match then.as_ref().map(|then| &then[i]) {
                    Some(then) if *then != now => format!("{then} → {now}"),
                    Some(_) | None => now,
                }
            });
            let mut row = vec![Cell::new(model), Cell::new(prompt)];
            row.extend(now.map(|text| Cell::new(text).set_alignment(CellAlignment::Right)));
            table.add_row(row);
        }
    }
    let more = changes.prices.len().saturating_sub(SHOWN);
    let more = if more > 0 {
        format!("… and {more} more; --format json shows all.\n")
    } else {
        String::new()
    };
    format!("{table}\n{more}")
}

/// The model, with its service tier where it is not the usual one.
fn named(price: &NewPrice) -> String {
    if price.service_tier == STANDARD {
        return price.model.clone();
    }
    format!("{} ({})", price.model, price.service_tier)
}

/// The lengths of prompt, and the rates from there on.
fn lines(price: &NewPrice) -> Vec<(i64, Rates)> {
    let tiers = price
        .tiers
        .iter()
        .map(|tier| (tier.prompt_over, tier.rates));
    std::iter::once((0, price.rates)).chain(tiers).collect()
}

fn cells(rates: Rates) -> [String; 5] {
    let Rates {
        input,
        cache_read,
        cache_write_short,
        cache_write_long,
        output,
    } = rates;
    [
        Some(input),
        cache_read,
        cache_write_short,
        cache_write_long,
        Some(output),
    ]
    .map(|rate| rate.map_or_else(|| "–".to_owned(), print_decimal))
}

fn as_json(changes: &Changes, read: &Read) -> Value {
    let rates = |rates: Rates| {
        let Rates {
            input,
            cache_read,
            cache_write_short,
            cache_write_long,
            output,
        } = rates;
        json!({
            "input": print_decimal(input), "cacheRead": cache_read.map(print_decimal),
            "cacheWriteShort": cache_write_short.map(print_decimal),
            "cacheWriteLong": cache_write_long.map(print_decimal), "output": print_decimal(output),
        })
    };
    let price = |price: &NewPrice| -> Value {
        let tiers = price.tiers.iter();
        let tiers: Vec<Value> = tiers
            .map(|tier| json!({ "promptOver": tier.prompt_over, "rates": rates(tier.rates) }))
            .collect();
        json!({ "model": price.model, "serviceTier": price.service_tier, "rates": rates(price.rates), "tiers": tiers })
    };
    let set = changes.prices.iter();
    let set: Vec<Value> = set
        .map(|(before, now)| json!({ "before": before.as_ref().map(price), "price": price(now) }))
        .collect();
    let left_out = read.left_out.iter().chain(&changes.left_out);
    let left_out: Vec<Value> = left_out
        .map(|left| json!({ "model": left.model, "why": left.why }))
        .collect();
    json!({ "set": set, "same": changes.same, "leftOut": left_out })
}

/// `1 price`, `2 prices`.
fn counted(n: usize) -> String {
    format!("{n} price{}", if n == 1 { "" } else { "s" })
}
