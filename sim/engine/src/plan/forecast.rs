//! Which weather is wanted: presets, single faults, and single values.

use super::{StreamWeather, Weather};
use crate::table::{self, Fault, FaultSet, TABLE};
use serde_json::Value;
use std::collections::BTreeMap;

/// The environment's variable that says which weather is wanted, for tests and the command line.
pub const WEATHER_VARIABLE: &str = "SQUALL_WEATHER";

/// Which weather is wanted. A scenario never gets a fault that it does not tolerate.
///
/// As text it is a list of words with commas between them:
///
/// | word | meaning |
/// |---|---|
/// | `network`, `streams`, `storage`, `clocks`, `process`, `code` | in each run a random subset |
/// | `everything` | in each run a random subset of all faults |
/// | `calm` | no faults |
/// | `crash` | this fault, in every run |
/// | `-loss` | never this one |
/// | `loss_ppm=50000`, `streams.reset_ppm=0` | this value, as it stands in a plan's `weather` |
///
/// What a power loss does needs one: `storage` and `calm,torn-writes` bring crashes with them, but
/// for `-crash`.
///
/// ```
/// use squall::plan::Forecast;
///
/// let forecast = Forecast::read("network,-loss,crash,slow_link_ns=0")?;
/// assert!(Forecast::read("netwrok").unwrap_err().contains("network"));
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, PartialEq, Debug)]
pub struct Forecast {
    /// A random subset of these is drawn for each run.
    pub drawn: FaultSet,
    /// These are on in every run.
    pub sure: FaultSet,
    /// These are not on, whatever needs them.
    pub never: FaultSet,
    /// Values of the weather by name, instead of what is drawn.
    values: BTreeMap<String, Value>,
}

impl Default for Forecast {
    /// Everything may be drawn.
    fn default() -> Forecast {
        Forecast { drawn: FaultSet::ALL, ..Forecast::surely(FaultSet::default()) }
    }
}

impl Forecast {
    /// These faults and no others, in every run.
    pub fn surely(faults: FaultSet) -> Forecast {
        let none = FaultSet::default();
        Forecast { drawn: none, sure: faults, never: none, values: BTreeMap::new() }
    }

    /// Reads a forecast.
    ///
    /// # Errors
    /// Which word is wrong, and which would be right.
    pub fn read(text: &str) -> Result<Forecast, String> {
        let mut forecast = Forecast::surely(FaultSet::default());
        let words = || text.split(',').map(str::trim).filter(|word| !word.is_empty());
        // Single values and exceptions alone leave the rest as it is drawn.
        if words().all(|word| word.contains('=') || word.starts_with('-')) {
            forecast = Forecast::default();
        }
        for word in words() {
            if let Some((name, value)) = word.split_once('=') {
                forecast.set(name.trim(), value.trim())?;
            } else if let Some(name) = word.strip_prefix('-') {
                let fault = Fault::find(name).ok_or_else(|| unknown(name))?;
                forecast.drawn = forecast.drawn.without(fault);
                forecast.sure = forecast.sure.without(fault);
                forecast.never = forecast.never.with(fault);
            } else if let Some(faults) = table::preset(word) {
                forecast.drawn = forecast.drawn.or(faults);
            } else {
                let fault = Fault::find(word).ok_or_else(|| unknown(word))?;
                forecast.sure = forecast.sure.with(fault);
                forecast.never = forecast.never.without(fault);
            }
        }
        Ok(forecast)
    }

    fn set(&mut self, name: &str, text: &str) -> Result<(), String> {
        let value = serde_json::from_str(text)
            .map_err(|_| format!("{text:?} is no value for {name}: a number, true or false is"))?;
        let mut weather = values(&Weather::calm());
        if !weather.contains_key(name) {
            let names: Vec<&str> = weather.keys().map(String::as_str).collect();
            return Err(format!("the weather has no {name:?}; it has {}", names.join(", ")));
        }
        weather.insert(name.to_owned(), value);
        let changed: Weather =
            weather_of(weather.clone()).map_err(|error| format!("{name}={text}: {error}"))?;
        changed.check().map_err(|error| error.to_string())?;
        self.values.extend(weather.remove_entry(name));
        Ok(())
    }

    /// Whether crashes have to come with what a power loss does: nothing else that is wanted has
    /// power losses, and crashes are not ruled out.
    pub(super) fn lacks_crashes(&self) -> bool {
        let wanted = self.drawn.or(self.sure);
        let crashes = [Fault::Crash, Fault::CrashLoop, Fault::CrashInRecovery];
        !crashes.into_iter().any(|fault| wanted.has(fault)) && !self.never.has(Fault::Crash)
    }

    /// Puts the single values into a weather.
    pub(super) fn apply(&self, weather: &mut Weather) {
        if self.values.is_empty() {
            return;
        }
        let mut changed = values(weather);
        changed.extend(self.values.clone());
        // Each value was tried when it was set.
        if let Ok(changed) = weather_of(changed) {
            *weather = changed;
        }
    }
}

type Values = serde_json::Map<String, Value>;

