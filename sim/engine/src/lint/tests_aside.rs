//! Passes over what is compiled for tests alone.

use super::tokens::Token;
use std::path::{Path, PathBuf};

/// The tokens without the items under `#[cfg(test)]`, and the modules among those that are in
/// files of their own.
pub(super) fn without_tests<'a>(tokens: &[Token<'a>]) -> (Vec<Token<'a>>, Vec<&'a str>) {
    let (mut kept, mut modules, mut at) = (Vec::new(), Vec::new(), 0);
    while at < tokens.len() {
        if !is_for_tests(&tokens[at..]) {
            kept.push(tokens[at]);
            at += 1;
            continue;
        }
        let end = end_of_item(tokens, at);
        let item = &tokens[at..end];
        if let [.., module, name, semicolon] = item
            && module.is_word("mod")
            && semicolon.is_sign(';')
        {
            modules.push(name.text);
        }
        at = end;
    }
    (kept, modules)
}

/// Whether an attribute begins here that says `cfg(test)` or `cfg(all(test, ...))`.
fn is_for_tests(tokens: &[Token<'_>]) -> bool {
    let words = |wanted: &[&str]| {
        tokens.len() >= wanted.len() && tokens.iter().zip(wanted).all(|(t, w)| t.text == *w)
    };
    words(&["#", "[", "cfg", "(", "test", ")", "]"])
        || words(&["#", "[", "cfg", "(", "all", "(", "test", ","])
}

/// Where the item ends whose attribute begins here: behind its block, or its semicolon.
fn end_of_item(tokens: &[Token<'_>], start: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(start) {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
        if depth == 0 && token.is_sign('}') {
            return at + 1;
        }
    }
    tokens.len()
}

/// Where a module that this file declares may be.
pub(super) fn files_of(file: &Path, module: &str) -> [PathBuf; 2] {
    let folder = file.parent().unwrap_or(Path::new(""));
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let folder = match stem {
        "mod" | "lib" | "main" => folder.to_owned(),
        _ => folder.join(stem),
    };
    [folder.join(format!("{module}.rs")), folder.join(module)]
}
