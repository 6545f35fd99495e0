//! A violation drawn over time: a page of HTML with a drawing in SVG, and nothing from elsewhere.

use std::fmt::Write;

/// An operation as a bar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) process: u64,
    pub(super) invoked: u64,
    pub(super) returned: Option<u64>,
    pub(super) what: String,
    /// Its place, from 1, in the order that comes furthest.
    pub(super) place: Option<usize>,
    /// Whether it could come next in that order and does not fit.
    pub(super) is_blocked: bool,
}

const LEFT: usize = 110;
const LANE: usize = 34;
const EVENT: usize = 90;
/// How many characters of a label are drawn; all of them show when the bar is pointed at.
const LABEL_MAX: usize = 40;

/// The page, with the same words below the drawing as in a report.
pub(super) fn page(rows: &[Row], lines: &[String], reasons: &[String]) -> String {
    let mut page = String::from(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <title>Not linearizable</title>\n<style>\
         body{font:14px sans-serif;margin:24px;color:#222}.wide{overflow-x:auto}\
         .ok{fill:#dbe9f6;stroke:#4a7fb0}.open{fill:#eee;stroke:#888;stroke-dasharray:4 3}\
         .blocked{fill:#f8d7d7;stroke:#b03030}.lane{stroke:#ddd}text{font-size:12px}\
         </style></head>\n<body><h1>Not linearizable</h1>\n",
    );
    page.push_str("<div class=\"wide\">");
    page.push_str(&drawing(rows));
    page.push_str("</div>\n");
    for (title, words) in [("Operations", lines), ("Reasons", reasons)] {
        let _ = write!(page, "<h2>{title}</h2>\n<ul>\n");
        for line in words {
            let _ = writeln!(page, "<li>{}</li>", escaped(line));
        }
        page.push_str("</ul>\n");
    }
    page.push_str("</body></html>\n");
    page
}

/// The drawing alone.
pub(super) fn drawing(rows: &[Row]) -> String {
    let mut page = String::new();
    let mut processes: Vec<u64> = rows.iter().map(|row| row.process).collect();
    processes.sort_unstable();
    processes.dedup();
    // Only the order of events counts, so they stand at equal distances.
    let mut events: Vec<u64> =
        rows.iter().flat_map(|row| [Some(row.invoked), row.returned]).flatten().collect();
    events.sort_unstable();
    events.dedup();
    let x = |event: u64| LEFT + EVENT * events.partition_point(|&other| other < event);
    let width = LEFT + EVENT * (events.len() + 1);
    let height = LANE * (processes.len() + 1);
    let _ = writeln!(
        page,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" \
         height=\"{height}\" viewBox=\"0 0 {width} {height}\">"
    );
    for (lane, process) in processes.iter().enumerate() {
        let y = LANE * lane + LANE / 2;
        let _ = writeln!(
            page,
            "<line class=\"lane\" x1=\"{LEFT}\" y1=\"{y}\" x2=\"{width}\" y2=\"{y}\"/>\
             <text x=\"0\" y=\"{}\">process {process}</text>",
            y + 4
        );
    }
    for row in rows {
        let lane = processes.partition_point(|&process| process < row.process);
        let (from, to) = (x(row.invoked), row.returned.map_or(width, x));
        let class = match (row.is_blocked, row.returned) {
            (true, _) => "blocked",
            (false, Some(_)) => "ok",
            (false, None) => "open",
        };
        let place = row.place.map(|place| format!("{place}. ")).unwrap_or_default();
        let label: String = row.what.chars().take(LABEL_MAX).collect();
        let _ = writeln!(
            page,
            "<g><title>{}</title><rect class=\"{class}\" x=\"{from}\" y=\"{}\" width=\"{}\" \
             height=\"{}\" rx=\"4\"/><text x=\"{}\" y=\"{}\">{place}{}</text></g>",
            escaped(&row.what),
            LANE * lane + 4,
            to.saturating_sub(from).max(6),
            LANE - 8,
            from + 6,
            LANE * lane + LANE / 2 + 4,
            escaped(&label),
        );
    }
    page.push_str("</svg>");
    page
}

/// Text with nothing in it that HTML would take for more than text.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}
