//! The tokens of Rust source, as far as finding paths needs them: words, separators and signs, with
//! comments and literals out of the way.

use std::str::CharIndices;

/// What a comment must say to make an exception; a reason follows.
const ALLOW: &str = "squall-lint: allow";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// An identifier or keyword.
    Word,
    /// `::`
    Separator,
    /// Any other sign; one of several characters is several.
    Sign,
    /// A literal or a lifetime, whose text says nothing.
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    pub(super) line: u32,
    pub(super) column: u32,
}

impl Token<'_> {
    pub(super) fn is_word(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text == word
    }

    pub(super) fn is_sign(&self, sign: char) -> bool {
        self.kind == Kind::Sign && self.text.starts_with(sign)
    }
}

/// A comment that makes an exception.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Exception {
    pub(super) line: u32,
    /// Whether it stands by itself and so is about the next line.
    pub(super) alone: bool,
    pub(super) has_reason: bool,
}

/// The tokens of a file, and the exceptions that its comments make.
pub(super) struct Source<'a> {
    pub(super) tokens: Vec<Token<'a>>,
    pub(super) exceptions: Vec<Exception>,
}

/// Takes a file apart. What is no Rust gives tokens as well, whatever they may be.
pub(super) fn read(text: &str) -> Source<'_> {
    let mut reader = Reader {
        text,
        chars: text.char_indices(),
        line: 1,
        line_start: 0,
        source: Source { tokens: Vec::new(), exceptions: Vec::new() },
    };
    while reader.step() {}
    reader.source
}

struct Reader<'a> {
    text: &'a str,
    chars: CharIndices<'a>,
    line: u32,
    line_start: usize,
    source: Source<'a>,
}

impl<'a> Reader<'a> {
    fn at(&self) -> usize {
        self.chars.offset()
    }

