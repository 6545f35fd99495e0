//! Which plans can be run: those that are drawn always can, those that are edited perhaps not.

use super::{Episode, Fate, Kind, Latency, Override, Plan, Weather, When};
use crate::script::{self, BadStep, STEPS_MAX};

/// Times and durations in a plan are at most this long, in nanoseconds: about eleven days.
pub const TIME_MAX_NS: u64 = 1_000_000_000_000_000;

/// A plan has at most so many nodes.
pub const NODES_MAX: u32 = 1_000;

/// A plan has at most so many episodes.
pub const EPISODES_MAX: usize = 10_000;

/// A plan has at most so many overrides; each operation that is named counts as one.
pub const OVERRIDES_MAX: usize = 1_000_000;

/// Why a plan cannot be run.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Invalid {
    /// It has other roles than the scenario.
    #[error("its roles are {found:?}, and the scenario has {wanted:?}")]
    Roles {
        /// The plan's roles.
        found: Vec<String>,
        /// The scenario's roles.
        wanted: Vec<String>,
    },
    /// It has too many nodes, or a role has none.
    #[error("it has {found} nodes; every role needs one, and all together at most {NODES_MAX}")]
    Nodes {
        /// How many nodes it has.
        found: u32,
    },
    /// It has too many episodes or overrides.
    #[error("it has {found} {what}; at most {most} is right")]
    Many {
        /// Of what.
        what: &'static str,
        /// How many it has.
        found: usize,
        /// The most.
        most: usize,
    },
    /// A time or duration is too long.
    #[error("{what} is {found} ns; at most {TIME_MAX_NS} is right")]
    Time {
        /// Which.
        what: String,
        /// How long it is.
        found: u64,
    },
    /// A rate is more than everything.
    #[error("{what} is {found} parts per million; at most 1000000 is right")]
    Rate {
        /// Which.
        what: &'static str,
        /// How much it is.
        found: u32,
    },
    /// An episode names too few or too many nodes.
    #[error("episode {id} is about {wanted} nodes, and names {found}")]
    Named {
        /// Which.
        id: u32,
        /// How many it should name.
        wanted: &'static str,
        /// How many it names.
        found: usize,
    },
    /// An override does not say which message it is about.
    #[error(
        "an override of a message from {from} to {to} has no name for it: give it `payload` (and \
         `nth`), `count` or `at_ns`"
    )]
    Nameless {
        /// The sender.
        from: String,
        /// The receiver.
        to: String,
    },
    /// Its script wants another number of nodes than a role may have.
    #[error("its script has {found} nodes of the role {role:?}; {low} to {high} is right")]
    Size {
        /// The role.
        role: String,
        /// How many the script has.
        found: u16,
        /// The least.
        low: u16,
        /// The most.
        high: u16,
    },
    /// Its script has too many steps.
    #[error("its script has {found} steps; at most {STEPS_MAX} is right")]
    Steps {
        /// How many it has.
        found: usize,
    },
    /// A step of its script cannot be played.
    #[error("step {number} of its script ({line}): {why}")]
    Step {
        /// Which, from 1.
        number: usize,
        /// The step in words.
        line: String,
        /// What is wrong with it.
        why: BadStep,
    },
    /// A range ends before it begins.
    #[error("{what} goes from {low_ns} ns to {high_ns} ns: the first must not be the greater")]
    Range {
        /// Which.
        what: &'static str,
        /// Its beginning.
        low_ns: u64,
        /// Its end.
        high_ns: u64,
    },
}

