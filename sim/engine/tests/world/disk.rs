use crate::probe::{MS, SECOND, calm, crash, episode, notes, run_until};
use squall::plan::Plan;
use squall::{Most, Scenario, Tolerance};
use squall_env::Env;
use squall_env::disk::DiskError;
use squall_env::journal::Journal;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

type Seen = &'static Mutex<Vec<Option<Vec<u8>>>>;

fn lossy(torn: bool, entries: bool) -> Plan {
    let mut plan = calm(1);
    plan.weather.lost_writes = true;
    plan.weather.torn_writes = torn;
    plan.weather.lost_entries = entries;
    plan.episodes = vec![episode(1, crash("node-1"), SECOND, 100 * MS)];
    plan
}

/// Runs `first` at the first boot and then reads the file "f" at the second, under many seeds.
fn after_crash<F, Fut>(plan: &Plan, first: F) -> Vec<Option<Vec<u8>>>
where
    F: Fn(Env) -> Fut + Copy + Send + Sync + 'static,
    Fut: Future<Output = Result<(), DiskError>> + Send + 'static,
{
    let seen: Seen = notes();
    let scenario = Scenario::new("test/disk")
        .nodes("node", 1..=1, move |env: Env| async move {
            env.ready();
            if env.read_file("marker").await?.is_none() {
                env.replace_file("marker", vec![1]).await?;
                first(env.clone()).await?;
            } else {
                let content = env.read_file("f").await?;
                seen.lock().unwrap().push(content);
            }
            std::future::pending::<Result<(), DiskError>>().await
        })
        .tolerates(
            Tolerance::nothing()
                .crashes()
                .lost_unsynced_writes()
                .failing_disks()
                .impaired("node", Most::Any),
        );
    for seed in 0..60 {
        let outcome = run_until(&scenario, seed, plan, 2 * SECOND);
        assert_eq!(outcome.failure, None);
    }
    let seen = seen.lock().unwrap().clone();
    assert!(seen.len() >= 60, "every seed crashes: {} of 60", seen.len());
    seen
}

fn kinds(seen: &[Option<Vec<u8>>]) -> BTreeSet<Option<Vec<u8>>> {
    seen.iter().cloned().collect()
}

#[test]
fn what_was_synced_is_kept() {
    let seen = after_crash(&lossy(true, true), |env| async move {
        let mut file = env.open_file("f", true).await?;
        file.write_at(0, vec![7; 2_000]).await?;
        file.sync().await?;
        env.sync_directory("").await
    });
    assert_eq!(kinds(&seen), BTreeSet::from([Some(vec![7; 2_000])]));
}

#[test]
fn a_write_with_its_sync_is_kept_once_both_are_done_and_before_that_in_part() {
    async fn write(env: Env) -> Result<(), DiskError> {
        let mut file = env.open_file("f", true).await?;
        env.sync_directory("").await?;
        file.write_and_sync(0, vec![7; 2_000]).await
    }
    let seen = after_crash(&lossy(true, true), write);
    assert_eq!(kinds(&seen), BTreeSet::from([Some(vec![7; 2_000])]));
    // The marker takes the first seven operations; these are the write, and the sync behind it.
    for number in [10, 11] {
        let mut plan = lossy(false, false);
        plan.episodes[0].from = squall::plan::When::Step { after_ns: 0, number };
        let lengths: BTreeSet<usize> =
            after_crash(&plan, write).iter().flatten().map(Vec::len).collect();
        assert!(lengths.contains(&0) && lengths.contains(&2_000), "{number}: {lengths:?}");
    }
}

#[test]
fn a_write_with_its_sync_fails_as_each_of_them_does() {
    type Answers = &'static Mutex<Vec<(Result<(), DiskError>, usize)>>;
    let run = |eio_ppm, sync_failure_ppm| {
        let answers: Answers = notes();
        let scenario = Scenario::new("test/write-and-sync")
            .nodes("node", 1..=1, move |env: Env| async move {
                let mut file = loop {
                    if let Ok(file) = env.open_file("f", true).await {
                        break file;
                    }
                };
                let answer = file.write_and_sync(0, vec![7; 100]).await;
                let content = loop {
                    if let Ok(content) = env.read_file("f").await {
                        break content.unwrap_or_default();
                    }
                };
                answers.lock().unwrap().push((answer, content.len()));
                Ok::<(), DiskError>(())
            })
            .tolerates(Tolerance::nothing().failing_disks().impaired("node", Most::Any));
        let mut plan = calm(1);
        plan.weather.eio_ppm = eio_ppm;
        plan.weather.sync_failure_ppm = sync_failure_ppm;
        for seed in 0..60 {
            run_until(&scenario, seed, &plan, SECOND);
        }
        answers.lock().unwrap().clone()
    };
    assert!(run(0, 0).iter().all(|answer| *answer == (Ok(()), 100)));
    let failed = |answers: &[(Result<(), DiskError>, usize)]| {
        let failed = answers.iter().filter(|(answer, _)| *answer == Err(DiskError::Io));
        failed.map(|(_, length)| *length).collect::<BTreeSet<usize>>()
    };
    let torn = failed(&run(400_000, 0));
    assert!(torn.iter().any(|length| (1..100).contains(length)), "{torn:?}");
    // What programs see is whole, whatever the disk has of it.
    assert_eq!(failed(&run(0, 400_000)), BTreeSet::from([100]));
}

