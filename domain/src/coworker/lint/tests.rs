//! Each rule, where it finds something and where it must not.

use super::*;
use crate::coworker::config::{EndOfRun, OutOfScope};
use crate::coworker::tools::{Approval, ToolAction, ToolServer};
use crate::model::{Kind, ModelConfig};

fn peer(handle: &str, scope: Option<&str>) -> Peer {
    Peer {
        handle: handle.into(),
        is_triage: false,
        identity: scope.map(|scope| Identity {
            role: "Someone".into(),
            scope: scope.into(),
            out_of_scope: String::new(),
        }),
    }
}

fn disabled(server: &str, action: &str) -> Vec<ToolServer> {
    vec![ToolServer {
        server: server.into(),
        actions: vec![ToolAction {
            name: action.into(),
            enabled: false,
            approval: Approval::Never,
        }],
    }]
}

fn found(config: &Config, world: &World) -> Vec<(Severity, Rule, String)> {
    let subject = Subject {
        handle: "network",
        is_triage: false,
        config,
    };
    let findings = lint(&subject, world);
    for finding in &findings {
        let told = [&finding.message, &finding.remedy];
        assert!(told.iter().all(|text| text.ends_with('.')), "{finding:?}");
    }
    findings
        .into_iter()
        .map(|finding| (finding.severity, finding.rule, finding.place))
        .collect()
}

/// What is found once `change` is made to a sound configuration.
fn changed(change: impl FnOnce(&mut Config)) -> Vec<(Severity, Rule, String)> {
    let mut config = sample();
    change(&mut config);
    found(&config, &World::default())
}

fn one(severity: Severity, rule: Rule, place: &str) -> Vec<(Severity, Rule, String)> {
    vec![(severity, rule, place.into())]
}

#[test]
fn a_sound_configuration_has_no_findings() {
    assert_eq!(changed(|_| {}), []);
    sample().check().expect("sound");
}

#[test]
fn a_goal_that_names_a_disabled_tool_is_an_error() {
    use Severity::Error;
    let off = |config: &mut Config| config.tools = disabled("device", "telemetry");
    assert_eq!(
        changed(off),
        one(Error, Rule::ToolNotEnabled, "goal.flow[0]")
    );
    // To say that it must not use it is no contradiction.
    let never = |config: &mut Config| {
        off(config);
        config.goal.non_goals = std::mem::take(&mut config.goal.flow);
    };
    assert_eq!(changed(never), []);
    let asks = |config: &mut Config| {
        config.tools = disabled("stint", "post_note");
        config.goal.purpose = "Tell the user with `post_note`.".into();
    };
    assert_eq!(
        changed(asks),
        one(Error, Rule::ToolNotEnabled, "goal.purpose")
    );
}

#[test]
fn a_goal_that_names_a_tool_that_does_not_exist_is_an_error() {
    use Severity::{Error, Warning};
    let typo = "Measure with device.telemetrie.";
    let flow = |config: &mut Config| config.goal.flow.push(typo.into());
    assert_eq!(changed(flow), one(Error, Rule::ToolUnknown, "goal.flow[1]"));
    let end =
        |config: &mut Config| config.goal.end_of_run[0].when = "netbox.lookup found it".into();
    assert_eq!(
        changed(end),
        one(Error, Rule::ToolUnknown, "goal.endOfRun[0].when")
    );
    let never = |config: &mut Config| config.goal.non_goals = vec![typo.into()];
    assert_eq!(
        changed(never),
        one(Warning, Rule::ToolUnknown, "goal.nonGoals[0]")
    );
    let quoted = |config: &mut Config| {
        config
            .goal
            .flow
            .push("Look at \"device.telemetrie\".".into())
    };
    assert_eq!(changed(quoted), []);
}

#[test]
fn a_skill_must_exist_and_its_tools_should() {
    use Severity::{Error, Warning};
    let mut config = sample();
    config.skills = vec!["reset".into(), "absent".into()];
    let mut world = World::default();
    world
        .skills
        .insert("reset".into(), "Call device.reset.".into());
    let expected = [
        (Error, Rule::SkillUnknown, "skills[1]".to_owned()),
        (Warning, Rule::ToolUnknown, "skills[0]".to_owned()),
    ];
    assert_eq!(found(&config, &world), expected);
    world
        .skills
        .insert("reset".into(), "Call device.telemetry.".into());
    config.skills.pop();
    assert_eq!(found(&config, &world), []);
}

