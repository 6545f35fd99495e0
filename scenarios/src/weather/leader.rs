//! Faults that strike whoever leads: that node and no other is cut off.

use super::{Blind, MS, name, set, witness};
use squall::{Fault, Scenario, Tolerance, conditions};
use squall_env::platform::BindError;
use squall_env::{Env, NodeId, Port, View, race};
use std::collections::BTreeMap;
use std::time::Duration;

const CONTRACT: &str = "the leader of the moment is cut off, and nobody else";
const ANOTHER: &str = "another led in the meantime";

/// Who has heard nothing of a lower number for so long leads.
const SILENCE: Duration = Duration::from_millis(150);

/// How long beats may be under way, and a node may go on leading after it has heard of another.
const GRACE_NS: u64 = 1_500 * MS;

/// What a node shows: whether it leads, and whom it heard last.
#[derive(Default)]
struct State {
    leads: bool,
    heard: Option<NodeId>,
    beats: u64,
}

/// Nodes that beat to each other; the lowest of those that are heard leads.
pub fn leader(blind: Blind) -> Scenario {
    blind
        .scenario("leader", CONTRACT)
        .nodes("node", 3..=5, serve)
        .clients("witness", 1..=1, witness)
        .tolerates(Tolerance::nothing().faults_of(set(&[Fault::IsolateLeader, Fault::Loss])))
        .leader(|| |view: &View<'_>| leading(view))
        .sometimes(ANOTHER)
        .always(CONTRACT, move || {
            let mut court = Court { blind, led: BTreeMap::new(), beats: BTreeMap::new() };
            move |view: &View<'_>| court.look(view)
        })
}

/// The lowest of those that lead.
fn leading(view: &View<'_>) -> Option<NodeId> {
    view.up::<State>().find(|state| state.leads).map(|state| state.node)
}

async fn serve(env: Env) -> Result<(), BindError> {
    let state = env.show("state", State::default());
    let mut beats = env.bind(Port::named("beat"))?;
    env.ready();
    let me = env.me();
    let all = env.addresses("node", beats.port());
    let mut lower = env.now();
    let mut bytes = Vec::new();
    loop {
        for to in all.iter().filter(|to| to.node != me) {
            beats.send(*to, &[1]);
        }
        let listening = async {
            while let Ok(from) = beats.receive(&mut bytes).await {
                if from.node < me {
                    lower = env.now();
                }
                state.update(&env, |state| {
                    state.heard = Some(from.node);
                    state.beats += 1;
                });
            }
        };
        race(env.sleep(Duration::from_millis(20)), listening).await;
        let leads = env.now() - lower > SILENCE;
        if leads != state.read(|state| state.leads) {
            state.update(&env, |state| state.leads = leads);
            if leads && me.ordinal() > 1 {
                env.sometimes(ANOTHER);
            }
        }
    }
}

struct Court {
    blind: Blind,
    /// Who led when each episode struck.
    led: BTreeMap<u32, Option<NodeId>>,
    beats: BTreeMap<NodeId, u64>,
}

impl Court {
    fn look(&mut self, view: &View<'_>) -> Result<(), String> {
        let now = conditions().ok_or("no run is under way")?;
        for struck in now.struck.iter() {
            self.led.entry(struck.episode.id).or_insert_with(|| leading(view));
        }
        for state in view.up::<State>() {
            let beats = self.beats.entry(state.node).or_default();
            let Some(from) = state.heard.filter(|_| state.beats > *beats) else { continue };
            *beats = state.beats;
            for struck in now.struck.iter().filter(|struck| struck.holds_at(now.now_ns)) {
                let led = self.led.get(&struck.episode.id).copied().flatten();
                if led.is_some_and(|led| led == from || led == state.node) {
                    return Err(format!("{} heard {}", name(state.node), name(from)));
                }
            }
        }
        let recently = now.now_ns.saturating_sub(GRACE_NS);
        let apart = now.struck.iter().any(|struck| struck.overlaps(recently, now.now_ns + 1));
        let excused = now.weather.loss_ppm > 0 || apart && self.blind.knows(Fault::IsolateLeader);
        let leading = view.up::<State>().filter(|state| state.leads).count();
        if leading > 1 && !excused && recently > 0 {
            return Err(format!("{leading} lead at once"));
        }
        Ok(())
    }
}
