//! The report in a real browser: the one that `SQUALL_BROWSER` names, or else Chromium or Chrome.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The browser's program. The tests fail without one.
fn browser() -> PathBuf {
    if let Some(named) = std::env::var_os("SQUALL_BROWSER") {
        return named.into();
    }
    let names = ["chromium", "chromium-browser", "chromium-headless-shell", "google-chrome"];
    let folders: Vec<PathBuf> =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let all = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let found = all.into_iter().find(|program| program.is_file());
    found.expect("a browser is needed: install chromium, or name one in SQUALL_BROWSER")
}

/// What is done in the page before it is looked at: `send` a key, and wait for a `frame`; `note`
/// keeps what the page says of itself at that moment.
const HELPERS: &str = r#"
// A browser whose page nobody sees gives it hardly any frames.
window.requestAnimationFrame = draw => setTimeout(() => draw(performance.now()), 0);
const frame = () => new Promise(done => setTimeout(done, 20));
const key = async (name, shiftKey = false) => {
  document.dispatchEvent(new KeyboardEvent("keydown", { key: name, shiftKey, bubbles: true }));
  await frame();
};
const note = name => {
  const told = { ...document.body.dataset };
  for (const each of Object.keys(told)) {
    if (!each.startsWith("at")) document.body.setAttribute(`data-at-${name}-${each}`, told[each]);
  }
};
const click = async selector => { document.querySelector(selector).click(); await frame(); };
const pixels = color => {
  const canvas = document.getElementById("canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const probe = document.createElement("canvas").getContext("2d");
  probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(color).trim();
  probe.fillRect(0, 0, 1, 1);
  const want = probe.getImageData(0, 0, 1, 1).data;
  let many = 0;
  for (let at = 0; at < data.length; at += 4) {
    many += data[at] === want[0] && data[at + 1] === want[1] && data[at + 2] === want[2];
  }
  return many;
};
"#;

/// Opens a page, does this in it, and gives the attributes of its body: by `note`'s names, too.
fn open(page: &Path, script: &str) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(page).unwrap();
    let (before, after) = text.rsplit_once("</body>").unwrap();
    let script = format!(
        "<script>{HELPERS}(async () => {{ await frame(); {script} \
         document.body.dataset.done = \"yes\"; }})().catch(error => {{ \
         document.body.dataset.errors += error; }});</script>"
    );
    let copy = page.with_extension("driven.html");
    std::fs::write(&copy, format!("{before}{script}</body>{after}")).unwrap();
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(browser())
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        .args(["--window-size=1280,1000", "--virtual-time-budget=20000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}", copy.display()))
        .output()
        .unwrap();
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    let body = dom.split_once("<body").and_then(|(_, rest)| rest.split_once('>'));
    let body = body.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr))).0;
    let parts = body.split("data-").skip(1).map(str::trim_end);
    let parts = parts.filter_map(|part| part.strip_suffix('"')?.split_once("=\""));
    let told: BTreeMap<_, _> = parts.map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    assert_eq!((told["errors"].as_str(), told.get("done").map(String::as_str)), ("", Some("yes")));
    told
}

/// The report of a run, in a folder of its own.
fn report(line: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.html");
    let mut command = Command::new(env!("CARGO_BIN_EXE_squall"));
    let command = command.arg("report").args(line.split_whitespace()).arg("-o").arg(&file);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (folder, file)
}

fn number(told: &BTreeMap<String, String>, name: &str) -> u64 {
    told.get(name).and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{name}: {told:?}"))
}

const BROKEN: &str = "mutant/register-reads-without-write-back --seed 8";

#[test]
#[ignore = "needs a browser"]
fn a_failure_is_what_is_seen_first() {
    let (_folder, page) = report(BROKEN);
    let script = r##"
      document.body.dataset.bad = pixels("--bad");
      document.body.dataset.chain = document.querySelectorAll("#chain li").length;
      document.body.dataset.marked = document.querySelectorAll("#list li.bad").length;
      document.body.dataset.causes = document.querySelector("#chain li.bad span").textContent;
      document.body.dataset.history = document.querySelectorAll("#history-box svg .blocked").length;
      document.body.dataset.nodes = document.querySelectorAll("#state tr").length;
      document.body.dataset.wide = document.documentElement.scrollWidth;
    "##;
    let told = open(&page, script);
    assert_eq!(told["kind"], "return");
    for visible in ["bad", "chain", "marked", "history", "lines", "marks"] {
        assert!(number(&told, visible) > 0, "{visible}: {told:?}");
    }
    assert!(told["causes"].contains("is told Value"), "{told:?}");
    assert!(number(&told, "nodes") > 5);
    assert!(number(&told, "wide") <= 1280, "it scrolls sideways: {told:?}");
    // Nothing is offending where nothing failed.
    let (_folder, page) = report("register/atomic --seed 3");
    let told = open(
        &page,
        r##"
      document.body.dataset.bad = document.querySelectorAll("li.bad").length;
      document.body.dataset.fine = document.querySelectorAll("#verdict.fine").length;
    "##,
    );
    assert_eq!((number(&told, "bad"), number(&told, "fine")), (0, 1));
}

