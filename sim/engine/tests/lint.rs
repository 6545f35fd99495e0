//! What the lint finds in sources, what it leaves alone, and that it finds nothing in our own.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "these tests read and write sources"
)]

use squall::lint::{assert_clean, check, check_text};
use std::path::{Path, PathBuf};

/// What is found in a text: the line and what.
fn found(text: &str) -> Vec<(u32, String)> {
    let findings = check_text(Path::new("a.rs"), text);
    findings.into_iter().map(|finding| (finding.line, finding.what)).collect()
}

/// Every text has exactly this finding, however often.
fn each_has(what: &str, texts: &[&str]) {
    for text in texts {
        let found = found(text);
        assert!(!found.is_empty(), "nothing is found in: {text}");
        assert!(found.iter().all(|(_, path)| path == what), "{found:?} in: {text}");
    }
}

fn all_are_clean(texts: &[&str]) {
    for text in texts {
        assert_eq!(found(text), [], "in: {text}");
    }
}

#[test]
fn clocks_are_found_through_paths_aliases_globs_and_macros() {
    each_has(
        "std::time::Instant",
        &[
            "fn f() { std::time::Instant::now(); }",
            "fn f() { ::std::time::Instant::now(); }",
            "use std::time::Instant; fn f() { Instant::now(); }",
            "use std::time::Instant as Clock; fn f() { Clock::now(); }",
            "use std::{fmt, time::{self, Duration}}; fn f() -> time::Instant { x }",
            "use std::time; use time::Instant as I; fn f() { I::now(); }",
            "use std::time::*; fn f() { Instant::now(); }",
            "use std as s; fn f() { s::time::Instant::now(); }",
            "fn f() { vec![<std::time::Instant>::now()]; }",
            "macro_rules! now { () => { std::time::Instant::now() } }",
            "fn f() { format!(\"{:?}\", std::time::Instant::now()); }",
        ],
    );
    each_has("std::time::SystemTime", &["fn f(t: std::time::SystemTime) {}"]);
    all_are_clean(&[
        "use std::time::Duration; fn f(d: Duration) -> std::time::Duration { d }",
        "use squall_env::Instant; fn f(i: Instant) {}",
        "mod time { pub struct Instant; } fn f() -> time::Instant { time::Instant }",
        "use crate::time::Instant; fn f(i: Instant) {}",
        "struct Instant; fn f() -> Instant { Instant }",
    ]);
}

#[test]
fn words_in_comments_and_strings_are_no_calls() {
    all_are_clean(&[
        "// std::thread::spawn\n/* std::fs::read */ /// println!()\nfn f() {}",
        "fn f() -> &'static str { \"std::time::Instant::now()\" }",
        "fn f() -> &'static str { r#\"thread_local!\"# }",
        "fn f(c: char) -> bool { c == '\"' || c == '\\'' } // \" std::fs::read",
    ]);
    let text = "fn f<'a>(s: &'a str) { g('x', \"\\\"\"); std::fs::read(s); }";
    assert_eq!(found(text), [(1, "std::fs".to_owned())]);
}

#[test]
fn threads_files_sockets_settings_and_processes_are_found() {
    each_has(
        "std::thread",
        &["use std::thread;", "fn f() { std::thread::sleep(d); }", "use std::thread::spawn as go;"],
    );
    each_has("std::fs", &["use std::fs::File;", "use std::fs; fn f() { fs::read(\"x\"); }"]);
    each_has(
        "std::net",
        &["use std::net::{SocketAddr, TcpStream};", "fn f(s: std::net::UdpSocket) {}"],
    );
    each_has("std::env", &["fn f() { std::env::var(\"HOME\"); }"]);
    each_has("std::process", &["fn f() { std::process::exit(1); }"]);
    all_are_clean(&[
        "use std::net::{IpAddr, SocketAddr}; fn f(a: std::net::Ipv4Addr) {}",
        "fn f(thread: u8, env: u8) -> u8 { let fs = thread; fs + env }",
        "fn f(env: &Env) { env.process().fs(); }",
        "const V: &str = env!(\"CARGO_PKG_VERSION\"); fn f() -> std::process::ExitCode { X }",
    ]);
}

