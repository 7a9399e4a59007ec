//! How the board is drawn.

use api::demo::text::{known_dollars, words};
use entity::{Millis, RunStatus};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize as _};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Paragraph, Row as Cells, Sparkline, Table};

use super::board::{Board, Row};

/// Draws the whole board.
pub(super) fn draw(frame: &mut Frame<'_>, board: &Board) {
    let [head, cost, active, ended, foot] = Layout::vertical([
        Constraint::Length(3),
        Constraint::Length(6),
        Constraint::Fill(3),
        Constraint::Fill(2),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(summary(board), head);
    costs(frame, board, cost);
    let title = " Under way ";
    frame.render_widget(table(title, &board.active, board.now), active);
    frame.render_widget(table(" Ended ", &board.ended, board.now), ended);
    let line = match &board.trouble {
        Some(trouble) => Line::from(trouble.as_str()).red(),
        None => Line::from("q leaves; ?: calls without a known cost").dim(),
    };
    frame.render_widget(line, foot);
}

fn summary(board: &Board) -> Paragraph<'_> {
    let waits = board
        .oldest
        .map(|oldest| format!(", the oldest for {}", age(board.now.since(oldest))));
    let queue = format!("{} waiting{}", board.waiting, waits.unwrap_or_default());
    let line = Line::from(vec![
        Span::from(format!("{} running", board.running))
            .green()
            .bold(),
        Span::from("   "),
        Span::from(format!("{} waiting for a person", board.paused)).yellow(),
        Span::from("   "),
        Span::from(queue).cyan(),
    ]);
    let title = format!(" Stint · {} ", board.workspace);
    Paragraph::new(line).block(Block::bordered().title(title.bold()))
}

fn costs(frame: &mut Frame<'_>, board: &Board, area: Rect) {
    let (hour, hour_open) = board.costs.last().copied().unwrap_or_default();
    let (day, day_open) = board
        .costs
        .iter()
        .fold((0, 0), |sum, (cost, open)| (sum.0 + cost, sum.1 + open));
    let title = format!(
        " Cost per hour · this hour {} · 24 hours {} ",
        known_dollars(hour, hour_open),
        known_dollars(day, day_open)
    );
    let values: Vec<u64> = board
        .costs
        .iter()
        .map(|(cost, _)| u64::try_from(*cost).unwrap_or(0))
        .collect();
    // Each hour as wide as there is room for all of them.
    let width = usize::from(area.width.saturating_sub(2)) / values.len().max(1);
    let bars: Vec<u64> = values
        .iter()
        .flat_map(|value| std::iter::repeat_n(*value, width.max(1)))
        .collect();
    let line = Sparkline::default()
        .data(bars)
        .style(Style::new().fg(Color::Magenta))
        .block(Block::bordered().title(title));
    frame.render_widget(line, area);
}

fn table<'a>(title: &'a str, rows: &'a [Row], now: Millis) -> Table<'a> {
    let widths = [
        Constraint::Length(9),
        Constraint::Length(18),
        Constraint::Fill(2),
        Constraint::Fill(2),
        Constraint::Length(8),
        Constraint::Length(12),
    ];
    let cells = rows.iter().map(|row| {
        let (run, until) = (&row.run, row.run.ended_at.unwrap_or(now));
        let state = match (run.outcome, run.failure_code, run.status) {
            (Some(outcome), _, _) => Cell::from(words(outcome.as_str())),
            (_, Some(code), _) => Cell::from(words(code.as_str())).red(),
            (None, None, RunStatus::PausedForApproval) => Cell::from("Waits for a person").yellow(),
            (None, None, RunStatus::Running | RunStatus::Completed | RunStatus::Failed) => {
                Cell::from(row.step.as_str())
            }
        };
        Cells::new([
            Cell::from(format!("Run-{}", run.number)).bold(),
            Cell::from(row.coworker.as_str()),
            Cell::from(row.title.as_str()),
            state,
            Cell::from(age(until.since(run.started_at))),
            Cell::from(known_dollars(
                run.cost_nano,
                (run.unpriced_calls + run.unknown_calls).into(),
            )),
        ])
    });
    Table::new(cells, widths)
        .header(Cells::new(["run", "coworker", "request", "", "time", "cost"]).dim())
        .block(Block::bordered().title(title))
}

/// A time as people say it at a glance: `4 s`, `12 min`, `3 h`.
fn age(ms: i64) -> String {
    match ms.max(0) / 1_000 {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ ..7_200 => format!("{} min", seconds / 60),
        seconds @ ..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::age;

    #[test]
    fn ages_are_short() {
        let ages = [0, 4_900, 119_000, 120_000, 7_200_000, 172_800_000].map(age);
        assert_eq!(ages, ["0 s", "4 s", "119 s", "2 min", "2 h", "2 d"]);
    }
}
