//! What is to be done so that a workspace is what the files say. Pure.

use domain::coworker::Config;
use entity::{CoworkerId, SkillId, ToolServerId};

use super::form::{Coworker, Object, Server, Skill};
use super::price::Price;
use super::read::{Problem, Problems, Source};
use super::state::{self, State};

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Skills that are made or changed.
    pub skills: Vec<SkillStep>,
    /// Servers of tools that are made or changed.
    pub servers: Vec<ServerStep>,
    /// Prices that are set.
    pub prices: Vec<PriceStep>,
    /// Coworkers that are made, changed, published, or taken out of work. Those that stop being the Triage
    /// coworker come first, for there is only one.
    pub coworkers: Vec<CoworkerStep>,
    /// How many objects are as the files say.
    pub same: usize,
}

/// A skill that is made or changed.
#[derive(Clone, Debug, PartialEq)]
pub struct SkillStep {
    /// Its file, as an index of the sources.
    pub source: usize,
    /// What shall be.
    pub skill: Skill,
    /// What is; none: it is made.
    pub before: Option<(SkillId, Skill)>,
}

/// A server of tools that is made or changed.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerStep {
    /// Its file, as an index of the sources.
    pub source: usize,
    /// What shall be.
    pub server: Server,
    /// What is; none: it is made.
    pub before: Option<(ToolServerId, Server)>,
}

/// A price that is set.
#[derive(Clone, Debug, PartialEq)]
pub struct PriceStep {
    /// Its file, as an index of the sources.
    pub source: usize,
    /// Its place in that file.
    pub index: usize,
    /// The price, with nothing left open.
    pub price: Price,
}

/// A coworker about which something is done.
#[derive(Clone, Debug, PartialEq)]
pub struct CoworkerStep {
    /// Its file, as an index of the sources.
    pub source: usize,
    /// What shall be.
    pub coworker: Coworker,
    /// What is, as a file; none: it is made.
    pub before: Option<(CoworkerId, Coworker)>,
    /// What is written of it.
    pub write: Write,
    /// What follows.
    pub then: Then,
}

/// What is written of a coworker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// Nothing: the draft says it already.
    Nothing,
    /// Its name, and whether it is the Triage coworker. Someone's draft stays.
    Name,
    /// Everything.
    All,
}

/// What follows the writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Nothing.
    Nothing,
    /// It is published.
    Publish,
    /// It is taken out of work.
    Unpublish,
}

impl Plan {
    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.skills.is_empty()
            && self.servers.is_empty()
            && self.prices.is_empty()
            && self.coworkers.is_empty()
    }
}

/// Compares files with what there is.
///
/// # Errors
/// Prices that differ from what was set: they can't be changed.
pub fn plan(sources: &[Source], state: &State) -> Result<Plan, Problems> {
    let mut plan = Plan::default();
    let mut problems = Vec::new();
    // Skills before coworkers: which of them change decides who is published again.
    for (at, source) in sources.iter().enumerate() {
        match &source.object {
            Object::Skill(skill) => plan.skill(at, skill, state),
            Object::ToolServer(server) => plan.server(at, server, state),
            Object::Prices(file) => {
                for (index, price) in file.prices.iter().enumerate() {
                    let step = PriceStep {
                        source: at,
                        index,
                        price: price.clone(),
                    };
                    problems.extend(plan.price(source, step, state));
                }
            }
            Object::Coworker(_) => {}
        }
    }
    for (at, source) in sources.iter().enumerate() {
        match &source.object {
            Object::Coworker(coworker) => plan.coworker(at, coworker, state),
            Object::Skill(_) | Object::ToolServer(_) | Object::Prices(_) => {}
        }
    }
    // What has a unique name is made in one order, whatever the files are called: two that apply wait for each other.
    plan.skills
        .sort_by(|a, b| a.skill.handle.cmp(&b.skill.handle));
    plan.servers
        .sort_by(|a, b| a.server.name.cmp(&b.server.name));
    let order = |step: &CoworkerStep| (step.coworker.is_triage, step.coworker.handle.clone());
    plan.coworkers.sort_by_key(order);
    if problems.is_empty() {
        Ok(plan)
    } else {
        Err(Problems(problems))
    }
}

