//! Amounts of money as text: decimals with nine digits after the point, kept as whole nano-units.

/// Reads a decimal such as `0.0042` as nano-units; none if it is none, has more than nine digits after the
/// point, or does not fit.
pub fn parse_decimal(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let numeric = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() && fraction.is_empty()
        || !numeric(whole)
        || !numeric(fraction)
        || fraction.len() > 9
    {
        return None;
    }
    let whole = if whole.is_empty() {
        0
    } else {
        whole.parse::<i64>().ok()?
    };
    let fraction = format!("{fraction:0<9}").parse::<i64>().ok()?;
    let nano = whole.checked_mul(1_000_000_000)?.checked_add(fraction)?;
    Some(if negative { -nano } else { nano })
}

/// A number of nano-units, without needless zeros.
pub fn print_decimal(nano: i64) -> String {
    let total = nano.unsigned_abs();
    let sign = if nano < 0 { "-" } else { "" };
    let (whole, fraction) = (total / 1_000_000_000, total % 1_000_000_000);
    if fraction == 0 {
        return format!("{sign}{whole}");
    }
    let fraction = format!("{fraction:09}");
    format!("{sign}{whole}.{}", fraction.trim_end_matches('0'))
}

/// A number as JSON writes it (`2.5e-06`, `3`), times ten to the power of `shift`, rounded half up to a whole
/// one; none if it is negative, no number, or does not fit.
pub fn scaled(text: &str, shift: i32) -> Option<i64> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if whole.is_empty() || digits.len() > 30 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: i128 = digits.parse().ok()?;
    let power = exponent
        .checked_add(shift)?
        .checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let ten = 10_i128.checked_pow(power.unsigned_abs());
    let exact = match (power >= 0, ten) {
        _ if value == 0 => 0,
        (true, ten) => value.checked_mul(ten?)?,
        (false, Some(ten)) => (value + ten / 2) / ten,
        (false, None) => 0,
    };
    i64::try_from(exact).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_moved_by_powers_of_ten_without_a_detour_through_floats() {
        // USD per token, as nano-USD per million tokens.
        assert_eq!(scaled("2.5e-06", 15), Some(2_500_000_000));
        assert_eq!(scaled("2.8e-9", 15), Some(2_800_000));
        assert_eq!(scaled("0.0000001", 15), Some(100_000_000));
        // USD per million tokens.
        assert_eq!(scaled("3", 9), Some(3_000_000_000));
        assert_eq!(scaled("0.003625", 9), Some(3_625_000));
        assert_eq!(scaled("0.00000000049", 9), Some(0));
        assert_eq!(scaled("0.0000000005", 9), Some(1));
        assert_eq!(scaled("0e400", 9), Some(0));
        for wrong in ["-1", "", "1e", "1e99", "abc", "1e999999999999", ".5"] {
            assert_eq!(scaled(wrong, 9), None, "{wrong}");
        }
    }
}
