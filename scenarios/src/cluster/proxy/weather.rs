//! What a link does to what passes it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Whether anything passes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Gate {
    /// What comes is passed on.
    #[default]
    Open,
    /// Nothing passes and nothing is closed: connections are half open, and new ones are taken and
    /// never answered. What was sent goes on when the gate opens.
    Stalled,
    /// Connections are closed, and so are new ones.
    Closed,
}

/// What a link does to what passes it, in both directions. Chances are in parts per million.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Weather {
    /// Whether anything passes.
    pub gate: Gate,
    /// How long everything takes.
    pub delay: Duration,
    /// How much longer a piece may take.
    pub jitter: Duration,
    /// A frame vanishes.
    pub lose: u32,
    /// A frame comes twice.
    pub duplicate: u32,
    /// A frame is overtaken by those behind it.
    pub reorder: u32,
    /// One bit of a frame, of a greeting or of what of TLS comes at once is another.
    pub corrupt: u32,
    /// The connection is closed instead of passing a frame on, or what of TLS comes at once.
    pub close: u32,
    /// So many bytes a second pass, if there is a limit.
    pub bytes_per_second: Option<u32>,
}

macro_rules! tally {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// What the links have done so far.
        #[derive(Default, Debug)]
        pub(super) struct Tally {
            $(pub(super) $name: AtomicU64,)+
        }

        /// What the links have done.
        #[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
        pub struct Done {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Tally {
            pub(super) fn done(&self) -> Done {
                Done { $($name: self.$name.load(Ordering::Relaxed),)+ }
            }
        }
    };
}

tally! {
    /// Connections that were taken.
    connections,
    /// Connections that were closed by the weather.
    closed,
    /// Connections in which a bit became another.
    damaged,
    /// Those among them that were ended by one of their ends.
    broken,
    /// Frames that were passed on, each once.
    passed,
    /// Frames that vanished.
    lost,
    /// Frames that came twice.
    duplicated,
    /// Frames that were held back behind others.
    reordered,
    /// Frames and greetings in which a bit is another.
    corrupted,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Done { connections, closed, damaged, broken, .. } = self;
        let Done { passed, lost, duplicated, reordered, corrupted, .. } = self;
        writeln!(f, "links: {connections} connections, {closed} of them closed or not taken")?;
        writeln!(f, "links: {damaged} connections damaged, {broken} of them ended by their ends")?;
        writeln!(
            f,
            "links: {passed} frames passed, {lost} lost, {duplicated} doubled, \
             {reordered} overtaken, {corrupted} damaged"
        )
    }
}

pub(super) fn one(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}
