//! The scalars. Their descriptions are those of the contract, and stand on the implementations.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use chrono::{DateTime as ChronoDateTime, SecondsFormat};
use domain::error::Error;
use domain::metric::zone::Zone;
use domain::money::{parse_decimal, print_decimal};
use entity::Millis;

/// The largest whole number that every JSON reader keeps exactly.
const SAFE: i64 = (1 << 53) - 1;

/// A moment: UTC, milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateTime(pub Millis);

/// A moment in UTC with milliseconds, as RFC 3339 writes it: `2026-05-20T03:30:55.078Z`. Any offset is accepted and turned into UTC.
#[Scalar(specified_by_url = "https://www.rfc-editor.org/rfc/rfc3339")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(text) => Ok(Self(instant(text).ok_or_else(|| {
                InputValueError::custom(format!(
                    "{text:?} is not a moment: write it like \"2026-05-20T03:30:55.078Z\""
                ))
            })?)),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(print_instant(self.0))
    }
}

pub(crate) fn instant(text: &str) -> Option<Millis> {
    ChronoDateTime::parse_from_rfc3339(text)
        .ok()
        .map(|at| Millis(at.timestamp_millis()))
}

/// A moment as the API prints it. One that no calendar has is printed as the last one that it has.
pub fn print_instant(at: Millis) -> String {
    let at = ChronoDateTime::from_timestamp_millis(at.0)
        .unwrap_or(ChronoDateTime::<chrono::Utc>::MAX_UTC);
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A moment, or one that is some milliseconds away from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateTimeOrDuration {
    /// That moment.
    At(Millis),
    /// Milliseconds from now; negative: before now.
    FromNow(i64),
}

impl DateTimeOrDuration {
    /// The moment, if it is now `now`.
    pub fn resolve(self, now: Millis) -> Millis {
        match self {
            Self::At(at) => at,
            Self::FromNow(ms) => now.plus(ms),
        }
    }

    /// Reads its text.
    ///
    /// # Errors
    /// What is wrong with it, with the remedy.
    pub fn read(text: &str) -> std::result::Result<Self, String> {
        let parsed = instant(text)
            .map(Self::At)
            .or_else(|| parse_duration(text).map(Self::FromNow));
        parsed.ok_or_else(|| {
            let remedy = "write it like \"2026-05-20T03:30:55.078Z\" or \"-P7D\"";
            format!("{text:?} is neither a moment nor a duration: {remedy}")
        })
    }
}

/// A moment (`2026-05-20T03:30:55.078Z`), or a duration that is added to the present moment: `-P7D` is seven days ago, `PT1H` is in an hour.
#[Scalar(specified_by_url = "https://www.rfc-editor.org/rfc/rfc3339#appendix-A")]
impl ScalarType for DateTimeOrDuration {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else {
            return Err(InputValueError::expected_type(value));
        };
        Self::read(text).map_err(InputValueError::custom)
    }

    fn to_value(&self) -> Value {
        Value::String(match self {
            Self::At(at) => print_instant(*at),
            Self::FromNow(ms) => print_duration(*ms),
        })
    }
}

/// A length of time in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duration(pub i64);

/// A length of time as ISO 8601 writes it, in weeks, days, hours, minutes and seconds: `PT90S`, `PT0.250S`, `-P7D`. A day has 24 hours. Years and months have no fixed length and are refused.
#[Scalar(specified_by_url = "https://www.iso.org/standard/70907.html")]
impl ScalarType for Duration {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else {
            return Err(InputValueError::expected_type(value));
        };
        parse_duration(text).map(Self).ok_or_else(|| {
            let remedy = "write weeks, days, hours, minutes or seconds like \"PT90S\" or \"P7D\"";
            InputValueError::custom(format!("{text:?} is not a duration: {remedy}"))
        })
    }

    fn to_value(&self) -> Value {
        Value::String(print_duration(self.0))
    }
}

