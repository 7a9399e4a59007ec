//! What people say is wrong, what is looked for, and from when on it is told.

/// What people say is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Symptom {
    /// It does work that it shouldn't.
    OutsideGoal,
    /// It stops in the middle of a ticket.
    StopsMidway,
    /// It takes the wrong action.
    WrongAction,
    /// It can't find data that it should see.
    MissingData,
    /// It mentions a tool that does not exist.
    UnknownTool,
    /// It reassigns when it shouldn't.
    ReassignsWrongly,
    /// It doesn't reassign when it should.
    FailsToReassign,
    /// Its costs climb week over week.
    CostsClimb,
}

impl Symptom {
    /// Every symptom, in the order in which people meet them.
    pub const ALL: [Self; 8] = [
        Self::OutsideGoal,
        Self::StopsMidway,
        Self::WrongAction,
        Self::MissingData,
        Self::UnknownTool,
        Self::ReassignsWrongly,
        Self::FailsToReassign,
        Self::CostsClimb,
    ];

    /// From how many runs on it is told.
    ///
    /// Of what people must have noticed and put right, little is needed: they put right only a part of it. What machines bring
    /// about by themselves now and then, a service that is away or a ticket that is too long, must happen more often before a
    /// configuration is to blame.
    pub const fn threshold(self) -> Threshold {
        let (runs, percent) = match self {
            Self::OutsideGoal
            | Self::UnknownTool
            | Self::ReassignsWrongly
            | Self::FailsToReassign => (2, 4),
            Self::WrongAction => (3, 4),
            Self::StopsMidway | Self::MissingData => (3, 5),
            // It is measured over whole weeks, not told by the number of runs.
            Self::CostsClimb => (0, 0),
        };
        Threshold { runs, percent }
    }

    /// What is looked for, in a sentence for the person who reads the diagnosis.
    pub const fn signal(self) -> &'static str {
        match self {
            Self::OutsideGoal => {
                "It resolved or answered a request whose words match an out-of-scope text or a non-goal of its own, or called a tool whose name a non-goal speaks of."
            }
            Self::StopsMidway => {
                "A limit ended the run; or it ended without an end-of-run rule and left its request in progress; or it left it in progress and was set to work on it again within 24 hours."
            }
            Self::WrongAction => {
                "A person took back a status that it had set, within 24 hours; or denied a call; or the same call was refused twice in a run."
            }
            Self::MissingData => {
                "It asked for a tool that is there and not enabled for it; or a tool could not be reached; or looked something up at least twice and found nothing."
            }
            Self::UnknownTool => {
                "It called a tool that does not exist; or its goal or skills name one that does not exist, or is not enabled for it."
            }
            Self::ReassignsWrongly => {
                "It handed a request off, and within 24 hours a person or a workflow gave it back, or whoever got it declined."
            }
            Self::FailsToReassign => {
                "It kept a request that a person gave to another coworker within 24 hours; or declined one that an out-of-scope rule routes elsewhere."
            }
            Self::CostsClimb => {
                "The cost per run grew by more than 10 % a week over five whole weeks of at least 5 runs each (the median of the slopes between all pairs of weeks), and in 9 of the 10 pairs the later week was the dearer."
            }
        }
    }
}

/// How sure a diagnosis is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// It may be chance: less than 5 % of runs are surely affected.
    Low,
    /// At least 5 % of runs are affected, at a confidence of 95 %.
    Medium,
    /// At least 20 % of runs are, or the configuration itself shows it.
    High,
}

/// From how many runs on a symptom is told, where the configuration itself does not show it: a single run proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// So many runs must show it.
    pub runs: usize,
    /// And so many of a hundred runs that are looked at.
    pub percent: usize,
}

impl Threshold {
    /// Whether so many of these runs are enough.
    pub const fn is_reached(self, affected: usize, examined: usize) -> bool {
        affected >= self.runs && affected * 100 >= examined * self.percent
    }

    /// Why it can't be reached by so few runs; none: it can.
    pub fn beyond(self, examined: usize) -> Option<String> {
        let runs = self.runs;
        (examined < runs).then(|| {
            format!("Runs of the span that were looked at: {examined}. It is told from {runs} on.")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symptom_needs_a_number_of_runs_and_a_share_of_them() {
        for (symptom, affected, examined, told) in [
            (Symptom::UnknownTool, 1, 1, false),
            (Symptom::UnknownTool, 2, 50, true),
            (Symptom::UnknownTool, 2, 51, false),
            (Symptom::WrongAction, 2, 2, false),
            (Symptom::WrongAction, 3, 75, true),
            (Symptom::MissingData, 3, 60, true),
            (Symptom::MissingData, 3, 61, false),
        ] {
            let reached = symptom.threshold().is_reached(affected, examined);
            assert_eq!(reached, told, "{symptom:?}: {affected} of {examined}");
        }
    }
}
