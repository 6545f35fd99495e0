//! Slots for disk operations: each hands out the answer to what was asked last, and no other.

use crate::probe::{SECOND, calm, notes, run_until};
use squall::Scenario;
use squall_env::Env;
use squall_env::disk::{DiskError, Done, FileToken, Operation, Slot};
use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

/// What one node writes down while it does this.
fn noted<T, F, Fut>(work: F) -> Vec<T>
where
    T: Clone + Send + 'static,
    F: Fn(Env, &'static Mutex<Vec<T>>) -> Fut + Copy + Send + Sync + 'static,
    Fut: Future<Output = Result<(), DiskError>> + Send + 'static,
{
    let seen: &'static Mutex<Vec<T>> = notes();
    let scenario =
        Scenario::new("test/slots").nodes("node", 1..=1, move |env: Env| work(env, seen));
    assert_eq!(run_until(&scenario, 1, &calm(1), SECOND).failure, None);
    seen.lock().unwrap().clone()
}

async fn create(env: &Env, slot: &mut Slot) -> Result<FileToken, DiskError> {
    let open = Operation::Open { path: "f".to_owned(), create: true };
    match slot.run(env.platform(), open).await? {
        Done::Opened { file, .. } => Ok(file),
        other => panic!("{other:?}"),
    }
}

/// Hands on to another waker, and counts.
struct Relay {
    to: Waker,
    woken: &'static AtomicU32,
}

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.woken.fetch_add(1, Ordering::Relaxed);
        self.to.wake_by_ref();
    }
}

#[test]
fn who_waits_by_another_waker_is_told_once() {
    static WOKEN: AtomicU32 = AtomicU32::new(0);
    let asked = noted(|env, seen| async move {
        let mut slot = Slot::default();
        create(&env, &mut slot).await?;
        for round in 0..3 {
            slot.submit(env.platform(), Operation::List { path: String::new() });
            let listed = poll_fn(|cx| {
                let relay = Relay { to: cx.waker().clone(), woken: &WOKEN };
                slot.poll(&mut Context::from_waker(&Waker::from(Arc::new(relay))))
            });
            let Done::Names(names) = listed.await? else { return Err(DiskError::Io) };
            assert_eq!(names, ["f"]);
            assert_eq!(WOKEN.load(Ordering::Relaxed), round + 1);
            seen.lock().unwrap().push(round);
        }
        Ok(())
    });
    assert_eq!(asked, [0, 1, 2]);
}

#[test]
fn what_nobody_waits_for_goes_on_and_answers_nobody() {
    let read = noted(|env, seen| async move {
        let mut slot = Slot::default();
        let file = create(&env, &mut slot).await?;
        for round in 0..20 {
            // The first is given up for the second, and the third with its slot.
            slot.submit(env.platform(), Operation::Write { file, offset: 0, data: vec![round] });
            slot.submit(env.platform(), Operation::List { path: String::new() });
            let write = Operation::Write { file, offset: 1, data: vec![round, round] };
            Slot::default().submit(env.platform(), write);
            if round % 2 == 0 {
                // Both may be over before anybody asks.
                env.sleep(Duration::from_millis(10)).await;
            }
            let listed = poll_fn(|cx| slot.poll(cx)).await?;
            assert!(matches!(listed, Done::Names(names) if names == ["f"]));
            let read = Operation::Read { file, offset: 0, length: 3, buffer: Vec::new() };
            let Done::Buffer(bytes) = slot.run(env.platform(), read).await? else {
                return Err(DiskError::Io);
            };
            seen.lock().unwrap().push(bytes);
        }
        Ok(())
    });
    let written: Vec<Vec<u8>> = (0..20).map(|round| vec![round; 3]).collect();
    assert_eq!(read, written);
}