#[test]
fn a_setting_of_an_action_that_does_not_exist_is_a_warning() {
    let misspelt = |config: &mut Config| config.tools = disabled("device", "reset");
    let expected = one(
        Severity::Warning,
        Rule::ActionUnknown,
        "tools[0].actions[0].name",
    );
    assert_eq!(changed(misspelt), expected);
}

#[test]
fn what_is_out_of_scope_goes_to_a_coworker_that_there_is() {
    use Severity::{Error, Warning};
    let mut config = sample();
    let world = World {
        peers: vec![peer("aws", Some("Clouds")), peer("draft", None)],
        ..World::default()
    };
    let mut route = |to: &str| {
        config.goal.out_of_scope = vec![OutOfScope {
            when: "A cloud".into(),
            route_to: to.into(),
        }];
        found(&config, &world)
    };
    let place = "goal.outOfScope[0].routeTo";
    assert_eq!(route("aws"), []);
    assert_eq!(route(" @AWS "), []);
    assert_eq!(
        route("draft"),
        one(Warning, Rule::RouteToUnpublished, place)
    );
    for nobody in ["azure", "", "network"] {
        assert_eq!(
            route(nobody),
            one(Error, Rule::RouteToNobody, place),
            "{nobody}"
        );
    }
    config.goal.out_of_scope[0].route_to = "aws".into();
    config.tools = disabled("stint", "reassign");
    let expected = one(Error, Rule::ToolNotEnabled, "goal.outOfScope");
    assert_eq!(found(&config, &world), expected);
}

#[test]
fn each_status_that_a_run_can_leave_behind_has_a_rule() {
    let missing = one(Severity::Warning, Rule::NoEndOfRunRule, "goal.endOfRun");
    for i in 0..3 {
        let without = |config: &mut Config| drop(config.goal.end_of_run.remove(i));
        assert_eq!(changed(without), missing, "{i}");
    }
    // A status that it can't come to needs no rule.
    let never_asks = |config: &mut Config| {
        config.goal.end_of_run.remove(1);
        config.tools = disabled("stint", "ask_requester");
    };
    assert_eq!(changed(never_asks), []);
    let mut triage = sample();
    triage.goal.end_of_run.clear();
    let subject = Subject {
        handle: "triage",
        is_triage: true,
        config: &triage,
    };
    assert_eq!(lint(&subject, &World::default()), []);
}

#[test]
fn two_rules_of_the_same_words_must_not_set_different_statuses() {
    let twice = |status| {
        changed(move |config| {
            config.goal.end_of_run.push(EndOfRun {
                when: " Solved".into(),
                set_status: Some(status),
            });
        })
    };
    let expected = one(
        Severity::Error,
        Rule::EndOfRunAmbiguous,
        "goal.endOfRun[3].when",
    );
    assert_eq!(twice(RequestStatus::Closed), expected);
    assert_eq!(twice(RequestStatus::Resolved), []);
}

#[test]
fn a_scope_that_is_another_ones_collides() {
    use Severity::{Error, Warning};
    let world = |scope: &str| World {
        peers: vec![peer("other", Some(scope))],
        ..World::default()
    };
    let of = |scope: &str| found(&sample(), &world(scope));
    let same = "The wireless network and the switches and routers of every office";
    assert_eq!(of(same), one(Error, Rule::ScopeCollision, "identity.scope"));
    let near = "Wireless network, routers, firewalls, proxies";
    assert_eq!(
        of(near),
        one(Warning, Rule::ScopeCollision, "identity.scope")
    );
    assert_eq!(of("Accounts, groups and passwords of employees"), []);
    assert_eq!(of(""), []);

    // Who is not published takes no work, and Triage takes everything.
    let mut elsewhere = world(same);
    elsewhere.peers[0].is_triage = true;
    assert_eq!(found(&sample(), &elsewhere), []);
    elsewhere.peers[0] = peer("other", None);
    assert_eq!(found(&sample(), &elsewhere), []);
}

