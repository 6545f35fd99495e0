//! The part of YAML that dbcop writes: block lists, block maps and plain scalars.

use std::io::BufRead;

use super::text;
use crate::read::lines::Lines;
use crate::read::{ParseError, Position};

/// How deep lists and maps may be nested.
const DEPTH_MAX: usize = 32;

/// How many keys a map may have; those of dbcop have four.
const KEYS_MAX: usize = 64;

/// A value and where it starts.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) value: Yaml,
}

#[derive(Debug)]
pub(super) enum Yaml {
    Null,
    Scalar(String),
    List(Vec<Node>),
    /// The keys with where they stand and their values.
    Map(Vec<(Position, String, Node)>),
}

/// A piece of a line.
struct Item {
    at: Position,
    kind: Kind,
}

#[derive(PartialEq, Eq)]
enum Kind {
    /// The dash before an element of a list.
    Dash,
    /// The key of a map.
    Key(String),
    Scalar(String),
}

struct Parser {
    items: std::iter::Peekable<std::vec::IntoIter<Item>>,
    end: Position,
}

/// The only value of a file; `Null` if it has none.
pub(super) fn parse(input: impl BufRead) -> Result<Node, ParseError> {
    let mut lines = Lines::new(input);
    let mut items = Vec::new();
    let mut end = Position::START;
    while let Some((number, bytes)) = lines.next_line()? {
        split(text(number, bytes)?, number, &mut items)?;
        end.line = number;
    }
    let mut parser = Parser { items: items.into_iter().peekable(), end };
    let node = parser.node(0, 0)?;
    match parser.items.next() {
        None => Ok(node),
        Some(item) => Err(ParseError::malformed(item.at, "wrong indentation".to_owned())),
    }
}

/// Cuts a line into its dashes, its key and its scalar.
fn split(line: &str, number: u64, items: &mut Vec<Item>) -> Result<(), ParseError> {
    let mut rest = line.trim_end();
    if rest == "---" || rest == "..." {
        return Ok(());
    }
    let mut column = 1;
    loop {
        let text = rest.trim_start_matches(' ');
        column += (rest.len() - text.len()) as u64;
        rest = text;
        let at = Position { line: number, column };
        if rest.starts_with('\t') {
            return Err(ParseError::malformed(at, "a tab for indentation".to_owned()));
        }
        if rest.is_empty() || rest.starts_with('#') {
            return Ok(());
        }
        if rest == "-" || rest.starts_with("- ") {
            items.push(Item { at, kind: Kind::Dash });
            rest = &rest[1..];
            column += 1;
            continue;
        }
        let Some((key, value)) = rest.split_once(':').filter(|(key, value)| is_key(key, value))
        else {
            let text = rest.split(" #").next().unwrap_or(rest).trim_end();
            items.push(Item { at, kind: Kind::Scalar(text.to_owned()) });
            return Ok(());
        };
        items.push(Item { at, kind: Kind::Key(key.to_owned()) });
        column += key.chars().count() as u64 + 1;
        let value_text = value.trim_start_matches(' ');
        column += (value.len() - value_text.len()) as u64;
        let at = Position { line: number, column };
        if !value_text.is_empty() && !value_text.starts_with('#') {
            let text = value_text.split(" #").next().unwrap_or(value_text).trim_end();
            items.push(Item { at, kind: Kind::Scalar(text.to_owned()) });
        }
        return Ok(());
    }
}

fn is_key(key: &str, value: &str) -> bool {
    let is_word = |one: char| one.is_alphanumeric() || one == '_' || one == '-';
    !key.is_empty() && key.chars().all(is_word) && (value.is_empty() || value.starts_with(' '))
}

impl Parser {
    /// The value that starts at this column or further right.
    fn node(&mut self, column: u64, depth: usize) -> Result<Node, ParseError> {
        let Some(item) = self.items.peek() else {
            return Ok(Node { at: self.end, value: Yaml::Null });
        };
        let at = item.at;
        if depth > DEPTH_MAX {
            return Err(ParseError::malformed(at, format!("nested deeper than {DEPTH_MAX}")));
        }
        if at.column < column {
            return Ok(Node { at, value: Yaml::Null });
        }
        let value = match &item.kind {
            Kind::Dash => self.list(at, depth)?,
            Kind::Key(_) => self.map(at, depth)?,
            Kind::Scalar(text) => {
                let text = text.clone();
                self.items.next();
                scalar(text)
            }
        };
        Ok(Node { at, value })
    }