impl Plan {
    /// Checks that a scenario with these roles, in this order, can run the plan.
    ///
    /// # Errors
    /// What is wrong with it, and what would be right.
    pub fn check(&self, roles: &[&str]) -> Result<(), Invalid> {
        if !self.nodes.iter().map(|role| role.role.as_str()).eq(roles.iter().copied()) {
            let found = self.nodes.iter().map(|role| role.role.clone()).collect();
            let wanted = roles.iter().map(|role| (*role).to_owned()).collect();
            return Err(Invalid::Roles { found, wanted });
        }
        let found = self.nodes.iter().map(|role| u32::from(role.nodes)).sum();
        if found > NODES_MAX || self.nodes.iter().any(|role| role.nodes == 0) {
            return Err(Invalid::Nodes { found });
        }
        time("`heal_at_ns`", self.heal_at_ns)?;
        self.weather.check()?;
        for reroll in &self.rerolls {
            time("`from_ns` of a reroll", reroll.from_ns)?;
        }
        many("episodes", self.episodes.len(), EPISODES_MAX)?;
        let named = self.overrides.iter().map(|change| match change {
            Override::OnlyOperations { numbers, .. } => 1 + numbers.len(),
            _ => 1,
        });
        many("overrides", named.sum(), OVERRIDES_MAX)?;
        for episode in &self.episodes {
            episode.check()?;
        }
        let nodes = self.nodes.iter();
        let known: Vec<String> =
            nodes.flat_map(|r| (1..=r.nodes).map(|n| format!("{}-{n}", r.role))).collect();
        script::check(&self.script, &known, self.heal_at_ns)?;
        for change in &self.overrides {
            let Override::Message { from, to, at_ns, fate, .. } = change else { continue };
            if change.name().is_none() {
                return Err(Invalid::Nameless { from: from.clone(), to: to.clone() });
            }
            time("`at_ns`", at_ns.unwrap_or_default())?;
            let (one, other) = match fate {
                Fate::Lost => (0, 0),
                Fate::DeliveredAfterNs(after) => (*after, 0),
                Fate::Delivered { after_ns, copy_after_ns, .. } => {
                    (*after_ns, copy_after_ns.unwrap_or_default())
                }
            };
            time("when a message is delivered", one)?;
            time("when its copy is delivered", other)?;
        }
        Ok(())
    }
}

impl Episode {
    pub(crate) fn check(&self) -> Result<(), Invalid> {
        let what = || format!("a time of episode {}", self.id);
        let (When::AtNs(from) | When::Step { after_ns: from, .. }) = self.from;
        time(&what(), from)?;
        time(&what(), self.for_ns.unwrap_or_default())?;
        let named = self.kind.nodes().len();
        let wanted = match &self.kind {
            Kind::ClogLink { .. } | Kind::SwappedDisks { .. } if named != 2 => "two",
            Kind::MajoritiesRing { .. } if named < 3 => "three or more",
            Kind::Bridge { .. } if named < 2 => "two or more",
            _ => "",
        };
        if !wanted.is_empty() {
            return Err(Invalid::Named { id: self.id, wanted, found: named });
        }
        let (one, other) = match &self.kind {
            Kind::WallStep { by_ns, .. } => (by_ns.unsigned_abs(), 0),
            Kind::WallStrobe { by_ns, every_ns, .. } => (by_ns.unsigned_abs(), *every_ns),
            Kind::SlowNode { by_ns: time, .. }
            | Kind::GracefulStop { grace_ns: time, .. }
            | Kind::OldDisk { age_ns: time, .. } => (*time, 0),
            _ => (0, 0),
        };
        time(&what(), one)?;
        time(&what(), other)?;
        Ok(())
    }
}

fn many(what: &'static str, found: usize, most: usize) -> Result<(), Invalid> {
    if found <= most { Ok(()) } else { Err(Invalid::Many { what, found, most }) }
}

fn time(what: &str, found: u64) -> Result<(), Invalid> {
    if found <= TIME_MAX_NS {
        return Ok(());
    }
    Err(Invalid::Time { what: what.to_owned(), found })
}

