//! Short pages, each about one idea. Their code is compiled and run.
//!
//! | page | question |
//! |---|---|
//! | [`weather`] | What can go wrong, how often, and under which name? |
//! | [`faults`] | How is a fault asked for, scripted, and added? |
//! | [`ledger`] | How much may go wrong at once? |
//! | [`properties`] | How is said what must hold? |
//! | [`durability`] | What does a disk keep? |
//! | [`streams`] | What may a program expect of a connection? |
//! | [`determinism`] | When does a seed repeat what it showed, and when not? |
//! | [`finding`] | Which ways of looking are there, and when did a failure become likely? |
//! | [`shrinking`] | What does a failure need, and how is that found? |
//! | [`explore`] | How is every state of a small system visited? |
//! | [`report`] | Why did this happen, and where do two runs part? |
//! | [`glossary`] | Which words does the field use, and which are ours? |

#[doc = include_str!("../guide/weather.md")]
pub mod weather {}

#[doc = include_str!("../guide/faults.md")]
pub mod faults {}

#[doc = include_str!("../guide/ledger.md")]
pub mod ledger {}

#[doc = include_str!("../guide/properties.md")]
pub mod properties {}

#[doc = include_str!("../guide/durability.md")]
pub mod durability {}

#[doc = include_str!("../guide/streams.md")]
pub mod streams {}

#[doc = include_str!("../guide/determinism.md")]
pub mod determinism {}

#[doc = include_str!("../guide/finding.md")]
pub mod finding {}

#[doc = include_str!("../guide/shrinking.md")]
pub mod shrinking {}

#[doc = include_str!("../guide/explore.md")]
pub mod explore {}
#[doc = include_str!("../guide/report.md")]
pub mod report {}

#[doc = include_str!("../guide/glossary.md")]
pub mod glossary {}

#[cfg(test)]
mod tests {
    use crate::table::{Group, Impairs, TABLE, preset, presets};

    const WEATHER: &str = include_str!("../guide/weather.md");

    fn title(group: Group) -> &'static str {
        match group {
            Group::Network => "Messages and links",
            Group::Stream => "Connections",
            Group::Process => "Nodes",
            Group::Disk => "Disks",
            Group::Clock => "Clocks",
            Group::Code => "The code itself",
        }
    }

    fn impairs(impairs: Impairs) -> &'static str {
        match impairs {
            Impairs::Nobody => "nobody",
            Impairs::Node => "its node",
            Impairs::Disk => "its node and its disk",
        }
    }

    /// What the page must say of a group.
    fn section(group: Group) -> String {
        let mut text = format!("## {}: `{}`\n\n", title(group), group.preset());
        text.push_str("| fault | what it does | range | without it | impairs |\n");
        text.push_str("|---|---|---|---|---|\n");
        for row in TABLE.iter().filter(|row| row.group == group) {
            text.push_str(&format!(
                "| `{}` | {} | {} | {} | {} |\n",
                row.name,
                row.what,
                row.range,
                row.default(),
                impairs(row.impairs())
            ));
        }
        text
    }

    /// What the page must say of the presets.
    fn count() -> String {
        let mut text = "| preset | faults |\n|---|---|\n".to_owned();
        for name in presets() {
            let faults = preset(name).map_or(0, |faults| faults.iter().count());
            text.push_str(&format!("| `{name}` | {faults} |\n"));
        }
        text
    }

    #[test]
    fn the_page_of_the_weather_says_what_the_table_says() {
        let wanted = Group::ALL.map(section).join("\n");
        for part in [count(), wanted] {
            assert!(
                WEATHER.contains(&part),
                "guide/weather.md must hold this, and does not:\n\n{part}"
            );
        }
    }

    #[test]
    fn the_page_of_the_weather_has_no_row_more() {
        let rows = WEATHER.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(rows, TABLE.len() + presets().len());
    }
}
