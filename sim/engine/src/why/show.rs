//! The probability against time: as text, and as a picture.

use super::{Point, Step};
use crate::words::seconds;
use std::fmt::Write;

/// How wide a bar is at most, in characters.
const BAR: u64 = 40;

/// A line for each time: a bar, and the bounds of the probability.
pub(super) fn bars(points: &[Point]) -> Vec<String> {
    let head = "from here on drawn anew   fails".to_owned();
    let line = |point: &Point| {
        let (low, high) = point.bounds();
        let full = (point.percent() * BAR / 100) as usize;
        let bar: String = "#".repeat(full) + &".".repeat(BAR as usize - full);
        let (time, percent) = (seconds(point.at_ns), point.percent());
        format!("{time:>22}  {percent:>3} %  {bar}  {low:.0}..{high:.0} %")
    };
    std::iter::once(head).chain(points.iter().map(line)).collect()
}

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 50.0;

/// A picture that needs nothing else.
pub(super) fn svg(title: &str, points: &[Point], steps: &[Step]) -> String {
    let end = points.last().map_or(1, |point| point.at_ns.max(1));
    let x = |at_ns: u64| LEFT + WIDTH * at_ns as f64 / end as f64;
    let y = |percent: f64| TOP + HEIGHT * (1.0 - percent / 100.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {:.0} {:.0}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"25\" font-size=\"15\">{}</text>\n",
        LEFT + WIDTH + 40.0,
        TOP + HEIGHT + 60.0,
        escaped(title)
    );
    // Writing to a string does not fail.
    for step in steps {
        let (from, to) = (x(step.from.at_ns), x(step.to.at_ns));
        let _ = writeln!(
            out,
            "<rect class=\"step\" x=\"{from:.2}\" y=\"{TOP}\" width=\"{:.2}\" height=\"{HEIGHT}\" \
             fill=\"#f4b6a6\"><title>{} to {}</title></rect>",
            (to - from).max(1.5),
            seconds(step.from.at_ns),
            seconds(step.to.at_ns)
        );
    }
    for percent in [0.0, 50.0, 100.0] {
        let _ = writeln!(
            out,
            "<line x1=\"{LEFT}\" x2=\"{:.0}\" y1=\"{2:.0}\" y2=\"{2:.0}\" stroke=\"#cccccc\"/>\n\
             <text x=\"10\" y=\"{2:.0}\">{1:.0} %</text>",
            LEFT + WIDTH,
            percent,
            y(percent)
        );
    }
    let mut path = String::new();
    for point in points {
        let (low, high) = point.bounds();
        let share = 100.0 * point.fails as f64 / point.of.max(1) as f64;
        let at = x(point.at_ns);
        let _ = writeln!(
            out,
            "<line x1=\"{at:.2}\" x2=\"{at:.2}\" y1=\"{:.2}\" y2=\"{:.2}\" stroke=\"#7799cc\"/>\n\
             <circle class=\"point\" cx=\"{at:.2}\" cy=\"{:.2}\" r=\"3\" fill=\"#224488\">\
             <title>{}: {} of {}</title></circle>",
            y(high),
            y(low),
            y(share),
            seconds(point.at_ns),
            point.fails,
            point.of
        );
        let _ = write!(path, "{at:.2},{:.2} ", y(share));
    }
    let _ = write!(
        out,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"#224488\"/>\n\
         <text x=\"{LEFT}\" y=\"{1:.0}\">0 s</text>\n\
         <text x=\"{2:.0}\" y=\"{1:.0}\" text-anchor=\"end\">{3}</text>\n\
         <text x=\"{4:.0}\" y=\"{1:.0}\" text-anchor=\"middle\">from here on drawn anew</text>\n\
         </svg>\n",
        path.trim_end(),
        TOP + HEIGHT + 30.0,
        LEFT + WIDTH,
        seconds(end),
        LEFT + WIDTH / 2.0
    );
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_the_failure_is_likely() {
        let point = |at_ns, fails| Point { at_ns, fails, of: 10 };
        let lines = bars(&[point(0, 0), point(1_500_000_000, 5), point(2_000_000_000, 10)]);
        let lengths: Vec<usize> = lines[1..].iter().map(|line| line.matches('#').count()).collect();
        assert_eq!(lengths, [0, 20, 40]);
        assert!(lines[2].contains("1.500000 s   50 %") && lines[2].ends_with("24..76 %"));
    }

    #[test]
    fn the_picture_has_every_point_and_step_and_no_markup_of_others() {
        let point = |at_ns, fails| Point { at_ns, fails, of: 10 };
        let points = [point(0, 0), point(10, 10)];
        let step = Step { from: points[0], to: points[1], events: Vec::new() };
        let svg = svg("a < b & c", &points, &[step]);
        assert_eq!(svg.matches("class=\"point\"").count(), 2);
        assert_eq!(svg.matches("class=\"step\"").count(), 1);
        assert!(svg.contains("a &lt; b &amp; c") && svg.ends_with("</svg>\n"));
    }
}
