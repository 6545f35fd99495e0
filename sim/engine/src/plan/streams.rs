//! The weather of connections.

use super::Invalid;
use super::words::percent;
use crate::choice::Stream;
use crate::table::{Fault, FaultSet};
use serde::{Deserialize, Serialize};

/// What happens to connections, beside what their links do. A rate of zero switches its fault off.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StreamWeather {
    /// Segments that break their connection, in parts per million.
    pub reset_ppm: u32,
    /// Segments behind which a connection carries nothing any more, in parts per million.
    pub half_open_ppm: u32,
    /// Attempts to connect that are refused, in parts per million.
    pub connect_refused_ppm: u32,
    /// Attempts to connect that get no answer, in parts per million.
    pub connect_hang_ppm: u32,
    /// Connections that break as soon as they stand, in parts per million.
    pub connect_reset_ppm: u32,
    /// Whether windows and buffers are drawn from one byte up; else they are 64 KiB.
    pub back_pressure: bool,
    /// Reads and writes that do less than they could, in parts per million.
    pub short_io_ppm: u32,
}

impl StreamWeather {
    /// Whether nothing is on.
    pub fn is_calm(&self) -> bool {
        *self == StreamWeather::default()
    }

    /// Each rate with its name in plans, its fault, and the words for it.
    fn rates(&self) -> [(&'static str, Fault, u32, &'static str); 6] {
        let of = |name, fault, ppm, words| (name, fault, ppm, words);
        [
            of("`streams.reset_ppm`", Fault::StreamReset, self.reset_ppm, "breaking connections"),
            of("`streams.half_open_ppm`", Fault::HalfOpen, self.half_open_ppm, "dead connections"),
            of(
                "`streams.connect_refused_ppm`",
                Fault::ConnectRefused,
                self.connect_refused_ppm,
                "refused connects",
            ),
            of(
                "`streams.connect_hang_ppm`",
                Fault::ConnectHang,
                self.connect_hang_ppm,
                "hanging connects",
            ),
            of(
                "`streams.connect_reset_ppm`",
                Fault::ConnectReset,
                self.connect_reset_ppm,
                "connects that break at once",
            ),
            of(
                "`streams.short_io_ppm`",
                Fault::StreamShortIo,
                self.short_io_ppm,
                "short reads and writes of streams",
            ),
        ]
    }

    pub(super) fn draw(seed: u64, on: FaultSet) -> StreamWeather {
        let mut rates = Stream::new(seed, "streams");
        // Every rate is drawn in any case, so that a fault more or less moves no other.
        let mut rate = |fault: Fault, low: u64, high: u64| {
            let drawn = rates.log_uniform(low, high) as u32;
            if on.has(fault) { drawn } else { 0 }
        };
        StreamWeather {
            reset_ppm: rate(Fault::StreamReset, 100, 20_000),
            half_open_ppm: rate(Fault::HalfOpen, 100, 10_000),
            connect_refused_ppm: rate(Fault::ConnectRefused, 1_000, 300_000),
            connect_hang_ppm: rate(Fault::ConnectHang, 1_000, 100_000),
            connect_reset_ppm: rate(Fault::ConnectReset, 1_000, 300_000),
            short_io_ppm: rate(Fault::StreamShortIo, 10_000, 500_000),
            back_pressure: on.has(Fault::BackPressure),
        }
    }

    pub(super) fn check(&self) -> Result<(), Invalid> {
        match self.rates().into_iter().find(|(_, _, ppm, _)| *ppm > 1_000_000) {
            Some((what, _, found, _)) => Err(Invalid::Rate { what, found }),
            None => Ok(()),
        }
    }

    /// Whether this fault is on.
    pub(super) fn has(&self, fault: Fault) -> bool {
        let rate = || self.rates().into_iter().any(|(_, of, ppm, _)| of == fault && ppm > 0);
        if fault == Fault::BackPressure { self.back_pressure } else { rate() }
    }

    pub(super) fn words(&self) -> Vec<String> {
        let rates = self.rates().into_iter().filter(|(_, _, ppm, _)| *ppm > 0);
        let mut words: Vec<String> =
            rates.map(|(_, _, ppm, words)| format!("{words} {}", percent(ppm))).collect();
        if self.back_pressure {
            words.push("narrow windows".to_owned());
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Group, TABLE};

    fn group() -> impl Iterator<Item = Fault> {
        TABLE.iter().filter(|row| row.group == Group::Stream).map(|row| row.fault)
    }

    #[test]
    fn every_fault_of_streams_is_drawn_alone_and_told_in_words() {
        for fault in group() {
            let drawn = StreamWeather::draw(7, FaultSet::default().with(fault));
            assert!(group().all(|other| drawn.has(other) == (other == fault)), "{fault:?}");
            assert!(!drawn.is_calm() && drawn.words().len() == 1, "{fault:?}");
            drawn.check().expect("what is drawn is in range");
        }
        assert!(StreamWeather::draw(7, FaultSet::default()).is_calm());
        assert!(StreamWeather::default().words().is_empty());
    }

    #[test]
    fn a_fault_more_moves_no_rate_of_another() {
        let all = StreamWeather::draw(9, FaultSet::ALL);
        let alone = StreamWeather::draw(9, FaultSet::default().with(Fault::StreamShortIo));
        assert_eq!(all.short_io_ppm, alone.short_io_ppm);
    }

    #[test]
    fn a_rate_above_everything_is_refused() {
        let wrong = StreamWeather { half_open_ppm: 1_000_001, ..StreamWeather::default() };
        let what = "`streams.half_open_ppm`";
        assert_eq!(wrong.check(), Err(Invalid::Rate { what, found: 1_000_001 }));
    }
}
