//! Paths and queries of requests.

use super::answer::{Failure, malformed};

/// The parameters of a query, each once. Whoever has read all that he knows asks for the end, so
/// that a misspelt one is not passed over in silence.
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(super) fn parse(query: &str) -> Result<Parameters, Failure> {
        let mut all = Vec::<(String, String)>::new();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            // Forms write a space so, and nothing else does in a query.
            let (name, value) = (name.replace('+', " "), value.replace('+', " "));
            let (name, value) = (decode(&name)?, decode(&value)?);
            if all.iter().any(|(other, _)| *other == name) {
                return Err(malformed(format!("the parameter {name:?} is given twice")));
            }
            all.push((name, value));
        }
        Ok(Parameters(all))
    }

    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(other, _)| other == name)?;
        Some(self.0.swap_remove(at).1)
    }

    pub(super) fn take_number(&mut self, name: &str) -> Result<Option<u64>, Failure> {
        let Some(text) = self.take(name) else { return Ok(None) };
        let wrong = |_| malformed(format!("the parameter {name} is no number: {text:?}"));
        text.parse().map(Some).map_err(wrong)
    }

    pub(super) fn take_flag(&mut self, name: &str) -> Result<bool, Failure> {
        match self.take(name).as_deref() {
            None | Some("false") => Ok(false),
            Some("" | "true") => Ok(true),
            Some(other) => {
                Err(malformed(format!("the parameter {name} is true or false, not {other:?}")))
            }
        }
    }

    pub(super) fn end(self) -> Result<(), Failure> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(malformed(format!("there is no parameter {name:?} here"))),
        }
    }
}

/// What percent-encoded text says (RFC 3986, section 2.1).
pub(super) fn decode(text: &str) -> Result<String, Failure> {
    let wrong = || malformed(format!("{text:?} is not percent-encoded UTF-8"));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (high, low) = (digit(rest.next()), digit(rest.next()));
        bytes.push((high.ok_or_else(wrong)? * 16 + low.ok_or_else(wrong)?) as u8);
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

/// Text as it may stand in a path or a query.
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_says_the_same_again() {
        for text in ["", "a/b", "50 %", "Grüße", "a+b=c&d", "\u{0}\n"] {
            assert_eq!(decode(&encode(text)).ok().as_deref(), Some(text));
            let query = format!("key={}&from=7", encode(text));
            let mut parameters = Parameters::parse(&query).ok().unwrap();
            assert_eq!(parameters.take("key").as_deref(), Some(text));
            assert_eq!(parameters.take_number("from").ok(), Some(Some(7)));
            assert!(parameters.end().is_ok());
        }
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for text in ["%", "%1", "%zz", "%ff", "a%"] {
            assert!(decode(text).is_err(), "{text}");
        }
        for query in ["a=1&a=2", "a=%f", "%=1"] {
            assert!(Parameters::parse(query).is_err(), "{query}");
        }
        let mut parameters = Parameters::parse("from=-1&raw=perhaps&other").ok().unwrap();
        assert!(parameters.take_number("from").is_err());
        assert!(parameters.take_flag("raw").is_err());
        assert!(parameters.end().is_err());
    }
}