#[test]
fn maps_of_random_order_are_found_and_those_with_a_hasher_are_not() {
    each_has(
        "std::collections::HashMap",
        &[
            "use std::collections::HashMap; struct S { m: HashMap<u8, Vec<(u8, u8)>> }",
            "use std::collections::HashMap as Map; fn f() { let m = Map::new(); }",
            "use std::collections::{BTreeMap, HashMap}; fn f() { i.collect::<HashMap<_, _>>(); }",
            "fn f(m: std::collections::HashMap<String, fn(u8) -> u8>) {}",
            "fn f() { std::collections::HashMap::with_capacity(5); }",
            "use std::collections::HashMap; fn f() { HashMap::<u8, u8>::default(); }",
        ],
    );
    each_has("std::collections::HashSet", &["fn f(s: &std::collections::HashSet<(u8, u8)>) {}"]);
    each_has("std::hash::RandomState", &["use std::hash::RandomState;"]);
    all_are_clean(&[
        "use std::collections::HashMap; struct S { m: HashMap<u8, u8, Fixed> }",
        "use std::collections::HashSet; struct S { s: HashSet<(u8, u8), Fixed> }",
        "use std::collections::HashMap; fn f() { HashMap::with_hasher(F); HashMap::default(); }",
        "use std::collections::BTreeMap; fn f() { BTreeMap::<u8, u8>::new(); }",
    ]);
}

#[test]
fn state_that_outlives_a_run_is_found() {
    each_has("std::thread_local", &["thread_local! { static X: u8 = 1; }"]);
    each_has("lazy_static::lazy_static", &["use lazy_static::lazy_static; lazy_static! { }"]);
    each_has(
        "a static that can change",
        &[
            "static COUNT: AtomicU64 = AtomicU64::new(0);",
            "static mut COUNT: u64 = 0;",
            "fn f() { static ONCE: std::sync::OnceLock<u8> = std::sync::OnceLock::new(); }",
            "pub(crate) static ALL: Mutex<Vec<u8>> = Mutex::new(Vec::new());",
        ],
    );
    all_are_clean(&[
        "static NAMES: [&'static str; 2] = [\"a\", \"b\"];",
        "struct S { count: AtomicU64, lock: Mutex<u8> } fn f<T: 'static>(t: &'static T) {}",
        "const CELL: Cell<u8> = Cell::new(1);",
    ]);
}

#[test]
fn output_and_entropy_are_found() {
    for name in ["print", "println", "eprint", "eprintln", "dbg"] {
        let text = format!("fn f() {{ {name}!(\"x\"); }} fn g() {{ std::{name}!(\"y\"); }}");
        each_has(&format!("std::{name}"), &[&text]);
    }
    each_has("getrandom", &["fn f() { getrandom::fill(&mut b); }", "use getrandom::u64;"]);
    each_has(
        "rand::rng",
        &["fn f() { rand::rng().random(); }", "use rand::rng; fn f() { rng(); }"],
    );
    each_has("rand::thread_rng", &["use rand::{Rng, thread_rng}; fn f() { thread_rng(); }"]);
    each_has("rand::rngs::OsRng", &["use rand::rngs::OsRng as System; fn f() { System.next(); }"]);
    each_has(
        "a generator that is seeded by the system",
        &["fn f() { SmallRng::from_os_rng(); }", "fn f() { rand::rngs::StdRng::from_entropy(); }"],
    );
    all_are_clean(&[
        "fn f(env: &Env) { let mut rng = env.rng(); rng.random_range(0..5); env.random(); }",
        "use rand::{Rng, SeedableRng}; fn f() { rand::rngs::SmallRng::seed_from_u64(1); }",
        "fn f() { tracing::info!(print = 1, \"println\"); writeln!(f, \"\"); let print = 1 != 2; }",
    ]);
}

