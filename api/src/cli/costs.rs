//! `stint costs`.

use std::sync::Arc;

use anyhow::bail;
use api::config::CommonFlags;
use api::demo::text::{dollars, thousands};
use comfy_table::{Attribute, Cell, CellAlignment, LineStyle, Table, TableStyle};
use domain::metric::group::{Dimension, Which};
use domain::metric::measure::Measure;
use domain::metric::rollup::zone_of;
use domain::metric::series::{self, Span, Wanted};
use domain::metric::zone::Interval;
use domain::money::print_decimal;
use entity::coworker;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use serde_json::json;

use super::{Format, print};

/// The most weeks of a line.
const MOST: u16 = 104;

#[derive(clap::Args)]
pub(super) struct Args {
    /// How many weeks to show, this one included: 2 to 104
    #[arg(long, value_name = "N", default_value_t = 12)]
    weeks: u16,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// The workspace, by name [default: the only one]
    #[arg(long, value_name = "NAME")]
    workspace: Option<String>,
    #[command(flatten)]
    common: CommonFlags,
}

/// What a coworker cost, week by week.
struct Line {
    handle: String,
    /// Nano-USD by week, the oldest first; the last one is not over.
    costs: Vec<i64>,
    runs: Vec<i64>,
    unpriced: i64,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    if !(2..=MOST).contains(&args.weeks) {
        bail!("--weeks is {}; it must be from 2 to {MOST}", args.weeks);
    }
    let (store, actor) = super::open(&args.common, args.workspace.as_deref()).await?;
    let zone = zone_of(store.read(), actor.workspace).await?;
    let now = store.now();
    let mut start = Interval::Week.start(zone, now);
    for _ in 1..args.weeks {
        start = Interval::Week.start(zone, start.plus(-1));
    }
    let span = Span {
        start,
        end: now.plus(1),
        zone,
        which: Arc::new(Which::default()),
    };
    let wanted = Wanted {
        measures: vec![Measure::Runs, Measure::Cost, Measure::UnpricedCalls],
        durations: false,
    };
    let by = [Dimension::Coworker];
    let found = series::series(&store, &actor, &span, Interval::Week, &by, wanted).await?;
    let coworkers = coworker::Entity::find()
        .filter(coworker::Column::WorkspaceId.eq(actor.workspace))
        .all(store.read())
        .await?;
    let mut lines: Vec<Line> = found
        .into_iter()
        .map(|series| {
            let id = series.group.coworker;
            let named = coworkers.iter().find(|row| Some(row.id) == id);
            let of = |measure| {
                let points = series.points.iter();
                points
                    .map(|point| point.fact.sums[measure])
                    .collect::<Vec<i64>>()
            };
            Line {
                handle: named.map_or_else(String::new, |row| row.handle.clone()),
                costs: of(Measure::Cost),
                runs: of(Measure::Runs),
                unpriced: of(Measure::UnpricedCalls).iter().sum(),
            }
        })
        .collect();
    lines.sort_by_key(|line| std::cmp::Reverse(line.costs.iter().sum::<i64>()));
    print(&match args.format {
        Format::Text => table(&lines, args.weeks),
        Format::Json => json_list(&lines)?,
    })
}

/// The costs of weeks as a line of blocks, the dearest week the highest.
fn sparkline(costs: &[i64]) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = costs.iter().copied().max().unwrap_or(0);
    let block = |cost: &i64| match (*cost, most) {
        (..=0, _) | (_, ..=0) => ' ',
        (cost, most) => {
            let place = i128::from(cost) * 8 / i128::from(most);
            BLOCKS[usize::try_from(place.clamp(1, 8) - 1).unwrap_or(0)]
        }
    };
    costs.iter().map(block).collect()
}

/// By how much the last whole week differs from the one before, in per cent; none without a cost to compare with.
fn change(costs: &[i64]) -> Option<i64> {
    let [.., before, last, _] = costs else {
        return None;
    };
    (*before > 0).then(|| (last - before) * 100 / before)
}

fn table(lines: &[Line], weeks: u16) -> String {
    if lines.is_empty() {
        return format!("No model was called in the last {weeks} weeks.\n");
    }
    let mut table = Table::new();
    let line = LineStyle::none().fill('─');
    table.load_style(TableStyle::new().header_separator(line));
    let weekly = format!("{weeks} weeks");
    let titles = [
        "coworker",
        weekly.as_str(),
        "total",
        "runs",
        "per run",
        "last week",
        "change",
        "this week",
    ];
    table.set_header(titles.map(|title| Cell::new(title).add_attribute(Attribute::Bold)));
    for line in lines {
        let (total, runs): (i64, i64) = (line.costs.iter().sum(), line.runs.iter().sum());
        let last = line.costs.iter().rev().nth(1).copied().unwrap_or(0);
        let this = line.costs.last().copied().unwrap_or(0);
        let change = change(&line.costs).map_or_else(String::new, |change| format!("{change:+} %"));
        // What has no price is in no sum, and must not look like nothing.
        let mark = if line.unpriced > 0 { " +?" } else { "" };
        let numbers = [
            format!("{}{mark}", dollars(total)),
            thousands(runs),
            if runs > 0 {
                dollars(total / runs)
            } else {
                String::new()
            },
            dollars(last),
            change,
            dollars(this),
        ];
        let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        let mut row = vec![Cell::new(&line.handle), Cell::new(sparkline(&line.costs))];
        row.extend(numbers.map(right));
        table.add_row(row);
    }
    let unpriced: i64 = lines.iter().map(|line| line.unpriced).sum();
    let note = match unpriced {
        0 => String::new(),
        n => format!(
            "+?: {} model calls have no price; see modelPriceSet.\n",
            thousands(n)
        ),
    };
    format!("{table}\n{note}")
}

fn json_list(lines: &[Line]) -> anyhow::Result<String> {
    let list: Vec<_> = lines
        .iter()
        .map(|line| {
            json!({
                "coworker": line.handle,
                "weeklyCost": line.costs.iter().map(|cost| print_decimal(*cost)).collect::<Vec<_>>(),
                "weeklyRuns": line.runs,
                "unpricedCalls": line.unpriced,
            })
        })
        .collect();
    Ok(serde_json::to_string_pretty(&list)? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_blocks_shows_the_dearest_week_the_highest() {
        assert_eq!(sparkline(&[0, 1, 50, 100]), " ▁▄█");
        assert_eq!(sparkline(&[0, 0]), "  ");
        assert_eq!(sparkline(&[]), "");
        assert_eq!(sparkline(&[i64::MAX, 1]), "█▁");
    }

    #[test]
    fn the_change_is_that_of_the_last_whole_week() {
        assert_eq!(change(&[100, 150, 7]), Some(50));
        assert_eq!(change(&[0, 150, 7]), None);
        assert_eq!(change(&[150, 7]), None);
    }
}
