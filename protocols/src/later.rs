//! What later versions of a durable format add.

use serde::{Deserialize, Deserializer, Serialize};

/// The end of a snapshot, which those of earlier versions do not have: in their place stands the
/// default. Nothing may stand behind it but the end of what comes later still. Whether a snapshot
/// is whole is told before it is read, by its checksum.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(crate) struct Later<T>(pub(crate) T);

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Later<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Later<T>, D::Error> {
        Ok(Later(T::deserialize(deserializer).unwrap_or_default()))
    }
}
