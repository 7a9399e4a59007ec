//! What calls cost by the shipped prices, each worked out by hand in its comment.

use chrono::DateTime;
use entity::Millis;

use super::{Card, Rates, STANDARD, Table, price_of};
use crate::model::Usage;

fn card(model: &str, at: &str) -> Card {
    let at = DateTime::parse_from_rfc3339(&format!("{at}T12:00:00Z")).expect("a moment");
    let at = Millis(at.timestamp_millis());
    price_of(&Table::default(), model, STANDARD, at).expect("a price")
}

/// Nano-USD; none: unpriced.
fn cost(model: &str, at: &str, usage: Usage) -> Option<i64> {
    let card = card(model, at);
    Rates::from(card.row(usage.total_input())?).cost(&usage)
}

fn usage(input: i64, cache_read: i64, short: i64, long: i64, output: i64) -> Usage {
    Usage {
        input,
        cache_read,
        cache_write_short: short,
        cache_write_long: long,
        output,
        reasoning: output / 2,
    }
}

#[test]
fn anthropic_with_both_cache_writes() {
    // claude-sonnet-5, USD per million: input 2, output 10, read 0.20, 5-minute write 2.50, 1-hour write 4.
    // 1,234 × 2,000 nano      =  2,468,000
    // 45,000 × 200            =  9,000,000
    // 2,000 × 2,500           =  5,000,000
    // 500 × 4,000             =  2,000,000
    // 789 × 10,000            =  7,890,000 (reasoning is output, and counts once)
    let call = usage(1_234, 45_000, 2_000, 500, 789);
    assert_eq!(
        cost("anthropic:claude-sonnet-5", "2026-05-01", call),
        Some(26_358_000)
    );
    // A dated state of the model has the model's price.
    assert_eq!(
        cost("anthropic:claude-sonnet-5-20260115", "2026-05-01", call),
        Some(26_358_000)
    );
}

#[test]
fn a_price_that_changes_counts_from_its_day_on() {
    // claude-sonnet-5-5: reading from the cache costs 0.20 until 2026-10-06, 0.10 from 2026-10-07 on.
    let call = usage(0, 1_000_000, 0, 0, 0);
    assert_eq!(
        cost("anthropic:claude-sonnet-5-5", "2026-10-06", call),
        Some(200_000_000)
    );
    assert_eq!(
        cost("anthropic:claude-sonnet-5-5", "2026-10-07", call),
        Some(100_000_000)
    );
}

#[test]
fn a_long_prompt_reprices_the_whole_call() {
    // claude-haiku-5-5: up to 100,000 tokens of prompt 0.10 and 0.50, past them 0.50 and 2.50.
    // 100,000 × 100 + 1,000 × 500   = 10,500,000
    // 100,001 × 500 + 1,000 × 2,500 = 52,500,500
    let at = "2026-11-01";
    assert_eq!(
        cost(
            "anthropic:claude-haiku-5-5",
            at,
            usage(100_000, 0, 0, 0, 1_000)
        ),
        Some(10_500_000)
    );
    assert_eq!(
        cost(
            "anthropic:claude-haiku-5-5",
            at,
            usage(100_001, 0, 0, 0, 1_000)
        ),
        Some(52_500_500)
    );
    // gpt-5.5 past 272,000: 10, cached 1, output 45. The cached tokens count for the length.
    // 200,000 × 10,000 + 100,000 × 1,000 + 2,000 × 45,000 = 2,190,000,000
    assert_eq!(
        cost("openai:gpt-5.5", at, usage(200_000, 100_000, 0, 0, 2_000)),
        Some(2_190_000_000)
    );
    // gemini-2.5-pro: exactly 200,000 is not past it.
    // 200,000 × 1,250 = 250,000,000; 200,001 × 2,500 = 500,002,500
    assert_eq!(
        cost("google:gemini-2.5-pro", at, usage(200_000, 0, 0, 0, 0)),
        Some(250_000_000)
    );
    assert_eq!(
        cost("google:gemini-2.5-pro", at, usage(200_001, 0, 0, 0, 0)),
        Some(500_002_500)
    );
}

