//! What the code itself is offered: rare paths, and other values for its constants.

use super::{Blind, name, witness};
use squall::table::Group;
use squall::{Fault, FaultSet, Most, Scenario, Tolerance, conditions};
use squall_env::{Env, NodeId, View, buggify};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

const CONTRACT: &str = "knobs stay in their range, and rare things are rare";
const RARE: &str = "a rare thing was done";

/// A knob: its name, its default, and its range.
const KNOBS: [(&str, u64, u64, u64); 4] = [
    ("weather/narrow", 5, 4, 6),
    ("weather/wide", 100, 1, 1_000_000),
    ("weather/fixed", 7, 7, 7),
    ("weather/low", 0, 0, 9),
];

/// What a node was given.
struct Given {
    knobs: [u64; KNOBS.len()],
    /// How often it passed each site, and did the rare thing there.
    passes: u64,
    rare: [u64; 4],
}

/// Nodes that ask for everything that a test may change in code.
pub fn code(blind: Blind) -> Scenario {
    blind
        .scenario("code", CONTRACT)
        .nodes("node", 2..=4, serve)
        .clients("witness", 1..=1, witness)
        .tolerates(
            Tolerance::nothing()
                .impaired("node", Most::Any)
                .fault(Fault::Crash)
                .faults_of(FaultSet::of(Group::Code)),
        )
        .sometimes(RARE)
        .always(CONTRACT, move || {
            let mut first: BTreeMap<NodeId, [u64; KNOBS.len()]> = BTreeMap::new();
            let mut rare: BTreeMap<(NodeId, u64), u64> = BTreeMap::new();
            move |view: &View<'_>| {
                for given in view.up::<Given>() {
                    let known = *first.entry(given.node).or_insert(given.knobs);
                    if known != given.knobs {
                        return Err(format!("a knob of {} has moved", name(given.node)));
                    }
                    let before = rare.entry((given.node, given.number)).or_default();
                    let sum = given.rare.iter().sum();
                    let acts = sum > *before;
                    *before = sum;
                    judge(blind, &given, acts)?;
                }
                Ok(())
            }
        })
}

fn judge(blind: Blind, given: &Given, acts: bool) -> Result<(), String> {
    let now = conditions().ok_or("no run is under way")?;
    for ((knob, default, low, high), value) in KNOBS.iter().zip(given.knobs) {
        let turned = now.weather.knobs && blind.knows(Fault::Knobs);
        if !(low..=high).contains(&&value) || !turned && value != *default {
            return Err(format!("{knob} is {value}"));
        }
    }
    let offered = now.weather.buggify && blind.knows(Fault::Buggify);
    if acts && (!offered || now.healed) {
        return Err("a rare thing was done when none is".to_owned());
    }
    // Of many passes a quarter is rare; all of them would be no test of anything.
    if given.passes > 60 && given.rare.contains(&given.passes) {
        return Err("a rare thing was done every time".to_owned());
    }
    Ok(())
}

async fn serve(env: Env) -> Result<(), Infallible> {
    let knobs = KNOBS.map(|(name, default, low, high)| env.knob(name, default, low, high));
    let given = Given { knobs, passes: 0, rare: [0; 4] };
    let given = env.show("given", given);
    env.ready();
    loop {
        env.sleep(Duration::from_millis(20)).await;
        let rare = [
            buggify!(env, "weather/one"),
            buggify!(env, "weather/two"),
            buggify!(env, "weather/three"),
            buggify!(env, "weather/four"),
        ];
        if rare.contains(&true) {
            env.sometimes(RARE);
        }
        given.update(&env, |given| {
            given.passes += 1;
            given.rare.iter_mut().zip(rare).for_each(|(sum, rare)| *sum += u64::from(rare));
        });
    }
}