impl Plan {
    fn skill(&mut self, source: usize, skill: &Skill, state: &State) {
        let skill = Skill {
            name: skill.name.trim().to_owned(),
            ..skill.clone()
        };
        let before = state.skills.get(&skill.handle).map(|kept| {
            let before = Skill {
                name: kept.name.clone(),
                text: kept.text.clone(),
                ..skill.clone()
            };
            (kept.id, before)
        });
        if before.as_ref().is_some_and(|(_, before)| *before == skill) {
            self.same += 1;
        } else {
            self.skills.push(SkillStep {
                source,
                skill,
                before,
            });
        }
    }

    fn server(&mut self, source: usize, server: &Server, state: &State) {
        let before = state.servers.get(&server.name).map(|kept| {
            let before = Server {
                reach: kept.reach.clone(),
                ..server.clone()
            };
            (kept.id, before)
        });
        if before.as_ref().is_some_and(|(_, before)| before == server) {
            self.same += 1;
        } else {
            self.servers.push(ServerStep {
                source,
                server: server.clone(),
                before,
            });
        }
    }

    fn price(&mut self, source: &Source, step: PriceStep, state: &State) -> Option<Problem> {
        let key = step.price.key();
        match state.prices.get(&key) {
            None => self.prices.push(step),
            Some(set) if *set == step.price => self.same += 1,
            Some(_) => {
                let message = format!(
                    "another price of {} was set from that moment on, and what was set stays; add an entry with another effectiveFrom",
                    step.price.model
                );
                let path = format!("prices[{}].effectiveFrom", step.index);
                return Some(source.problem(&path, message));
            }
        }
        None
    }

    fn coworker(&mut self, source: usize, wanted: &Coworker, state: &State) {
        let coworker = Coworker {
            name: wanted.name.trim().to_owned(),
            ..wanted.clone()
        };
        let config = coworker.config();
        let Some(kept) = state.coworkers.get(&coworker.handle) else {
            let then = if coworker.published {
                Then::Publish
            } else {
                Then::Nothing
            };
            self.coworkers.push(CoworkerStep {
                source,
                coworker,
                before: None,
                write: Write::All,
                then,
            });
            return;
        };
        let (write, then) = self.steps(&coworker, &config, kept, state);
        if (write, then) == (Write::Nothing, Then::Nothing) {
            self.same += 1;
            return;
        }
        let before = Coworker::of(
            &coworker.handle,
            &kept.name,
            kept.is_triage,
            kept.is_published(),
            kept.says().clone(),
        );
        self.coworkers.push(CoworkerStep {
            source,
            coworker,
            before: Some((kept.id, before)),
            write,
            then,
        });
    }

    fn steps(
        &self,
        coworker: &Coworker,
        config: &Config,
        kept: &state::Coworker,
        state: &State,
    ) -> (Write, Then) {
        let named = coworker.name == kept.name && coworker.is_triage == kept.is_triage;
        let in_force = coworker.published
            && kept.is_published()
            && kept.in_force.as_ref() == Some(config)
            && self.reads_the_newest(config, kept, state);
        let write = match (in_force || kept.draft == *config, named) {
            (true, true) => Write::Nothing,
            (true, false) => Write::Name,
            (false, _) => Write::All,
        };
        let then = match (coworker.published, kept.is_published()) {
            (true, _) if !in_force => Then::Publish,
            (false, true) => Then::Unpublish,
            (true, _) | (false, false) => Then::Nothing,
        };
        (write, then)
    }

    /// Whether its runs read the newest version of each of its skills, also after this plan.
    fn reads_the_newest(&self, config: &Config, kept: &state::Coworker, state: &State) -> bool {
        let changes = |handle: &String| self.skills.iter().any(|step| step.skill.handle == *handle);
        let newest = config
            .skills
            .iter()
            .filter_map(|handle| state.skills.get(handle));
        !config.skills.iter().any(changes) && newest.map(|skill| &skill.version).eq(&kept.pins)
    }
}

#[cfg(test)]
mod tests;
