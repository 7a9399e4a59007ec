//! Which buckets of the rollups make up a span: weeks, then days, then hours, then quarter-hours, and what is within them
//! from the rows themselves.

use entity::{Millis, RollupGrain, rollup_state};

use super::zone::{HOUR, Interval, QUARTER, Zone};

/// A part of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The buckets that it is made of; none: it is no whole number of buckets, so the rows themselves.
    pub grain: Option<RollupGrain>,
    /// Its first moment.
    pub start: Millis,
    /// The moment after its last.
    pub end: Millis,
}

/// Whether a cube keeps weeks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weeks {
    /// It does.
    Kept,
    /// It does not: they are made of days.
    NotKept,
}

/// How far rollups are, as far as it matters to what a span is made of.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    /// The zone that days are kept in.
    pub zone: Zone,
    /// From this moment on they are complete.
    pub days_from: Millis,
    /// Up to this moment there are hours, from it on quarter-hours.
    pub hours_until: Millis,
}

impl Reach {
    /// As the row says it; [`Zone::UTC`] for a zone that this release does not know. Its days are not used, nor are days that
    /// were made by other rules of time zones: such a day may begin at another moment.
    pub fn of(state: &rollup_state::Model) -> Self {
        let zone = Zone::parse(&state.zone, "zone").ok();
        let usable = zone.is_some() && state.zone_release == Zone::RELEASE;
        Self {
            days_from: if usable {
                state.days_from
            } else {
                Millis(i64::MAX)
            },
            zone: zone.unwrap_or(Zone::UTC),
            hours_until: state.hours_until,
        }
    }

    /// The pieces of a span, in their order; none is empty.
    pub fn cover(&self, start: Millis, end: Millis, weeks: Weeks) -> Vec<Piece> {
        let mut pieces = Vec::new();
        // No calendar may have the moment from which there are days, where there are none.
        let days = start.max(self.days_from) < end;
        let first = match days {
            true => self.ceil(Interval::Day, start.max(self.days_from)),
            false => end,
        };
        let last = match first < end {
            true => self.zone.day(end),
            false => first,
        };
        if first < last {
            self.within(start, first, &mut pieces);
            self.days(first, last, weeks, &mut pieces);
            self.within(last, end, &mut pieces);
        } else {
            self.within(start, end, &mut pieces);
        }
        pieces
    }

    /// Where a span may end that ends at a moment after which nothing is: with a week, so that its last days are whole buckets.
    pub fn to_whole_days(&self, end: Millis) -> Millis {
        match self.days_from <= self.zone.day(end) {
            true => self.ceil(Interval::Week, end),
            false => end,
        }
    }

    /// The pieces of a span without days.
    pub fn without_days(&self, start: Millis, end: Millis) -> Vec<Piece> {
        let mut pieces = Vec::new();
        self.within(start, end, &mut pieces);
        pieces
    }

    fn days(&self, start: Millis, end: Millis, weeks: Weeks, pieces: &mut Vec<Piece>) {
        let first = self.ceil(Interval::Week, start);
        let last = match first < end {
            true => Interval::Week.start(self.zone, end),
            false => first,
        };
        if weeks == Weeks::Kept && first < last {
            push(pieces, Some(RollupGrain::Day), start, first);
            push(pieces, Some(RollupGrain::Week), first, last);
            push(pieces, Some(RollupGrain::Day), last, end);
        } else {
            push(pieces, Some(RollupGrain::Day), start, end);
        }
    }

    fn within(&self, start: Millis, end: Millis, pieces: &mut Vec<Piece>) {
        let border = self.hours_until.clamp(start, end.max(start));
        for (from, to, grain, length) in [
            (start, border, RollupGrain::Hour, HOUR),
            (border, end, RollupGrain::Quarter, QUARTER),
        ] {
            let (first, last) = (ceil(from, length), floor(to, length));
            if first < last {
                push(pieces, None, from, first);
                push(pieces, Some(grain), first, last);
                push(pieces, None, last, to);
            } else {
                push(pieces, None, from, to);
            }
        }
    }

    fn ceil(&self, interval: Interval, at: Millis) -> Millis {
        if interval.start(self.zone, at) == at {
            at
        } else {
            interval.next(self.zone, at)
        }
    }
}

fn push(pieces: &mut Vec<Piece>, grain: Option<RollupGrain>, start: Millis, end: Millis) {
    if start < end {
        pieces.push(Piece { grain, start, end });
    }
}

/// The multiple of `length` at or before a moment.
pub fn floor(at: Millis, length: i64) -> Millis {
    Millis(at.0.div_euclid(length) * length)
}

