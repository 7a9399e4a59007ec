use super::*;

fn at(text: &str) -> Millis {
    Millis(
        DateTime::parse_from_rfc3339(text)
            .expect(text)
            .timestamp_millis(),
    )
}

fn shown(at: Millis) -> String {
    utc(at).to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

fn parts(zone: &str, interval: Interval, start: &str, end: &str) -> Vec<String> {
    let zone = Zone::parse(zone, "timeZone").expect(zone);
    let parts = interval
        .parts(zone, at(start), at(end), 1_000)
        .expect("few enough");
    let ends: Vec<_> = parts.iter().map(|part| part.1).collect();
    assert!(
        parts
            .iter()
            .skip(1)
            .map(|part| part.0)
            .eq(ends.iter().copied().take(parts.len() - 1)),
        "no gap, no overlap"
    );
    parts
        .iter()
        .map(|part| shown(part.0))
        .chain(ends.last().map(|end| shown(*end)))
        .collect()
}

#[test]
fn a_day_has_23_or_25_hours_where_clocks_are_changed() {
    assert_eq!(
        parts(
            "Europe/Berlin",
            Interval::Day,
            "2026-03-28T23:00:00Z",
            "2026-03-30T22:00:00Z"
        ),
        [
            "2026-03-28T23:00:00Z",
            "2026-03-29T22:00:00Z",
            "2026-03-30T22:00:00Z"
        ]
    );
    assert_eq!(
        parts(
            "Europe/Berlin",
            Interval::Day,
            "2026-10-24T22:00:00Z",
            "2026-10-26T23:00:00Z"
        ),
        [
            "2026-10-24T22:00:00Z",
            "2026-10-25T23:00:00Z",
            "2026-10-26T23:00:00Z"
        ]
    );
}

#[test]
fn days_of_india_and_nepal_begin_within_an_hour() {
    assert_eq!(
        parts(
            "Asia/Kolkata",
            Interval::Day,
            "2026-05-01T18:30:00Z",
            "2026-05-03T00:00:00Z"
        ),
        [
            "2026-05-01T18:30:00Z",
            "2026-05-02T18:30:00Z",
            "2026-05-03T00:00:00Z"
        ]
    );
    assert_eq!(
        parts(
            "Asia/Kathmandu",
            Interval::Day,
            "2026-05-01T12:00:00Z",
            "2026-05-02T19:00:00Z"
        ),
        [
            "2026-05-01T12:00:00Z",
            "2026-05-01T18:15:00Z",
            "2026-05-02T18:15:00Z",
            "2026-05-02T19:00:00Z"
        ]
    );
}

#[test]
fn where_clocks_skip_midnight_the_day_begins_when_they_do() {
    // Chile, 6 September 2026: 00:00 is followed by 01:00, which is 04:00 UTC.
    assert_eq!(
        parts(
            "America/Santiago",
            Interval::Day,
            "2026-09-05T04:00:00Z",
            "2026-09-07T03:00:00Z"
        ),
        [
            "2026-09-05T04:00:00Z",
            "2026-09-06T04:00:00Z",
            "2026-09-07T03:00:00Z"
        ]
    );
    // Samoa had no 30 December 2011.
    assert_eq!(
        parts(
            "Pacific/Apia",
            Interval::Day,
            "2011-12-29T10:00:00Z",
            "2011-12-31T10:00:00Z"
        ),
        [
            "2011-12-29T10:00:00Z",
            "2011-12-30T10:00:00Z",
            "2011-12-31T10:00:00Z"
        ]
    );
}

#[test]
fn where_midnight_comes_twice_the_day_begins_with_the_first() {
    // Cuba, 1 November 2026: 01:00 is followed by 00:00.
    assert_eq!(
        parts(
            "America/Havana",
            Interval::Day,
            "2026-10-31T04:00:00Z",
            "2026-11-02T05:00:00Z"
        ),
        [
            "2026-10-31T04:00:00Z",
            "2026-11-01T04:00:00Z",
            "2026-11-02T05:00:00Z"
        ]
    );
}

#[test]
fn weeks_begin_on_monday_and_go_over_the_end_of_the_year() {
    // 2026 has 53 ISO weeks: the last begins on Monday, 28 December.
    assert_eq!(
        parts(
            "UTC",
            Interval::Week,
            "2026-12-20T00:00:00Z",
            "2027-01-11T00:00:00Z"
        ),
        [
            "2026-12-20T00:00:00Z",
            "2026-12-21T00:00:00Z",
            "2026-12-28T00:00:00Z",
            "2027-01-04T00:00:00Z",
            "2027-01-11T00:00:00Z"
        ]
    );
}

#[test]
fn months_have_their_own_length() {
    assert_eq!(
        parts(
            "America/New_York",
            Interval::Month,
            "2028-02-01T05:00:00Z",
            "2028-04-15T00:00:00Z"
        ),
        [
            "2028-02-01T05:00:00Z",
            "2028-03-01T05:00:00Z",
            "2028-04-01T04:00:00Z",
            "2028-04-15T00:00:00Z"
        ]
    );
}

#[test]
fn hours_follow_the_clocks_that_people_see() {
    // Lord Howe Island puts its clocks back by half an hour at 02:00 (+11): 01:30 comes again, at 15:00 UTC.
    assert_eq!(
        parts(
            "Australia/Lord_Howe",
            Interval::Hour,
            "2026-04-04T14:00:00Z",
            "2026-04-04T16:30:00Z"
        ),
        [
            "2026-04-04T14:00:00Z",
            "2026-04-04T15:00:00Z",
            "2026-04-04T15:30:00Z",
            "2026-04-04T16:30:00Z"
        ]
    );
    // And forth at 02:00 (+10:30), which is 15:30 UTC: 02:30 is next, and that hour has half of its minutes.
    assert_eq!(
        parts(
            "Australia/Lord_Howe",
            Interval::Hour,
            "2026-10-03T13:30:00Z",
            "2026-10-03T17:00:00Z"
        ),
        [
            "2026-10-03T13:30:00Z",
            "2026-10-03T14:30:00Z",
            "2026-10-03T15:30:00Z",
            "2026-10-03T16:00:00Z",
            "2026-10-03T17:00:00Z"
        ]
    );
}

#[test]
fn an_hour_that_comes_twice_is_two_and_one_that_is_skipped_is_none() {
    // 02:00 is followed by 03:00, at 01:00 UTC.
    assert_eq!(
        parts(
            "Europe/Berlin",
            Interval::Hour,
            "2026-03-29T00:15:00Z",
            "2026-03-29T03:00:00Z"
        ),
        [
            "2026-03-29T00:15:00Z",
            "2026-03-29T01:00:00Z",
            "2026-03-29T02:00:00Z",
            "2026-03-29T03:00:00Z"
        ]
    );
    // 03:00 is 02:00 again, at 01:00 UTC.
    assert_eq!(
        parts(
            "Europe/Berlin",
            Interval::Hour,
            "2026-10-24T23:30:00Z",
            "2026-10-25T03:00:00Z"
        ),
        [
            "2026-10-24T23:30:00Z",
            "2026-10-25T00:00:00Z",
            "2026-10-25T01:00:00Z",
            "2026-10-25T02:00:00Z",
            "2026-10-25T03:00:00Z"
        ]
    );
}

#[test]
fn hours_of_india_begin_at_half_past() {
    assert_eq!(
        parts(
            "Asia/Kolkata",
            Interval::Hour,
            "2026-05-01T18:00:00Z",
            "2026-05-01T20:45:00Z"
        ),
        [
            "2026-05-01T18:00:00Z",
            "2026-05-01T18:30:00Z",
            "2026-05-01T19:30:00Z",
            "2026-05-01T20:30:00Z",
            "2026-05-01T20:45:00Z"
        ]
    );
}

#[test]
fn each_hour_begins_where_its_start_says_also_where_clocks_are_changed() {
    for (zone, days) in [
        ("UTC", ["2026-03-28", "2026-10-24"]),
        ("Asia/Kathmandu", ["2026-03-28", "2026-10-24"]),
        ("Europe/Berlin", ["2026-03-28", "2026-10-24"]),
        ("America/New_York", ["2026-03-07", "2026-10-31"]),
        ("Australia/Lord_Howe", ["2026-04-03", "2026-10-02"]),
    ] {
        let zone = Zone::parse(zone, "timeZone").expect(zone);
        for day in days {
            let start = at(&format!("{day}T00:00:00Z"));
            let parts = Interval::Hour
                .parts(zone, start, start.plus(60 * HOUR), 100)
                .expect("few enough");
            for (start, end) in &parts[1..parts.len() - 1] {
                for moment in [*start, start.plus(600_000), end.plus(-1)] {
                    let found = Interval::Hour.start(zone, moment);
                    assert_eq!(shown(found), shown(*start), "{} {moment:?}", zone.name());
                }
            }
        }
    }
}

#[test]
fn each_interval_begins_where_its_start_says() {
    for zone in [
        "UTC",
        "Asia/Kathmandu",
        "America/Santiago",
        "Europe/London",
        "Pacific/Chatham",
    ] {
        let zone = Zone::parse(zone, "timeZone").expect(zone);
        for interval in [Interval::Day, Interval::Week, Interval::Month] {
            let parts = interval
                .parts(
                    zone,
                    at("2026-01-01T00:00:00Z"),
                    at("2027-01-01T00:00:00Z"),
                    400,
                )
                .expect("few enough");
            for (start, end) in parts.iter().skip(1) {
                assert_eq!(
                    interval.start(zone, *start),
                    *start,
                    "{} {interval:?}",
                    zone.name()
                );
                assert_eq!(
                    interval.start(zone, end.plus(-1)),
                    *start,
                    "{} {interval:?}",
                    zone.name()
                );
            }
        }
    }
}

#[test]
fn a_zone_that_is_none_is_refused_and_so_are_too_many_parts() {
    let err = Zone::parse("Mars/Olympus", "timeZone").expect_err("no such zone");
    assert!(err.to_string().contains("Mars/Olympus"), "{err}");
    let err = Interval::Hour
        .parts(Zone::UTC, Millis(0), Millis(HOUR * 11), 10)
        .expect_err("too many");
    assert!(err.to_string().contains("more than 10"), "{err}");
}