/// Milliseconds of an ISO 8601 duration without years and months.
fn parse_duration(text: &str) -> Option<i64> {
    let (negative, text) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let text = text.strip_prefix('P')?;
    let (date, time) = match text.split_once('T') {
        Some((_, "")) => return None,
        Some((date, time)) => (date, time),
        None => (text, ""),
    };
    if date.is_empty() && time.is_empty() {
        return None;
    }
    let total = components(date, &[('W', 604_800_000), ('D', 86_400_000)])?.checked_add(
        components(time, &[('H', 3_600_000), ('M', 60_000), ('S', 1_000)])?,
    )?;
    Some(if negative { -total } else { total })
}

/// The sum of `<number><unit>` components, each unit at most once and in this order.
fn components(mut text: &str, units: &[(char, i64)]) -> Option<i64> {
    let mut total = 0_i64;
    for (unit, ms) in units {
        let Some((number, rest)) = text.split_once(*unit) else {
            continue;
        };
        total = total.checked_add(milliseconds(number, *ms)?)?;
        text = rest;
    }
    text.is_empty().then_some(total)
}

fn milliseconds(number: &str, unit: i64) -> Option<i64> {
    let (whole, fraction) = number.split_once(['.', ',']).unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty()
        || !digits(whole)
        || !digits(fraction)
        || fraction.len() > 9
        || number.ends_with(['.', ','])
    {
        return None;
    }
    let mut part = 0;
    if !fraction.is_empty() {
        let scale = 10_i64.pow(u32::try_from(fraction.len()).ok()?);
        part = i64::try_from(
            i128::from(fraction.parse::<i64>().ok()?) * i128::from(unit) / i128::from(scale),
        )
        .ok()?;
    }
    whole
        .parse::<i64>()
        .ok()?
        .checked_mul(unit)?
        .checked_add(part)
}

fn print_duration(ms: i64) -> String {
    let total = ms.unsigned_abs();
    let (hours, minutes, seconds, rest) = (
        total / 3_600_000,
        total / 60_000 % 60,
        total / 1_000 % 60,
        total % 1_000,
    );
    let mut text = String::from(if ms < 0 { "-PT" } else { "PT" });
    if hours > 0 {
        text.push_str(&format!("{hours}H"));
    }
    if minutes > 0 {
        text.push_str(&format!("{minutes}M"));
    }
    if rest > 0 {
        text.push_str(&format!("{seconds}.{rest:03}S"));
    } else if seconds > 0 || total < 60_000 {
        text.push_str(&format!("{seconds}S"));
    }
    text
}

/// An exact decimal with nine digits after the point: its value times 10^9 (for money: nano-USD).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decimal(pub i64);

/// An exact decimal number as a string, for money: `"0.0042"`. Up to nine digits after the point. JSON numbers are accepted too.
#[Scalar(specified_by_url = "https://www.w3.org/TR/xmlschema11-2/#decimal")]
impl ScalarType for Decimal {
    fn parse(value: Value) -> InputValueResult<Self> {
        let text = match &value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return Err(InputValueError::expected_type(value)),
        };
        parse_decimal(&text).map(Self).ok_or_else(|| {
            let remedy = "write it like \"0.0042\", with at most nine digits after the point and ten before it";
            InputValueError::custom(format!("{text:?} is not a decimal that fits: {remedy}"))
        })
    }

    fn to_value(&self) -> Value {
        Value::String(print_decimal(self.0))
    }
}

/// A time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeZone(pub Zone);

/// A time zone by its name in the IANA database: `Europe/Berlin`, `UTC`.
#[Scalar(specified_by_url = "https://www.iana.org/time-zones")]
impl ScalarType for TimeZone {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(name) = &value else {
            return Err(InputValueError::expected_type(value));
        };
        let zone = Zone::parse(name, "timeZone");
        zone.map(Self)
            .map_err(|err| InputValueError::custom(err.to_string()))
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.name().into())
    }
}

/// A whole number that outgrows 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Int64(pub i64);

