//! A service that answers after a while, for those who guard calls of one.

use squall_env::request::{CallError, Caller, Responder};
use squall_env::{Address, Env, Port};
use std::time::Duration;

const PORT: Port = Port::named("service");

/// A node that answers every request after at most 50 ms.
pub(crate) async fn serve(env: Env) -> Result<(), String> {
    let asked = Responder::<u64, u64>::open(&env, PORT);
    let mut asked = asked.map_err(|error| error.to_string())?;
    env.ready();
    loop {
        let (number, back) = asked.receive().await.map_err(|error| error.to_string())?;
        env.sleep(Duration::from_micros(env.random_below(50_000))).await;
        back.reply(number);
    }
}

/// The way to it.
pub(crate) struct Service(Caller<u64, u64>, Address);

impl Service {
    pub(crate) fn open(env: &Env) -> Result<Service, String> {
        let caller = Caller::open(env).map_err(|error| error.to_string())?;
        Ok(Service(caller, Address::new(env.peers("service")[0], PORT)))
    }

    /// Asks once, and waits for 200 ms at most.
    pub(crate) async fn ask(&self, number: u64) -> Result<u64, CallError> {
        self.0.call(self.1, number, Duration::from_millis(200)).await
    }
}