#[test]
fn tokio_is_found_where_it_needs_its_runtime_or_draws_by_itself() {
    for (what, text) in [
        ("tokio::spawn", "fn f() { tokio::spawn(async {}); }"),
        ("tokio::spawn", "use tokio::spawn; fn f() { spawn(async {}); }"),
        ("tokio::task", "fn f() { tokio::task::spawn_blocking(|| {}); }"),
        ("tokio::time", "use tokio::time::{sleep, Duration};"),
        ("tokio::net", "async fn f() { tokio::net::TcpStream::connect(a).await; }"),
        ("tokio::fs", "use tokio::fs;"),
        ("tokio::sync::watch", "use tokio::sync::{mpsc, watch}; fn f() { watch::channel(1); }"),
        ("tokio::sync::Barrier", "fn f(b: &tokio::sync::Barrier) {}"),
        ("tokio::main", "#[tokio::main] async fn main() {}"),
        ("tokio::select", "async fn f() { tokio::select! { _ = a => {}, _ = b => {} } }"),
        ("tokio::select", "use tokio::select; async fn f() { select! { _ = a => {} } }"),
        ("futures::select", "use futures::select; async fn f() { select! { _ = a => {} } }"),
    ] {
        each_has(what, &[text]);
    }
    all_are_clean(&[
        "use tokio::sync::{Mutex, mpsc, oneshot}; use tokio::io::AsyncReadExt;",
        "async fn f() { tokio::select! { biased; _ = a => {}, _ = b => {} } }",
        "use tokio::select; async fn f() { select! { biased; _ = a => {} } }",
        "fn f(env: &Env) { env.spawn(\"x\", async {}); }",
        "use futures::select_biased; fn f() { select_biased! { _ = a => {} } }",
    ]);
}

#[test]
fn an_exception_holds_for_its_line_and_needs_a_reason() {
    let call = "std::env::var(\"X\");";
    all_are_clean(&[
        &format!("{call} // squall-lint: allow it is read once, at the start"),
        &format!("// squall-lint: allow it is read once, at the start\n{call}"),
    ]);
    let after = format!("{call} // squall-lint: allow this one\n{call}");
    assert_eq!(found(&after), [(2, "std::env".to_owned())]);
    let bare = format!("// squall-lint: allow\n{call}");
    let what = ["an exception without a reason", "std::env"].map(str::to_owned);
    assert_eq!(found(&bare), [(1, what[0].clone()), (2, what[1].clone())]);
}

#[test]
fn what_is_compiled_for_tests_alone_is_passed_over() {
    all_are_clean(&[
        "#[cfg(test)] mod tests { use std::fs; fn f() { println!(); } } fn g() {}",
        "#[cfg(test)]\n#[path = \"x\"]\nuse std::thread;",
        "#[cfg(all(test, unix))] fn f() { std::process::exit(1) }",
    ]);
    let behind = "#[cfg(test)] mod tests { fn f() { { } } }\nfn g() { println!(); }";
    assert_eq!(found(behind), [(2, "std::println".to_owned())]);
    assert_eq!(found("#[cfg(not(test))] use std::fs;").len(), 1);
}

/// Writes files into a new folder.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    folder
}

#[test]
fn a_folder_is_looked_through_but_for_its_test_modules() {
    let folder = folder(&[
        ("lib.rs", "mod deep;\n#[cfg(test)]\nmod tests;\n#[cfg(test)]\nmod more;\n"),
        ("deep/mod.rs", "#[cfg(test)] mod tests;\nfn f() {\n    println!();\n}"),
        ("deep/tests.rs", "use std::fs;"),
        ("deep/other.rs", "#[cfg(test)] mod tests;"),
        ("deep/other/tests.rs", "use std::fs;"),
        ("tests.rs", "use std::fs;"),
        ("more/mod.rs", "use std::fs;"),
        ("notes.txt", "use std::fs;"),
    ]);
    let findings = check(folder.path()).unwrap();
    assert_eq!(findings.len(), 1, "{findings:?}");
    let file = folder.path().join("deep/mod.rs");
    let wanted = format!("{}:3:5: std::println: use Env::trace or tracing", file.display());
    assert_eq!(findings[0].to_string(), wanted);
    let failed = std::panic::catch_unwind(|| assert_clean(folder.path()));
    let said = *failed.unwrap_err().downcast::<String>().unwrap();
    assert!(said.contains(&wanted), "{said}");
    assert!(check(folder.path().join("missing")).is_err());
    assert!(check(folder.path().join("notes")).is_err());
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn our_protocols_our_environment_and_the_world_are_clean() {
    assert_clean(root().join("protocols/src"));
    assert_clean(root().join("sim/env/src"));
    // The world itself is reached by a thread-local, and another one holds the empty buffers that
    // a world has left to the next. That is all.
    let world = check(root().join("sim/engine/src/world")).unwrap();
    let world: Vec<&str> = world.iter().map(|finding| finding.what.as_str()).collect();
    let state = "a static that can change";
    assert_eq!(world, ["std::thread_local", state, state, "std::thread_local", state]);
    let adapters = check(root().join("sim/real/src")).unwrap();
    assert!(adapters.len() > 10, "the lint is blind: {adapters:?}");
}