/// A whole number that outgrows Int, as a JSON number from −(2^53−1) to 2^53−1.
#[Scalar(specified_by_url = "https://www.rfc-editor.org/rfc/rfc7493#section-2.2")]
impl ScalarType for Int64 {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::Number(number) = &value else {
            return Err(InputValueError::expected_type(value));
        };
        match number.as_i64() {
            Some(whole) if (-SAFE..=SAFE).contains(&whole) => Ok(Self(whole)),
            Some(_) | None => Err(InputValueError::custom(format!(
                "{number} is not a whole number up to 2^53−1"
            ))),
        }
    }

    fn to_value(&self) -> Value {
        Value::Number(self.0.clamp(-SAFE, SAFE).into())
    }
}

/// Any JSON value.
#[derive(Clone, Debug, PartialEq)]
pub struct Json(pub serde_json::Value);

/// Any JSON value.
#[Scalar(
    name = "JSON",
    specified_by_url = "https://www.rfc-editor.org/rfc/rfc8259"
)]
impl ScalarType for Json {
    fn parse(value: Value) -> InputValueResult<Self> {
        Ok(Self(value.into_json()?))
    }

    fn to_value(&self) -> Value {
        Value::from_json(self.0.clone()).unwrap_or_default()
    }
}

/// A count as the API's `Int`. Counts that outgrow it stand at its largest value.
pub fn int(count: i64) -> i32 {
    i32::try_from(count).unwrap_or(if count < 0 { i32::MIN } else { i32::MAX })
}

/// A moment that must lie within what the product can store and print: the years 1970 to 9999.
///
/// # Errors
/// `INVALID`, naming the field.
pub fn storable(at: Millis, field: &'static str) -> Result<Millis, Error> {
    const END: i64 = 253_402_300_800_000;
    if (0..END).contains(&at.0) {
        return Ok(at);
    }
    Err(Error::invalid(
        field,
        "INVALID",
        format!("`{field}` must lie in the years 1970 to 9999"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_print() {
        let cases = [
            ("PT90S", 90_000, "PT1M30S"),
            ("-P7D", -604_800_000, "-PT168H"),
            ("P1W", 604_800_000, "PT168H"),
            ("PT0.25S", 250, "PT0.250S"),
            ("P1DT2H3M4.005S", 93_784_005, "PT26H3M4.005S"),
            ("PT0S", 0, "PT0S"),
            ("+PT1H", 3_600_000, "PT1H"),
            ("PT0.5H", 1_800_000, "PT30M"),
        ];
        for (text, ms, printed) in cases {
            assert_eq!(parse_duration(text), Some(ms), "{text}");
            assert_eq!(print_duration(ms), printed, "{text}");
        }
        for wrong in [
            "",
            "P",
            "PT",
            "P1",
            "P1Y",
            "P1M",
            "PT1D",
            "P1DT",
            "PT1S1M",
            "7D",
            "PT-1S",
            "PT.5S",
            "PT1.S",
            "P9999999999999999999D",
        ] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn decimals_read_and_print_exactly() {
        let cases = [
            ("0.0042", 4_200_000, "0.0042"),
            ("12", 12_000_000_000, "12"),
            ("-.5", -500_000_000, "-0.5"),
            ("1.000000001", 1_000_000_001, "1.000000001"),
        ];
        for (text, nano, printed) in cases {
            assert_eq!(parse_decimal(text), Some(nano), "{text}");
            assert_eq!(print_decimal(nano), printed, "{text}");
        }
        for wrong in [
            "",
            ".",
            "1e3",
            "1.0000000001",
            "99999999999",
            "0x1",
            "1,5",
            " 1",
        ] {
            assert_eq!(parse_decimal(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn moments_read_any_offset_and_print_utc() {
        let at = instant("2026-05-20T05:30:55.078+02:00").expect("it is RFC 3339");
        assert_eq!(print_instant(at), "2026-05-20T03:30:55.078Z");
        assert_eq!(instant("2026-05-20"), None);
        assert_eq!(
            storable(Millis(-1), "at").expect_err("before 1970").code(),
            "INVALID"
        );
    }
}
