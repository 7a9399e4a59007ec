//! What goes wrong with a coworker, and what to change: judged on desks whose faults are known.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tests::{Backend, TestApp, both_dbs};

mod climb;
mod generate;
mod whole;

use generate::{Desk, Subject};

use crate::look;

const SYMPTOMS: [&str; 8] = [
    "OUTSIDE_GOAL",
    "STOPS_MIDWAY",
    "WRONG_ACTION",
    "MISSING_DATA",
    "UNKNOWN_TOOL",
    "REASSIGNS_WRONGLY",
    "FAILS_TO_REASSIGN",
    "COSTS_CLIMB",
];

const QUERY: &str = "query ($id: ID!) { node(id: $id) { ... on Coworker { diagnostics(range: { start: \"-P60D\" }) { examinedRuns isComplete \
    diagnoses { symptom signal confidence affectedRuns examinedRuns place suggestion \
    evidence { at message run { number coworker { handle } request { title } } step { kind title } } } } } } }";

async fn diagnostics(app: &TestApp, id: &str) -> Value {
    // A machine that has much else to do may need more than the ten seconds that a query has.
    for _ in 0..20 {
        let mut answer = app.post(QUERY, json!({ "id": id })).await.body;
        let error = &answer["errors"][0];
        if error["extensions"]["code"] != "TIMEOUT" {
            assert!(error.is_null(), "{error:#}");
            return answer["data"]["node"]["diagnostics"].take();
        }
    }
    panic!("the diagnosis of {id} takes longer than ten seconds, again and again");
}

fn told(diagnostics: &Value) -> Vec<Value> {
    look::list(diagnostics["diagnoses"].clone())
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    let text = value[field].as_str();
    text.unwrap_or_else(|| panic!("no {field} in {value:#}"))
}

/// How the diagnoses of a desk compare with its faults.
#[derive(Default)]
struct Score {
    /// How many runs were examined.
    runs: i64,
    /// Right, wrongly told, and missed, by symptom.
    counts: BTreeMap<&'static str, [usize; 3]>,
    /// How sure the right ones were.
    sure: BTreeSet<String>,
    /// Each that is wrong.
    mistakes: Vec<String>,
}

impl Score {
    fn sum(&self, place: usize) -> usize {
        self.counts.values().map(|count| count[place]).sum()
    }

    /// The figures as the README has them.
    fn sentence(&self, coworkers: usize) -> String {
        let (right, wrong, missed) = (self.sum(0), self.sum(1), self.sum(2));
        let percent = |of: usize| right * 100 / of.max(1);
        format!(
            "Judged on a generated desk of {coworkers} coworkers and {} runs with {} faults: {} diagnoses were told, {right} of them rightly \
             (precision {} %); {right} of the faults were found (recall {} %).",
            self.runs,
            right + missed,
            right + wrong,
            percent(right + wrong),
            percent(right + missed),
        )
    }
}

async fn judge(app: &TestApp, subjects: &[Subject]) -> Score {
    let mut score = Score::default();
    for subject in subjects {
        let diagnostics = diagnostics(app, &subject.id).await;
        assert_eq!(diagnostics["isComplete"], true);
        score.runs += diagnostics["examinedRuns"].as_i64().unwrap();
        let told = told(&diagnostics);
        for symptom in SYMPTOMS {
            let found = told.iter().find(|found| found["symptom"] == symptom);
            let count = score.counts.entry(symptom).or_default();
            match (found, subject.faults.contains(symptom)) {
                (Some(found), true) => {
                    count[0] += 1;
                    score.sure.insert(text(found, "confidence").to_owned());
                    shown(subject, found);
                }
                (Some(found), false) => {
                    count[1] += 1;
                    score.mistakes.push(format!(
                        "{} has {:?} and is told {found:#}",
                        subject.handle, subject.faults
                    ));
                }
                (None, true) => {
                    count[2] += 1;
                    score
                        .mistakes
                        .push(format!("{} is not told {symptom}", subject.handle));
                }
                (None, false) => {}
            }
        }
    }
    score
}

