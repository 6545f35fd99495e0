use super::{ensure, in_both_worlds, text};
use squall_env::Env;
use squall_env::disk::{DiskError, Operation, Slot};
use squall_env::journal::{Journal, Position};

#[test]
fn what_is_written_is_read_back_and_gaps_are_zeros() {
    in_both_worlds(1, |env: Env| async move {
        let mut file = env.open_file("f", true).await.map_err(text)?;
        file.write_at(4, b"abc".to_vec()).await.map_err(text)?;
        file.append(b"d".to_vec()).await.map_err(text)?;
        file.sync().await.map_err(text)?;
        ensure(file.length() == 8, "the length is wrong")?;
        let all = file.read_all().await.map_err(text)?;
        ensure(all == b"\0\0\0\0abcd", "the content is wrong")?;
        let beyond = file.read_at(6, 100).await.map_err(text)?;
        ensure(beyond == b"cd", "a read beyond the end is wrong")?;
        file.truncate(2).await.map_err(text)?;
        file.truncate(5).await.map_err(text)?;
        let cut = file.read_all().await.map_err(text)?;
        ensure(cut == [0; 5], "what was cut off came back")
    });
}

#[test]
fn a_missing_file_is_not_found_and_paths_stay_inside() {
    in_both_worlds(1, |env: Env| async move {
        let missing = env.open_file("missing", false).await.err();
        ensure(matches!(missing, Some(DiskError::NotFound(_))), "a missing file was found")?;
        ensure(env.read_file("missing").await == Ok(None), "a missing file was read")?;
        for path in ["../outside", "/etc/passwd", "a/../../b", "", "a//b", "."] {
            let opened = env.open_file(path, true).await.err();
            let refused = matches!(opened, Some(DiskError::Invalid(_)));
            ensure(refused, &format!("{path:?} was not refused: {opened:?}"))?;
        }
        Ok(())
    });
}

#[test]
fn names_are_listed_renamed_replaced_and_removed() {
    in_both_worlds(1, |env: Env| async move {
        for (name, content) in [("b", "1"), ("a", "2"), ("c", "3")] {
            env.replace_file(name, content.into()).await.map_err(text)?;
        }
        ensure(env.list("").await.map_err(text)? == ["a", "b", "c"], "the list is wrong")?;
        env.rename("a", "b").await.map_err(text)?;
        env.remove_file("c").await.map_err(text)?;
        env.sync_directory("").await.map_err(text)?;
        ensure(env.list("").await.map_err(text)? == ["b"], "the names are wrong")?;
        let content = env.read_file("b").await.map_err(text)?;
        ensure(content.as_deref() == Some(b"2"), "the renamed file has another content")?;
        let again = env.remove_file("c").await;
        ensure(matches!(again, Err(DiskError::NotFound(_))), "a file was removed twice")
    });
}

#[test]
fn directories_hold_their_own_files() {
    in_both_worlds(1, |env: Env| async move {
        let early = env.open_file("d/f", true).await.err();
        ensure(matches!(early, Some(DiskError::NotFound(_))), "a directory was made by itself")?;
        env.create_directory("d").await.map_err(text)?;
        env.create_directory("d").await.map_err(text)?;
        env.replace_file("d/f", b"x".to_vec()).await.map_err(text)?;
        env.replace_file("g", b"y".to_vec()).await.map_err(text)?;
        let mut file = env.open_file("g", false).await.map_err(text)?;
        file.write_and_sync(1, b"z".to_vec()).await.map_err(text)?;
        ensure(file.length() == 2, "the file does not know how long it is")?;
        let content = env.read_file("g").await.map_err(text)?;
        ensure(content.as_deref() == Some(b"yz"), "a write with its sync was lost")?;
        ensure(env.list("d").await.map_err(text)? == ["f"], "the directory's list is wrong")?;
        ensure(env.list("").await.map_err(text)? == ["g"], "the root's list is wrong")?;
        let missing = env.list("e").await;
        ensure(matches!(missing, Err(DiskError::NotFound(_))), "a missing directory was listed")
    });
}

#[test]
fn operations_on_a_file_take_effect_in_the_order_of_submission() {
    in_both_worlds(1, |env: Env| async move {
        let mut file = env.open_file("f", true).await.map_err(text)?;
        file.write_at(0, vec![0; 1]).await.map_err(text)?;
        drop(file);
        let mut slots = Vec::new();
        let opened = Operation::Open { path: "f".to_owned(), create: false };
        let done = Slot::default().run(env.platform(), opened).await.map_err(text)?;
        let squall_env::disk::Done::Opened { file, .. } = done else {
            return Err("an open answered something else".to_owned());
        };
        for byte in 1..=100 {
            let mut slot = Slot::default();
            let data = vec![byte];
            let write = match byte % 3 {
                0 => Operation::WriteSync { file, offset: 0, data },
                _ => Operation::Write { file, offset: 0, data },
            };
            slot.submit(env.platform(), write);
            slots.push(slot);
        }
        let mut last = Slot::default();
        let read = Operation::Read { file, offset: 0, length: 1, buffer: Vec::new() };
        last.submit(env.platform(), read);
        let answer = std::future::poll_fn(|cx| last.poll(cx)).await.map_err(text)?;
        let newest = matches!(answer, squall_env::disk::Done::Buffer(bytes) if bytes == [100]);
        ensure(newest, "an earlier write came after a later one")
    });
}

#[test]
fn a_journal_gives_back_what_it_committed() {
    in_both_worlds(1, |env: Env| async move {
        let (mut journal, found) = Journal::open(&env, "j").await.map_err(text)?;
        ensure(found.records.is_empty(), "a new journal holds records")?;
        for number in 0..50u8 {
            journal.append(&vec![number; usize::from(number) * 40]);
            if number % 7 == 0 {
                journal.commit().await.map_err(text)?;
            }
        }
        ensure(journal.commit().await == Ok(Position(50)), "the commit missed something")?;
        let snapshot = journal.replace_snapshot(Position(20), b"state");
        snapshot.await.map_err(text)?;
        journal.covered();
        journal.append(b"last");
        journal.commit().await.map_err(text)?;
        drop(journal);
        let (_, found) = Journal::open(&env, "j").await.map_err(text)?;
        ensure(found.snapshot == Some((Position(20), b"state".to_vec())), "the snapshot is lost")?;
        ensure(found.records.len() == 31 && found.damage.is_none(), "records are lost")?;
        let first = found.records.first().is_some_and(|record| *record == vec![20; 800]);
        ensure(first && found.records[30] == b"last", "the records are others")
    });
}

#[test]
fn no_segment_stays_that_was_closed_while_a_snapshot_was_written() {
    in_both_worlds(1, |env: Env| async move {
        let (mut journal, _) = Journal::open(&env, "j").await.map_err(text)?;
        for number in 0..20u8 {
            journal.append(&[number]);
            journal.commit().await.map_err(text)?;
            // The next batch closes the segment that has all records of this snapshot.
            let snapshot = journal.replace_snapshot(journal.last(), b"state");
            journal.append(&[number]);
            journal.commit().await.map_err(text)?;
            snapshot.await.map_err(text)?;
            journal.covered();
        }
        let files = env.list("").await.map_err(text)?;
        ensure(files.len() <= 3, &format!("{files:?} are there"))
    });
}
