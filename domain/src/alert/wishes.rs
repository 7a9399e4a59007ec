//! Of what an endpoint wants to be told, and where.

use std::collections::BTreeSet;

use entity::{AlertKind, CoworkerId, alert_endpoint};
use reqwest::Url;
use serde::Serialize;

use crate::access::Actor;
use crate::error::{Error, Result};
use crate::request::update::check_labels;
use crate::store::Tx;
use crate::text::check_text;

/// The most bytes of an address.
const ADDRESS: usize = 2_000;
/// The most coworkers that an endpoint names.
const COWORKERS: usize = 50;

/// What is asked of an endpoint; what is `None` stays as it is.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Wishes {
    /// What it is called, 1 to 100 characters.
    pub name: Option<String>,
    /// Where alerts are sent to.
    pub url: Option<String>,
    /// Of what it is told.
    pub kinds: Option<Vec<AlertKind>>,
    /// Only of what concerns one of these; none of them: of all.
    pub coworkers: Option<Vec<CoworkerId>>,
    /// Only of what concerns a request with one of these labels; none of them: of all.
    pub labels: Option<Vec<String>>,
    /// From which share of a budget on.
    pub budget_percent: Option<i32>,
    /// From which rise of the cost per run on.
    pub climb_percent: Option<i32>,
}

/// Which occasions an endpoint wants to know of, as its row holds it.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    pub(super) kinds: Vec<AlertKind>,
    pub(super) coworkers: Vec<CoworkerId>,
    pub(super) labels: Vec<String>,
}

impl Selection {
    pub(super) fn of(row: &alert_endpoint::Model) -> Result<Self> {
        Ok(Self {
            kinds: kinds_of(&row.kinds)?,
            coworkers: coworkers_of(row)?,
            labels: labels_of(row)?,
        })
    }
}

/// The kinds that a row holds.
///
/// # Errors
/// [`Error::Internal`] for what this product did not write.
pub fn kinds_of(text: &str) -> Result<Vec<AlertKind>> {
    serde_json::from_str(text).map_err(Error::internal)
}

/// The coworkers that an endpoint names.
///
/// # Errors
/// As [`kinds_of`].
pub fn coworkers_of(row: &alert_endpoint::Model) -> Result<Vec<CoworkerId>> {
    serde_json::from_str(&row.coworkers).map_err(Error::internal)
}

/// The labels that an endpoint names.
///
/// # Errors
/// As [`kinds_of`].
pub fn labels_of(row: &alert_endpoint::Model) -> Result<Vec<String>> {
    serde_json::from_str(&row.labels).map_err(Error::internal)
}

fn row_of(list: &impl Serialize) -> Result<String> {
    serde_json::to_string(list).map_err(Error::internal)
}

impl Wishes {
    /// Puts them into an endpoint's row.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the field and the remedy; [`Error::NotFound`] for a coworker.
    pub(super) async fn apply(
        &self,
        tx: &Tx,
        actor: &Actor,
        row: &mut alert_endpoint::Model,
    ) -> Result<()> {
        let Self {
            name,
            url,
            kinds,
            coworkers,
            labels,
            budget_percent,
            climb_percent,
        } = self;
        if let Some(name) = name {
            check_text("name", name, 100)?;
            name.trim().clone_into(&mut row.name);
        }
        if let Some(url) = url {
            row.url = address(url)?;
        }
        if let Some(kinds) = kinds {
            if kinds.is_empty() {
                let message = "kinds is empty; say of what the endpoint is to be told";
                return Err(Error::invalid("kinds", "REQUIRED", message));
            }
            row.kinds = row_of(&kinds.iter().collect::<BTreeSet<_>>())?;
        }
        if let Some(coworkers) = coworkers {
            if coworkers.len() > COWORKERS {
                let message = format!(
                    "there are {} coworkers; {COWORKERS} are allowed, and with none it is told of all",
                    coworkers.len()
                );
                return Err(Error::invalid("coworkerIds", "TOO_LONG", message));
            }
            for id in coworkers {
                crate::coworker::query::get(tx.conn(), actor, *id).await?;
            }
            row.coworkers = row_of(&coworkers.iter().collect::<BTreeSet<_>>())?;
        }
        if let Some(labels) = labels {
            check_labels(labels)?;
            row.labels = row_of(labels)?;
        }
        if let Some(percent) = budget_percent {
            row.budget_percent = within("budgetPercent", *percent, 1, 100)?;
        }
        if let Some(percent) = climb_percent {
            row.climb_percent = within("climbPercent", *percent, 1, 1_000)?;
        }
        Ok(())
    }
}

fn within(field: &'static str, percent: i32, least: i32, most: i32) -> Result<i32> {
    if (least..=most).contains(&percent) {
        return Ok(percent);
    }
    let message = format!("{field} is {percent}; it is {least} to {most}, in percent");
    Err(Error::invalid(field, "INVALID", message))
}

/// Refuses what is no address of HTTP. Whether it may be reached is found out when something is sent.
fn address(text: &str) -> Result<String> {
    let invalid = |message: &str| Err(Error::invalid("url", "INVALID", message));
    let text = text.trim();
    if text.len() > ADDRESS {
        return invalid("the address is longer than 2000 bytes");
    }
    let Ok(url) = Url::parse(text) else {
        return invalid("this is no address; write one such as https://desk.example.com/alerts");
    };
    if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none() {
        return invalid("the address is to begin with https:// or http://, and to name a host");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return invalid(
            "the address holds a user name or a password; leave it out: the signature says who sends",
        );
    }
    Ok(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_of_http_without_credentials() {
        for (text, fits) in [
            ("https://desk.example.com/alerts?key=1", true),
            (" http://127.0.0.1:9000 ", true),
            ("desk.example.com", false),
            ("ftp://desk.example.com/", false),
            ("https://ada:secret@desk.example.com/", false),
            ("https://", false),
            ("", false),
        ] {
            assert_eq!(address(text).is_ok(), fits, "{text}");
        }
        let long = format!("https://desk.example.com/{}", "a".repeat(2_000));
        assert_eq!(address(&long).expect_err("too long").code(), "INVALID");
    }
}