#[test]
fn a_file_whose_directory_was_not_synced_may_be_missing() {
    let seen = after_crash(&lossy(false, true), |env| async move {
        let mut file = env.open_file("f", true).await?;
        file.write_at(0, vec![7; 10]).await?;
        file.sync().await
    });
    assert_eq!(kinds(&seen), BTreeSet::from([None, Some(vec![7; 10])]));
}

#[test]
fn unsynced_sectors_are_kept_in_any_subset_and_lengths_apart_from_data() {
    let mut plan = lossy(false, false);
    plan.weather.length_without_data = true;
    let seen = after_crash(&plan, grow);
    let mut patterns = BTreeSet::new();
    for content in seen.into_iter().flatten() {
        assert!([1_024, 2_048].contains(&content.len()));
        let sectors: Vec<u8> = content.chunks(512).map(|sector| sector[0]).collect();
        for sector in content.chunks(512) {
            assert!(sector.iter().all(|byte| *byte == sector[0]), "a sector is whole");
        }
        patterns.insert(sectors);
    }
    // Old and new in every mixture, and length without data.
    assert!(patterns.contains(&vec![1, 2]) && patterns.contains(&vec![2, 1]), "{patterns:?}");
    let zeros = patterns.iter().any(|p| p.len() == 4 && p[2..].contains(&0));
    assert!(zeros, "{patterns:?}");
    assert!(patterns.len() > 8, "{patterns:?}");
}

async fn grow(env: Env) -> Result<(), DiskError> {
    let mut file = env.open_file("f", true).await?;
    file.write_at(0, vec![1; 1_024]).await?;
    file.sync().await?;
    file.write_at(0, vec![2; 2_048]).await
}

#[test]
fn a_file_does_not_grow_beyond_its_data_unless_it_may() {
    let seen = after_crash(&lossy(false, false), grow);
    let lengths: BTreeSet<usize> = seen.iter().flatten().map(Vec::len).collect();
    assert_eq!(lengths, BTreeSet::from([1_024, 1_536, 2_048]));
    assert!(seen.iter().flatten().all(|content| content[1_024..].iter().all(|byte| *byte == 2)));
}

#[test]
fn garbage_is_only_where_something_was_written() {
    let mut plan = lossy(false, false);
    plan.weather.garbage = true;
    let seen = after_crash(&plan, |env| async move {
        let mut file = env.open_file("f", true).await?;
        file.write_at(0, vec![1; 1_024]).await?;
        file.sync().await?;
        file.write_at(512, vec![2; 512]).await
    });
    let mut garbage = 0;
    for content in seen.iter().flatten() {
        assert_eq!(content[..512], [1; 512]);
        garbage += u32::from(content[512..].iter().any(|byte| ![1, 2].contains(byte)));
    }
    assert!((5..35).contains(&garbage), "{garbage} of 60");
}

#[test]
fn a_torn_sector_has_the_head_of_one_content_and_the_tail_of_another() {
    let seen = after_crash(&lossy(true, false), |env| async move {
        let mut file = env.open_file("f", true).await?;
        file.write_at(0, vec![1; 512]).await?;
        file.sync().await?;
        file.write_at(0, vec![2; 512]).await
    });
    let torn = seen.iter().flatten().filter(|content| {
        let change = content.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!(change <= 1);
        change == 1
    });
    assert!(torn.count() > 5);
}

#[test]
fn a_rename_gives_the_old_file_or_the_new_one_and_never_a_mixture() {
    let seen = after_crash(&lossy(true, true), |env| async move {
        env.replace_file("f", vec![1; 3_000]).await?;
        let mut fresh = env.open_file("fresh", true).await?;
        fresh.write_at(0, vec![2; 3_000]).await?;
        fresh.sync().await?;
        env.rename("fresh", "f").await
    });
    assert_eq!(kinds(&seen), BTreeSet::from([Some(vec![1; 3_000]), Some(vec![2; 3_000])]));
}

#[test]
fn replacing_a_file_is_atomic_wherever_the_crash_strikes() {
    // The marker takes the first seven operations, the two replacements six each.
    for number in 8..=19 {
        let mut plan = lossy(true, true);
        plan.episodes[0].from = squall::plan::When::Step { after_ns: 0, number };
        let seen = after_crash(&plan, |env| async move {
            env.replace_file("f", vec![1; 1_500]).await?;
            env.replace_file("f", vec![2; 1_500]).await
        });
        let allowed = [None, Some(vec![1; 1_500]), Some(vec![2; 1_500])];
        assert!(seen.iter().all(|content| allowed.contains(content)), "operation {number}");
    }
}

