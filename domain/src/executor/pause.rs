//! How long a run waits before it asks its model again.

use std::time::Duration;

/// How long to wait before a retry: twice as long after each failure, as long as the provider asked at least, and up to
/// as much again by chance. Runs that failed together shall not come back together.
pub(super) fn pause(failures: i32, asked: Duration, chance: u8) -> Duration {
    let own = Duration::from_millis(100 << failures.clamp(0, 6));
    asked.max(own) + own * u32::from(chance) / 256
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_waits_longer_each_time_and_never_as_long_as_the_others() {
        let ms = Duration::from_millis;
        for (failures, own) in [(1, 200), (2, 400), (3, 800), (6, 6_400), (1_000, 6_400)] {
            let pauses: Vec<Duration> = (0..=u8::MAX)
                .map(|chance| pause(failures, Duration::ZERO, chance))
                .collect();
            assert!(pauses.windows(2).all(|two| two[0] < two[1]), "{failures}");
            assert!(
                pauses
                    .iter()
                    .all(|pause| (ms(own)..ms(2 * own)).contains(pause))
            );
        }
        // Never before the provider asked it to.
        assert_eq!(pause(1, ms(700), 0), ms(700));
        assert!((ms(700)..ms(900)).contains(&pause(1, ms(700), 255)));
    }
}
