use std::io::{BufReader, Read};

use proptest::prelude::*;

use super::{DEPTH_MAX, FORM_BYTES_MAX, Form, Reader, Value};

fn all(text: &[u8]) -> Result<Vec<Form>, String> {
    // A buffer of one byte, so that nothing depends on where buffers end.
    let mut reader = Reader::new(BufReader::with_capacity(1, text));
    let mut forms = Vec::new();
    while let Some(form) = reader.next_form().map_err(|error| error.to_string())? {
        forms.push(form);
    }
    Ok(forms)
}

#[track_caller]
fn shown(text: &str) -> String {
    let forms = all(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
    forms.iter().map(Form::to_string).collect::<Vec<_>>().join(" | ")
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    assert_eq!(all(text.as_bytes()), Err(expected.to_owned()), "{text}");
}

#[test]
fn every_kind_of_value_is_read() {
    assert_eq!(shown("nil true false"), "nil | true | false");
    assert_eq!(shown("7 -7 +7 007 9N"), "7 | -7 | 7 | 7 | 9");
    assert_eq!(shown("1.5 -2e10 3/4 5M ##Inf"), "1.5 | -2e10 | 3/4 | 5M | Inf");
    assert_eq!(shown("99999999999999999999"), "99999999999999999999");
    assert_eq!(shown(":a :b/c sym -  <="), ":a | :b/c | sym | - | <=");
    assert_eq!(shown(r#""a\n\"\\\u00e9é""#), r#""a\n\"\\éé""#);
    assert_eq!(all(b"\\a \\newline \\( \\u0041").unwrap()[1].value, Value::Character('\n'));
    assert_eq!(shown("\\a \\( \\u0041"), "\\a | \\( | \\A");
    assert_eq!(shown("[1 [2] (3 4) #{5}]"), "[1 [2] (3 4) #{5}]");
    assert_eq!(shown("{:a 1, :b [2]}"), "{:a 1, :b [2]}");
    assert_eq!(shown("#inst \"2020\" #a.B{:x 1}"), "#inst \"2020\" | #a.B {:x 1}");
}

#[test]
fn blanks_commas_comments_and_discarded_forms_are_skipped() {
    assert_eq!(shown(""), "");
    assert_eq!(shown("; nothing\n,, \t"), "");
    assert_eq!(shown("1 ; one\n#_ [2 3] 4 #_5"), "1 | 4");
    assert_eq!(shown("[1 #_2] #_#_ 3 4 5"), "[1] | 5");
}

#[test]
fn a_position_counts_lines_and_characters_from_one() {
    let forms = all("a\n  [é \"ü\" x]".as_bytes()).unwrap();
    assert_eq!(forms[0].at.to_string(), "line 1, column 1");
    assert_eq!(forms[1].at.to_string(), "line 2, column 3");
    let inner = forms[1].elements().unwrap();
    assert_eq!(inner[2].at.to_string(), "line 2, column 10");
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    refused("[1 2", "line 1, column 5: the file ends before the closing ']'");
    refused("\n )", "line 2, column 2: a stray ')'");
    refused("[1 }", "line 1, column 4: a stray '}'");
    refused("{:a 1 :b}", "line 1, column 1: a map with a key that has no value");
    refused("\"abc", "line 1, column 1: a string that does not end");
    refused("\"\\q\"", "line 1, column 3: an escape that no string has");
    refused("\"\\ud800\"", "line 1, column 3: a character code that does not exist");
    refused("12abc", "line 1, column 1: \"12abc\", which is no number");
    refused(":", "line 1, column 1: a keyword without a name");
    refused("@x", "line 1, column 1: something that no value starts with");
    refused("#", "line 1, column 2: not a set, nor a tag, after a number sign");
    refused("#tag", "line 1, column 5: the file ends where a value should be");
    refused("#_", "line 1, column 3: the file ends where a value should be");
    refused("\\nosuch", "line 1, column 1: a character without a name");
    assert_eq!(all(b"\"\xff\"").unwrap_err(), "line 1, column 1: bytes that are not UTF-8");
    assert_eq!(all(b"\0").unwrap_err(), "line 1, column 1: something that no value starts with");
}

#[test]
fn nesting_is_bounded_however_it_comes_about() {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    assert!(all(nested(DEPTH_MAX - 1).as_bytes()).is_ok());
    for endless in ["[", "(", "{", "#{", "#_", "#_#a ", "#a "] {
        let text = endless.repeat(100_000);
        let error = all(text.as_bytes()).expect_err(endless);
        assert!(error.ends_with("nested deeper than 64"), "{endless}: {error}");
        let mut reader = Reader::new(text.as_bytes());
        while let Ok(true) = reader.enter() {}
        assert!(reader.next_form().is_err(), "{endless}");
    }
}

#[test]
fn one_form_is_bounded_and_a_file_is_not() {
    let endless = BufReader::new(std::io::repeat(b'x'));
    let error = Reader::new(endless).next_form().unwrap_err().to_string();
    assert!(error.ends_with("a form of more than 16777216 bytes"), "{error}");
    let many = std::io::repeat(b' ').take(3 * FORM_BYTES_MAX as u64 / 2);
    let error = Reader::new(BufReader::new(many)).next_form().unwrap_err().to_string();
    assert!(error.ends_with("a form of more than 16777216 bytes"), "{error}");
    let elements = "[".to_owned() + &"1234567 ".repeat(FORM_BYTES_MAX / 8 + 1) + "]";
    let mut reader = Reader::new(elements.as_bytes());
    assert!(reader.enter().unwrap());
    let mut count = 0;
    while reader.next_form().unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, FORM_BYTES_MAX / 8 + 1);
}

#[test]
fn a_sequence_can_be_entered_and_is_left_at_its_end() {
    let mut reader = Reader::new(&b" ; first\n [1 (2 3) 4] 5"[..]);
    assert!(reader.enter().unwrap());
    assert!(!reader.enter().unwrap(), "a number is no sequence");
    assert_eq!(reader.next_form().unwrap().unwrap().int(), Some(1));
    assert!(reader.enter().unwrap());
    assert_eq!(reader.next_form().unwrap().unwrap().int(), Some(2));
    assert_eq!(reader.next_form().unwrap().unwrap().int(), Some(3));
    assert!(reader.next_form().unwrap().is_none(), "the list ends");
    assert_eq!(reader.next_form().unwrap().unwrap().int(), Some(4));
    assert!(reader.next_form().unwrap().is_none(), "the vector ends");
    assert_eq!(reader.next_form().unwrap().unwrap().int(), Some(5));
    assert!(reader.next_form().unwrap().is_none(), "the file ends");
    assert_eq!(reader.position().to_string(), "line 2, column 15");
}

#[test]
fn a_map_is_asked_for_its_keys_whatever_they_are_written_as() {
    let forms = all(b"{:a 1, \"b\" 2, c 3, :a 4} #op{:a 5} 6").unwrap();
    assert_eq!(forms[0].get("a").unwrap().int(), Some(4));
    assert_eq!(forms[0].get("b").unwrap().int(), Some(2));
    assert_eq!(forms[0].get("c").unwrap().int(), Some(3));
    assert!(forms[0].get("d").is_none());
    assert_eq!(forms[1].get("a").unwrap().int(), Some(5));
    assert!(forms[2].get("a").is_none());
    let error = forms[2].unexpected("a map").to_string();
    assert_eq!(error, "line 1, column 36: a number where a map should be");
}

/// Text that looks like EDN often enough to get deep into the reader.
fn text() -> impl Strategy<Value = String> {
    let pieces = [
        "[", "]", "(", ")", "{", "}", "#{", "#_", "#", "\"", "\\", ";", "\n", " ", ",", ":a", "1",
        "-", "nil", "true", "x", "1.5", "\\u", "é", "##", "#t ", "\\n",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..40)
        .prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = all(&bytes);
    }

    #[test]
    fn what_is_read_is_shown_so_that_it_reads_the_same(text in text()) {
        if let Ok(forms) = all(text.as_bytes()) {
            let shown: Vec<_> = forms.iter().map(Form::to_string).collect();
            // A bare symbolic number is shown without its signs, and reads as a symbol.
            if !text.contains("##") && !text.contains('\\') {
                let again = all(shown.join("\n").as_bytes()).map_err(TestCaseError::fail)?;
                let again: Vec<_> = again.iter().map(Form::to_string).collect();
                prop_assert_eq!(shown, again);
            }
        }
    }
}
