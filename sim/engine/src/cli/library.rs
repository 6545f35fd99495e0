//! The scenarios of a program, by name and by folder.

use super::{Trouble, canary};
use crate::plan::{Forecast, Plan, WEATHER_VARIABLE};
use crate::repro::{Repro, ReproError};
use crate::scenario::Scenario;
use crate::table::FaultSet;
use std::path::Path;

pub(super) struct Library {
    /// The scenarios, then the specimens, then the canary.
    all: Vec<Scenario>,
    scenarios: usize,
}

impl Library {
    /// Refuses two scenarios of one name, of which one could never be named.
    pub(super) fn new(
        scenarios: Vec<Scenario>,
        specimens: Vec<Scenario>,
    ) -> Result<Library, Trouble> {
        let count = scenarios.len();
        let mut all = scenarios;
        all.extend(specimens);
        all.push(canary::scenario());
        for (at, scenario) in all.iter().enumerate() {
            if all[..at].iter().any(|other| other.name() == scenario.name()) {
                let name = scenario.name();
                let text = format!("two scenarios are called {name:?}: give one another name");
                return Err(Trouble::Usage(text));
            }
        }
        Ok(Library { all, scenarios: count })
    }

    /// Asks for this weather, or for that of the environment.
    pub(super) fn under(&mut self, weather: Option<&str>) -> Result<(), Trouble> {
        let variable = std::env::var(WEATHER_VARIABLE).ok();
        let Some(text) = weather.or(variable.as_deref()) else { return Ok(()) };
        let wrong = |why| Trouble::Usage(format!("{WEATHER_VARIABLE}: {why}"));
        let forecast = Forecast::read(text).map_err(wrong)?;
        // The canary is for the search itself, whatever the weather.
        let canary = self.all.len() - 1;
        for scenario in &mut self.all[..canary] {
            scenario.forecast = forecast.clone();
        }
        Ok(())
    }

    /// Those whose properties must hold.
    pub(super) fn scenarios(&self) -> &[Scenario] {
        &self.all[..self.scenarios]
    }

    /// Those that must break a property.
    pub(super) fn specimens(&self) -> &[Scenario] {
        &self.all[self.scenarios..self.all.len() - 1]
    }

    /// The scenario of this name, whichever it is.
    pub(super) fn find(&self, name: &str) -> Option<&Scenario> {
        self.all.iter().find(|scenario| scenario.name() == name)
    }

    /// The scenarios that these names and folders mean, each once, in the order of the library;
    /// without names, all that must hold.
    pub(super) fn resolve(&self, names: &[String]) -> Result<Vec<&Scenario>, Trouble> {
        if names.is_empty() {
            return Ok(self.scenarios().iter().collect());
        }
        select(&self.all[..self.all.len() - 1], names, "scenario")
    }

    /// As [`Library::resolve`], among specimens and mutants.
    pub(super) fn resolve_specimens(&self, names: &[String]) -> Result<Vec<&Scenario>, Trouble> {
        if names.is_empty() {
            return Ok(self.specimens().iter().collect());
        }
        select(self.specimens(), names, "specimen or mutant")
    }

    /// The run that a command is asked about: of this scenario and seed, or without a seed that of
    /// a repro file.
    pub(super) fn run_of(
        &self,
        name: &str,
        seed: Option<u64>,
    ) -> Result<(&Scenario, u64, Plan), Trouble> {
        if let Some(seed) = seed {
            let scenario = self.resolve_one(name)?;
            tolerated(&[scenario])?;
            return Ok((scenario, seed, scenario.plan(seed)));
        }
        let (scenario, repro) = self.repro(repro_file(name)?)?;
        Ok((scenario, repro.seed, repro.plan))
    }

    /// Reads a repro file, and finds its scenario.
    pub(super) fn repro(&self, file: &Path) -> Result<(&Scenario, Repro), Trouble> {
        let usage = |error: ReproError| Trouble::Usage(error.to_string());
        let repro = Repro::read(file).map_err(usage)?;
        let scenario = self
            .resolve_one(&repro.scenario)
            .map_err(|error| Trouble::Usage(format!("{}: {error}", file.display())))?;
        repro.check(file, scenario).map_err(usage)?;
        Ok((scenario, repro))
    }

    /// The one scenario that a name means.
    pub(super) fn resolve_one(&self, name: &str) -> Result<&Scenario, Trouble> {
        let found = self.resolve(&[name.to_owned()])?;
        match found[..] {
            [one] => Ok(one),
            _ => {
                let names: Vec<&str> = found.iter().map(|scenario| scenario.name()).collect();
                Err(Trouble::Usage(format!(
                    "{name:?} is a folder of {} scenarios, and one is needed: {}",
                    names.len(),
                    names.join(", ")
                )))
            }
        }
    }
}

