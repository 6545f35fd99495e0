//! Raft whose leaders answer reads by themselves as long as clocks allow it.

use super::transfers::operator;
use super::{Value, cluster, members, tolerance};
use squall::{Fault, Scenario};
use squall_env::Env;
use squall_protocols::raft::{Config, ServeError, serve};

/// Each clock is off by up to 2 %, and so one runs faster than another by up to 4.1 %.
const DRIFT_MAX_PPM: u32 = 41_000;

/// The cluster of `raft/transfers` with leases, and up to seven members. No clock stands still.
pub fn leases() -> Scenario {
    cluster(Scenario::new("raft/leases").nodes("member", 3..=7, member))
        .clients("operator", 1..=1, operator)
        .tolerates(tolerance().but_not(Fault::Suspend))
        .sometimes("a read was answered by a lease")
}

async fn member(env: Env) -> Result<(), ServeError> {
    let mut config = Config::of(members(&env));
    config.lease_drift_max_ppm = Some(DRIFT_MAX_PPM);
    serve::<Value>(env, config).await
}
