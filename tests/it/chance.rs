//! Chance that can be had again: `STINT_TEST_SEED` takes the seed that a failed test printed.

/// xorshift64; what it holds before the first number is drawn is the seed, to be printed.
pub struct Chance(pub u64);

impl Chance {
    /// Another one in each process, unless the seed is given.
    pub fn new() -> Self {
        let seed = std::env::var("STINT_TEST_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| u64::from(std::process::id()) << 20 | 1);
        Self(seed)
    }

    /// A number from 0 on, below this limit.
    pub fn below(&mut self, limit: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 1) as i64 % limit
    }
}