#[test]
fn after_a_failed_sync_the_pages_count_as_clean_and_are_lost() {
    let mut plan = lossy(false, false);
    plan.weather.sync_failure_ppm = 0;
    let clean = after_crash(&plan, |env| async move {
        let mut file = env.open_file("f", true).await?;
        env.sync_directory("").await?;
        file.write_at(0, vec![7; 100]).await?;
        file.sync().await
    });
    assert!(clean.iter().all(|content| content.as_deref() == Some(&[7; 100][..])));
    plan.weather.sync_failure_ppm = 400_000;
    let seen = after_crash(&plan, |env| async move {
        let Ok(mut file) = env.open_file("f", true).await else { return Ok(()) };
        file.write_at(0, vec![7; 100]).await?;
        let first = file.sync().await;
        // A second sync finds nothing to do, and proves nothing.
        let second = file.sync().await;
        if first.is_err() && second.is_ok() {
            return Ok(());
        }
        std::future::pending().await
    });
    assert!(seen.iter().any(|content| content.as_deref() == Some(&[][..])), "{:?}", kinds(&seen));
}

#[test]
fn a_stalled_disk_answers_when_the_stall_is_over() {
    let ends: &'static Mutex<Vec<u64>> = notes();
    let scenario = Scenario::new("test/stall")
        .nodes("node", 1..=1, move |env: Env| async move {
            env.ready();
            env.sleep(Duration::from_millis(100)).await;
            let start = env.now();
            env.replace_file("f", vec![1]).await?;
            ends.lock().unwrap().push((env.now() - start).as_millis() as u64);
            Ok::<(), DiskError>(())
        })
        .tolerates(Tolerance::nothing().failing_disks().impaired("node", Most::Any));
    let mut plan = calm(1);
    run_until(&scenario, 1, &plan, 5 * SECOND);
    let node = "node-1".to_owned();
    plan.episodes = vec![episode(1, squall::plan::Kind::Stall { node }, 50 * MS, SECOND)];
    run_until(&scenario, 1, &plan, 5 * SECOND);
    let ends = ends.lock().unwrap();
    assert!(ends[0] < 50 && (950..1_050).contains(&ends[1]), "{ends:?}");
}

/// Boots again and again: appends to a journal, and checks that what was committed before is there.
#[test]
fn a_journal_keeps_what_it_committed_through_any_crashes() {
    let model: &'static Mutex<(Vec<u64>, Vec<u64>)> = Box::leak(Box::default());
    let scenario = Scenario::new("test/journal")
        .nodes("node", 1..=1, move |env: Env| async move {
            let (mut journal, recovered) =
                Journal::open(&env, "j").await.map_err(|e| e.to_string())?;
            let read = |bytes: &Vec<u8>| u64::from_le_bytes(bytes[..8].try_into().unwrap());
            let found: Vec<u64> = recovered.records.iter().map(read).collect();
            assert_eq!(recovered.damage, None);
            {
                let (committed, appended) = &mut *model.lock().unwrap();
                assert!(found.len() >= committed.len(), "{found:?} lost of {committed:?}");
                assert!(appended.starts_with(&found), "{found:?} is not of {appended:?}");
                committed.clone_from(&found);
                appended.clone_from(&found);
            }
            env.ready();
            loop {
                let number = env.random();
                let mut record = number.to_le_bytes().to_vec();
                record.resize(8 + env.random_below(900) as usize, 1);
                journal.append(&record);
                model.lock().unwrap().1.push(number);
                if env.random_below(3) == 0 {
                    journal.commit().await.map_err(|e| e.to_string())?;
                    let (committed, appended) = &mut *model.lock().unwrap();
                    committed.clone_from(appended);
                }
                env.sleep(Duration::from_millis(env.random_below(5))).await;
                if number == 0 {
                    return Ok::<(), String>(());
                }
            }
        })
        .tolerates(
            Tolerance::nothing()
                .crashes()
                .lost_unsynced_writes()
                .failing_disks()
                .impaired("node", Most::Any),
        );
    let mut crashes = 0;
    for seed in 0..150 {
        *model.lock().unwrap() = Default::default();
        let plan = scenario.plan(seed);
        let outcome = run_until(&scenario, seed, &plan, 3 * SECOND);
        assert_eq!(outcome.failure, None, "seed {seed}");
        crashes += outcome.faults[squall::Fault::Crash as usize].fired;
    }
    assert!(crashes > 50);
}

#[test]
fn a_torn_sector_without_its_data_is_not_counted_in_the_length() {
    // Eight bytes behind a gap: most tears leave nothing of them.
    let plan = lossy(true, false);
    let seen = after_crash(&plan, |env| async move {
        let mut file = env.open_file("f", true).await?;
        env.sync_directory("").await?;
        file.write_at(200, vec![9; 8]).await?;
        std::future::pending().await
    });
    let kept = seen.iter().flatten().filter(|content| content.len() == 208);
    assert!(kept.clone().count() > 5 && kept.clone().all(|content| content[200..].contains(&9)));
    let mut longer = plan;
    longer.weather.length_without_data = true;
    let seen = after_crash(&longer, |env| async move {
        let mut file = env.open_file("f", true).await?;
        env.sync_directory("").await?;
        file.write_at(200, vec![9; 8]).await?;
        std::future::pending().await
    });
    assert!(seen.iter().flatten().any(|content| *content == [0; 208]));
}
