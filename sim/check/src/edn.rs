//! A strict reader of EDN, the data notation of Clojure, form by form.
//!
//! Histories can be long, so a file is never held as a whole: a top-level sequence can be entered
//! and its elements read one at a time. Depth and size of a single form are bounded, so that no
//! file makes the reader take more memory than [`FORM_BYTES_MAX`] is worth.

use std::io::BufRead;

use crate::read::{ParseError, Position};

mod form;
mod token;

pub(crate) use form::{Form, Value};

/// How deep forms may be nested.
pub(crate) const DEPTH_MAX: usize = 64;

/// How long one form may be, in bytes of the file.
pub(crate) const FORM_BYTES_MAX: usize = 16 << 20;

/// Reads one form after the other.
#[derive(Debug)]
pub(crate) struct Reader<R> {
    input: R,
    /// A byte that was taken from the input to see the one behind it.
    ahead: Option<u8>,
    /// Where the next byte stands.
    at: Position,
    /// What closes each sequence that was entered.
    entered: Vec<u8>,
    /// How many bytes the current form may still take.
    left: usize,
}

impl<R: BufRead> Reader<R> {
    /// A reader at the first line and column of its input.
    pub(crate) fn new(input: R) -> Self {
        let entered = Vec::new();
        Self { input, ahead: None, at: Position::START, entered, left: FORM_BYTES_MAX }
    }

    /// A reader of a piece of a file, the first byte of which stands at a later place.
    pub(crate) fn starting_at(input: R, at: Position) -> Self {
        Self { at, ..Self::new(input) }
    }

    /// Where the next byte stands.
    #[allow(dead_code, reason = "readers of transactions say where a file ends too early")]
    pub(crate) fn position(&self) -> Position {
        self.at
    }

    /// Steps into the vector or list that comes next, so that `next_form` yields its elements.
    ///
    /// False, with nothing but blanks consumed, if something else comes next.
    pub(crate) fn enter(&mut self) -> Result<bool, ParseError> {
        self.left = FORM_BYTES_MAX;
        self.skip_blanks(0)?;
        let close = match self.peek()? {
            Some(b'[') => b']',
            Some(b'(') => b')',
            _ => return Ok(false),
        };
        if self.entered.len() >= DEPTH_MAX {
            return Err(self.error(format!("nested deeper than {DEPTH_MAX}")));
        }
        self.take()?;
        self.entered.push(close);
        Ok(true)
    }

    /// The next form; `None` at the end of the file, or once the end of the innermost sequence
    /// that was entered has been read, which leaves it.
    pub(crate) fn next_form(&mut self) -> Result<Option<Form>, ParseError> {
        self.left = FORM_BYTES_MAX;
        self.skip_blanks(0)?;
        match (self.peek()?, self.entered.last()) {
            (None, None) => Ok(None),
            (None, Some(&close)) => Err(self.expected(close)),
            (Some(byte), Some(&close)) if byte == close => {
                self.take()?;
                self.entered.pop();
                Ok(None)
            }
            (Some(_), _) => self.form(0).map(Some),
        }
    }

    fn form(&mut self, depth: usize) -> Result<Form, ParseError> {
        if depth >= DEPTH_MAX {
            return Err(self.error(format!("nested deeper than {DEPTH_MAX}")));
        }
        self.skip_blanks(depth)?;
        let at = self.at;
        let Some(byte) = self.peek()? else {
            return Err(self.error("the file ends where a value should be".to_owned()));
        };
        let value = match byte {
            b'[' => self.sequence(b']', depth).map(Value::Vector)?,
            b'(' => self.sequence(b')', depth).map(Value::List)?,
            b'{' => self.map(depth)?,
            b'#' => self.dispatch(depth)?,
            b'"' => self.string().map(Value::String)?,
            b'\\' => self.character().map(Value::Character)?,
            b']' | b')' | b'}' => {
                return Err(self.error(format!("a stray {:?}", char::from(byte))));
            }
            _ => self.atom()?,
        };
        Ok(Form { at, value })
    }

    /// The elements up to a closing bracket; the opening one comes next.
    fn sequence(&mut self, close: u8, depth: usize) -> Result<Vec<Form>, ParseError> {
        self.take()?;
        let mut elements = Vec::new();
        loop {
            self.skip_blanks(depth)?;
            match self.peek()? {
                None => return Err(self.expected(close)),
                Some(byte) if byte == close => {
                    self.take()?;
                    return Ok(elements);
                }
                Some(_) => elements.push(self.form(depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, ParseError> {
        let at = self.at;
        let elements = self.sequence(b'}', depth)?;
        if elements.len() % 2 != 0 {
            let problem = "a map with a key that has no value".to_owned();
            return Err(ParseError::malformed(at, problem));
        }
        let mut entries = Vec::with_capacity(elements.len() / 2);
        let mut elements = elements.into_iter();
        while let (Some(key), Some(value)) = (elements.next(), elements.next()) {
            entries.push((key, value));
        }
        Ok(Value::Map(entries))
    }

    /// What follows a number sign: a set, a symbolic number or a tagged form.
    fn dispatch(&mut self, depth: usize) -> Result<Value, ParseError> {
        self.take()?;
        match self.peek()? {
            Some(b'{') => self.sequence(b'}', depth).map(Value::Set),
            Some(b'#') => {
                self.take()?;
                self.word().map(Value::Number)
            }
            Some(byte) if byte.is_ascii_alphabetic() => {
                let tag = self.word()?;
                let form = self.form(depth + 1)?;
                Ok(Value::Tagged(tag, Box::new(form)))
            }
            _ => Err(self.error("not a set, nor a tag, after a number sign".to_owned())),
        }
    }

    /// Skips blanks, commas, comments and discarded forms.
    fn skip_blanks(&mut self, depth: usize) -> Result<(), ParseError> {
        loop {
            match self.peek()? {
                Some(b' ' | b',' | b'\t' | b'\r' | b'\n' | 0x0B | 0x0C) => {
                    self.take()?;
                }
                Some(b';') => while self.take()?.is_some_and(|byte| byte != b'\n') {},
                Some(b'#') if self.peek_second()? == Some(b'_') => {
                    self.take()?;
                    self.take()?;
                    // What is discarded may start with a discard itself: each level counts.
                    self.form(depth + 1)?;
                }
                _ => return Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests;
