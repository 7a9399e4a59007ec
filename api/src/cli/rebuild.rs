//! `stint rebuild`.

use std::cell::Cell;

use anyhow::bail;
use api::config::CommonFlags;
use domain::metric::anew::fold_until;
use domain::metric::audit::{Audit, audit, mend};
use domain::run::rebuild::differences;
use domain::store::Store;
use entity::{RunId, WorkspaceId, run};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};

use super::{print, say};

/// Runs, and rows of rollups, that are named as different.
const NAMED: usize = 20;
/// Runs that are listed at once.
const PAGE: u64 = 1_000;
/// After so many rows of the rollups it is said how many were compared.
const STEP: usize = 10_000;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Compare what is stored with what the log says, and the rollups with what was folded; change nothing
    #[arg(long)]
    check: bool,
    /// The workspace, by name [default: the only one]
    #[arg(long, value_name = "NAME")]
    workspace: Option<String>,
    #[command(flatten)]
    common: CommonFlags,
}

/// Compares every run with its log, and then makes the rollups anew from the ledger.
pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let own = !args.check;
    let (store, actor) = super::open_as(&args.common, args.workspace.as_deref(), own).await?;
    let (runs, different) = compare(&store, actor.workspace).await?;
    for line in different.iter().take(NAMED) {
        say(format_args!("{line}"));
    }
    if !different.is_empty() {
        let count = different.len();
        bail!(
            "{count} differences between {runs} runs and their logs; nothing was changed: restore a backup"
        );
    }
    print(&format!("{runs} runs are what their logs say.\n"))?;
    let workspace = actor.workspace;
    if args.check {
        return check(&store, workspace).await;
    }
    let Audit {
        rows,
        different,
        named,
    } = mend(&store, workspace, NAMED, progress()).await?;
    for line in named {
        say(format_args!("{line}"));
    }
    if different > 0 {
        say(format_args!(
            "{different} of {rows} rows of the rollups were not what was folded into them."
        ));
    }
    let waits = |left| {
        say(format_args!(
            "Another process folds, too: {left} runs are left …"
        ));
    };
    let folded = fold_until(&store, workspace, store.now(), waits).await?;
    print(&format!(
        "The rollups were made anew from {folded} runs that have ended.\n"
    ))
}

/// Says now and then how many rows of the rollups were compared.
fn progress() -> impl Fn(usize) {
    let told = Cell::new(0);
    move |rows| {
        if rows >= told.get() + STEP {
            told.set(rows);
            say(format_args!("{rows} rows of the rollups compared …"));
        }
    }
}

/// Compares the rollups with what was folded into them.
async fn check(store: &Store, workspace: WorkspaceId) -> anyhow::Result<()> {
    let Audit {
        rows,
        different,
        named,
    } = audit(store, workspace, NAMED, progress()).await?;
    for line in named {
        say(format_args!("{line}"));
    }
    if different > 0 {
        bail!(
            "{different} of {rows} rows of the rollups are not what was folded into them; stint rebuild without --check makes them anew"
        );
    }
    print(&format!(
        "{rows} rows of the rollups are what was folded into them.\n"
    ))
}

/// How many runs there are, and what differs, one sentence each.
async fn compare(store: &Store, workspace: WorkspaceId) -> anyhow::Result<(usize, Vec<String>)> {
    let (mut runs, mut found) = (0, Vec::new());
    let mut after: Option<RunId> = None;
    loop {
        let mut page = run::Entity::find()
            .filter(run::Column::WorkspaceId.eq(workspace))
            .order_by_asc(run::Column::Id)
            .limit(PAGE);
        if let Some(after) = after {
            page = page.filter(run::Column::Id.gt(after));
        }
        let page = page.all(store.read()).await?;
        let Some(last) = page.last() else {
            return Ok((runs, found));
        };
        after = Some(last.id);
        for run in &page {
            runs += 1;
            for difference in differences(store.read(), run.id).await? {
                found.push(format!("Run-{}: {difference}", run.number));
            }
        }
        say(format_args!("{runs} runs compared …"));
    }
}
