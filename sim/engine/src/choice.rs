//! Keyed choices: every decision of the world is a pure function of the seed and of *what* is
//! decided, never of how many decisions came before.
//!
//! A choice has a domain (what kind of decision), an entity (whose), and a count (the how-manieth
//! of its kind). The key comes from the seed by ChaCha; each draw is then two rounds of a
//! multiply-xorshift mixer (the finalizer constants are Pelle Evensen's `moremur`, 2019). So a
//! fault that is taken out, or a draw that is added, leaves every other choice as it was.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The version of the mixer. A change makes every old seed mean another run.
pub const VERSION: u32 = 1;

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
const DOMAIN: u64 = 0xD6E8_FEB8_6659_FD93;

/// The kinds of decisions. The numbers are part of what a seed means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Domain {
    /// Whether a message is lost.
    Loss = 1,
    /// Whether it is delivered twice.
    Duplication = 2,
    /// How long it takes.
    Latency = 3,
    /// How long its copy takes.
    CopyLatency = 4,
    /// Whether it is held back behind later ones, and how long.
    Reordering = 5,
    /// Whether and where it is damaged.
    Corruption = 6,
    /// The order of tasks that are ready at one instant.
    TaskOrder = 7,
    /// The order of events at one instant.
    EventOrder = 8,
    /// What a crash kept of a file.
    CrashData = 9,
    /// What a crash kept of a directory.
    CrashEntry = 10,
    /// How long a disk operation takes.
    DiskLatency = 11,
    /// Whether a disk operation fails.
    DiskError = 12,
    /// Whether a place in the code is active in this run.
    BuggifySite = 13,
    /// Whether an active place fires this time.
    BuggifyPass = 14,
    /// The value of a knob.
    Knob = 15,
    /// An argument of a client's operation.
    Operation = 16,
    /// A node's own randomness.
    User = 17,
    /// How long a node that stopped by itself stays down.
    Restart = 18,
    /// How long blocking work takes.
    Blocking = 19,
    /// How a node's clocks are off.
    Clock = 20,
    /// Whether a link is slow, and by how much.
    Link = 21,
    /// How much longer something takes on a slow node.
    SlowNode = 22,
    /// Whether a timer is late, and by how much.
    LateTimer = 23,
    /// Where a fault strikes: which file, which sector, which bits.
    Place = 24,
    /// Whether a read gives less, and how much.
    ShortIo = 25,
    /// How many bytes of a stream travel together.
    Segment = 40,
    /// Whether a segment breaks its connection.
    StreamReset = 41,
    /// Whether a connection hears nothing any more.
    HalfOpen = 42,
    /// Whether a read or write of a stream does less than it could.
    StreamShortIo = 43,
    /// How large a connection's windows and buffers are.
    Window = 44,
    /// For how long the ends of a connection wait for each other.
    Patience = 45,
    /// Whether an attempt to connect is refused.
    ConnectRefused = 46,
    /// Whether it hangs.
    ConnectHang = 47,
    /// Whether the connection breaks as soon as it stands.
    ConnectReset = 48,
    /// What a reset takes.
    ResetTakes = 49,
}

impl Domain {
    /// Whether it is about how long something takes, or what goes first.
    #[inline]
    fn is_timing(self) -> bool {
        matches!(
            self,
            Domain::Latency
                | Domain::CopyLatency
                | Domain::TaskOrder
                | Domain::EventOrder
                | Domain::DiskLatency
                | Domain::Blocking
        )
    }
}

/// Mixes 64 bits so that every input bit reaches every output bit.
#[inline]
pub fn mix(mut x: u64) -> u64 {
    x ^= x >> 27;
    x = x.wrapping_mul(0x3C79_AC49_2BA7_B653);
    x ^= x >> 33;
    x = x.wrapping_mul(0x1C69_B3F7_4AC4_AE35);
    x ^ (x >> 27)
}

/// Whose decision it is: a name that does not depend on the order in which things were made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Default)]
pub struct Entity(pub u64);

impl Entity {
    /// The entity that is called `part` within this one.
    #[inline]
    #[must_use]
    pub fn with(self, part: u64) -> Entity {
        Entity(mix(self.0.rotate_left(23) ^ part.wrapping_add(GOLDEN)))
    }

    /// The entity with this name within this one.
    #[must_use]
    pub fn named(self, name: &str) -> Entity {
        self.with(hash_text(name))
    }
}