#[test]
fn without_a_scope_it_is_not_found_by_identity() {
    let none = |config: &mut Config| config.identity.scope = " of the ".into();
    assert_eq!(
        changed(none),
        one(Severity::Warning, Rule::NoScope, "identity.scope")
    );
}

#[test]
fn however_much_is_wrong_the_list_is_bounded_and_begins_with_errors() {
    let many = changed(|config| {
        config.identity.scope.clear();
        config.goal.flow = vec!["Call a1.b1, a2.b2 and a3.b3.".into(); 100];
    });
    assert_eq!(many.len(), MOST);
    assert!(
        many.iter()
            .all(|(severity, ..)| *severity == Severity::Error)
    );
}

#[test]
fn the_tools_of_servers_are_known_and_must_be_given() {
    use Severity::{Error, Warning};
    let served = [
        ("files.read_file", None),
        ("files.getInfo", Some("is disabled by an administrator")),
        ("device.telemetry", None),
    ];
    let world = World {
        served: served.map(|(name, why)| (name.to_owned(), why)).into(),
        ..World::default()
    };
    let mut config = sample();
    config.goal.flow = vec!["Read it with files.read_file.".into()];
    let not_enabled = one(Error, Rule::ToolNotEnabled, "goal.flow[0]");
    assert_eq!(found(&config, &world), not_enabled);
    let tools = |actions: &str| {
        let yaml = format!("[{{ server: files, actions: {actions} }}]");
        serde_saphyr::from_str(&yaml).expect("tools")
    };
    config.tools = tools("[{ name: read_file }]");
    assert_eq!(found(&config, &world), []);
    config.tools = tools("[{ name: read_file }, { name: write_file }]");
    let unknown = one(Warning, Rule::ActionUnknown, "tools[0].actions[1].name");
    assert_eq!(found(&config, &world), unknown);
    config.tools = tools("[{ name: getInfo }]");
    config.goal.flow = vec!["Look with files.getInfo.".into()];
    assert_eq!(found(&config, &world), not_enabled);
    // A server whose tools have the names of the playbook's.
    config.goal.flow = Vec::new();
    config.tools = serde_saphyr::from_str("[{ server: device, actions: [{ name: telemetry }] }]")
        .expect("tools");
    let shadowed = one(Warning, Rule::ToolShadowed, "model.playbook");
    assert_eq!(found(&config, &world), shadowed);
}

#[test]
fn a_model_without_a_provider_is_doubtful_and_its_remedy_names_what_to_set() {
    let found = |model: &str, known: Option<&[&str]>| {
        let mut config = sample();
        if model != "scripted" {
            config.model = ModelConfig::new(model.into(), None);
            // Its tools were those of the playbook.
            config.goal.flow.clear();
        }
        let names = |names: &[&str]| {
            let all = names.iter();
            all.map(|name| ((*name).to_owned(), Kind::OpenAi)).collect()
        };
        let world = World {
            providers: known.map(|known| std::sync::Arc::new(names(known))),
            ..World::default()
        };
        let (is_triage, handle) = (false, "network");
        let subject = Subject {
            handle,
            is_triage,
            config: &config,
        };
        lint(&subject, &world)
    };
    for (model, remedy) in [
        ("openai:gpt-5-mini", "STINT_OPENAI_API_KEY"),
        ("anthropic:claude-opus-5", "STINT_ANTHROPIC_API_KEY"),
        ("azure:gpt-5", "[models.azure]"),
    ] {
        let findings = found(model, Some(&["local"]));
        let [finding] = &findings[..] else {
            panic!("{findings:?}");
        };
        assert_eq!(finding.rule, Rule::ProviderNotConfigured);
        assert_eq!(
            (finding.severity, finding.place.as_str()),
            (Severity::Warning, "model")
        );
        assert!(finding.message.contains(model), "{finding:?}");
        assert!(finding.remedy.contains(remedy), "{finding:?}");
        // Who executes no runs does not know.
        assert_eq!(found(model, None), []);
    }
    assert_eq!(found("local:m", Some(&["local"])), []);
    assert_eq!(found("scripted", Some(&[])), []);
}
