//! How much memory files take. There is but one test, since the counting allocator is the whole
//! process's.

use std::io::{self, BufReader, Read, Write};

use squall_check::file::{FileError, Finding, Request, check};
use squall_check::{History, Limits, Register, RegisterCall, RegisterReturn, is_linearizable};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// What a function answers, how many bytes it took at most, and how many it left behind.
fn measured<T>(what: &str, run: impl FnOnce() -> T) -> (T, usize, usize) {
    let profiler = dhat::Profiler::builder().testing().build();
    let value = run();
    let stats = dhat::HeapStats::get();
    drop(profiler);
    println!("{what}: {} bytes at most, {} left", stats.max_bytes, stats.curr_bytes);
    (value, stats.max_bytes, stats.curr_bytes)
}

/// A file that is made while it is read.
struct Made<F> {
    line: F,
    number: u64,
    bytes: Vec<u8>,
    read: usize,
}

impl<F: FnMut(u64, &mut Vec<u8>) -> bool> Made<F> {
    fn new(line: F) -> Self {
        Self { line, number: 0, bytes: Vec::new(), read: 0 }
    }
}

impl<F: FnMut(u64, &mut Vec<u8>) -> bool> Read for Made<F> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.read == self.bytes.len() {
            self.bytes.clear();
            self.read = 0;
            if !(self.line)(self.number, &mut self.bytes) {
                return Ok(0);
            }
            self.number += 1;
        }
        let count = into.len().min(self.bytes.len() - self.read);
        into[..count].copy_from_slice(&self.bytes[self.read..self.read + count]);
        self.read += count;
        Ok(count)
    }
}

const OPERATIONS: u64 = 1_000_000;

/// A history of ten clients who write and read one after the other, in our own form.
fn ours() -> impl Read {
    Made::new(|number, line| {
        if number == 0 {
            let events = 2 * OPERATIONS;
            writeln!(line, "{{\"squall_history\":1,\"events\":{events}}}").is_ok()
        } else {
            let index = number - 1;
            let (operation, process) = (index / 2, index / 2 % 10);
            let event = match (operation % 2, index % 2) {
                (0, 0) => format!("{{\"invoke\":{{\"write\":{operation}}}}}"),
                (0, _) => "{\"ok\":\"written\"}".to_owned(),
                (_, 0) => "{\"invoke\":\"read\"}".to_owned(),
                (..) => format!("{{\"ok\":{{\"value\":{}}}}}", operation - 1),
            };
            operation < OPERATIONS
                && writeln!(
                    line,
                    "{{\"index\":{index},\"time_ns\":{index},\"process\":{process},\
                     \"event\":{event}}}"
                )
                .is_ok()
        }
    })
}

type Registers = History<RegisterCall<u64>, RegisterReturn<u64>>;

fn a_million_operations_are_held_once() {
    let read = || Registers::read_jsonl(BufReader::new(ours())).expect("a history");
    let (history, most, held) = measured("reading a million operations", read);
    assert_eq!(history.len() as u64, OPERATIONS);
    assert!(most < held + held / 8, "{most} bytes to read what takes {held}");
    let write = || history.write_jsonl(io::sink()).expect("a sink takes all");
    let ((), most, _) = measured("writing them", write);
    assert!(most < 1 << 20, "{most} bytes to write what takes {held}");
    let judge = || is_linearizable(&Register::new(0), &history, &Limits::default());
    let (verdict, most, left) = measured("judging them", judge);
    assert_eq!(verdict, Some(true));
    // What is known of each operation, each value and each state, beside the history itself.
    assert!(most < 6 * held && left < 1 << 16, "{most} bytes to judge what takes {held}");
}

/// The same as a vector of maps, of fewer operations.
fn vector(operations: u64) -> impl Read {
    Made::new(move |number, line| {
        let (operation, process) = (number / 2, number / 2 % 10);
        let kind = if number.is_multiple_of(2) { "invoke" } else { "ok" };
        let event = match operation % 2 {
            0 => format!(":f :write, :value {operation}"),
            _ => format!(":f :read, :value {}", operation - 1),
        };
        let start = if number == 0 { "[" } else { "" };
        let end = if operation + 1 == operations && kind == "ok" { "]" } else { "" };
        operation < operations
            && writeln!(line, "{start}{{:process {process} :type :{kind} {event}}}{end}").is_ok()
    })
}