/// The hash of a name (FNV-1a, 64 bits, mixed).
pub fn hash_text(text: &str) -> u64 {
    let fnv = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    mix(text.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, fnv))
}

/// The key of one run's choices.
#[derive(Clone, Copy, Debug)]
pub struct Choices {
    root: u64,
    /// What it was when the run began.
    first: u64,
    key: u64,
    salt: u64,
}

impl Choices {
    /// The choices of a seed. `salt` gives the same seed other choices of how long things take and
    /// in which order they happen, and of nothing else; zero is none.
    pub fn new(seed: u64, salt: u64) -> Choices {
        let mut chacha = ChaCha12Rng::seed_from_u64(seed);
        let (root, key) = (chacha.next_u64(), chacha.next_u64());
        Choices { root, first: key, key, salt: if salt == 0 { 0 } else { mix(salt) } }
    }

    /// From here on all choices are others, but those that hold for a whole run.
    pub(crate) fn reroll(&mut self, salt: u64) {
        self.key = mix(self.key ^ mix(salt));
    }

    /// As [`Choices::draw`], for what holds for a whole run, whenever it is asked for.
    #[inline]
    pub(crate) fn draw_lasting(&self, domain: Domain, entity: Entity, n: u64) -> u64 {
        Choices { key: self.first, ..*self }.draw(domain, entity, n)
    }

    /// The entity that all others are within.
    pub fn root(&self) -> Entity {
        Entity(self.root)
    }

    /// The `n`th decision of a kind about an entity: 64 random bits.
    #[inline]
    pub fn draw(&self, domain: Domain, entity: Entity, n: u64) -> u64 {
        self.occasion(entity, n).draw(domain)
    }

    /// The `n`th occasion of an entity, for several decisions of different kinds about it.
    #[inline]
    pub fn occasion(&self, entity: Entity, n: u64) -> Occasion {
        let key = mix(entity.0 ^ n.wrapping_mul(GOLDEN)).wrapping_add(self.key);
        Occasion { key, salt: self.salt }
    }
}

/// One occasion on which decisions are made, each of its own kind.
#[derive(Clone, Copy, Debug)]
pub struct Occasion {
    key: u64,
    salt: u64,
}

impl Occasion {
    /// The decision of a kind: 64 random bits.
    #[inline]
    pub fn draw(self, domain: Domain) -> u64 {
        let salt = if domain.is_timing() { self.salt } else { 0 };
        mix(self.key ^ salt ^ (domain as u64).wrapping_mul(DOMAIN))
    }
}

/// Maps 64 random bits to `0..bound` (zero if `bound` is zero).
#[inline]
pub fn below(bits: u64, bound: u64) -> u64 {
    ((u128::from(bits) * u128::from(bound)) >> 64) as u64
}

/// Maps 64 random bits to `low..=high`.
#[inline]
pub fn between(bits: u64, low: u64, high: u64) -> u64 {
    low + below(bits, (high.max(low) - low).saturating_add(1))
}

/// Whether an event of this probability (in parts per million) happens.
#[inline]
pub fn chance(bits: u64, ppm: u32) -> bool {
    below(bits, 1_000_000) < u64::from(ppm)
}

/// Maps 64 random bits to `low..=high` such that every doubling is about equally likely. The
/// logarithm is linear within a doubling: no floating point, so every platform agrees.
pub fn log_uniform(bits: u64, low: u64, high: u64) -> u64 {
    let (low, high) = (low.max(1), high.max(low).max(1));
    let log = |x: u64| {
        let whole = 63 - u64::from(x.leading_zeros());
        let part = (u128::from(x) << 32 >> whole) as u64 - (1 << 32);
        whole << 32 | part
    };
    let at = between(bits, log(low), log(high));
    let (whole, part) = (at >> 32, at & 0xffff_ffff);
    let value = ((1u128 << 32 | u128::from(part)) << whole >> 32) as u64;
    value.clamp(low, high)
}

/// Maps 64 random bits to an exponentially distributed number with this mean, at most 44 times it.
/// The logarithm is linear within a doubling.
pub fn exponential(bits: u64, mean: u64) -> u64 {
    let bits = bits | 1;
    let zeros = u128::from(bits.leading_zeros());
    let rest = u128::from(bits << bits.leading_zeros() >> 31) & 0xffff_ffff;
    // The linear logarithm differs from the true one by 0.0573 on average.
    let log2 = ((zeros << 32) + (0x1_0000_0000 - rest)).saturating_sub(246_123_000);
    // ln 2 in 32-bit fixed point.
    let ln = (log2 * 2_977_044_472) >> 32;
    ((ln * u128::from(mean)) >> 32) as u64
}