/// The repro file of this name.
pub(super) fn repro_file(name: &str) -> Result<&Path, Trouble> {
    let file = Path::new(name);
    file.exists().then_some(file).ok_or_else(|| {
        Trouble::Usage(format!(
            "there is no repro file {name:?}; of a scenario, say which seed: --seed S"
        ))
    })
}

/// Refuses a fault that was asked for by name and that none of these scenarios tolerates: it would
/// never strike.
pub(super) fn tolerated(chosen: &[&Scenario]) -> Result<(), Trouble> {
    let faults = chosen.iter().map(|scenario| scenario.tolerance.faults());
    let faults = faults.fold(FaultSet::default(), FaultSet::or);
    let [first, others @ ..] = chosen else { return Ok(()) };
    let Some(fault) = first.forecast.sure.iter().find(|fault| !faults.has(*fault)) else {
        return Ok(());
    };
    let names: Vec<&str> = faults.iter().map(|fault| fault.name()).collect();
    let who = match others {
        [] => format!("{} does not tolerate", first.name()),
        _ => "none of these scenarios tolerates".to_owned(),
    };
    Err(Trouble::Usage(format!("{who} {}, only {}", fault.name(), names.join(", "))))
}

fn select<'a>(
    from: &'a [Scenario],
    names: &[String],
    kind: &str,
) -> Result<Vec<&'a Scenario>, Trouble> {
    for name in names {
        if !from.iter().any(|scenario| is_meant(scenario.name(), name)) {
            return Err(Trouble::Usage(unknown(from, name, kind)));
        }
    }
    let meant = |scenario: &&Scenario| names.iter().any(|name| is_meant(scenario.name(), name));
    Ok(from.iter().filter(meant).collect())
}

/// Whether a scenario has this name or is in the folder of this name.
fn is_meant(scenario: &str, name: &str) -> bool {
    let name = name.strip_suffix('/').unwrap_or(name);
    let rest = scenario.strip_prefix(name).filter(|_| !name.is_empty());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn unknown(from: &[Scenario], name: &str, kind: &str) -> String {
    let mut known: Vec<&str> = Vec::new();
    for scenario in from {
        known.push(scenario.name());
        let slashes = scenario.name().match_indices('/');
        known.extend(slashes.map(|(at, _)| &scenario.name()[..at]));
    }
    let near = known.iter().map(|other| (distance(name, other), *other)).min();
    let most = (name.chars().count() / 3).max(2);
    let hint = match near {
        Some((away, other)) if away <= most => format!("did you mean {other:?}?"),
        _ => "`list` and `list --specimens` show what there is".to_owned(),
    };
    format!("there is no {kind} or folder {name:?}: {hint}")
}

/// How many letters have to be changed, put in or taken out to make one text the other
/// (Levenshtein, 1966).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (to, wanted) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *wanted);
            diagonal = row[to + 1];
            row[to + 1] = changed.min(row[to] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library() -> Library {
        let make = |names: &[&str]| names.iter().map(|name| Scenario::new(name)).collect();
        let scenarios = make(&["register/atomic", "register/small", "raft/election"]);
        Library::new(scenarios, make(&["mutant/register-quorum"])).expect("all names differ")
    }

    fn resolve(names: &[&str]) -> Result<Vec<String>, String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let library = library();
        let found = library.resolve(&names).map_err(|trouble| trouble.to_string())?;
        Ok(found.iter().map(|scenario| scenario.name().to_owned()).collect())
    }

    #[test]
    fn names_and_folders_are_found_and_run_once() {
        assert_eq!(resolve(&[]).unwrap().len(), 3);
        let both = ["register/atomic", "register/small"];
        assert_eq!(resolve(&["register"]).unwrap(), both);
        assert_eq!(resolve(&["register/", "register/atomic", "register"]).unwrap(), both);
        assert_eq!(resolve(&["mutant"]).unwrap(), ["mutant/register-quorum"]);
        assert!(resolve(&["regis"]).is_err());
        assert!(resolve(&[""]).is_err());
        assert!(resolve(&["/"]).is_err());
    }

    #[test]
    fn a_wrong_name_is_told_the_nearest() {
        let error = resolve(&["register/atomc"]).unwrap_err();
        assert!(error.contains("did you mean \"register/atomic\"?"), "{error}");
        let error = resolve(&["rafd"]).unwrap_err();
        assert!(error.contains("did you mean \"raft\"?"), "{error}");
        let error = resolve(&["something else"]).unwrap_err();
        assert!(error.contains("`list`"), "{error}");
    }

    #[test]
    fn one_scenario_is_one() {
        let library = library();
        assert_eq!(library.resolve_one("raft").unwrap().name(), "raft/election");
        let Err(error) = library.resolve_one("register") else { panic!("two are not one") };
        assert!(error.to_string().contains("register/small"), "{error}");
    }

    #[test]
    fn distances_count_letters() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("same", "same"), 0);
    }
}
