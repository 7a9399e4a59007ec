//! Writing what is there as files.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::Serialize;

use super::SCHEMA;
use super::form::{Coworker, Server, ServerKind, Skill, SkillKind};
use super::playbook;
use super::price::{Prices, PricesKind};
use super::state::State;

/// The schema's name in the folder.
const SCHEMA_FILE: &str = "stint.schema.json";

/// The files that say what a workspace holds: their paths within the folder, and their texts. Applying them
/// to it changes nothing.
///
/// # Errors
/// [`domain::Error::Internal`] for what YAML can't hold, which no check lets through.
pub fn files(state: &State) -> domain::Result<Vec<(PathBuf, String)>> {
    let mut files = vec![(SCHEMA_FILE.into(), SCHEMA.to_owned())];
    for (handle, kept) in &state.coworkers {
        let says = kept.says().clone();
        let coworker = Coworker::of(
            handle,
            &kept.name,
            kept.is_triage,
            kept.is_published(),
            says,
        );
        files.push((
            format!("coworkers/{handle}.yaml").into(),
            headed("../", &playbook::print(&coworker)?),
        ));
    }
    for (handle, kept) in &state.skills {
        let skill = Skill {
            kind: SkillKind::Skill,
            name: kept.name.clone(),
            handle: handle.clone(),
            text: kept.text.clone(),
        };
        files.push((format!("skills/{handle}.yaml").into(), text("../", &skill)?));
    }
    for (name, kept) in &state.servers {
        let server = Server {
            kind: ServerKind::ToolServer,
            name: name.clone(),
            reach: kept.reach.clone(),
        };
        files.push((
            format!("tool-servers/{name}.yaml").into(),
            text("../", &server)?,
        ));
    }
    if !state.prices.is_empty() {
        let prices = Prices {
            kind: PricesKind::Prices,
            prices: state.prices.values().cloned().collect(),
        };
        files.push(("prices.yaml".into(), text("", &prices)?));
    }
    Ok(files)
}

/// A file's text; its first line tells editors where the schema is.
fn text(up: &str, object: &impl Serialize) -> domain::Result<String> {
    Ok(headed(up, &domain::yaml::print(object)?))
}

fn headed(up: &str, yaml: &str) -> String {
    format!("# yaml-language-server: $schema={up}{SCHEMA_FILE}\n{yaml}")
}

/// The handles of coworkers whose draft is not what is in force: files hold only one of the two.
pub fn with_drafts(state: &State) -> Vec<&str> {
    let edited = state
        .coworkers
        .iter()
        .filter(|(_, kept)| *kept.says() != kept.draft);
    edited.map(|(handle, _)| handle.as_str()).collect()
}

/// Writes files into a folder and returns how many there were to write. One that says the same already is left alone.
///
/// # Errors
/// One sentence: a file that says something else is there and `overwrite` is not set (then nothing is
/// written), or the folder can't be written to.
pub fn write(folder: &Path, files: &[(PathBuf, String)], overwrite: bool) -> anyhow::Result<usize> {
    let mut fresh = Vec::new();
    for (path, text) in files {
        let path = folder.join(path);
        match std::fs::read(&path) {
            Ok(bytes) if bytes == text.as_bytes() => continue,
            Ok(_) if !overwrite => bail!(
                "{} is there and says something else; name another folder with -o, or add --overwrite",
                path.display()
            ),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| format!("{} can't be read", path.display()));
            }
        }
        fresh.push((path, text));
    }
    for (path, text) in &fresh {
        let unwritable = || format!("{} can't be written", path.display());
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).with_context(unwritable)?;
        }
        std::fs::write(path, text).with_context(unwritable)?;
    }
    Ok(fresh.len())
}
