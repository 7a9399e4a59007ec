//! Chance that can be had again: `STINT_TEST_SEED` takes the seed that a failed test printed.

/// xorshift64; what it holds before the first number is drawn is the seed, to be printed.
pub struct Chance(pub u64);

impl Chance {
    /// Another one in each process, unless the seed is given.
    pub fn new() -> Self {
        let usual = u64::from(std::process::id()) << 20 | 1;
        Self(setting("STINT_TEST_SEED", usual))
    }

    /// A number from 0 on, below this limit.
    pub fn below(&mut self, limit: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 1) as i64 % limit
    }
}

/// A number that the caller of the tests may set.
pub fn setting(name: &str, usual: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(usual, |text| text.parse().expect("a number"))
}