    fn list(&mut self, start: Position, depth: usize) -> Result<Yaml, ParseError> {
        let mut elements = Vec::new();
        let is_dash = |item: &Item| item.kind == Kind::Dash && item.at.column == start.column;
        while self.items.next_if(is_dash).is_some() {
            elements.push(self.node(start.column + 1, depth + 1)?);
        }
        Ok(Yaml::List(elements))
    }

    fn map(&mut self, start: Position, depth: usize) -> Result<Yaml, ParseError> {
        let mut entries: Vec<(Position, String, Node)> = Vec::new();
        let is_key =
            |item: &Item| matches!(item.kind, Kind::Key(_)) && item.at.column == start.column;
        while let Some(Item { at, kind: Kind::Key(key) }) = self.items.next_if(is_key) {
            // A list may stand as far left as the key it belongs to.
            let is_list = self.items.peek().is_some_and(|item| item.kind == Kind::Dash);
            let column = start.column + u64::from(!is_list);
            let value = self.node(column, depth + 1)?;
            // Each key is compared with all before it, so there must not be many.
            if entries.len() >= KEYS_MAX {
                let problem = format!("a map of more than {KEYS_MAX} keys");
                return Err(ParseError::malformed(at, problem));
            }
            if entries.iter().any(|(_, known, _)| *known == key) {
                return Err(ParseError::malformed(at, format!("{key:?} a second time")));
            }
            entries.push((at, key, value));
        }
        Ok(Yaml::Map(entries))
    }
}

fn scalar(text: String) -> Yaml {
    match text.as_str() {
        "[]" => Yaml::List(Vec::new()),
        "~" | "null" => Yaml::Null,
        _ => Yaml::Scalar(text),
    }
}

impl Node {
    /// The error that something else was expected here.
    pub(super) fn unexpected(&self, expected: &str) -> ParseError {
        let found = match &self.value {
            Yaml::Null => "nothing".to_owned(),
            Yaml::Scalar(text) => format!("{text:?}"),
            Yaml::List(_) => "a list".to_owned(),
            Yaml::Map(_) => "a map".to_owned(),
        };
        ParseError::malformed(self.at, format!("{found} where {expected} should be"))
    }

    pub(super) fn list(&self, expected: &str) -> Result<&[Self], ParseError> {
        match &self.value {
            Yaml::List(elements) => Ok(elements),
            _ => Err(self.unexpected(expected)),
        }
    }

    /// The entries of a map that has no other keys than these.
    pub(super) fn entries(
        &self,
        expected: &str,
        keys: &[&str],
    ) -> Result<Vec<Option<&Self>>, ParseError> {
        let Yaml::Map(entries) = &self.value else { return Err(self.unexpected(expected)) };
        for (at, key, _) in entries {
            if !keys.contains(&key.as_str()) {
                let known = keys.join(", ");
                let problem = format!("{key:?} in {expected}, which has {known}");
                return Err(ParseError::malformed(*at, problem));
            }
        }
        let find = |key: &&str| {
            entries.iter().find(|(_, known, _)| known == key).map(|(_, _, value)| value)
        };
        Ok(keys.iter().map(find).collect())
    }

    pub(super) fn bool(&self) -> Result<bool, ParseError> {
        match &self.value {
            Yaml::Scalar(text) if text == "true" => Ok(true),
            Yaml::Scalar(text) if text == "false" => Ok(false),
            _ => Err(self.unexpected("true or false")),
        }
    }

    pub(super) fn integer(&self) -> Result<i64, ParseError> {
        match &self.value {
            Yaml::Scalar(text) => text.parse().map_err(|_| self.unexpected("a number")),
            _ => Err(self.unexpected("a number")),
        }
    }
}
