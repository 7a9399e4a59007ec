//! The runs of the story as a table.

use comfy_table::{
    Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, LineStyle, Table,
    TableStyle,
};
use entity::{Outcome, run};

use super::report::{Report, how, lasted};
use super::text::{dollars, duration, thousands, words};

/// The columns; from the fourth on they are numbers.
const HEADER: [&str; 10] = [
    "Run",
    "Coworker",
    "Outcome",
    "Steps",
    "Tool\ncalls",
    "Tokens\nin",
    "Tokens\nout",
    "Tokens\ncached",
    "Cost",
    "Duration",
];

/// The column with the names of the coworkers.
const NAMES: usize = 1;

/// The first column with numbers.
const NUMBERS: usize = 3;

/// The fewest columns: a terminal with fewer breaks the lines, which is better than broken numbers.
const NARROW: u16 = 76;

/// Columns at which a table of these has room for wide gaps.
const ROOMY: u16 = 97;

/// One row per run and one with the totals, for a terminal of `width` columns.
pub fn render(report: &Report, width: u16) -> String {
    let mut table = Table::new();
    table
        .load_style(
            TableStyle::new()
                .header_separator(LineStyle::none().fill('─'))
                .row_separator(LineStyle::none().fill('─')),
        )
        .set_width(width.max(NARROW))
        .set_content_arrangement(ContentArrangement::Dynamic)
        // The stream that it is written to drops what its reader does not want.
        .enforce_styling()
        .set_header(HEADER.map(|title| Cell::new(title).add_attribute(Attribute::Bold)));
    for run in &report.runs {
        let (name, color) = match report.coworker(run) {
            Some((place, coworker)) => (coworker.name.as_str(), color(place)),
            None => ("", Color::Reset),
        };
        let outcome = Cell::new(words(how(run)));
        let outcome = match run.outcome {
            Some(Outcome::Resolved) => outcome.add_attribute(Attribute::Bold),
            Some(_) => outcome,
            None => outcome.fg(Color::DarkRed),
        };
        let mut cells = vec![
            Cell::new(format!("Run-{}", run.number)),
            Cell::new(name).fg(color),
            outcome,
        ];
        cells.extend(Sums::of(std::slice::from_ref(run)).cells());
        table.add_row(cells);
    }
    let titles = ["Total".to_owned(), String::new(), String::new()];
    let total = titles
        .into_iter()
        .map(Cell::new)
        .chain(Sums::of(&report.runs).cells());
    table.add_row(total.map(|cell| cell.add_attribute(Attribute::Bold)));
    let gap = if width < ROOMY { 1 } else { 2 };
    for (index, column) in table.column_iter_mut().enumerate() {
        let last = index + 1 == HEADER.len();
        column.set_padding((0, if last { 0 } else { gap }));
        // Where it gets narrow, names break first.
        if index != NAMES {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
        if index >= NUMBERS {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.style_text_only();
    let mut lines: Vec<String> = table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    // Of the rules, those below the header and above the totals.
    let is_rule = |line: &String| line.chars().all(|char| char == '─');
    let (first, last) = (
        lines.iter().position(is_rule),
        lines.iter().rposition(is_rule),
    );
    let mut index = 0;
    lines.retain(|line| {
        index += 1;
        !is_rule(line) || first == Some(index - 1) || last == Some(index - 1)
    });
    lines.join("\n") + "\n"
}

/// What some runs did and used together.
struct Sums {
    steps: i64,
    calls: i64,
    input: i64,
    output: i64,
    cached: i64,
    cost: i64,
    /// None if one of them goes on.
    ms: Option<i64>,
}

impl Sums {
    fn of(runs: &[run::Model]) -> Self {
        let sum = |of: fn(&run::Model) -> i64| runs.iter().map(of).sum();
        Self {
            steps: sum(|run| run.step_count.into()),
            calls: sum(|run| run.tool_call_count.into()),
            input: sum(|run| run.input_tokens),
            output: sum(|run| run.output_tokens),
            cached: sum(|run| run.cached_tokens),
            cost: sum(|run| run.cost_nano),
            ms: runs.iter().map(lasted).sum(),
        }
    }

    fn cells(self) -> impl Iterator<Item = Cell> {
        let Self {
            steps,
            calls,
            input,
            output,
            cached,
            cost,
            ms,
        } = self;
        let counts = [steps, calls, input, output, cached].map(thousands);
        let rest = [dollars(cost), ms.map(duration).unwrap_or_default()];
        counts.into_iter().chain(rest).map(Cell::new)
    }
}

/// As the story has them, see [`super::faces::Faces::hue`].
fn color(place: usize) -> Color {
    const COLORS: [Color; 5] = [
        Color::DarkMagenta,
        Color::DarkCyan,
        Color::DarkGreen,
        Color::DarkYellow,
        Color::DarkBlue,
    ];
    COLORS[place % COLORS.len()]
}
