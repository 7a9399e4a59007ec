//! Whether a text speaks of something: by the same words that the ranking and the lint compare.

use std::collections::BTreeSet;

use crate::coworker::Config;
use crate::coworker::words::distinct;

/// The least words that must be shared.
const LEAST: usize = 2;
/// Of the words of a topic that are its own, the share that must be in the text, in percent.
const SHARE: usize = 50;

/// Something that a configuration says is not the coworker's, and where it says so.
pub(super) struct Topic {
    /// Where: `goal.outOfScope[1]`.
    pub(super) place: String,
    /// In what words.
    pub(super) text: String,
    /// Whom it is routed to.
    pub(super) route_to: Option<String>,
    /// The words that say nothing of its own field.
    stems: BTreeSet<String>,
}

impl Topic {
    fn new(own: &BTreeSet<String>, place: String, text: &str, route_to: Option<&str>) -> Self {
        Self {
            place,
            text: text.to_owned(),
            route_to: route_to.map(str::to_owned),
            stems: distinct(text).difference(own).cloned().collect(),
        }
    }

    /// Whether a request's words are about it.
    pub(super) fn is_of(&self, request: &BTreeSet<String>) -> bool {
        let shared = self.stems.intersection(request).count();
        shared >= LEAST && shared * 100 >= self.stems.len() * SHARE
    }

    /// Whether it speaks of a tool: all the words of the tool's name are its own.
    pub(super) fn names(&self, tool: &str) -> bool {
        let action = tool.rsplit('.').next().unwrap_or(tool);
        let words = distinct(&action.replace(['_', '-'], " "));
        words.len() >= LEAST && words.is_subset(&self.stems)
    }
}

/// What a configuration says is not the coworker's own: out-of-scope rules first, then its identity, then non-goals.
pub(super) fn topics(config: &Config) -> Vec<Topic> {
    let (identity, goal) = (&config.identity, &config.goal);
    let own = distinct(&format!(
        "{} {} {}",
        identity.role, identity.scope, goal.purpose
    ));
    let rules = goal.out_of_scope.iter().enumerate().map(|(i, rule)| {
        let place = format!("goal.outOfScope[{i}]");
        Topic::new(&own, place, &rule.when, Some(&rule.route_to))
    });
    let identity = Topic::new(
        &own,
        "identity.outOfScope".into(),
        &identity.out_of_scope,
        None,
    );
    let non_goals = goal.non_goals.iter().enumerate();
    let non_goals = non_goals
        .map(|(i, text)| Topic::new(&own, format!("goal.nonGoals[{i}]"), text, None))
        .collect::<Vec<_>>();
    rules.chain([identity]).chain(non_goals).collect()
}

/// What a configuration says must not be done, in all of its words: the name of a tool may have some of its own field.
pub(super) fn non_goals(config: &Config) -> Vec<Topic> {
    let texts = config.goal.non_goals.iter().enumerate();
    texts
        .map(|(i, text)| Topic::new(&BTreeSet::new(), format!("goal.nonGoals[{i}]"), text, None))
        .collect()
}

/// The words of a request.
pub(super) fn words(title: &str, description: &str) -> BTreeSet<String> {
    distinct(&format!("{title} {description}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        serde_json::from_value(serde_json::json!({
            "identity": { "role": "Network engineer", "scope": "Wi-Fi, routers, slow network", "outOfScope": "Payroll and expenses" },
            "goal": {
                "purpose": "Make the network work again.",
                "nonGoals": ["Never reset passwords.", "Do not order hardware."],
                "outOfScope": [{ "when": "New laptops and broken screens", "routeTo": "hardware" }],
            },
            "model": { "provider": "scripted" },
        }))
        .unwrap()
    }

    #[test]
    fn a_request_is_about_a_topic_when_it_shares_half_of_its_words() {
        let config = config();
        let of = |title: &str| -> Vec<String> {
            let words = words(title, "");
            let topics = topics(&config);
            topics
                .iter()
                .filter(|topic| topic.is_of(&words))
                .map(|topic| topic.place.clone())
                .collect()
        };
        assert_eq!(of("My laptop has a broken screen"), ["goal.outOfScope[0]"]);
        assert_eq!(
            of("Expenses are missing on my payroll"),
            ["identity.outOfScope"]
        );
        assert_eq!(of("Please reset my password"), ["goal.nonGoals[0]"]);
        assert_eq!(of("The router in room 4 is slow"), [""; 0]);
        assert_eq!(
            of("A laptop can't join the Wi-Fi"),
            [""; 0],
            "one word is not enough"
        );
    }

    #[test]
    fn a_non_goal_names_a_tool_by_all_of_its_words() {
        let topics = non_goals(&config());
        assert!(topics[0].names("directory.reset_password"));
        assert!(!topics[0].names("reset"));
        assert!(!topics[1].names("directory.reset_password"));
    }
}