fn ceil(at: Millis, length: i64) -> Millis {
    let floor = floor(at, length);
    if floor == at { at } else { floor.plus(length) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: i64 = 24 * HOUR;

    fn reach(zone: &str, days_from: i64, hours_until: i64) -> Reach {
        Reach {
            zone: Zone::parse(zone, "zone").expect(zone),
            days_from: Millis(days_from),
            hours_until: Millis(hours_until),
        }
    }

    fn piece(grain: Option<RollupGrain>, start: i64, end: i64) -> Piece {
        Piece {
            grain,
            start: Millis(start),
            end: Millis(end),
        }
    }

    #[test]
    fn whole_days_are_one_piece_and_the_rest_is_finer() {
        let reach = reach("UTC", i64::MIN, 0);
        assert_eq!(
            reach.cover(Millis(DAY), Millis(8 * DAY), Weeks::NotKept),
            [piece(Some(RollupGrain::Day), DAY, 8 * DAY)]
        );
        // 1970 began on a Thursday.
        assert_eq!(
            reach.cover(Millis(DAY), Millis(20 * DAY), Weeks::Kept),
            [
                piece(Some(RollupGrain::Day), DAY, 4 * DAY),
                piece(Some(RollupGrain::Week), 4 * DAY, 18 * DAY),
                piece(Some(RollupGrain::Day), 18 * DAY, 20 * DAY),
            ]
        );
        assert_eq!(
            reach.cover(Millis(DAY - QUARTER - 5), Millis(2 * DAY + 7), Weeks::Kept),
            [
                piece(None, DAY - QUARTER - 5, DAY - QUARTER),
                piece(Some(RollupGrain::Quarter), DAY - QUARTER, DAY),
                piece(Some(RollupGrain::Day), DAY, 2 * DAY),
                piece(None, 2 * DAY, 2 * DAY + 7),
            ]
        );
    }

    #[test]
    fn an_old_day_of_another_zone_is_hours_and_half_hours() {
        let reach = reach("UTC", i64::MIN, 100 * DAY);
        let start = DAY - HOUR * 11 / 2;
        assert_eq!(
            reach.cover(Millis(start), Millis(start + HOUR), Weeks::Kept),
            [piece(None, start, start + HOUR)]
        );
        assert_eq!(
            reach.cover(Millis(start), Millis(start + 2 * HOUR), Weeks::Kept)[1],
            piece(
                Some(RollupGrain::Hour),
                start + HOUR / 2,
                start + HOUR * 3 / 2
            )
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn pieces_follow_each_other_and_hold_whole_buckets(
            zone in prop::sample::select(vec!["UTC", "Asia/Kathmandu", "Asia/Kolkata", "Europe/Berlin", "America/Santiago", "Australia/Lord_Howe"]),
            start in 1_700_000_000_000_i64..1_800_000_000_000, length in 0_i64..40 * DAY,
            days in 1_690_000_000_000_i64..1_810_000_000_000, hours in 470_000_i64..500_000,
            weeks in prop::sample::select(vec![Weeks::Kept, Weeks::NotKept]),
        ) {
            let mut reach = reach(zone, 0, hours * HOUR);
            reach.days_from = reach.zone.day(Millis(days));
            let pieces = reach.cover(Millis(start), Millis(start + length), weeks);
            let mut at = Millis(start);
            for piece in pieces {
                prop_assert_eq!(piece.start, at);
                prop_assert!(piece.start < piece.end);
                let whole = |length| floor(piece.start, length) == piece.start && floor(piece.end, length) == piece.end;
                match piece.grain {
                    Some(RollupGrain::Day) => {
                        prop_assert!(piece.start >= reach.days_from);
                        prop_assert_eq!((reach.zone.day(piece.start), reach.zone.day(piece.end)), (piece.start, piece.end));
                    }
                    Some(RollupGrain::Week) => {
                        prop_assert!(piece.start >= reach.days_from && weeks == Weeks::Kept);
                        let start = |at| Interval::Week.start(reach.zone, at);
                        prop_assert_eq!((start(piece.start), start(piece.end)), (piece.start, piece.end));
                    }
                    Some(RollupGrain::Hour) => prop_assert!(whole(HOUR) && piece.end <= reach.hours_until),
                    Some(RollupGrain::Quarter) => prop_assert!(whole(QUARTER) && piece.start >= reach.hours_until),
                    None => prop_assert!(piece.end.since(piece.start) < 3 * HOUR),
                }
                at = piece.end;
            }
            prop_assert_eq!(at, Millis(start + length));
        }
    }
}
