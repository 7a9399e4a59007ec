//! `stint costs`.

use std::sync::Arc;

use anyhow::bail;
use api::config::CommonFlags;
use api::demo::text::{known_dollars, thousands};
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
    /// Calls without a price, and those that broke off before their usage was known: what they cost is in no sum.
    unpriced: Vec<i64>,
    unknown: Vec<i64>,
}

impl Line {
    /// Calls whose cost is not known, by week.
    fn open(&self) -> Vec<i64> {
        let both = self.unpriced.iter().zip(&self.unknown);
        both.map(|(unpriced, unknown)| unpriced + unknown).collect()
    }
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
        measures: [Measure::Runs].into_iter().chain(Measure::COST).collect(),
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
                unpriced: of(Measure::UnpricedCalls),
                unknown: of(Measure::UnknownCalls),
            }
        })
        .collect();
    lines.sort_by_key(|line| std::cmp::Reverse(line.costs.iter().sum::<i64>()));
    print(&match args.format {
        Format::Text => table(&lines, args.weeks),
        Format::Json => json_list(&lines)?,
    })
}

/// The costs of weeks as a line of blocks, the dearest week the highest, and a question mark for one of which nothing is known.
fn sparkline(costs: &[i64], open: &[i64]) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = costs.iter().copied().max().unwrap_or(0);
    let block = |(cost, open): (&i64, &i64)| match (*cost, *open, most) {
        (0, 1.., _) => '?',
        (..=0, ..) | (.., ..=0) => ' ',
        (cost, _, most) => {
            let place = i128::from(cost) * 8 / i128::from(most);
            BLOCKS[usize::try_from(place.clamp(1, 8) - 1).unwrap_or(0)]
        }
    };
    costs.iter().zip(open).map(block).collect()
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
        let open = line.open();
        let all_open = open.iter().sum();
        // What is not known is in no sum, and must not look like nothing.
        let nth_last = |n: usize| {
            let of = |weeks: &[i64]| weeks.iter().rev().nth(n).copied().unwrap_or(0);
            known_dollars(of(&line.costs), of(&open))
        };
        let change = match open.iter().rev().skip(1).take(2).sum::<i64>() {
            1.. => "?".to_owned(),
            _ => change(&line.costs).map_or_else(String::new, |change| format!("{change:+} %")),
        };
        let numbers = [
            known_dollars(total, all_open),
            thousands(runs),
            if runs > 0 {
                known_dollars(total / runs, all_open)
            } else {
                String::new()
            },
            nth_last(1),
            change,
            nth_last(0),
        ];
        let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        let mut row = vec![
            Cell::new(&line.handle),
            Cell::new(sparkline(&line.costs, &open)),
        ];
        row.extend(numbers.map(right));
        table.add_row(row);
    }
    let unpriced: i64 = lines.iter().flat_map(|line| &line.unpriced).sum();
    let unknown: i64 = lines.iter().flat_map(|line| &line.unknown).sum();
    let mut notes = String::new();
    if unpriced > 0 {
        let calls = thousands(unpriced);
        notes += &format!("?: {calls} model calls have no price; see modelPriceSet.\n");
    }
    if unknown > 0 {
        let calls = thousands(unknown);
        notes += &format!("?: {calls} model calls broke off before their usage was known.\n");
    }
    format!("{table}\n{notes}")
}

fn json_list(lines: &[Line]) -> anyhow::Result<String> {
    let list: Vec<_> = lines
        .iter()
        .map(|line| {
            // Unknown is null, never 0.
            let known = |(cost, open): (&i64, &i64)| {
                (*cost != 0 || *open == 0).then(|| print_decimal(*cost))
            };
            let costs = line
                .costs
                .iter()
                .zip(&line.open())
                .map(known)
                .collect::<Vec<_>>();
            json!({
                "coworker": line.handle,
                "weeklyCost": costs,
                "weeklyRuns": line.runs,
                "unpricedCalls": line.unpriced.iter().sum::<i64>(),
                "unknownCalls": line.unknown.iter().sum::<i64>(),
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
        assert_eq!(sparkline(&[0, 1, 50, 100], &[0; 4]), " ▁▄█");
        assert_eq!(sparkline(&[0, 0], &[0; 2]), "  ");
        assert_eq!(sparkline(&[], &[]), "");
        assert_eq!(sparkline(&[i64::MAX, 1], &[0; 2]), "█▁");
        assert_eq!(sparkline(&[0, 100, 0], &[2, 2, 0]), "?█ ");
    }

    #[test]
    fn the_change_is_that_of_the_last_whole_week() {
        assert_eq!(change(&[100, 150, 7]), Some(50));
        assert_eq!(change(&[0, 150, 7]), None);
        assert_eq!(change(&[150, 7]), None);
    }
}