#[test]
fn gemini_with_cached_tokens_and_reasoning_beside_the_answer() {
    // gemini-3.1-pro-preview, USD per million: input 2, output 12, read 0.20; past 200,000 tokens 4, 18, 0.40.
    // As the provider says it: promptTokenCount 150,000 with cachedContentTokenCount 120,000 among them,
    // candidatesTokenCount 300, thoughtsTokenCount 700 beside them.
    // 30,000 × 2,000 nano = 60,000,000
    // 120,000 × 200       = 24,000,000
    // 1,000 × 12,000      = 12,000,000 (reasoning is output)
    let at = "2026-11-01";
    let model = "google:gemini-3.1-pro-preview";
    assert_eq!(
        cost(model, at, usage(30_000, 120_000, 0, 0, 1_000)),
        Some(96_000_000)
    );
    // 200,001 tokens of prompt, 1 of them not cached: the whole call is repriced.
    // 1 × 4,000 + 200,000 × 400 + 1,000 × 18,000 = 98,004,000
    assert_eq!(
        cost(model, at, usage(1, 200_000, 0, 0, 1_000)),
        Some(98_004_000)
    );
    // gemini-3.8-flash doubles on 2027-01-01: 0.75, 3.75, 0.075 before, 1.50, 7.50, 0.15 from then on.
    // 1,000 × 750 + 10,000 × 75 + 200 × 3,750 = 2,250,000, then twice that
    let call = usage(1_000, 10_000, 0, 0, 200);
    let flash = "google:gemini-3.8-flash";
    assert_eq!(cost(flash, "2026-12-31", call), Some(2_250_000));
    assert_eq!(cost(flash, "2027-01-01", call), Some(4_500_000));
}

#[test]
fn openai_with_cache_writes_where_they_have_a_price() {
    // gpt-5.6-sol, USD per million: input 5, output 30, read 0.50, write 6.25; past 272,000 tokens 10, 45, 1, 12.50.
    // 1,000 × 5,000 nano = 5,000,000
    // 200 × 500          =   100,000
    // 400 × 6,250        = 2,500,000
    // 50 × 30,000        = 1,500,000
    let at = "2026-11-01";
    let sol = "openai:gpt-5.6-sol";
    assert_eq!(
        cost(sol, at, usage(1_000, 200, 400, 0, 50)),
        Some(9_100_000)
    );
    // 270,000 + 2,000 + 1,000 tokens of prompt: what is written to the cache counts for the length.
    // 270,000 × 10,000 = 2,700,000,000; 2,000 × 1,000 = 2,000,000; 1,000 × 12,500 = 12,500,000; 100 × 45,000 = 4,500,000
    let long = usage(270_000, 2_000, 1_000, 0, 100);
    assert_eq!(cost(sol, at, long), Some(2_719_000_000));
    // gpt-6.1-terra has both writes, 1.25 and 2.50 beside 1 and 5: 100 × 1,000 + 100 × 1,250 + 100 × 2,500 + 10 × 5,000.
    let both = usage(100, 0, 100, 100, 10);
    assert_eq!(cost("openai:gpt-6.1-terra", at, both), Some(525_000));
    // gpt-5.6-terra wrote for 3.125 until 2026-07-29; since then no price of a write is known: 1,000 × 3,125, then none.
    let write = usage(0, 0, 1_000, 0, 0);
    let terra = "openai:gpt-5.6-terra";
    assert_eq!(cost(terra, "2026-07-29", write), Some(3_125_000));
    assert_eq!(cost(terra, "2026-07-30", write), None);
}

#[test]
fn xai_past_the_length_of_a_prompt() {
    // grok-4.3: 1.25, 2.50, read 0.20; past 200,000 tokens 2.50, 5, 0.40.
    // 100,000 × 1,250 + 50,000 × 200 + 1,000 × 2,500 = 125,000,000 + 10,000,000 + 2,500,000
    let at = "2026-11-01";
    let grok = "xai:grok-4.3";
    let call = usage(100_000, 50_000, 0, 0, 1_000);
    assert_eq!(cost(grok, at, call), Some(137_500_000));
    // 200,001 tokens: 150,001 × 2,500 + 50,000 × 400 + 1,000 × 5,000 = 375,002,500 + 20,000,000 + 5,000,000
    let long = usage(150_001, 50_000, 0, 0, 1_000);
    assert_eq!(cost(grok, at, long), Some(400_002_500));
}