/// A sequence of draws from ChaCha, for the drawing of plans.
pub struct Stream(ChaCha12Rng);

impl Stream {
    /// The stream called `name` of a seed.
    pub fn new(seed: u64, name: &str) -> Stream {
        let mut chacha = ChaCha12Rng::seed_from_u64(seed);
        chacha.set_stream(hash_text(name));
        Stream(chacha)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// The next number of `low..=high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        between(self.bits(), low, high)
    }

    /// The next log-uniform number of `low..=high`.
    pub fn log_uniform(&mut self, low: u64, high: u64) -> u64 {
        log_uniform(self.bits(), low, high)
    }

    /// Whether the next event of this probability happens.
    pub fn chance(&mut self, ppm: u32) -> bool {
        chance(self.bits(), ppm)
    }

    /// The next exponentially distributed number.
    pub fn exponential(&mut self, mean: u64) -> u64 {
        exponential(self.bits(), mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts, over many draws, how often each output bit is set, and how often it changes with
    /// one input bit: both must be near one half.
    fn assert_fair(what: &str, ones: &[u32; 64], of: u32) {
        for (bit, count) in ones.iter().enumerate() {
            let off = i64::from(*count) * 2 - i64::from(of);
            // Five standard deviations of a fair coin.
            assert!(off * off < 25 * i64::from(of), "{what}: bit {bit} set {count} of {of}");
        }
    }

    #[test]
    fn every_output_bit_is_a_fair_coin_in_every_argument() {
        let choices = Choices::new(1, 0);
        let root = choices.root();
        let of = 40_000;
        let sequences: [(&str, &dyn Fn(u64) -> u64); 4] = [
            ("count", &|i| choices.draw(Domain::Loss, root, i)),
            ("entity", &|i| choices.draw(Domain::Loss, root.with(i), 0)),
            ("zero entity", &|i| choices.draw(Domain::Loss, Entity(0), i)),
            ("seed", &|i| Choices::new(i, 0).draw(Domain::Loss, Entity(0), 0)),
        ];
        for (what, sequence) in sequences {
            let (mut ones, mut flips) = ([0; 64], [0; 64]);
            for i in 0..of {
                let (value, next) = (sequence(i), sequence(i + 1));
                for bit in 0..64 {
                    ones[bit] += (value >> bit & 1) as u32;
                    flips[bit] += ((value ^ next) >> bit & 1) as u32;
                }
            }
            assert_fair(what, &ones, of as u32);
            assert_fair(what, &flips, of as u32);
        }
    }

    #[test]
    fn domains_are_independent() {
        let choices = Choices::new(7, 0);
        let mut same = [0; 64];
        for i in 0..20_000 {
            let entity = choices.root().with(i);
            let one = choices.draw(Domain::Loss, entity, 3);
            let other = choices.draw(Domain::Duplication, entity, 3);
            for (bit, count) in same.iter_mut().enumerate() {
                *count += (!(one ^ other) >> bit & 1) as u32;
            }
        }
        assert_fair("two domains", &same, 20_000);
    }

    #[test]
    fn a_zero_is_not_a_fixed_point() {
        let choices = Choices::new(0, 0);
        assert_ne!(choices.draw(Domain::Loss, Entity(0), 0), 0);
        assert_ne!(Entity(0).with(0), Entity(0));
    }

    #[test]
    fn distributions_keep_their_bounds_and_means() {
        let mut stream = Stream::new(3, "test");
        let (mut below_ten, mut sum) = (0, 0u64);
        for _ in 0..20_000 {
            let value = stream.log_uniform(1, 100);
            assert!((1..=100).contains(&value));
            below_ten += u32::from(value < 10);
            sum += stream.exponential(1000);
        }
        // Half of the decades lie below ten.
        assert!((8_800..11_200).contains(&below_ten), "{below_ten}");
        assert!((950..1_050).contains(&(sum / 20_000)), "{}", sum / 20_000);
        assert_eq!(log_uniform(0, 5, 5), 5);
        // 32 bits of a logarithm say no more than 32 bits of the number.
        assert!(log_uniform(u64::MAX, 1, u64::MAX) > u64::MAX - (1 << 32));
    }
}
