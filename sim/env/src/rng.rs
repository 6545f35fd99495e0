//! A node's randomness in the shape that the rand crates expect.

use crate::Env;
use std::convert::Infallible;

/// Random numbers of the node, for every function that takes a rand generator.
///
/// In the world they follow from the seed, the task and how many it drew before; in production
/// they come from the operating system.
pub struct Rng<'a>(pub(crate) &'a Env);

impl rand_core::TryRng for Rng<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.0.random() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.random())
    }

    fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), Infallible> {
        for chunk in into.chunks_mut(8) {
            chunk.copy_from_slice(&self.0.random().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}
