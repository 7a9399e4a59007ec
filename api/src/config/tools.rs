//! What the operator says of tools: the hosts that are excepted from the outbound guard, and the programs that speak MCP. These
//! stand in the settings file alone:
//!
//! ```toml
//! [mcp.files]
//! command = ["npx", "-y", "@modelcontextprotocol/server-filesystem", "/srv/files"]
//! env = ["LANG"]                 # variables of this process that it gets besides PATH and HOME
//! env_set = ["API_TOKEN=…"]      # variables that it gets with these values
//! env_plain = ["STAGE=staging"]  # the same as both, for values that are no secrets
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use domain::coworker::tools::is_server;
use domain::tool::{Exception, Program, Settings};

/// Settles it.
///
/// # Errors
/// One sentence that names the setting, its value and the remedy.
pub(super) fn settle(
    hosts: Option<&Vec<String>>,
    programs: BTreeMap<String, Program>,
) -> anyhow::Result<Settings> {
    let exceptions = hosts.into_iter().flatten().map(|host| {
        Exception::parse(host).with_context(|| {
            format!(
                "{}: it is a host and a port, such as desk.internal:8443",
                super::setting("allow-private-host", host)
            )
        })
    });
    for (name, program) in &programs {
        if !is_server(name) {
            bail!("[mcp.{name}] in the settings file: a name is 1 to 64 of a-z, 0-9, _ and -");
        }
        if program.command.first().is_none_or(String::is_empty) {
            bail!(
                "[mcp.{name}] in the settings file needs its command: a list of the program and its arguments"
            );
        }
        if let Some(wrong) = program.env_set.iter().find(|set| !is_variable(set)) {
            // What follows the name may be a secret.
            let name_of = wrong.split('=').next().unwrap_or_default();
            bail!(
                "[mcp.{name}] in the settings file: env_set holds NAME=value, and {name_of:?} is none"
            );
        }
    }
    Ok(Settings {
        exceptions: exceptions.collect::<anyhow::Result<_>>()?,
        programs,
        keeper: keeper(),
    })
}

/// This binary. Where Linux names it, also after another was put in its place.
fn keeper() -> Option<PathBuf> {
    let linked = Path::new("/proc/self/exe");
    match linked.exists() {
        true => Some(linked.to_owned()),
        false => std::env::current_exe().ok(),
    }
}

fn is_variable(text: &str) -> bool {
    text.split_once('=')
        .is_some_and(|(name, _)| !name.is_empty() && !text.contains('\0'))
}
