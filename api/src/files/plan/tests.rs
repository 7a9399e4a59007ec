use entity::{CoworkerState, SkillVersionId, ToolServerId};
use uuid::Uuid;

use super::*;
use crate::files::read::parse;

const SKILL: &str = "kind: skill\nname: VPN\nhandle: vpn\ntext: Ask first.\n";
const PRICE: &str = "kind: prices\nprices:\n  - { model: m, effectiveFrom: 2026-01-01T00:00:00Z, input: 3, output: 15 }\n";

fn network(more: &str) -> String {
    format!(
        "kind: coworker\nname: Network\nhandle: network\nidentity:\n  role: Engineer\n\
         goal:\n  purpose: Networks work.\nskills: [vpn]\nmodel:\n  provider: scripted\n{more}"
    )
}

fn sources(texts: &[&str]) -> Vec<Source> {
    let named = texts.iter().enumerate();
    let named = named.map(|(i, text)| (format!("{i}.yaml"), text.as_bytes().to_vec()));
    parse(named.collect()).unwrap_or_else(|problems| panic!("{problems}"))
}

/// What there would be, were the files applied.
fn applied(sources: &[Source]) -> State {
    let mut state = State::default();
    for source in sources {
        match &source.object {
            Object::Skill(skill) => {
                let kept = state::Skill {
                    id: SkillId(Uuid::nil()),
                    version: SkillVersionId(Uuid::from_u128(1)),
                    name: skill.name.clone(),
                    text: skill.text.clone(),
                };
                state.skills.insert(skill.handle.clone(), kept);
            }
            Object::ToolServer(server) => {
                let kept = state::Server {
                    id: ToolServerId(Uuid::nil()),
                    reach: server.reach.clone(),
                };
                state.servers.insert(server.name.clone(), kept);
            }
            Object::Prices(file) => {
                let keyed = file.prices.iter().map(|price| (price.key(), price.clone()));
                state.prices.extend(keyed);
            }
            Object::Coworker(coworker) => {
                let pins = coworker
                    .skills
                    .iter()
                    .map(|_| SkillVersionId(Uuid::from_u128(1)));
                let kept = state::Coworker {
                    id: CoworkerId(Uuid::nil()),
                    name: coworker.name.clone(),
                    is_triage: coworker.is_triage,
                    state: if coworker.published {
                        CoworkerState::Published
                    } else {
                        CoworkerState::Draft
                    },
                    draft: coworker.config(),
                    in_force: coworker.published.then(|| coworker.config()),
                    pins: pins.collect(),
                };
                state.coworkers.insert(coworker.handle.clone(), kept);
            }
        }
    }
    state
}

fn planned(sources: &[Source], state: &State) -> Plan {
    plan(sources, state).unwrap_or_else(|problems| panic!("{problems}"))
}

/// What is done about the only coworker.
fn done(plan: &Plan) -> (Write, Then) {
    let step = plan.coworkers.first().expect("a coworker");
    (step.write, step.then)
}

#[test]
fn what_is_not_there_is_made_and_what_is_there_is_left() {
    let files = sources(&[&network(""), SKILL, PRICE]);
    let fresh = planned(&files, &State::default());
    assert_eq!(
        (fresh.skills.len(), fresh.prices.len(), fresh.same),
        (1, 1, 0)
    );
    assert_eq!(done(&fresh), (Write::All, Then::Publish));
    let again = planned(&files, &applied(&files));
    assert!(again.is_empty(), "{again:?}");
    assert_eq!(again.same, 3);
}

#[test]
fn a_changed_skill_publishes_whoever_has_it() {
    let files = sources(&[&network(""), SKILL]);
    let state = applied(&files);
    let changed = sources(&[
        &network(""),
        "kind: skill\nname: VPN\nhandle: vpn\ntext: Look first.\n",
    ]);
    let plan = planned(&changed, &state);
    assert_eq!(
        (plan.skills.len(), done(&plan)),
        (1, (Write::Nothing, Then::Publish))
    );
    // Also where it was changed elsewhere, and its coworkers still read the old one.
    let mut behind = state;
    let vpn = behind.skills.get_mut("vpn").expect("the skill");
    vpn.version = SkillVersionId(Uuid::from_u128(2));
    assert_eq!(
        done(&planned(&files, &behind)),
        (Write::Nothing, Then::Publish)
    );
}

#[test]
fn a_draft_that_someone_edits_is_left_while_the_version_in_force_fits() {
    let files = sources(&[&network(""), SKILL]);
    let mut state = applied(&files);
    let kept = state.coworkers.get_mut("network").expect("the coworker");
    kept.draft.soul = "Half a sentence".into();
    assert!(planned(&files, &state).is_empty());
    let renamed = sources(&[
        &network("").replace("name: Network", "name: Networks"),
        SKILL,
    ]);
    assert_eq!(
        done(&planned(&renamed, &state)),
        (Write::Name, Then::Nothing)
    );
    let changed = sources(&[&network("soul: Calm.\n"), SKILL]);
    assert_eq!(
        done(&planned(&changed, &state)),
        (Write::All, Then::Publish)
    );
}

#[test]
fn published_says_whether_it_takes_work() {
    let files = sources(&[&network(""), SKILL]);
    let state = applied(&files);
    let out = sources(&[&network("published: false\n"), SKILL]);
    assert_eq!(
        done(&planned(&out, &state)),
        (Write::Nothing, Then::Unpublish)
    );
    assert_eq!(
        done(&planned(&out, &State::default())),
        (Write::All, Then::Nothing)
    );
    let mut state = applied(&out);
    assert!(planned(&out, &state).is_empty());
    assert_eq!(
        done(&planned(&files, &state)),
        (Write::Nothing, Then::Publish)
    );
    let kept = state.coworkers.get_mut("network").expect("the coworker");
    kept.state = CoworkerState::Unpublished;
    assert_eq!(
        done(&planned(&files, &state)),
        (Write::Nothing, Then::Publish)
    );
}

#[test]
fn who_stops_being_triage_comes_before_who_becomes_it() {
    let named = |handle: &str, triage: bool| {
        network(&format!("isTriage: {triage}\n"))
            .replace("handle: network", &format!("handle: {handle}"))
    };
    let state = applied(&sources(&[
        &named("zoe", true),
        &named("adam", false),
        SKILL,
    ]));
    let plan = planned(
        &sources(&[&named("adam", true), &named("zoe", false), SKILL]),
        &state,
    );
    let order: Vec<&str> = plan
        .coworkers
        .iter()
        .map(|step| step.coworker.handle.as_str())
        .collect();
    assert_eq!(order, ["zoe", "adam"]);
}

#[test]
fn a_price_that_was_set_can_not_be_changed() {
    let state = applied(&sources(&[PRICE]));
    let dearer = PRICE.replace("input: 3", "input: 4");
    let Problems(problems) = plan(&sources(&[&dearer]), &state).expect_err("a refusal");
    assert!(
        problems[0]
            .to_string()
            .starts_with("0.yaml:3:17: another price of m was set from that moment on"),
        "{problems:?}"
    );
    // The same, spelled another way.
    let spelled = PRICE.replace("input: 3", "input: 3.0, serviceTier: standard");
    assert!(planned(&sources(&[&spelled]), &state).is_empty());
}