/// What a symptom's diagnosis says: where to look, what to change, what happened, and whether it is a step that shows it.
struct Words {
    places: &'static [&'static str],
    change: &'static str,
    happened: &'static [&'static str],
    /// None: some of it is a step.
    in_steps: Option<bool>,
}

fn words(symptom: &str) -> Words {
    let (places, change, happened, in_steps): (
        &'static [&'static str],
        _,
        &'static [&'static str],
        _,
    ) = match symptom {
        "OUTSIDE_GOAL" => (
            &[
                "goal.outOfScope[0]",
                "identity.outOfScope",
                "goal.nonGoals[0]",
            ],
            "goal.nonGoals",
            &[
                "says that this is not its own",
                "It called directory.reset_password, though it must not",
            ],
            None,
        ),
        "STOPS_MIDWAY" => (
            &["limits", "goal.endOfRun"],
            "goal",
            &[
                "Its limit of tool calls ended it.",
                "by none of its end-of-run rules",
            ],
            Some(false),
        ),
        "WRONG_ACTION" => (
            &["goal.flow"],
            "goal.flow",
            &[
                "a person set it back to IN_PROGRESS",
                "the same call of device.telemetry again after it was refused",
            ],
            None,
        ),
        "MISSING_DATA" => (
            &["tools: device.telemetry", "tools: device.logs"],
            "device.",
            &[
                "It asked for device.logs, which is not enabled",
                "It could not reach device.telemetry",
                "It looked 2 times and found nothing",
            ],
            Some(true),
        ),
        "UNKNOWN_TOOL" => (
            &["goal.flow"],
            "Nothing is called router.repair_all",
            &["It called router.repair_all, which does not exist."],
            Some(true),
        ),
        "REASSIGNS_WRONGLY" => (
            &["identity.scope"],
            "identity.scope",
            &[
                "to @hardware, and it was given back",
                "to @hardware, and whoever got it declined",
            ],
            Some(true),
        ),
        "FAILS_TO_REASSIGN" => (
            &["goal.outOfScope", "goal.outOfScope[0]"],
            "routeTo",
            &[
                "and a person gave it to another coworker",
                "instead of handing it to @hardware",
            ],
            Some(false),
        ),
        "COSTS_CLIMB" => (
            &["goal.flow", "goal", "tools", "soul", "skills"],
            "",
            &["the cost per run grows by"],
            Some(false),
        ),
        other => panic!("no such symptom: {other}"),
    };
    Words {
        places,
        change,
        happened,
        in_steps,
    }
}

/// Asserts that a diagnosis says where, what and why, and names nothing but the runs that show it.
fn shown(subject: &Subject, found: &Value) {
    let symptom = text(found, "symptom");
    let words = words(symptom);
    assert!(words.places.contains(&text(found, "place")), "{found:#}");
    assert!(
        text(found, "suggestion").contains(words.change),
        "{found:#}"
    );
    assert!(text(found, "signal").len() > 40, "{found:#}");
    let evidence = look::list(found["evidence"].clone());
    assert!((1..=10).contains(&evidence.len()), "{found:#}");
    let affected = found["affectedRuns"].as_u64().unwrap() as usize;
    let named: BTreeSet<_> = evidence
        .iter()
        .map(|one| one["run"]["number"].as_i64())
        .collect();
    assert_eq!(
        named.len(),
        affected.min(evidence.len()),
        "each run once: {found:#}"
    );
    for one in &evidence {
        assert_eq!(
            text(&one["run"]["coworker"], "handle"),
            subject.handle,
            "{one:#}"
        );
        let happened = text(one, "message");
        assert!(
            words.happened.iter().any(|words| happened.contains(words)),
            "{one:#}"
        );
        if let Some(is_step) = words.in_steps {
            assert_eq!(one["step"]["kind"].is_string(), is_step, "{one:#}");
        }
        if symptom != "COSTS_CLIMB" {
            // The requests that were made to show it, and no others.
            let title = text(&one["run"]["request"], "title");
            let (job, _) = title.rsplit_once(" (week").unwrap();
            assert!(
                generate::faulty(symptom)
                    .iter()
                    .any(|(title, _)| *title == job),
                "{title} shows no {symptom}: {one:#}"
            );
        }
    }
}