#[test]
#[ignore = "needs a browser"]
fn a_page_shows_where_two_runs_part() {
    let script = r##"
      document.body.dataset.hidden = document.getElementById("to-parting").hidden;
      document.body.dataset.words = document.getElementById("parted")?.textContent.includes("then");
      note("first"); await key("d"); note("parting");
    "##;
    let (_folder, page) = report(&format!("{BROKEN} --off partition"));
    let told = open(&page, script);
    assert_eq!((told["hidden"].as_str(), told["words"].as_str()), ("false", "true"), "{told:?}");
    let picked = |name| number(&told, &format!("at-{name}-picked"));
    assert!(picked("parting") < picked("first"), "{told:?}");
    // Without another run there is nothing to show.
    let (_folder, page) = report(BROKEN);
    let told = open(&page, script);
    assert_eq!((told["hidden"].as_str(), told["words"].as_str()), ("true", "undefined"));
}

#[test]
#[ignore = "needs a browser"]
fn the_window_moves_and_zooms_and_causes_are_followed() {
    let (_folder, page) = report(BROKEN);
    let script = r##"
      note("first");
      await key("ArrowUp"); note("cause");
      await key("ArrowDown"); note("effect");
      await key("ArrowLeft"); note("left");
      await key("+"); note("closer");
      await key("0"); note("whole");
      const canvas = document.getElementById("canvas");
      canvas.dispatchEvent(new WheelEvent("wheel", { deltaY: -800, clientX: 600, clientY: 300 }));
      await frame(); note("wheel");
      const over = document.getElementById("overview");
      const box = over.getBoundingClientRect();
      over.dispatchEvent(new PointerEvent("pointerdown",
        { buttons: 1, clientX: box.left + box.width * .9, clientY: box.top + 5 }));
      await frame(); note("scrub");
      document.body.dataset.when = document.getElementById("state-time").textContent;
      await key("f"); note("again");
      await key("c"); note("past");
      await key("c");
      await click(".chip"); note("filtered");
      await click(".chip");
      await click(".lane-name"); note("hidden");
      await click(".lane-name"); note("back");
      const search = document.getElementById("search");
      search.value = "crash"; search.dispatchEvent(new Event("input"));
      await frame(); note("found");
    "##;
    let told = open(&page, script);
    let at = |name: &str, what: &str| number(&told, &format!("at-{name}-{what}"));
    let span = |name| at(name, "to") - at(name, "from");
    assert!(at("cause", "picked") < at("first", "picked"));
    assert!(at("effect", "picked") > at("cause", "picked"));
    assert!(at("left", "picked") < at("effect", "picked"));
    assert!(span("closer") < span("left") && span("wheel") < span("whole"));
    assert_eq!(at("whole", "from"), 0);
    assert!(at("scrub", "from") > at("wheel", "from"));
    assert!(span("scrub").abs_diff(span("wheel")) <= 1);
    assert!(told["when"].ends_with(" s"));
    assert_eq!(at("again", "picked"), at("first", "picked"));
    for fewer in ["past", "filtered", "hidden", "found"] {
        assert!(at(fewer, "shown") < at("first", "shown"), "{fewer}: {told:?}");
        assert!(at(fewer, "shown") > 0, "{fewer}: {told:?}");
    }
    assert_eq!(at("back", "shown"), at("first", "shown"));
}

#[test]
#[ignore = "needs a browser"]
fn a_hundred_thousand_events_load_and_move() {
    let (_folder, page) = report(BROKEN);
    lengthen(&page, 20);
    let script = r##"
      await key("0"); note("whole");
      const began = performance.now();
      await key("End"); await key("+"); await key("+"); note("end");
      for (let turn = 0; turn < 10; turn++) await key("PageUp");
      note("earlier");
      document.body.dataset.took = Math.round(performance.now() - began);
    "##;
    let told = open(&page, script);
    assert!(number(&told, "events") >= 100_000, "{told:?}");
    assert!(number(&told, "at-whole-marks") > 0);
    assert!(number(&told, "at-end-picked") > 100_000);
    assert!(number(&told, "at-earlier-from") < number(&told, "at-end-from"));
}

/// Lets everything in a report happen so many times, one after the other.
fn lengthen(page: &Path, times: usize) {
    let text = std::fs::read_to_string(page).unwrap();
    let begin = "<script type=\"application/json\" id=\"data\">";
    let (before, rest) = text.split_once(begin).unwrap();
    let (data, after) = rest.split_once("</script>").unwrap();
    let mut data: serde_json::Value = serde_json::from_str(data).unwrap();
    for column in ["id", "time", "node", "kind", "cause", "peer", "text"] {
        let once = data[column].as_array().unwrap().clone();
        let mut again = once.clone();
        // A second after the last one.
        match column {
            "id" => again[0] = 1.into(),
            "time" => again[0] = 1_000_000_000.into(),
            _ => {}
        }
        let more = std::iter::repeat_n(again, times - 1).flatten();
        let all = once.into_iter().chain(more);
        data[column] = all.collect();
    }
    let data = data.to_string().replace('<', "\\u003c");
    std::fs::write(page, format!("{before}{begin}{data}</script>{after}")).unwrap();
}
