//! Noise that can be repeated: equal seeds give equal numbers, on every machine and in every version.
//!
//! A plan of arrivals and the choices of a virtual user come from the seed that the run prints, so this is our own small
//! generator: a library is free to change its algorithm, which would change every plan.

/// A sequence of numbers that look random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The sequence of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// One of many sequences of a seed, independent of the others: a virtual user's own, by its number.
    #[must_use]
    pub const fn stream(seed: u64, number: u64) -> Self {
        Self { state: mix(seed ^ mix(number)) }
    }

    /// The next 64 bits.
    #[must_use]
    pub const fn next(&mut self) -> u64 {
        let value = mix(self.state);
        self.state = self.state.wrapping_add(STEP);
        value
    }

    /// A number from 0 to `bound` − 1; 0 when there is no such number.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.next()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or_default()
    }

    /// An index into something of that length; 0 when it is empty.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or_default()
    }

    /// A number from 0 up to and without 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// The SplitMix64 generator's step and finalizer (Steele, Lea and Flood, OOPSLA 2014): turns a counter into noise.
#[must_use]
pub const fn mix(mut value: u64) -> u64 {
    value = value.wrapping_add(STEP);
    value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_numbers() {
        let numbers = |mut random: Random| [random.next(), random.next()];
        assert_eq!(numbers(Random::new(7)), numbers(Random::new(7)));
        assert_ne!(numbers(Random::stream(7, 0)), numbers(Random::stream(7, 1)));
        // The published first output for seed 0.
        assert_eq!(Random::new(0).next(), 0xE220_A839_7B1D_CDAF);
    }

    #[test]
    fn every_number_below_a_bound_comes_up() {
        let mut random = Random::new(1);
        let mut seen = [0; 6];
        for _ in 0..6000 {
            seen[random.index(6)] += 1;
        }
        assert!(seen.iter().all(|count| (850..1150).contains(count)), "{seen:?}");
        assert_eq!(random.below(0), 0);
        assert!((0..1000).all(|_| (0.0..1.0).contains(&random.unit())));
    }
}
