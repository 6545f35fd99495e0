//! Where an exploration ends that would otherwise go on.

/// What an exploration may use. One that would need more ends, and says that it is not complete.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// So many different states are visited. More than `u32::MAX` cannot be.
    pub states: u64,
    /// States so many steps from the beginning are visited, but not what comes after them.
    pub depth: u64,
    /// So many bytes are used, for fingerprints, for ways back, and for the states themselves that
    /// wait. What those have on the heap is not counted.
    pub bytes: u64,
}

impl Default for Limits {
    /// A hundred million states, any depth, 4 GiB.
    fn default() -> Limits {
        Limits { states: 100_000_000, depth: u64::MAX, bytes: 4 << 30 }
    }
}
