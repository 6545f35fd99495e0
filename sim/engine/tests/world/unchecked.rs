use crate::probe::{MS, SECOND, calm};
use squall::check_history::{Register, RegisterCall, RegisterReturn};
use squall::plan::{Plan, RoleNodes};
use squall::{Client, Scenario, Watch, linearizable, run_plan};
use squall_env::request::CallError;
use squall_env::shown::AuditView;
use squall_env::{Env, View};
use std::time::Duration;

struct Count(u32);

/// A node that counts to three, and a client that reads what nobody has written.
fn scenario() -> Scenario {
    Scenario::new("test/unchecked")
        .nodes("node", 1..=1, |env: Env| async move {
            let count = env.show("count", Count(0));
            for _ in 0..3 {
                env.sleep(Duration::from_millis(10)).await;
                count.update(&env, |count| count.0 += 1);
            }
            Ok::<(), String>(())
        })
        .clients("client", 1..=1, |client: Client| async move {
            client.env().sleep(Duration::from_millis(100)).await;
            let read = async { Ok::<_, CallError>(RegisterReturn::Value(9)) };
            let _ = client.perform::<Register<u64>, _>(RegisterCall::Read, read).await;
            Ok::<(), String>(())
        })
}

fn plan() -> Plan {
    let mut plan = calm(1);
    plan.nodes.push(RoleNodes { role: "client".to_owned(), nodes: 1 });
    plan.heal_at_ns = 50 * MS;
    plan
}

/// The property that fails under this watch.
fn failing(scenario: &Scenario, watch: Watch) -> Option<String> {
    run_plan(scenario, 1, &plan(), watch).failure.map(|failure| failure.property)
}

fn never_two() -> impl FnMut(&View<'_>) -> Result<(), String> {
    |view| match view.up::<Count>().any(|count| count.0 == 2) {
        true => Err("it is two".to_owned()),
        false => Ok(()),
    }
}

fn refused() -> impl FnMut(&AuditView<'_>) -> Result<(), String> {
    |_| Err("an audit took place".to_owned())
}

#[test]
fn with_the_checkers_off_no_invariant_no_audit_and_no_history_fails_a_run() {
    let read = || scenario().check(linearizable(Register::new(9u64)));
    assert_eq!(failing(&read(), Watch::default()), None);
    let wrong = [
        ("never two", read().always("never two", never_two)),
        ("no audit", read().audit("no audit", refused)),
        ("the history is linearizable", scenario().check(linearizable(Register::new(0u64)))),
    ];
    for (property, scenario) in wrong {
        assert_eq!(failing(&scenario, Watch::default()).as_deref(), Some(property));
        assert_eq!(failing(&scenario, Watch::unchecked()), None, "{property}");
        let outcome = run_plan(&scenario, 1, &plan(), Watch::unchecked());
        assert_eq!(outcome.operations.ok, 1, "the history is recorded all the same");
    }
}

#[test]
fn with_the_checkers_off_a_run_still_fails_by_itself_and_ends_when_its_goals_are_reached() {
    let goal = |count: u32| {
        let reached = move || {
            move |view: &View<'_>| {
                let mut shown = view.up::<Count>();
                count == 0 || shown.any(|shown| shown.0 == count)
            }
        };
        scenario().check(linearizable(Register::new(9u64))).eventually(
            "it gets there",
            Duration::from_secs(1),
            reached,
        )
    };
    assert_eq!(failing(&goal(0), Watch::unchecked()), None);
    assert_eq!(failing(&goal(7), Watch::unchecked()).as_deref(), Some("it gets there"));
    let panics =
        Scenario::new("test/unchecked-panic").nodes("node", 1..=1, |env: Env| async move {
            env.sleep(Duration::from_millis(1)).await;
            assert!(env.now() < env.now(), "time has stood still");
            Ok::<(), String>(())
        });
    let watch = Watch { until_ns: SECOND, ..Watch::unchecked() };
    let failure = run_plan(&panics, 1, &calm(1), watch).failure.expect("the node panics");
    assert!(failure.story.join(" ").contains("time has stood still"), "{failure:?}");
}
