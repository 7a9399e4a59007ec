//! The board: looked at every second, drawn, left when someone says so.

use std::io::IsTerminal as _;
use std::time::Duration;

use api::config::CommonFlags;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

use super::board::Board;
use super::draw;
use super::keys::asked_to_leave;
use crate::cli::{open, print};

/// How often it looks again.
const EVERY: Duration = Duration::from_secs(1);
/// How long a look may take before the board says so.
const PATIENCE: Duration = Duration::from_secs(5);
/// The size of a board that is not on a terminal.
const PAPER: (u16, u16) = (100, 40);

#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// Print the board once, as text; so it is also where standard output is no terminal
    #[arg(long)]
    once: bool,
    /// The workspace, by name [default: the only one]
    #[arg(long, value_name = "NAME")]
    workspace: Option<String>,
    #[command(flatten)]
    common: CommonFlags,
}

pub(in crate::cli) async fn run(args: Args) -> anyhow::Result<()> {
    let (store, actor) = open(&args.common, args.workspace.as_deref()).await?;
    let mut board = Board::look(&store, &actor).await?;
    if args.once || !std::io::stdout().is_terminal() {
        return print(&text(&board)?);
    }
    let mut terminal = ratatui::try_init()?;
    let shown = async {
        loop {
            terminal.draw(|frame| draw::draw(frame, &board))?;
            if asked_to_leave(EVERY).await? {
                return Ok(());
            }
            match tokio::time::timeout(PATIENCE, Board::look(&store, &actor)).await {
                Ok(Ok(seen)) => board = seen,
                // What was seen last stays, with a word about it.
                Ok(Err(error)) => board.trouble = Some(error.to_string()),
                Err(_) => board.trouble = Some("The database does not answer in time.".into()),
            }
        }
    };
    let shown: anyhow::Result<()> = shown.await;
    ratatui::try_restore()?;
    shown
}

/// The board as lines of text.
fn text(board: &Board) -> anyhow::Result<String> {
    let (width, height) = PAPER;
    let mut terminal = Terminal::new(TestBackend::new(width, height))?;
    terminal.draw(|frame| draw::draw(frame, board))?;
    Ok(lines(terminal.backend().buffer()))
}

fn lines(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width.max(1));
    let rows = buffer.content.chunks(width).map(|row| {
        let line: String = row.iter().map(|cell| cell.symbol()).collect();
        line.trim_end().to_owned()
    });
    let rows: Vec<String> = rows.collect();
    rows.join("\n").trim_end().to_owned() + "\n"
}
