//! The tokens of EDN: bytes with their positions, strings, characters and atoms.

use std::io::BufRead;

use super::{FORM_BYTES_MAX, Reader, Value};
use crate::read::{ParseError, Position};

impl<R: BufRead> Reader<R> {
    /// The next byte, which stays there.
    pub(super) fn peek(&mut self) -> Result<Option<u8>, ParseError> {
        match self.ahead {
            Some(byte) => Ok(Some(byte)),
            None => fill(&mut self.input, self.at).map(|bytes| bytes.first().copied()),
        }
    }

    /// The byte after the next one, which both stay there.
    pub(super) fn peek_second(&mut self) -> Result<Option<u8>, ParseError> {
        if self.ahead.is_none() {
            self.ahead = self.peek()?;
            if self.ahead.is_some() {
                self.input.consume(1);
            }
        }
        fill(&mut self.input, self.at).map(|bytes| bytes.first().copied())
    }

    /// Takes the next byte.
    pub(super) fn take(&mut self) -> Result<Option<u8>, ParseError> {
        let Some(byte) = self.peek()? else { return Ok(None) };
        if self.left == 0 {
            return Err(self.error(format!("a form of more than {FORM_BYTES_MAX} bytes")));
        }
        self.left -= 1;
        if self.ahead.take().is_none() {
            self.input.consume(1);
        }
        self.at.pass(byte);
        Ok(Some(byte))
    }

    pub(super) fn error(&self, problem: String) -> ParseError {
        ParseError::malformed(self.at, problem)
    }

    pub(super) fn expected(&self, close: u8) -> ParseError {
        self.error(format!("the file ends before the closing {:?}", char::from(close)))
    }

    /// A string; its opening quote comes next.
    pub(super) fn string(&mut self) -> Result<String, ParseError> {
        let start = self.at;
        self.take()?;
        let mut bytes = Vec::new();
        loop {
            match self.take()? {
                None => {
                    let problem = "a string that does not end".to_owned();
                    return Err(ParseError::malformed(start, problem));
                }
                Some(b'"') => return utf8(bytes, start),
                Some(b'\\') => {
                    let character = self.escape()?;
                    bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
                Some(byte) => bytes.push(byte),
            }
        }
    }

    /// What follows a backslash in a string.
    fn escape(&mut self) -> Result<char, ParseError> {
        let at = self.at;
        match self.take()? {
            Some(b't') => Ok('\t'),
            Some(b'n') => Ok('\n'),
            Some(b'r') => Ok('\r'),
            Some(b'b') => Ok('\u{8}'),
            Some(b'f') => Ok('\u{c}'),
            Some(byte @ (b'"' | b'\\' | b'/')) => Ok(char::from(byte)),
            Some(b'u') => {
                let mut code = 0;
                for _ in 0..4 {
                    let digit = self.take()?.and_then(|byte| char::from(byte).to_digit(16));
                    let Some(digit) = digit else {
                        return Err(ParseError::malformed(at, UNICODE.to_owned()));
                    };
                    code = code * 16 + digit;
                }
                char::from_u32(code).ok_or_else(|| ParseError::malformed(at, UNICODE.to_owned()))
            }
            _ => Err(ParseError::malformed(at, "an escape that no string has".to_owned())),
        }
    }

    /// A character; its backslash comes next.
    pub(super) fn character(&mut self) -> Result<char, ParseError> {
        let start = self.at;
        self.take()?;
        let mut bytes = Vec::new();
        // The first byte is part of the character even if it would end a word.
        bytes.extend(self.take()?);
        while let Some(byte) = self.peek()?
            && is_word(byte)
        {
            self.take()?;
            bytes.push(byte);
        }
        let name = utf8(bytes, start)?;
        let mut characters = name.chars();
        match (name.as_str(), characters.next(), characters.next()) {
            ("newline", ..) => Ok('\n'),
            ("return", ..) => Ok('\r'),
            ("space", ..) => Ok(' '),
            ("tab", ..) => Ok('\t'),
            (_, Some(character), None) => Ok(character),
            (_, Some('u'), Some(_)) => u32::from_str_radix(&name[1..], 16)
                .ok()
                .and_then(char::from_u32)
                .ok_or_else(|| ParseError::malformed(start, UNICODE.to_owned())),
            _ => Err(ParseError::malformed(start, "a character without a name".to_owned())),
        }
    }

    /// A run of bytes that is no blank and no bracket.
    pub(super) fn word(&mut self) -> Result<String, ParseError> {
        let start = self.at;
        let mut bytes = Vec::new();
        while let Some(byte) = self.peek()?
            && is_word(byte)
        {
            self.take()?;
            bytes.push(byte);
        }
        if bytes.is_empty() {
            return Err(self.error("something that no value starts with".to_owned()));
        }
        utf8(bytes, start)
    }

    /// A number, keyword, symbol, boolean or nil.
    pub(super) fn atom(&mut self) -> Result<Value, ParseError> {
        let start = self.at;
        let word = self.word()?;
        let digits = word.strip_prefix(['+', '-']).unwrap_or(&word);
        if digits.starts_with(|character: char| character.is_ascii_digit()) {
            return number(&word, start);
        }
        match word.as_str() {
            "nil" => return Ok(Value::Nil),
            "true" => return Ok(Value::Bool(true)),
            "false" => return Ok(Value::Bool(false)),
            _ => {}
        }
        match word.strip_prefix(':') {
            Some("") => Err(ParseError::malformed(start, "a keyword without a name".to_owned())),
            Some(name) => Ok(Value::Keyword(name.to_owned())),
            None if word.starts_with(is_symbol_start) => Ok(Value::Symbol(word)),
            None => Err(ParseError::malformed(start, format!("{word:?}, which is no value"))),
        }
    }
}

const UNICODE: &str = "a character code that does not exist";

fn fill(input: &mut impl BufRead, at: Position) -> Result<&[u8], ParseError> {
    input.fill_buf().map_err(|source| ParseError::Io { at, source })
}

fn utf8(bytes: Vec<u8>, start: Position) -> Result<String, ParseError> {
    String::from_utf8(bytes)
        .map_err(|_| ParseError::malformed(start, "bytes that are not UTF-8".to_owned()))
}

fn number(word: &str, start: Position) -> Result<Value, ParseError> {
    let digits = word.strip_suffix('N').unwrap_or(word);
    if let Ok(int) = digits.parse() {
        return Ok(Value::Int(int));
    }
    let is_number = word.bytes().all(|byte| {
        byte.is_ascii_digit()
            || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E' | b'/' | b'M' | b'N')
    });
    if is_number {
        Ok(Value::Number(word.to_owned()))
    } else {
        Err(ParseError::malformed(start, format!("{word:?}, which is no number")))
    }
}

/// Whether a byte goes on with a word, rather than ending it as blanks and brackets do.
fn is_word(byte: u8) -> bool {
    !byte.is_ascii_control() && !br#" ,";\@^`~()[]{}"#.contains(&byte)
}

fn is_symbol_start(character: char) -> bool {
    character.is_alphabetic() || ".*+!-_?$%&=<>/|'".contains(character)
}
