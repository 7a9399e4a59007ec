//! How the demo writes: words, numbers, and paragraphs that fit the terminal. All of it pure.

use entity::Millis;

/// `IN_PROGRESS` as people read it: `In Progress`.
pub fn words(constant: &str) -> String {
    let capital = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        format!("{first}{}", rest.to_lowercase())
    };
    let words: Vec<String> = constant.split('_').map(capital).collect();
    words.join(" ")
}

/// `12345` as `12,345`.
pub fn thousands(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if number < 0 {
        text.push('-');
    }
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How many of what: `1 turn`, `2 turns`.
pub fn count(number: i64, noun: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{} {noun}{end}", thousands(number))
}

/// Nano-USD as dollars, rounded to a hundredth of a cent.
pub fn dollars(nano: i64) -> String {
    let units = (nano + 50_000).div_euclid(100_000);
    format!(
        "${}.{:04}",
        thousands(units.div_euclid(10_000)),
        units.rem_euclid(10_000)
    )
}

/// What is known of a cost, of which `open` calls have no price or no known usage: `$0.0045`, `$0.0045 +?`, or `?` where nothing is.
pub fn known_dollars(nano: i64, open: i64) -> String {
    match (nano, open) {
        (_, ..=0) => dollars(nano),
        (0, _) => "?".to_owned(),
        (nano, _) => format!("{} +?", dollars(nano)),
    }
}

/// Milliseconds as people say them: `352 ms`, `4.1 s`.
pub fn duration(ms: i64) -> String {
    if ms < 1_000 {
        return format!("{ms} ms");
    }
    let tenths = (ms + 50) / 100;
    format!("{}.{} s", tenths / 10, tenths % 10)
}

/// The time between two moments, see [`duration`].
pub fn between(from: Millis, to: Millis) -> String {
    duration(to.since(from))
}

/// How many columns a text takes. What the demo shows has one column per character.
pub fn columns(text: &str) -> usize {
    text.chars().count()
}

/// The lines of a text, none longer than `width`. Line breaks stay, items of a list hang, and a per cent
/// sign keeps its number.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    for paragraph in text.trim_end().lines() {
        // Not where it would leave no room.
        let hang = if paragraph.starts_with("- ") && width > 4 {
            "  "
        } else {
            ""
        };
        let glued = paragraph.replace(" %", "\u{a0}%");
        let mut line = String::new();
        for mut word in glued.split_ascii_whitespace() {
            loop {
                let used = columns(&line);
                let gap = usize::from(used > 0 && line != hang);
                if used + gap + columns(word) <= width {
                    line.extend(std::iter::repeat_n(' ', gap));
                    line.push_str(word);
                    break;
                }
                if gap == 0 {
                    // The word alone is too long for a line.
                    let room = width - used;
                    let cut = word.char_indices().nth(room).map_or(word.len(), |at| at.0);
                    line.push_str(&word[..cut]);
                    word = &word[cut..];
                }
                lines.push(std::mem::replace(&mut line, hang.to_owned()));
            }
        }
        lines.push(line);
    }
    lines
        .iter()
        .map(|line| line.replace('\u{a0}', " "))
        .collect()
}

/// The first `most` lines; where more are left out, the last one ends with an ellipsis.
pub fn clip(mut lines: Vec<String>, most: usize, width: usize) -> Vec<String> {
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            while columns(last) + 2 > width
                && let Some((rest, _)) = last.rsplit_once(' ')
            {
                *last = rest.to_owned();
            }
            last.push_str(" …");
        }
    }
    lines
}

/// JSON in a form that reads well on a line: `device: LT-2231, wifi: {signal_dbm: -51}`. Only an object's
/// outer braces, quotes that no reader misses, and white space change; what is neither object nor list
/// stays as it is.
pub fn compact(json: &str) -> String {
    let json = json.trim();
    let inner = match (json.as_bytes().first(), json.as_bytes().last()) {
        (Some(b'{'), Some(b'}')) if json.len() > 1 => &json[1..json.len() - 1],
        (Some(b'['), Some(b']')) => json,
        _ => return json.to_owned(),
    };
    let mut text = String::with_capacity(inner.len() + inner.len() / 8);
    let mut chars = inner.chars();
    while let Some(char) = chars.next() {
        match char {
            '"' => {
                let mut string = String::new();
                while let Some(char) = chars.next() {
                    match char {
                        '"' => break,
                        '\\' => string.extend(['\\', chars.next().unwrap_or_default()]),
                        other => string.push(other),
                    }
                }
                let plain = |c: char| !matches!(c, ',' | ':' | '{' | '}' | '[' | ']' | '\\');
                if !string.is_empty() && string.chars().all(plain) {
                    text.push_str(&string);
                } else {
                    text += &format!("\"{string}\"");
                }
            }
            ',' | ':' => text.extend([char, ' ']),
            space if space.is_whitespace() => {}
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(-1_234_567), "-1,234,567");
        assert_eq!(dollars(20_284_800), "$0.0203");
        assert_eq!(dollars(1_234_999_950_000), "$1,235.0000");
        assert_eq!(duration(999), "999 ms");
        assert_eq!(duration(4_149), "4.1 s");
        assert_eq!(words("HANDED_OFF"), "Handed Off");
        assert_eq!(count(1, "run"), "1 run");
    }

    #[test]
    fn no_line_is_longer_than_the_terminal() {
        let text = "A paragraph of several words.\n\n- An item of a list that hangs\nhttps://example.com/a/very/long/address";
        for width in 1..60 {
            let lines = wrap(text, width);
            assert!(
                lines.iter().all(|line| columns(line) <= width),
                "{width}: {lines:#?}"
            );
        }
        assert_eq!(
            wrap(text, 16),
            [
                "A paragraph of",
                "several words.",
                "",
                "- An item of a",
                "  list that",
                "  hangs",
                "https://example.",
                "com/a/very/long/",
                "address"
            ]
        );
        assert_eq!(clip(wrap("one two three", 5), 2, 5), ["one", "two …"]);
    }

    #[test]
    fn json_loses_nothing_but_its_noise() {
        let json = r#"{"device":"LT-2231","hops":[{"at":"LIS office edge","ms":3}],"route":"10.0.0.0/8 -> a:b","none":"","q":"a \"b\""}"#;
        assert_eq!(
            compact(json),
            r#"device: LT-2231, hops: [{at: LIS office edge, ms: 3}], route: "10.0.0.0/8 -> a:b", none: "", q: "a \"b\"""#
        );
        assert_eq!(compact("The note is posted."), "The note is posted.");
        assert_eq!(
            compact(r#"[{"at":"02:10","by":"me"},2]"#),
            r#"[{at: "02:10", by: me}, 2]"#
        );
        assert_eq!(compact(r#"{"cut"#), r#"{"cut"#);
    }
}