#[test]
fn mistral_has_no_price_for_cached_tokens() {
    // mistral-large-2512: 0.50, 1.50: 10,000 × 500 + 500 × 1,500 = 5,000,000 + 750,000
    let (at, large) = ("2026-11-01", "mistral:mistral-large-2512");
    assert_eq!(
        cost(large, at, usage(10_000, 0, 0, 0, 500)),
        Some(5_750_000)
    );
    assert_eq!(cost(large, at, usage(10_000, 1, 0, 0, 500)), None);
}

#[test]
fn moonshot_and_zai_with_cached_tokens() {
    // kimi-k2.6: 0.95, 4.00, read 0.16: 1,003 × 950 + 7 × 160 + 11 × 4,000 = 952,850 + 1,120 + 44,000
    let at = "2026-11-01";
    let kimi = usage(1_003, 7, 0, 0, 11);
    assert_eq!(cost("moonshot:kimi-k2.6", at, kimi), Some(997_970));
    // glm-5.1: 1.40, 4.40, read 0.26: 999 × 1,400 + 1,001 × 260 + 33 × 4,400 = 1,398,600 + 260,260 + 145,200
    let glm = usage(999, 1_001, 0, 0, 33);
    assert_eq!(cost("zai:glm-5.1", at, glm), Some(1_804_060));
}

#[test]
fn fractions_of_a_nano_dollar_are_rounded_line_by_line() {
    // deepseek-v4-flash: input 0.14, output 0.28, read 0.0028.
    // 3 × 140 = 420; 7 × 2.8 = 19.6 → 20; 1 × 280 = 280
    assert_eq!(
        cost(
            "deepseek:deepseek-v4-flash",
            "2026-06-01",
            usage(3, 7, 0, 0, 1)
        ),
        Some(720)
    );
    // deepseek-v4-pro: read 0.003625 → 1 × 3.625 → 4.
    assert_eq!(
        cost(
            "deepseek:deepseek-v4-pro",
            "2026-06-01",
            usage(0, 1, 0, 0, 0)
        ),
        Some(4)
    );
}

#[test]
fn what_is_not_offered_is_unpriced() {
    // claude-haiku-5-5 has no known price for the 1-hour cache.
    assert_eq!(
        cost(
            "anthropic:claude-haiku-5-5",
            "2026-11-01",
            usage(1, 0, 0, 1, 1)
        ),
        None
    );
    let at = Millis(1_795_000_000_000);
    assert_eq!(
        price_of(&Table::default(), "openai:gpt-99", STANDARD, at),
        None
    );
    assert_eq!(
        price_of(&Table::default(), "openai:gpt-5.5", "priority", at),
        None
    );
    // Before the table begins.
    assert_eq!(
        price_of(&Table::default(), "openai:gpt-5.5", STANDARD, Millis(1)),
        None
    );
}

#[test]
fn the_ceiling_is_the_dearest_way_that_a_call_can_go() {
    // gpt-5.5 with up to 272,001 tokens in and 1,000 out: past the length, all of it uncached.
    // 272,001 × 10,000 + 1,000 × 45,000 = 2,765,010,000, and 4 that rounding may add.
    let gpt = card("openai:gpt-5.5", "2026-11-01");
    assert_eq!(gpt.ceiling(272_001, 1_000), 2_765_010_004);
    // Estimated at 272,000 it may turn out to be longer all the same; estimated at 217,000 it can't, by a quarter:
    // 217,000 × 5,000 + 1,000 × 30,000.
    assert_eq!(gpt.ceiling(272_000, 1_000), 2_765_000_004);
    assert_eq!(gpt.ceiling(217_000, 1_000), 1_115_000_004);
    // claude-sonnet-5: the dearest input is that which is written to the 1-hour cache.
    assert_eq!(
        card("anthropic:claude-sonnet-5", "2026-11-01").ceiling(1_000, 1_000),
        4_000_000 + 10_000_000 + 4
    );
}
