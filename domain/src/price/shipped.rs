//! The prices that Stint brings: list prices of well-known models, as a table in the binary.
//!
//! A workspace's own price of a model comes before them. A row that was shipped once stays for ever, so that
//! what a call cost can always be told line by line.

use std::collections::HashMap;
use std::sync::LazyLock;

use chrono::NaiveDate;
use entity::{Millis, ModelPriceId, WorkspaceId, model_price};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use super::card::{STANDARD, Table};
use crate::money::parse_decimal;

/// USD per million tokens; an empty rate is not offered, or not known.
const TABLE: &str = include_str!("prices.csv");

#[derive(Debug, Deserialize)]
struct Line {
    provider: String,
    model: String,
    effective_from: NaiveDate,
    prompt_over: i64,
    input: String,
    output: String,
    cache_read: String,
    cache_write_short: String,
    cache_write_long: String,
    source: String,
}

/// All shipped rows; their workspace is none.
pub fn shipped() -> &'static Table {
    static ROWS: LazyLock<Table> = LazyLock::new(|| {
        let mut table = csv::Reader::from_reader(TABLE.as_bytes());
        let lines = table.deserialize::<Line>();
        // A test reads every line, so that none is left out here.
        Table::new(lines.filter_map(|line| row(line.ok()?)).collect())
    });
    &ROWS
}

/// A shipped row by its id.
pub fn by_id(id: ModelPriceId) -> Option<&'static model_price::Model> {
    static BY_ID: LazyLock<HashMap<ModelPriceId, &model_price::Model>> =
        LazyLock::new(|| shipped().rows().iter().map(|row| (row.id, row)).collect());
    BY_ID.get(&id).copied()
}

fn row(line: Line) -> Option<model_price::Model> {
    let rate = |text: &str| match text {
        "" => Some(None),
        text => parse_decimal(text).map(Some),
    };
    let model = format!("{}:{}", line.provider, line.model);
    let from = line.effective_from.and_hms_opt(0, 0, 0)?.and_utc();
    let key = format!("stint price {model} {from} {}", line.prompt_over);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Sha256::digest(key)[..16]);
    Some(model_price::Model {
        // The same in every installation and release: ledgers refer to it.
        id: ModelPriceId(Builder::from_custom_bytes(bytes).into_uuid()),
        workspace_id: WorkspaceId(Uuid::nil()),
        model,
        aliases: "[]".into(),
        service_tier: STANDARD.into(),
        prompt_over: line.prompt_over,
        effective_from: Millis(from.timestamp_millis()),
        input: parse_decimal(&line.input)?,
        cache_read: rate(&line.cache_read)?,
        cache_write_short: rate(&line.cache_write_short)?,
        cache_write_long: rate(&line.cache_write_long)?,
        output: parse_decimal(&line.output)?,
        source: format!("shipped with Stint: {}", line.source),
        created_at: Millis(from.timestamp_millis()),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::price::Rates;

    #[test]
    fn every_line_of_the_table_is_a_price_that_can_be_meant_and_has_its_own_id() {
        let lines = TABLE.lines().skip(1).filter(|line| !line.trim().is_empty());
        assert_eq!(shipped().rows().len(), lines.count());
        let ids: HashSet<_> = shipped().rows().iter().map(|row| row.id).collect();
        assert_eq!(ids.len(), shipped().rows().len());
        for row in shipped().rows() {
            Rates::from(row)
                .check()
                .unwrap_or_else(|err| panic!("{}: {err}", row.model));
            assert_eq!(by_id(row.id), Some(row));
        }
    }

    #[test]
    fn the_id_of_a_row_never_changes() {
        let sonnet = shipped()
            .rows()
            .iter()
            .find(|row| row.model == "anthropic:claude-sonnet-5");
        let id = sonnet.map(|row| row.id.to_string());
        insta::assert_snapshot!(id.unwrap_or_default());
    }
}
