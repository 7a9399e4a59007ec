//! By what figures are kept apart, and which runs and calls are counted.

use entity::{CoworkerId, Outcome, RequestSource, Trigger, run, usage_ledger, usage_rollup};
use sea_orm::{ActiveEnum, ColumnTrait, Condition, QueryResult};

use crate::error::Result;

/// By what figures are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dimension {
    /// The coworker.
    Coworker,
    /// The model.
    Model,
    /// Where the request came from.
    Source,
    /// What started the run.
    Trigger,
    /// How the run ended.
    Outcome,
}

impl Dimension {
    pub(super) fn column(self) -> usage_rollup::Column {
        match self {
            Self::Coworker => usage_rollup::Column::CoworkerId,
            Self::Model => usage_rollup::Column::Model,
            Self::Source => usage_rollup::Column::Source,
            Self::Trigger => usage_rollup::Column::Trigger,
            Self::Outcome => usage_rollup::Column::Outcome,
        }
    }

    /// Whether every cube keeps it apart.
    pub(super) fn is_everywhere(self) -> bool {
        match self {
            Self::Coworker | Self::Model => true,
            Self::Source | Self::Trigger | Self::Outcome => false,
        }
    }
}

/// What the runs and calls of a sum have in common; what was not asked for is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group {
    /// The coworker.
    pub coworker: Option<CoworkerId>,
    /// The model.
    pub model: Option<String>,
    /// Where the request came from.
    pub source: Option<RequestSource>,
    /// What started the run.
    pub trigger: Option<Trigger>,
    /// How the run ended; also none for runs that failed or go on.
    pub outcome: Option<Outcome>,
}

impl Group {
    /// Of what a call, or the row of a run, tells alone.
    pub(super) fn of_call(by: &[Dimension], coworker: CoworkerId, model: &str) -> Self {
        let asked = |dimension| by.contains(&dimension).then_some(());
        Self {
            coworker: asked(Dimension::Coworker).map(|()| coworker),
            model: asked(Dimension::Model).map(|()| model.to_owned()),
            ..Self::default()
        }
    }

    /// And of what only the run and its request tell.
    pub(super) fn with(
        self,
        by: &[Dimension],
        source: RequestSource,
        trigger: Trigger,
        outcome: Option<Outcome>,
    ) -> Self {
        let asked = |dimension| by.contains(&dimension).then_some(());
        Self {
            source: asked(Dimension::Source).map(|()| source),
            trigger: asked(Dimension::Trigger).map(|()| trigger),
            outcome: asked(Dimension::Outcome).and(outcome),
            ..self
        }
    }

    pub(super) fn of_row(by: &[Dimension], row: &QueryResult) -> Result<Self> {
        let mut group = Self::default();
        for dimension in by {
            match dimension {
                Dimension::Coworker => group.coworker = Some(row.try_get("", "coworker_id")?),
                Dimension::Model => group.model = Some(row.try_get("", "model")?),
                Dimension::Source => group.source = word(row, "source")?,
                Dimension::Trigger => group.trigger = word(row, "trigger")?,
                Dimension::Outcome => group.outcome = word(row, "outcome")?,
            }
        }
        Ok(group)
    }
}

fn word<T: ActiveEnum<Value = String>>(row: &QueryResult, column: &str) -> Result<Option<T>> {
    let word: String = row.try_get("", column)?;
    if word.is_empty() {
        return Ok(None);
    }
    Ok(Some(T::try_from_value(&word)?))
}

/// Which runs and calls are counted.
#[derive(Clone, Debug)]
pub struct Which {
    /// Over [`usage_rollup::Column`].
    pub rollups: Condition,
    /// The same over [`run::Column`].
    pub runs: Condition,
    /// The same over [`usage_ledger::Column`]; none: only the run of a call tells, and of rollups only the full cube.
    pub calls: Option<Condition>,
}

impl Default for Which {
    fn default() -> Self {
        Self {
            rollups: Condition::all(),
            runs: Condition::all(),
            calls: Some(Condition::all()),
        }
    }
}

impl Which {
    /// Which calls are counted, if these alone tell it and by what they are kept apart.
    pub(super) fn of_calls(&self, by: &[Dimension]) -> Option<&Condition> {
        let everywhere = by.iter().all(|by| by.is_everywhere());
        self.calls.as_ref().filter(|_| everywhere)
    }

    /// Those of one coworker.
    pub fn of_coworker(id: CoworkerId) -> Self {
        Self {
            rollups: Condition::all().add(usage_rollup::Column::CoworkerId.eq(id)),
            runs: Condition::all().add(run::Column::CoworkerId.eq(id)),
            calls: Some(Condition::all().add(usage_ledger::Column::CoworkerId.eq(id))),
        }
    }
}
