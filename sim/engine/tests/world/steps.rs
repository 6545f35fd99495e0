use crate::probe::{MS, SECOND, calm};
use squall::plan::{Episode, Kind, When};
use squall::{Plan, RunOutcome, Scenario, Steps, Tolerance, Watch, run_plan};
use squall_env::{Env, Port};

/// The first node writes a file, is ready, sends two messages and closes the file; the other does
/// nothing.
fn writing() -> Scenario {
    Scenario::new("test/steps")
        .nodes("node", 2..=2, |env: Env| async move {
            let mut socket = env.bind(Port::named("steps")).map_err(|e| e.to_string())?;
            if env.me().ordinal() == 1 {
                // The file, the write, and the sync.
                let mut file = env.open_file("file", true).await.map_err(|e| e.to_string())?;
                file.append(vec![1]).await.map_err(|e| e.to_string())?;
                file.sync().await.map_err(|e| e.to_string())?;
                env.ready();
                let to = env.addresses("node", socket.port())[1];
                socket.send(to, b"one");
                socket.send(to, b"two");
            }
            let mut buffer = Vec::new();
            while socket.receive(&mut buffer).await.is_ok() {}
            Ok::<(), String>(())
        })
        .tolerates(Tolerance::nothing().impaired("node", squall::Most::Any).crashes())
}

fn run(plan: &Plan, steps: bool) -> RunOutcome {
    run_plan(&writing(), 1, plan, Watch { steps, until_ns: SECOND, ..Watch::default() })
}

fn crash_at(number: u32) -> Plan {
    let kind = Kind::Crash { node: "node-1".to_owned(), power_loss: false };
    let from = When::Step { after_ns: 0, number };
    let crash = Episode { id: 1, kind, from, for_ns: Some(10 * MS) };
    Plan { episodes: vec![crash], ..calm(2) }
}

#[test]
fn disk_operations_and_datagrams_are_steps_and_counting_them_changes_nothing() {
    let (plan, none) = (calm(2), Steps::default());
    let counted = run(&plan, true);
    assert_eq!(counted.steps, [Steps { all: 6, recovering: 0 }, none]);
    let uncounted = run(&plan, false);
    assert_eq!(uncounted.steps, []);
    assert_eq!(uncounted.digest, counted.digest);
}

#[test]
fn a_recovery_is_what_comes_before_a_later_boot_is_ready() {
    for number in 1..=6 {
        let counted = run(&crash_at(number), true);
        let all = u64::from(number) + 6;
        assert_eq!(counted.steps[0], Steps { all, recovering: 3 }, "a crash at {number}");
        assert_eq!(run(&crash_at(number), false).digest, counted.digest);
    }
    // The seventh step never comes.
    assert_eq!(run(&crash_at(7), true).steps[0], Steps { all: 6, recovering: 0 });
}
