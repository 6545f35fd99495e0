use squall::plan::Forecast;
use squall::script::{cue, delivered, hold, power_loss, release, returned, sent, sync, synced};
use squall::{
    AuditMoment, AuditView, Client, Most, Scenario, Script, Tolerance, linearizable, run, twice,
};
use squall_env::platform::BindError;
use squall_protocols::register::{NAME, RegisterClient, Replica, Tag, invariants, serve};
use squall_scenarios::register::{DURABLE, LINEARIZABLE, Model, read, write};
use std::sync::Mutex;
use std::time::Duration;

/// The number of `Message::Store` among the messages.
pub(crate) const STORE: u8 = 1;

/// The write reaches replica-1 alone. The first reader hears replica-1 and sees the new value; the
/// second one, which begins when the first is done, hears only the other replicas.
pub(crate) fn new_then_old() -> Script {
    Script::new()
        .nodes("replica", 3)
        .when(sent("writer-1", "replica-1").of_kind(STORE), hold("writer-1", "replica-2"))
        .then(hold("writer-1", "replica-3"))
        .when(delivered("writer-1", "replica-1"), hold("replica-3", "reader-1"))
        .after(Duration::from_millis(20), cue("reader-1"))
        .when(returned("reader-1"), hold("replica-1", "reader-2"))
        .then(cue("reader-2"))
        .when(returned("reader-2"), release("writer-1", "replica-2"))
        .step_to(returned("writer-1"))
}

/// Two replicas hear of the write, one after the other, and each loses its power while it syncs.
pub(crate) fn two_unsynced_replicas() -> Script {
    let down = |node| power_loss(node).lasting(Duration::from_millis(50));
    Script::new()
        .nodes("replica", 3)
        .when(sent("writer-1", "replica-1").of_kind(STORE), hold("writer-1", "replica-2"))
        .then(hold("writer-1", "replica-3"))
        .when(sync("replica-1"), down("replica-1"))
        .then(release("writer-1", "replica-2"))
        .when(sync("replica-2"), down("replica-2"))
        .step_to(returned("writer-1"))
        .then(cue("reader-1"))
        .then(cue("reader-2"))
}

/// Everybody does one operation; readers wait for their cues.
async fn once(client: Client) -> Result<(), BindError> {
    let mut register = RegisterClient::open(client.env(), "replica")?;
    let me = client.env().roster().name(client.env().me());
    client.cue(&me).await;
    if me == "writer-1" {
        write(&client, &mut register, 7).await;
    } else {
        // What came of it is recorded.
        let _ = read(&client, &mut register).await;
    }
    Ok(())
}

pub(crate) fn register() -> Scenario {
    Scenario::new("test/register-story")
        .nodes("replica", 3..=5, serve)
        .clients("writer", 1..=1, once)
        .clients("reader", 2..=2, once)
        .tolerates(
            Tolerance::nothing().crashes().lost_unsynced_writes().impaired("replica", Most::Any),
        )
        .audit(DURABLE, invariants::acknowledged_is_durable)
        .check(linearizable(Model::new(None)))
}

#[test]
fn who_does_not_write_back_lets_another_read_an_older_value() {
    register().script(new_then_old()).unwrap().seeds(0..20).run();
    let mutant = "register/reads-without-write-back";
    let bad = register().script(new_then_old()).unwrap().mutant("test/bad", mutant, LINEARIZABLE);
    for seed in 0..20 {
        let failure = run(&bad, seed).failure.expect("the story breaks it, whatever the latencies");
        assert_eq!(failure.property, LINEARIZABLE, "seed {seed}");
    }
}

#[test]
fn who_answers_before_it_has_synced_has_promised_what_two_power_losses_take() {
    let lossy = || Forecast::read("lost-writes,-crash").unwrap();
    let told = || register().script(two_unsynced_replicas()).unwrap().under(lossy());
    told().seeds(0..20).run();
    let bad = told().mutant("test/bad", "register/acknowledges-before-durable", DURABLE);
    let broken: Vec<String> = (0..20)
        .filter_map(|seed| run(&bad, seed).failure)
        .map(|failure| failure.property)
        .collect();
    // What was not synced may be kept as well.
    assert!(broken.len() > 3 && broken.iter().all(|property| property == DURABLE), "{broken:?}");
}

#[test]
fn audits_at_crashes_recover_what_the_disk_of_the_crashed_replica_holds() {
    let seen: &'static Mutex<Vec<(AuditMoment, Tag)>> = Box::leak(Box::default());
    let scenario = register().audit("a crashed replica recovers", move || {
        |audit: &AuditView<'_>| {
            if let AuditMoment::Crash(node) = audit.moment() {
                let replica = audit.recover::<Replica>(node, NAME, &())?;
                seen.lock().unwrap().push((audit.moment(), replica.tag()));
            }
            Ok(())
        }
    });
    let script = Script::new()
        .nodes("replica", 3)
        .when(sent("writer-1", "replica-1").of_kind(STORE), cue("reader-1"))
        .when(synced("replica-1"), power_loss("replica-1").lasting(Duration::from_millis(9)))
        .then(cue("reader-2"));
    let scenario = scenario.script(script).unwrap();
    assert_eq!(run(&scenario, 3).failure, None);
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    let [(AuditMoment::Crash(node), tag)] = seen[..] else { panic!("{seen:?}") };
    // Its sync was done, so the write is there, though nobody has heard of that.
    assert_eq!((node.ordinal(), tag.sequence), (1, 1));
}

#[test]
fn stories_repeat_exactly() {
    for story in [new_then_old(), two_unsynced_replicas()] {
        let scenario = register().script(story).unwrap();
        for seed in 0..20 {
            assert!(twice(&scenario, seed, &scenario.plan(seed)).is_ok(), "seed {seed}");
        }
    }
}
