//! The providers of models: the usual ones by variable, any of them by the settings file.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use domain::model::{Kind, OutputLimit, Provider};
use domain::secret::Secret;
use serde::Deserialize;

use super::parse_time;

/// The flags that name the usual providers.
#[derive(Args, Clone, Debug, Default)]
pub struct ModelFlags {
    /// The key of OpenAI, for coworkers with models such as openai:gpt-5-mini. Prefer the variable: others on the machine see
    /// flags. Other providers have tables in the settings file
    #[arg(
        long,
        value_name = "KEY",
        env = "STINT_OPENAI_API_KEY",
        hide_env_values = true,
        value_parser = secret,
        help_heading = "Models"
    )]
    pub openai_api_key: Option<Secret>,
    /// Where it is: any server that speaks chat completions (vLLM, Ollama, llama.cpp, LiteLLM …), also without a key
    /// [default: https://api.openai.com/v1]
    #[arg(
        long,
        value_name = "URL",
        env = "STINT_OPENAI_BASE_URL",
        help_heading = "Models"
    )]
    pub openai_base_url: Option<String>,
    /// The key of Anthropic, for coworkers with models such as anthropic:claude-opus-5
    #[arg(
        long,
        value_name = "KEY",
        env = "STINT_ANTHROPIC_API_KEY",
        hide_env_values = true,
        value_parser = secret,
        help_heading = "Models"
    )]
    pub anthropic_api_key: Option<Secret>,
    /// Where it is [default: https://api.anthropic.com]
    #[arg(
        long,
        value_name = "URL",
        env = "STINT_ANTHROPIC_BASE_URL",
        help_heading = "Models"
    )]
    pub anthropic_base_url: Option<String>,
    /// The key of Gemini, for coworkers with models such as google:gemini-2.5-pro
    #[arg(
        long,
        value_name = "KEY",
        env = "STINT_GEMINI_API_KEY",
        hide_env_values = true,
        value_parser = secret,
        help_heading = "Models"
    )]
    pub gemini_api_key: Option<Secret>,
    /// Where it is [default: https://generativelanguage.googleapis.com/v1beta]
    #[arg(
        long,
        value_name = "URL",
        env = "STINT_GEMINI_BASE_URL",
        help_heading = "Models"
    )]
    pub gemini_base_url: Option<String>,
}

fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text))
}

/// A provider in the settings file: the table `[models.NAME]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelTable {
    kind: Kind,
    base_url: Option<String>,
    api_key: Option<String>,
    api_key_file: Option<PathBuf>,
    api_key_env: Option<String>,
    api_key_header: Option<String>,
    api_version: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    output_limit: Option<OutputLimit>,
    first_byte_timeout: Option<String>,
    idle_timeout: Option<String>,
}

/// Its values are no one's to see.
impl std::fmt::Debug for ModelTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelTable")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// The providers by flag, variable and file. A provider of the file's that a flag or variable names too is the file's,
/// with what they say put over it.
///
/// # Errors
/// One sentence that names the provider, the setting and the remedy; never a key.
pub(super) fn providers(
    flags: &ModelFlags,
    tables: BTreeMap<String, ModelTable>,
) -> anyhow::Result<Vec<Provider>> {
    let mut providers = BTreeMap::new();
    for (name, table) in tables {
        let provider = table.provider(&name).with_context(|| {
            format!("the model provider {name} ([models.{name}] in the settings file)")
        })?;
        providers.insert(name, provider);
    }
    let ModelFlags {
        openai_api_key,
        openai_base_url,
        anthropic_api_key,
        anthropic_base_url,
        gemini_api_key,
        gemini_base_url,
    } = flags;
    for (kind, key, base_url) in [
        (Kind::OpenAi, openai_api_key, openai_base_url),
        (Kind::Anthropic, anthropic_api_key, anthropic_base_url),
        (Kind::Gemini, gemini_api_key, gemini_base_url),
    ] {
        // An empty variable is how orchestrators say that there is none.
        let key = key.as_ref().filter(|key| !key.reveal().is_empty());
        let base_url = base_url.as_ref().filter(|url| !url.is_empty());
        if key.is_none() && base_url.is_none() {
            continue;
        }
        let name = kind.usual_name().to_owned();
        let provider = providers
            .entry(name.clone())
            .or_insert_with(|| Provider::new(name, kind));
        if let Some(key) = key {
            provider.key = Some(key.clone());
        }
        if let Some(url) = base_url {
            provider.base_url.clone_from(url);
        }
    }
    Ok(providers.into_values().collect())
}

impl ModelTable {
    fn provider(self, name: &str) -> anyhow::Result<Provider> {
        let Self {
            kind,
            base_url,
            api_key,
            api_key_file,
            api_key_env,
            api_key_header,
            api_version,
            headers,
            output_limit,
            first_byte_timeout,
            idle_timeout,
        } = self;
        let usual = Provider::new(name, kind);
        let key = match (api_key, api_key_file, api_key_env) {
            (None, None, None) => None,
            (Some(key), None, None) => Some(key),
            (None, Some(path), None) => Some(
                std::fs::read_to_string(&path)
                    .with_context(|| format!("the key file {} can't be read", path.display()))?,
            ),
            (None, None, Some(variable)) => {
                Some(std::env::var(&variable).with_context(|| {
                    format!("api_key_env names {variable}, which can't be read")
                })?)
            }
            _ => bail!("give one of api_key, api_key_file and api_key_env"),
        };
        let time = |text: Option<String>, setting, usual| match text {
            Some(text) => parse_time(&text).with_context(|| format!("{setting} can't be {text:?}")),
            None => Ok(usual),
        };
        let mut patience = usual.patience;
        patience.first_byte = time(
            first_byte_timeout,
            "first_byte_timeout",
            patience.first_byte,
        )?;
        patience.idle = time(idle_timeout, "idle_timeout", patience.idle)?;
        let version = api_version.map(|version| ("api-version".to_owned(), version));
        Ok(Provider {
            base_url: base_url.unwrap_or(usual.base_url),
            key: key.map(|key| Secret::new(key.trim())),
            key_header: api_key_header,
            headers: headers
                .into_iter()
                .map(|(header, value)| (header, Secret::new(value)))
                .collect(),
            query: version.into_iter().collect(),
            output_limit,
            patience,
            name: usual.name,
            kind,
        })
    }
}
