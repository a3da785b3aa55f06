//! Random numbers that can be repeated: every test that uses them prints its seed. The torture program has them too.

/// The environment variable that gives the seed.
const VARIABLE: &str = "DURABLE_TEST_SEED";

/// Random numbers, the same for the same seed.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

#[allow(dead_code, reason = "the suite and the torture program each use a part")]
impl Random {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// With a random seed, or with the one in the environment. It is printed, and shown when the test fails.
    pub(crate) fn new(what: &str) -> Self {
        let given = std::env::var(VARIABLE).ok().map(|it| it.parse().expect("the seed is a number"));
        let seed = given.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
        println!("{what}: {VARIABLE}={seed}");
        Self::seeded(seed)
    }

    /// The next number, evenly distributed (this is SplitMix64).
    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below this one.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    /// An index of a list of this length.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("it is below a length")
    }

    /// One of these.
    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.index(from.len())]
    }

    /// A time of at least `from` and less than `to` milliseconds.
    pub(crate) fn millis(&mut self, from: u64, to: u64) -> std::time::Duration {
        std::time::Duration::from_millis(from + self.below(to - from))
    }

    /// `true` with this probability, in percent.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}