    fn rest(&self) -> &'a str {
        self.chars.as_str()
    }

    fn next(&mut self) -> Option<char> {
        let (at, c) = self.chars.next()?;
        if c == '\n' {
            self.line += 1;
            self.line_start = at + 1;
        }
        Some(c)
    }

    fn skip(&mut self, chars: usize) {
        for _ in 0..chars {
            self.next();
        }
    }

    fn skip_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.rest().chars().next().is_some_and(&wanted) {
            self.next();
        }
    }

    /// Takes the next token or what is between tokens. Says whether there was anything.
    fn step(&mut self) -> bool {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return false };
        let (start, line, line_start) = (self.at(), self.line, self.line_start);
        let kind = match first {
            c if c.is_whitespace() => {
                self.next();
                return true;
            }
            '/' if rest.starts_with("//") => {
                self.line_comment();
                return true;
            }
            '/' if rest.starts_with("/*") => {
                self.block_comment();
                return true;
            }
            c if is_word_start(c) => self.word_or_literal(),
            '"' => self.string(),
            '\'' => self.char_or_lifetime(),
            '0'..='9' => {
                self.skip_while(is_word_part);
                Kind::Other
            }
            ':' if rest.starts_with("::") => {
                self.skip(2);
                Kind::Separator
            }
            _ => {
                self.next();
                Kind::Sign
            }
        };
        let text = &self.text[start..self.at()];
        let text = if kind == Kind::Word { text.strip_prefix("r#").unwrap_or(text) } else { text };
        let column = self.text[line_start..start].chars().count() as u32 + 1;
        self.source.tokens.push(Token { kind, text, line, column });
        true
    }

    fn line_comment(&mut self) {
        let (start, line) = (self.at(), self.line);
        self.skip_while(|c| c != '\n');
        let comment = self.text[start..self.at()].trim_start_matches(['/', '!']).trim();
        if let Some(reason) = comment.strip_prefix(ALLOW) {
            let before = &self.text[self.line_start..start];
            let alone = before.trim().is_empty();
            let has_reason = reason.chars().any(char::is_alphanumeric);
            self.source.exceptions.push(Exception { line, alone, has_reason });
        }
    }

    /// Block comments nest.
    fn block_comment(&mut self) {
        let mut depth = 0;
        loop {
            let rest = self.rest();
            if rest.starts_with("/*") {
                depth += 1;
                self.skip(2);
            } else if rest.starts_with("*/") {
                depth -= 1;
                self.skip(2);
            } else if self.next().is_none() {
                return;
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// A word, or a literal that begins like one: `r"..."`, `b'.'`, `cr#"..."#`.
    fn word_or_literal(&mut self) -> Kind {
        let rest = self.rest();
        let prefixes = ["br", "cr", "r", "b", "c"];
        for prefix in prefixes {
            let Some(after) = rest.strip_prefix(prefix) else { continue };
            let hashes = after.chars().take_while(|c| *c == '#').count();
            let is_raw = prefix.ends_with('r');
            if after[hashes..].starts_with('"') && (is_raw || hashes == 0) {
                self.skip(prefix.len() + hashes);
                return if is_raw { self.raw_string(hashes) } else { self.string() };
            }
            if prefix == "b" && after.starts_with('\'') {
                self.skip(1);
                return self.char_or_lifetime();
            }
        }
        if rest.starts_with("r#") {
            self.skip(2);
        }
        self.skip_while(is_word_part);
        Kind::Word
    }

    fn string(&mut self) -> Kind {
        self.next();
        while let Some(c) = self.next() {
            match c {
                '\\' => drop(self.next()),
                '"' => break,
                _ => {}
            }
        }
        Kind::Other
    }

    fn raw_string(&mut self, hashes: usize) -> Kind {
        self.next();
        while let Some(c) = self.next() {
            let behind = self.rest().chars().take(hashes);
            if c == '"' && behind.filter(|c| *c == '#').count() == hashes {
                self.skip(hashes);
                break;
            }
        }
        Kind::Other
    }

    fn char_or_lifetime(&mut self) -> Kind {
        self.next();
        let mut behind = self.rest().chars();
        let (first, second) = (behind.next(), behind.next());
        match (first, second) {
            (Some('\\'), _) => {
                self.skip(2);
                self.skip_while(|c| c != '\'' && c != '\n');
                self.next();
            }
            (Some(_), Some('\'')) => self.skip(2),
            _ => self.skip_while(is_word_part),
        }
        Kind::Other
    }
}

fn is_word_start(c: char) -> bool {
    c == '_' || c.is_alphabetic()
}

fn is_word_part(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(text: &str) -> Vec<&str> {
        let tokens = read(text).tokens.into_iter();
        tokens.filter(|token| token.kind == Kind::Word).map(|token| token.text).collect()
    }

    #[test]
    fn comments_and_literals_have_no_words() {
        let text = r####"
            a // b
            /* c /* d */ e */ f "g \" h" r#"i " j"# b"k" br##"l "# m"## 'n' '\'' '\u{6f}' b'p'
            fn q<'r>(s: &'r str) -> &'static str { "\\" } /// t
            c"u" cr"v" r#match 1u8 0xabc 1.5e3 w
        "####;
        let wanted =
            ["a", "f", "fn", "q", "s", "str", "str", "match", "w"].map(str::to_owned).to_vec();
        assert_eq!(words(text), wanted);
    }

    #[test]
    fn tokens_know_where_they_are() {
        let source = read("use std::\n    thread;");
        let at: Vec<_> =
            source.tokens.iter().map(|token| (token.text, token.line, token.column)).collect();
        let wanted = [("use", 1, 1), ("std", 1, 5), ("::", 1, 8), ("thread", 2, 5), (";", 2, 11)];
        assert_eq!(at, wanted);
    }

    #[test]
    fn exceptions_know_their_line_and_whether_they_give_a_reason() {
        let text = "a; // squall-lint: allow it is a test\n// squall-lint: allow\nb;";
        let exception = |line, alone, has_reason| Exception { line, alone, has_reason };
        assert_eq!(read(text).exceptions, [exception(1, false, true), exception(2, true, false)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn any_text_is_read_to_its_end(text in "[a-z:/*'\"#\\\\r\\n{}!é ]{0,60}") {
            read(&text);
        }
    }
}
