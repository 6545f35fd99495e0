//! Typed messages: what arrives is what was sent, or it does not arrive.

use crate::probe::{SECOND, calm, notes, run_until};
use squall::Scenario;
use squall_env::platform::BindError;
use squall_env::{Address, Env, Port};
use std::future::poll_fn;
use std::sync::Mutex;
use std::time::Duration;

type Seen = &'static Mutex<Vec<Option<(Address, String)>>>;

const TEXTS: Port = Port::named("texts");

/// Tells itself three texts, each behind something that is none, and notes what it hears.
async fn tell(env: Env, seen: Seen) -> Result<(), BindError> {
    let mut messages = env.messages::<String>(TEXTS)?;
    let (out, own) = (env.bind(Port::ANY)?, Address::new(env.me(), TEXTS));
    for text in ["looked at", "taken", "looked at again"] {
        out.send(own, b"no message");
        env.sleep(Duration::from_millis(1)).await;
        messages.send(own, &text.to_owned());
        let heard = match text {
            "taken" => messages.receive().await,
            _ => poll_fn(|cx| messages.poll_look(cx, |from, text| (from, text.clone()))).await,
        };
        seen.lock().unwrap().push(heard.ok());
    }
    Ok(())
}

#[test]
fn a_message_is_the_same_whether_it_is_looked_at_or_taken() {
    let seen: Seen = notes();
    let scenario = Scenario::new("test/messages").nodes("node", 1..=1, move |env| tell(env, seen));
    assert_eq!(run_until(&scenario, 1, &calm(1), SECOND).failure, None);
    let seen: Vec<_> = seen.lock().unwrap().drain(..).map(Option::unwrap).collect();
    let texts: Vec<&str> = seen.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, ["looked at", "taken", "looked at again"]);
    assert!(seen.iter().all(|(from, _)| from.port == TEXTS));
}