/// What stands before the names of values of streams, which a plan has in a part of their own.
const STREAMS: &str = "streams.";

fn object(part: &impl serde::Serialize) -> Values {
    match serde_json::to_value(part) {
        Ok(Value::Object(values)) => values,
        _ => Values::new(),
    }
}

/// A weather of which no value is at its default, and so none is left out when it is written. A
/// value that is added to the weather has to be named here before this compiles.
fn full() -> Weather {
    let Weather { latency, client_latency, disk_latency, sync_latency, .. } = Weather::calm();
    Weather {
        latency,
        client_latency,
        slow_link_ns: 1,
        loss_ppm: 1,
        duplication_ppm: 1,
        reordering_ppm: 1,
        reordering_ns: 1,
        corruption_ppm: 1,
        disk_latency,
        sync_latency,
        lost_writes: true,
        torn_writes: true,
        lost_entries: true,
        eio_ppm: 1,
        sync_failure_ppm: 1,
        mailbox_max: 1,
        bandwidth: 1,
        garbage: true,
        length_without_data: true,
        short_io_ppm: 1,
        late_timers_ppm: 1,
        late_timers_ns: 1,
        wall_offset_ns: 1,
        clock_rate_ppm: 1,
        wall_drift_ppm: 1,
        streams: StreamWeather::default(),
        buggify: true,
        knobs: true,
    }
}

/// All values of a weather by name, also those that a plan leaves out since they say nothing.
fn values(weather: &Weather) -> Values {
    let mut values = object(&full());
    for value in values.values_mut() {
        match value {
            Value::Bool(value) => *value = false,
            Value::Number(value) => *value = 0.into(),
            _ => {}
        }
    }
    values.extend(object(weather));
    values.remove(STREAMS.trim_end_matches('.'));
    let streams = object(&weather.streams);
    values.extend(streams.into_iter().map(|(name, value)| (format!("{STREAMS}{name}"), value)));
    values
}

/// The weather of these values.
fn weather_of(values: Values) -> Result<Weather, serde_json::Error> {
    let (mut all, mut streams) = (Values::new(), Values::new());
    for (name, value) in values {
        match name.strip_prefix(STREAMS) {
            Some(name) => streams.insert(name.to_owned(), value),
            None => all.insert(name, value),
        };
    }
    all.insert(STREAMS.trim_end_matches('.').to_owned(), streams.into());
    serde_json::from_value(all.into())
}

fn unknown(word: &str) -> String {
    let presets = table::presets().join(", ");
    let faults: Vec<&str> = TABLE.iter().map(|row| row.name).collect();
    format!(
        "there is no preset or fault {word:?}; the presets are {presets}; the faults are {}",
        faults.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Group;

    #[test]
    fn words_are_presets_faults_exceptions_and_values() {
        let forecast = Forecast::read("network,-loss, crash,mailbox_max=3").unwrap();
        assert_eq!(forecast.drawn, FaultSet::of(Group::Network).without(Fault::Loss));
        assert_eq!(forecast.sure, FaultSet::default().with(Fault::Crash));
        let mut weather = Weather::calm();
        forecast.apply(&mut weather);
        assert_eq!(weather, Weather { mailbox_max: 3, ..Weather::calm() });
        let forecast = Forecast::read("streams,streams.reset_ppm=7,streams.back_pressure=true");
        let mut weather = Weather::calm();
        forecast.unwrap().apply(&mut weather);
        assert_eq!((weather.streams.reset_ppm, weather.streams.back_pressure), (7, true));
        let but = Forecast::read("-loss").unwrap();
        assert_eq!(but.drawn, FaultSet::ALL.without(Fault::Loss));
        assert_eq!(but.never, FaultSet::default().with(Fault::Loss));
        assert_eq!(Forecast::read("-loss,loss").unwrap().never, FaultSet::default());
        assert_eq!(Forecast::read("calm"), Ok(Forecast::surely(FaultSet::default())));
        assert_eq!(Forecast::read(""), Ok(Forecast::default()));
    }

    #[test]
    fn every_value_of_the_weather_has_a_name() {
        let weather = values(&Weather::calm());
        // All that are written down, and four latencies.
        assert_eq!(weather.iter().filter(|(name, _)| !name.starts_with(STREAMS)).count(), 27);
        assert_eq!(weather_of(weather).unwrap(), Weather::calm());
    }

    #[test]
    fn wrong_words_are_told_what_would_be_right() {
        for (text, wanted) in [
            ("netwrok", "the presets are calm, network"),
            ("-los", "the faults are latency, loss"),
            ("loss=3", "the weather has no \"loss\"; it has"),
            ("loss_ppm=many", "a number, true or false is"),
            ("loss_ppm=true", "invalid type"),
            ("loss_ppm=2000000", "at most 1000000"),
            ("streams.short_io_ppm=2000000", "`streams.short_io_ppm` is"),
            ("streams.loss_ppm=1", "the weather has no"),
        ] {
            let said = Forecast::read(text).expect_err(text);
            assert!(said.contains(wanted), "{said}");
        }
    }
}