impl Weather {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        for (what, found) in [
            ("`loss_ppm`", self.loss_ppm),
            ("`duplication_ppm`", self.duplication_ppm),
            ("`reordering_ppm`", self.reordering_ppm),
            ("`corruption_ppm`", self.corruption_ppm),
            ("`eio_ppm`", self.eio_ppm),
            ("`sync_failure_ppm`", self.sync_failure_ppm),
            // A clock that is off by everything stands still.
            ("`clock_rate_ppm`, doubled,", self.clock_rate_ppm.saturating_mul(2)),
            ("`wall_drift_ppm`", self.wall_drift_ppm),
            ("`short_io_ppm`", self.short_io_ppm),
            ("`late_timers_ppm`", self.late_timers_ppm),
        ] {
            if found > 1_000_000 {
                return Err(Invalid::Rate { what, found });
            }
        }
        self.streams.check()?;
        time("`reordering_ns`", self.reordering_ns)?;
        time("`slow_link_ns`", self.slow_link_ns)?;
        time("`late_timers_ns`", self.late_timers_ns)?;
        time("`wall_offset_ns`", self.wall_offset_ns)?;
        for (what, latency) in [
            ("`latency`", &self.latency),
            ("`client_latency`", &self.client_latency),
            ("`disk_latency`", &self.disk_latency),
            ("`sync_latency`", &self.sync_latency),
        ] {
            latency.check(what)?;
        }
        Ok(())
    }
}

impl Latency {
    fn check(&self, what: &'static str) -> Result<(), Invalid> {
        let range = |low_ns: u64, high_ns: u64| {
            time(what, high_ns)?;
            if low_ns <= high_ns { Ok(()) } else { Err(Invalid::Range { what, low_ns, high_ns }) }
        };
        match *self {
            Latency::Uniform { low_ns, high_ns } => range(low_ns, high_ns),
            Latency::Exponential { low_ns, mean_ns } => {
                time(what, low_ns)?;
                time(what, mean_ns)
            }
            Latency::Tail { low_ns, high_ns, tail_ns, tail_ppm } => {
                range(low_ns, high_ns)?;
                range(high_ns, tail_ns)?;
                let found = tail_ppm;
                if found > 1_000_000 { Err(Invalid::Rate { what, found }) } else { Ok(()) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::RoleNodes;

    fn calm() -> Plan {
        Plan::calm(vec![RoleNodes { role: "node".to_owned(), nodes: 3 }], 3_000_000_000)
    }

    fn message(at_ns: Option<u64>) -> Override {
        let (from, to) = ("node-1".to_owned(), "node-2".to_owned());
        let (payload, nth, count, fate) = (None, 0, None, Fate::Lost);
        Override::Message { from, to, port: 1, message_kind: 0, payload, nth, count, at_ns, fate }
    }

    #[test]
    fn numbers_out_of_range_are_refused_with_the_range() {
        type Edit = fn(&mut Plan);
        let broken: [(&str, Edit); 10] = [
            ("it has 10001 episodes; at most 10000", |plan| {
                let node = "node-1".to_owned();
                let (kind, from) = (Kind::Pause { node }, When::AtNs(0));
                let episode = Episode { id: 1, kind, from, for_ns: None };
                plan.episodes = vec![episode; 10_001];
            }),
            ("it has 1000002 overrides; at most 1000000", |plan| {
                let numbers = vec![0; 1_000_000];
                let client = "node-1".to_owned();
                plan.overrides =
                    vec![message(Some(0)), Override::OnlyOperations { client, numbers }];
            }),
            ("at most 1000000 is right", |plan| plan.weather.loss_ppm = 2_000_000),
            ("`heal_at_ns` is", |plan| plan.heal_at_ns = u64::MAX),
            ("every role needs one", |plan| plan.nodes[0].nodes = 0),
            ("at most 1000", |plan| plan.nodes[0].nodes = u16::MAX),
            ("the first must not be the greater", |plan| {
                plan.weather.latency = Latency::Uniform { low_ns: 2, high_ns: 1 };
            }),
            ("and the scenario has [\"node\"]", |plan| plan.nodes.clear()),
            ("from node-1 to node-2 has no name", |plan| plan.overrides.push(message(None))),
            ("`at_ns` is", |plan| plan.overrides.push(message(Some(u64::MAX)))),
        ];
        assert_eq!(calm().check(&["node"]), Ok(()));
        for (wanted, edit) in broken {
            let mut plan = calm();
            edit(&mut plan);
            let said = plan.check(&["node"]).expect_err(wanted).to_string();
            assert!(said.contains(wanted), "{said}");
        }
    }
}