/// Everybody who plays: for each symptom two coworkers with it alone, some with two, and some without any.
fn cast() -> Vec<&'static [&'static str]> {
    let mut cast: Vec<&'static [&'static str]> = Vec::new();
    for alone in SYMPTOMS.chunks(1).map(|names| &*names.to_vec().leak()) {
        cast.extend([alone, alone]);
    }
    cast.extend(PAIRS);
    cast.extend([&[] as &[&str]; 8]);
    cast
}

const PAIRS: [&[&str]; 4] = [
    &["OUTSIDE_GOAL", "COSTS_CLIMB"],
    &["STOPS_MIDWAY", "MISSING_DATA"],
    &["WRONG_ACTION", "UNKNOWN_TOOL"],
    &["REASSIGNS_WRONGLY", "FAILS_TO_REASSIGN"],
];

/// R61–R68: precision and recall over a generated desk, where sound coworkers have mishaps of every kind, and what looks like
/// faults and is none as often as others have their faults. The README states these figures.
#[test]
fn faults_are_found_and_sound_coworkers_left_in_peace() {
    tests::app::run(Backend::Sqlite, |app| async move {
        // The thresholds stood before this desk was made; another seed makes another one.
        let given = std::env::var("STINT_TEST_SEED").ok();
        let desk = Desk {
            seed: given.as_ref().map_or(4_711, |seed| seed.parse().unwrap()),
            sound: 9,
            faults: 5..11,
            noise: true,
        };
        let subjects = generate::desk(&app, &desk, &cast()).await;
        let score = judge(&app, &subjects).await;
        let sentence = score.sentence(subjects.len());
        println!("{sentence}\n{:?}\n{:#?}", score.counts, score.mistakes);
        let (right, wrong, missed) = (score.sum(0), score.sum(1), score.sum(2));
        assert!(right * 100 >= (right + wrong) * 90, "precision: {sentence}");
        assert!(right * 100 >= (right + missed) * 90, "recall: {sentence}");
        let sure: Vec<_> = score.sure.iter().map(String::as_str).collect();
        assert_eq!(sure, ["HIGH", "LOW", "MEDIUM"]);
        if given.is_none() {
            let readme =
                std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md"));
            assert!(readme.unwrap().contains(&sentence), "{sentence}");
        }
    });
}

both_dbs! {
    /// R61–R69: whatever is told names the runs and the steps that show it, where to look, what to change, and how sure it is.
    async fn a_diagnosis_names_its_evidence(app: TestApp) {
        let desk = Desk { seed: 7, sound: 6, faults: 36..37, noise: false };
        let cast = [&PAIRS[..], &[&[]]].concat();
        let subjects = generate::desk(&app, &desk, &cast).await;
        for subject in &subjects {
            let diagnostics = diagnostics(&app, &subject.id).await;
            let told = told(&diagnostics);
            let symptoms: BTreeSet<_> = told.iter().map(|found| text(found, "symptom")).collect();
            assert_eq!(symptoms, subject.faults, "{told:#?}");
            for found in &told {
                shown(subject, found);
                assert_eq!((&found["confidence"], &found["examinedRuns"]), (&json!("HIGH"), &diagnostics["examinedRuns"]));
                let shows = words(text(found, "symptom")).in_steps;
                let steps = look::list(found["evidence"].clone()).iter().filter(|one| one["step"]["kind"].is_string()).count();
                assert!(shows.is_some() || steps > 0, "no step in {found:#}");
            }
        }
        let requester = app.as_role(entity::Role::Requester).await;
        assert_eq!(requester.gql_code(QUERY, json!({ "id": subjects[0].id })).await, "NOT_FOUND");
    }
}
