//! Weather that goes calm.

use crate::plan::{Latency, Plan, Weather};
use crate::table::{Fault, Group, TABLE};

/// Faults of the weather that strike single messages.
const STRIKES: [Fault; 4] = [Fault::Loss, Fault::Duplication, Fault::Reordering, Fault::Corruption];

/// The faults that the weather has, beside latency.
pub(super) fn faults(plan: &Plan) -> Vec<Fault> {
    let own = Plan { episodes: Vec::new(), ..plan.clone() };
    let on = TABLE.iter().map(|row| row.fault).filter(|fault| *fault != Fault::Latency);
    on.filter(|fault| own.configures(*fault)).collect()
}

/// How often the weather struck: each message that it did, and everything else once.
pub(crate) fn strikes(plan: &Plan, fired: impl Fn(&str) -> u64) -> u64 {
    let own = faults(plan).into_iter();
    own.map(|fault| match fired(fault.row().name) {
        many if STRIKES.contains(&fault) => many,
        any => any.min(1),
    })
    .sum()
}

/// Takes a fault out of the weather.
pub(super) fn switch_off(weather: &mut Weather, fault: Fault) {
    match fault {
        Fault::Loss => weather.loss_ppm = 0,
        Fault::Duplication => weather.duplication_ppm = 0,
        Fault::Reordering => (weather.reordering_ppm, weather.reordering_ns) = (0, 0),
        Fault::Corruption => weather.corruption_ppm = 0,
        Fault::LostWrites => weather.lost_writes = false,
        Fault::TornWrites => weather.torn_writes = false,
        Fault::LostEntries => weather.lost_entries = false,
        Fault::Eio => weather.eio_ppm = 0,
        Fault::SyncFailure => weather.sync_failure_ppm = 0,
        Fault::QueueOverflow => weather.mailbox_max = 0,
        Fault::Bandwidth => weather.bandwidth = 0,
        Fault::Garbage => weather.garbage = false,
        Fault::LengthWithoutData => weather.length_without_data = false,
        Fault::ShortIo => weather.short_io_ppm = 0,
        Fault::LateTimers => (weather.late_timers_ppm, weather.late_timers_ns) = (0, 0),
        Fault::WallOffset => weather.wall_offset_ns = 0,
        Fault::ClockRate => weather.clock_rate_ppm = 0,
        Fault::WallDrift => weather.wall_drift_ppm = 0,
        Fault::Buggify => weather.buggify = false,
        Fault::Knobs => weather.knobs = false,
        // What is left of the weather is about streams, which go calm together.
        _ => weather.streams = crate::plan::StreamWeather::default(),
    }
}

/// The plan without a fault: its episodes, and what the weather has of it.
#[cfg(feature = "cli")]
pub(crate) fn without(plan: &Plan, fault: Fault) -> Plan {
    let mut plan = plan.clone();
    plan.episodes.retain(|episode| episode.kind.fault() != fault);
    if faults(&plan).contains(&fault) {
        switch_off(&mut plan.weather, fault);
    }
    plan
}

/// Calmer plans than this one: what changes most comes first.
pub(super) fn calmer(plan: &Plan) -> Vec<Plan> {
    let with = |weather: Weather| Plan { weather, ..plan.clone() };
    let mut plans = vec![with(in_order()), with(Weather::calm())];
    for group in Group::ALL {
        let mut weather = plan.weather.clone();
        for fault in faults(plan).into_iter().filter(|fault| fault.row().group == group) {
            switch_off(&mut weather, fault);
        }
        plans.push(with(weather));
    }
    for fault in faults(plan) {
        let mut weather = plan.weather.clone();
        switch_off(&mut weather, fault);
        plans.push(with(weather));
    }
    plans.extend(steady(&plan.weather).into_iter().map(with));
    plans.retain(|other| other.weather != plan.weather);
    plans
}

/// Calm, and everything takes the same time always.
fn in_order() -> Weather {
    let mut weather = Weather::calm();
    for latency in [
        &mut weather.latency,
        &mut weather.client_latency,
        &mut weather.disk_latency,
        &mut weather.sync_latency,
    ] {
        if let Latency::Uniform { low_ns, .. } = *latency {
            *latency = Latency::Uniform { low_ns, high_ns: low_ns };
        }
    }
    weather
}

/// The same weather with one kind of latency as it is when it is calm, or steady.
fn steady(weather: &Weather) -> Vec<Weather> {
    let mut all = Vec::new();
    for calm in [in_order(), Weather::calm()] {
        all.push(Weather { latency: calm.latency, slow_link_ns: 0, ..weather.clone() });
        all.push(Weather { client_latency: calm.client_latency, ..weather.clone() });
        let (disk_latency, sync_latency) = (calm.disk_latency, calm.sync_latency);
        all.push(Weather { disk_latency, sync_latency, ..weather.clone() });
    }
    all
}

/// The plan without the faults that strike single messages; none if it has none of them.
pub(super) fn without_strikes(plan: &Plan) -> Option<Plan> {
    let mut calm = plan.clone();
    STRIKES.into_iter().for_each(|fault| switch_off(&mut calm.weather, fault));
    (calm.weather != plan.weather).then_some(calm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_the_weather_can_be_switched_off() {
        let frame = crate::plan::Frame {
            roles: &[("node".to_owned(), 3, 3, false)],
            forecast: &crate::plan::Forecast::surely(crate::FaultSet::ALL),
            tolerated: crate::FaultSet::ALL,
            impairable: &["node".to_owned()],
            has_leader: true,
            heal_at_ns: 3_000_000_000,
        };
        let plan = crate::plan::draw(1, &frame);
        let on = faults(&plan);
        assert!(on.len() > 20, "{on:?}");
        for fault in on {
            let mut calm = plan.clone();
            switch_off(&mut calm.weather, fault);
            calm.episodes.clear();
            assert!(!calm.configures(fault), "{fault:?}");
        }
    }
}