fn a_file_takes_as_much_as_its_operations() {
    let judge = |operations: u64| {
        let request = Request { model: Some("register".to_owned()), ..Request::default() };
        let run = || check(&mut BufReader::new(vector(operations)), &request);
        let (report, most, _) = measured("checking a vector", run);
        let report = report.expect("a history");
        assert_eq!((report.finding, report.operations as u64), (Finding::Valid, operations));
        most as u64
    };
    let (few, many) = (judge(5_000), judge(40_000));
    assert!(many < 10 * few, "{many} bytes for eight times what takes {few}");
}

/// The start of a file that then goes on with the same bytes for ever.
struct Endless {
    format: &'static str,
    model: &'static str,
    start: &'static str,
    again: &'static str,
}

const EVENT: &str = "{:process 1 :type :invoke :f :write :value ";
const JSON_EVENT: &str = "{\"type\":\"ok\",\"process\":1,\"value\":";

const ENDLESS: [Endless; 22] = {
    const fn of(
        format: &'static str,
        model: &'static str,
        start: &'static str,
        again: &'static str,
    ) -> Endless {
        Endless { format, model, start, again }
    }
    [
        of("jepsen-log", "register", "", "x"),
        of("jepsen-log", "register", "INFO  jepsen.util - 1 :invoke :write [", "1 "),
        of("jepsen-log", "register", "INFO  jepsen.util - 1 :invoke :write ", "["),
        of("kv-log", "append-kv", "{:process 1 :key \"", "a"),
        of("kv-log", "append-kv", "", " "),
        of("edn-vector", "register", "", "["),
        of("edn-vector", "register", "", "; "),
        of("edn-vector", "register", "[{:process ", "1"),
        of("edn-vector", "register", "[", "#_"),
        of("edn-vector", "register", EVENT, "[] "),
        of("edn-vector", "register", "{:process 1 :type :invoke :f :write :value [", "[] "),
        of("edn-lines", "list-append", "{:process 1 :type :ok :value [[:r x [", "[] "),
        of("json-lines", "rw-register", JSON_EVENT, "["),
        of("json-lines", "rw-register", "{\"type\":\"ok\",\"value\":[", "0,"),
        of("json-lines", "rw-register", "[{\"type\":\"", "o"),
        of("json-lines", "rw-register", "[{\"type\":\"ok\",\"value\":[", "0,"),
        of("json-lines", "rw-register", "[", " "),
        of("rw-text", "rw-register", "r(", "1"),
        of("dbcop-yaml", "rw-register", "", "- "),
        of("dbcop-yaml", "rw-register", "- ", "a"),
        of("jsonl", "register", "{\"squall_history\":1,\"events\":18446744073709551615}\n", " "),
        of("jsonl", "register", "", "{\"a\":"),
    ]
};

/// The most that a malformed file may take, whatever its length.
const GARBAGE_BYTES_MAX: usize = 512 << 20;

fn no_file_takes_more_than_a_bound() {
    for Endless { format, model, start, again } in ENDLESS {
        let made = Made::new(|number, bytes| {
            bytes.extend_from_slice(if number == 0 { start } else { again }.as_bytes());
            bytes.extend(again.bytes().cycle().take(again.len() * 4096));
            true
        });
        let request = Request {
            format: Some(format.parse().expect("a format")),
            model: Some(model.to_owned()),
            ..Request::default()
        };
        let run = || check(&mut BufReader::new(made), &request);
        let (result, most, _) = measured(&format!("{format}: {start}{again}"), run);
        assert!(matches!(result, Err(FileError::Parse(_))), "{format}: {start}{again}");
        assert!(most < GARBAGE_BYTES_MAX, "{format}: {start}{again} takes {most} bytes");
    }
}

#[test]
fn memory_is_bounded() {
    no_file_takes_more_than_a_bound();
    a_file_takes_as_much_as_its_operations();
    a_million_operations_are_held_once();
}
