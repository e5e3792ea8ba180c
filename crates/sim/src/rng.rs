//! A small seeded generator, so that one seed always builds the same farm.

/// The splitmix64 generator: one 64-bit state, full period, no dependency.
#[derive(Debug, Clone)]
pub struct SplitMix(u64);

impl SplitMix {
    /// Starts from a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Starts from a seed and a stream number, so that two uses of one seed do not correlate.
    #[must_use]
    pub fn stream(seed: u64, stream: u64) -> Self {
        let mut first = Self(seed ^ stream.wrapping_mul(0xD1B5_4A32_D192_ED03));
        Self(first.draw())
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `0..n`; 0 when `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        let wide = u128::from(self.draw()) * u128::from(n);
        u64::try_from(wide >> 64).expect("the high half of a 128-bit product has 64 bits")
    }

    /// A number in `-half..=half`, with more weight in the middle: the mean of two even draws.
    pub fn around(&mut self, half: u32) -> i32 {
        let span = u64::from(half) * 2 + 1;
        let sum = self.below(span) + self.below(span);
        let mean = i64::try_from(sum / 2).expect("half a sum of two 33-bit numbers fits");
        i32::try_from(mean - i64::from(half)).expect("the distance from the middle fits 32 bits")
    }

    /// Puts the items into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = usize::try_from(self.below(i as u64 + 1)).expect("an index fits");
            items.swap(i, j);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_splitmix64() {
        // First outputs for seed 1234567, as its reference implementation prints them.
        let mut r = SplitMix::new(1_234_567);
        assert_eq!(r.draw(), 6_457_827_717_110_365_317);
        assert_eq!(r.draw(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn draws_stay_in_their_range_and_reach_both_ends() {
        let mut r = SplitMix::new(7);
        let draws: Vec<i32> = (0..20_000).map(|_| r.around(3)).collect();
        assert_eq!((draws.iter().min(), draws.iter().max()), (Some(&-3), Some(&3)));
        let mut order: Vec<u32> = (0..50).collect();
        r.shuffle(&mut order);
        assert_ne!(order, (0..50).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..50).collect::<Vec<_>>());
    }
}
